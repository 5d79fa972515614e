package fraudctl

import java.nio.file.{Files, Path}

/** Loads the classes that a JVM wrote down with -XX:DumpLoadedClassList, for an archive of them. */
object LoadClasses {

  /** Loads without initialising: `arguments(0)` names the list. Classes that cannot be loaded are left out. */
  def main(arguments: Array[String]): Unit = {
    val loader = ClassLoader.getSystemClassLoader
    Files.lines(Path.of(arguments(0))).forEach { line =>
      if (!line.startsWith("#") && !line.startsWith("@")) {
        val name = line.takeWhile(_ != ' ').replace('/', '.')
        try Class.forName(name, false, loader)
        catch { case _: ClassNotFoundException | _: LinkageError => }
      }
    }
  }
}
