"""What `down` stopped, and what it left."""

from fraudctl.operations.lifecycle.down import DownReport


def report(result: DownReport) -> str:
    """One line a process, and where the data is or was."""
    lines = [f"{name:<9} {how}" for name, how in result.stopped.items()]
    if result.removed:
        lines.append(f"removed   {result.removed}")
    if result.kept:
        lines.append(f"kept      {result.kept}")
    return "\n".join(lines)
