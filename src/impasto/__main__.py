"""`python -m impasto` is the command `impasto`."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit; Ctrl-C while it still loads is no more than that."""
    try:
        from impasto.apps.cli.main import main as run
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
