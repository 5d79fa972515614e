"""`python -m fraudctl` is the same as `fraudctl`."""

from fraudctl.cli.main import run

if __name__ == "__main__":
    run()
