"""The detector in a container: its spec, its shim on this machine, and its entrypoint inside."""
