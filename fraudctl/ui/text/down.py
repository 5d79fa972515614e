"""The result of `down` as text: what was stopped, and what was kept."""

from fraudctl.operations.lifecycle.down import DownReport


def report(result: DownReport) -> str:
    """Return a line for each process, and where the data is or was."""
    lines = [f"{name:<9} {how}" for name, how in result.stopped.items()]
    if result.removed:
        lines.append(f"removed   {result.removed}")
    if result.kept:
        lines.append(f"kept      {result.kept}")
    return "\n".join(lines)
