"""Where the program begins: `fraudctl`, or `python -m fraudctl`."""

import sys


def run() -> None:
    """Entry point of the console script."""
    try:
        from fraudctl.cli.main import run as run_command
    except KeyboardInterrupt:  # still loading: nothing has been done that would have to be told
        sys.exit(130)
    run_command()


if __name__ == "__main__":
    run()
