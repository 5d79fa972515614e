"""PostgreSQL: connections, migrations, the detector's lease, and reading and writing of the tables."""
