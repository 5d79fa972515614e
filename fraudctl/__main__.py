"""Entry point of the program: the console script `fraudctl`, or `python -m fraudctl`."""

import os
import sys


def run() -> None:
    """Run the console script."""
    try:
        from fraudctl.cli.main import run as run_command
    except KeyboardInterrupt:  # still loading: nothing has been done that needs a report
        sys.exit(130)
    except (ImportError, AttributeError) as error:
        # PYTHONPATH puts another program's packages first, in versions that fraudctl was not installed with.
        if not os.environ.get("PYTHONPATH"):
            raise
        sys.stderr.write(
            f"error: fraudctl cannot be loaded: {error}\n"
            f"  PYTHONPATH={os.environ['PYTHONPATH']}\n"
            "hint: unset PYTHONPATH, or leave away the folder with other versions of these packages\n"
        )
        sys.exit(3)
    run_command()


if __name__ == "__main__":
    run()
