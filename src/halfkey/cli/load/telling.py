"""What is said to the person who waits for a run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from halfkey.cli.load.options import LoadOptions


def tell(options: LoadOptions, text: str) -> None:
    """Says a line, unless stdout and stderr are for a program."""
    if not options.json:
        sys.stderr.write(text + "\n")


@contextmanager
def line(options: LoadOptions) -> Iterator[Callable[[str], None]]:
    """One line on a terminal that says how far it is; gone at the end."""
    shown = sys.stderr.isatty() and not options.json

    def show(text: str) -> None:
        if shown:
            sys.stderr.write(f"\r{text}\033[K")
            sys.stderr.flush()

    try:
        yield show
    finally:
        if shown:
            sys.stderr.write("\r\033[K")
