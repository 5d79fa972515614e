"""Where a service runs."""


def place(pid: int | None, container: str | None) -> str:
    """In brackets behind its address; nothing if it runs nowhere, or elsewhere."""
    if container:
        return f"  (container {container})"
    return f"  (pid {pid})" if pid else ""
