"""The profile `local`: Kafka and PostgreSQL as child processes of this machine."""
