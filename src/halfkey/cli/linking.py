"""Where `halfkey join` and `halfkey record` go, and as whom: by a link, or by options."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from halfkey.cli.identifying import read_identity
from halfkey.conference_name import is_conference_name
from halfkey.errors import ConfigurationError
from halfkey.identity.credential import Credential
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


@dataclass(frozen=True, slots=True)
class Place:
    """Where to go, and as whom.

    Attributes:
        focus_url: ``https://HOST:PORT`` of the Focus.
        trusted: who is believed to be the Focus; see `EndpointOptions`.
        conference: its name.
        name: our display name.
        credential: what to join with; None believes the Focus.
    """

    focus_url: str
    trusted: Path | bytes | None
    conference: str
    name: str
    credential: Credential | None

    @classmethod
    def of(cls, link: Link) -> Place:
        """That of a link."""
        credential = Credential.of(link)
        return cls(link.focus_url, link.focus, link.conference, link.name, credential)

    @property
    def check_hostname(self) -> bool:
        """Whether the Focus' certificate must name the host: where the system's authorities say."""
        return self.trusted is None


def read_place(
    link: str | None,
    *,
    focus: str | None,
    trust_focus: Path | None,
    conference: str | None,
    name: str | None,
    identity: Path | None,
    default_name: str | None = None,
) -> Place:
    """What link or options say.

    Args:
        default_name: if no name need be given without a link.

    Raises:
        ConfigurationError: see `read_link` and `read_identity`; or the conference has no such name.
    """
    by_hand = {
        "--focus": focus,
        "--trust-focus": trust_focus,
        "--conference": conference,
        "--name": name,
        "--identity": identity,
    }
    optional = {"--identity"} if identity is None else {"--trust-focus"}
    given = read_link(link, by_hand, optional | ({"--name"} if default_name else set()))
    if given is not None:
        return Place.of(given)
    conference = conference or ""
    if not is_conference_name(conference):
        raise ConfigurationError(
            f"--conference {conference!r}: give 1 to 64 letters, digits, dots, dashes and "
            "underscores, not dots alone"
        )
    credential = None if identity is None else read_identity(identity, conference)
    shown = default_name if name is None and default_name is not None else name or ""
    return Place(focus or "", trust_focus, conference, shown, credential)


def read_link(
    text: str | None, others: Mapping[str, object], optional: Collection[str]
) -> Link | None:
    """The link that was given; None where the other options say it all.

    Args:
        text: the argument; None for none.
        others: the values of the options that go without a link, by their names.
        optional: those of them that need not be given.

    Raises:
        ConfigurationError: the link is none, or it is given beside the options, or neither is.
    """
    given = [option for option, value in others.items() if value is not None]
    if text is None and not given:
        text = os.environ.get(VARIABLE)
    if text is None:
        missing = [one for one in others if one not in (*given, *optional)]
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
