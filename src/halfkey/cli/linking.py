"""The link that `halfkey join` and `halfkey record` take in place of options."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from halfkey.errors import ConfigurationError
from halfkey.identity.link import MAXIMUM_LINK, Link

VARIABLE = "HALFKEY_LINK"

LinkText = Annotated[
    str | None,
    typer.Argument(
        metavar="[LINK]",
        show_default=False,
        help="What 'halfkey invite' printed. It is a secret, and other users of this machine see "
        f"arguments: - reads it from standard input, and the variable {VARIABLE} is taken too.",
    ),
]
Focus = Annotated[str | None, typer.Option(help="Without a link: https://HOST:PORT of the Focus.")]
TrustFocus = Annotated[
    Path | None, typer.Option(help="Without a link: PEM bundle, the Focus that is believed.")
]
ConferenceName = Annotated[str | None, typer.Option(help="Without a link: the conference's name.")]


def read_link(text: str | None, others: Mapping[str, object], optional: str = "") -> Link | None:
    """The link that was given; None where the other options say it all.

    Args:
        text: the argument; None for none.
        others: the values of the options that go without a link, by their names.
        optional: the one of them that need not be given.

    Raises:
        ConfigurationError: the link is none, or it is given beside the options, or neither is.
    """
    given = [option for option, value in others.items() if value is not None]
    if text is None and not given:
        text = os.environ.get(VARIABLE)
    if text is None:
        missing = [one for one in others if one not in (*given, optional)]
        if missing:
            raise ConfigurationError(f"give a LINK, or without one also {', '.join(missing)}")
        return None
    if given:
        raise ConfigurationError(f"LINK, {given[0]}: the link says it; give one or the other")
    return Link.parse(_line() if text == "-" else text)


def _line() -> str:
    """A line of standard input, and no more of it: what follows is for others."""
    if sys.stdin.isatty():
        typer.echo("paste the link, then Enter:", err=True)
    read = bytearray()
    while len(read) <= MAXIMUM_LINK and (one := os.read(sys.stdin.fileno(), 1)) not in (b"", b"\n"):
        read += one
    try:
        return read.decode("ascii")
    except UnicodeDecodeError:
        raise ConfigurationError(
            "standard input holds no link; copy the whole link again"
        ) from None
