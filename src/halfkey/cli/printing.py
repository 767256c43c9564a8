"""What commands print: tables, moments, and texts of others that a terminal may take."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterable, Sequence

_UNLIMITED = 10_000


def printable(text: object) -> str:
    """A text as a terminal may take it: nothing in it moves the cursor."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in str(text))


def moment(seconds: float) -> str:
    """Unix seconds as local time."""
    return datetime.datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M %Z")


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a table; in a pipe, too, each row is one line."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(*heads, box=None)
    for row in rows:
        # As texts: what others chose is not markup for our terminal.
        made.add_row(*(Text("" if cell is None else printable(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else _UNLIMITED).print(made)
