"""Everything about Java: the JVM itself, jars, compiled Scala, and the spark-submit command line."""
