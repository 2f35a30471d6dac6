"""`python -m impasto` is the command `impasto`."""

from impasto.apps.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
