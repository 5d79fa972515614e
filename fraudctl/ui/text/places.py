"""The process or container of a service, as text."""


def place(pid: int | None, container: str | None) -> str:
    """Return the container or process id in brackets, or an empty text if the service has neither here."""
    if container:
        return f"  (container {container})"
    return f"  (pid {pid})" if pid else ""
