"""`python -m impasto` is the command `impasto`."""

import gc
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit; Ctrl-C while it still loads is no more than that."""
    gc.disable()  # nothing of what is imported is garbage, and to look for it takes 0.02 s
    try:
        from impasto.apps.cli.main import main as run
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        gc.enable()
    run()


if __name__ == "__main__":
    main()
