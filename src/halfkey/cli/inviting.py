"""`halfkey invite` and `halfkey invites`: make links, list them, revoke them.

The secret of a link is made here and printed, once; the Key Distributor is told the thumbprint of
its key and nothing else.
"""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from halfkey.cli.operator import Directory, Operator, OperatorError, State
from halfkey.cli.printing import moment, printable, table
from halfkey.cli.up.folder import DEFAULT, Folder
from halfkey.errors import ConfigurationError

DEFAULT_EXPIRY = "30d"

MAXIMUM_DEVICES = 100

_LENGTH = re.compile(r"([0-9]{1,6})([mhdw])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command("invite")(invite)
    invites = typer.Typer(no_args_is_help=True, help="List and revoke invites.")
    invites.command("list")(list_invites)
    invites.command("revoke")(revoke)
    app.add_typer(invites, name="invites")


def invite(
    name: Annotated[str, typer.Argument(help="The person's name, as others are to see it.")],
    conference: Annotated[str, typer.Option(help="The conference's name.")],
    expires: Annotated[
        str, typer.Option(help="45m, 2h, 7d, 4w, a date such as 2030-12-01, or never.")
    ] = DEFAULT_EXPIRY,
    role: Annotated[
        str, typer.Option(help="participant, or host, whom no waiting room holds up.")
    ] = "participant",
    devices: Annotated[
        int, typer.Option(help="How many may be in the conference with it at once.")
    ] = 1,
    focus: Annotated[
        str | None, typer.Option(help="With --state: https://HOST:PORT of the Focus.")
    ] = None,
    focus_certificate: Annotated[
        Path | None,
        typer.Option(help="With --state: PEM file; absent if a public authority vouches for it."),
    ] = None,
    directory: Directory = DEFAULT,
    state: State = None,
) -> None:
    """Invite one person: prints the link, which is a secret between you and that person."""
    from halfkey.cli.arguments import within
    from halfkey.identity.invite import InviteSecret
    from halfkey.identity.link import Link

    within("--devices", devices, 1, MAXIMUM_DEVICES)
    now = datetime.datetime.now().astimezone()
    expires_at = read_expiry(expires, now)
    operator = Operator.of(directory, state)
    url, digest = _focus(directory, state, focus, focus_certificate)
    link = Link(
        focus_url=url,
        conference=_named(conference),
        secret=InviteSecret.make(conference),
        authority=_authority(operator),
        focus=digest,
        name=name,
        role=role,
    )
    wanted = {
        "conference": conference,
        "name": name,
        "role": role,
        "thumbprint": link.secret.thumbprint,
        "expires_at": expires_at,
        "devices": devices,
    }
    made = operator.ask("POST", "invites", body=wanted)
    until = "never expires" if expires_at is None else f"expires {moment(expires_at)}"
    typer.echo(
        f"invite {made['id']}: for {name} alone, to {conference}, {until}; "
        "give the link to nobody else",
        err=True,
    )
    typer.echo(str(link))


def list_invites(
    conference: Annotated[str | None, typer.Option(help="Only those to this conference.")] = None,
    directory: Directory = DEFAULT,
    state: State = None,
) -> None:
    """List the invites that stand."""
    found = Operator.of(directory, state).get("invites")["invites"]
    rows = [one for one in found if conference in (None, one["conference"])]
    if not rows:
        typer.echo("no invites", err=True)
        return
    now = datetime.datetime.now().timestamp()
    table(
        ("id", "conference", "name", "role", "devices", "expires"),
        [
            (*(one[key] for key in ("id", "conference", "name", "role", "devices")), _end(one, now))
            for one in rows
        ],
    )


def revoke(
    invites: Annotated[list[str], typer.Argument(metavar="ID...", help="Invites' ids.")],
    directory: Directory = DEFAULT,
    state: State = None,
) -> None:
    """Make links useless for good. Who is in a conference by one is put out at once."""
    operator = Operator.of(directory, state)
    for identifier in invites:
        try:
            operator.ask("DELETE", "invites", identifier)
        except OperatorError as fault:
            raise OperatorError(f"{printable(identifier)}: {fault}") from None


def read_expiry(text: str, now: datetime.datetime) -> int | None:
    """Reads when an invite ends, as Unix seconds; None for never.

    Args:
        text: as given.
        now: with the local zone.

    Raises:
        ConfigurationError: it is no such thing, or in the past.
    """
    if text == "never":
        return None
    length = _LENGTH.fullmatch(text)
    try:
        if length:
            seconds = int(length[1]) * _SECONDS[length[2]]
            end = now + datetime.timedelta(seconds=seconds)
        else:
            end = datetime.datetime.fromisoformat(text)
            end = end if end.tzinfo is not None else end.replace(tzinfo=now.tzinfo)
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"--expires {text!a}: give 45m, 2h, 7d, 4w, a date such as 2030-12-01, or never"
        ) from None
    if end <= now:
        raise ConfigurationError(f"--expires {text}: that is over already; give a later time")
    return int(end.timestamp())


def _named(conference: str) -> str:
    from halfkey.conference_name import is_conference_name

    if not is_conference_name(conference):
        raise ConfigurationError(
            f"--conference {conference!r}: give 1 to 64 letters, digits, '.', '_' or '-', not dots "
            "alone"
        )
    return conference


def _authority(operator: Operator) -> bytes:
    told = operator.get().get("authority")
    if not isinstance(told, str):
        raise ConfigurationError(
            "the Key Distributor vouches for nothing, so links are no use; "
            "run it with --vouching-certificate and --vouching-key"
        )
    return bytes.fromhex(told)


def _focus(
    directory: Path, state: Path | None, url: str | None, certificate: Path | None
) -> tuple[str, bytes | None]:
    """Where the link leads to, and the hash of the one certificate to be believed there."""
    from halfkey.pki import sha256_of

    folder = Folder(directory)
    if state is None:
        if url is not None or certificate is not None:
            raise ConfigurationError(
                "--focus, --focus-certificate: go with --state; the folder of 'halfkey up' has them"
            )
        return folder.focus_url, sha256_of(folder.focus_certificate)
    if url is None:
        raise ConfigurationError("--focus: give https://HOST:PORT of the Focus with --state")
    return url, None if certificate is None else sha256_of(certificate)


def _end(invite: dict[str, Any], now: float) -> str:
    expires_at = invite["expires_at"]
    if expires_at is None:
        return "never"
    return f"{moment(expires_at)}{' (over)' if expires_at <= now else ''}"
