"""Runs the `halfkey` command as ``python -m halfkey``."""

from halfkey.cli.main import main

if __name__ == "__main__":
    main()
