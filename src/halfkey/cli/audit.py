"""`halfkey audit`: verify a Key Distributor's log, ask it who could decrypt, export it.

Every answer is given only once the whole log was verified.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from halfkey.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Log = Annotated[Path, typer.Option("--log", help="The log's folder.")]
PublicKey = Annotated[
    Path | None,
    typer.Option(help="PEM file: the key that verifies; public.pem in the log's folder if absent."),
]
ConferenceName = Annotated[str, typer.Option(help="The conference's name.")]

DEFAULT_LOG = Path("audit")

_SINCE_BEGIN = re.compile(r"\+(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,9})s)?")
_TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?")


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    audit = typer.Typer(
        no_args_is_help=True, help="Verify the Key Distributor's audit log, and ask it."
    )
    audit.command("verify")(verify)
    audit.command("who")(who)
    audit.command("export")(export)
    audit.command("head")(head)
    app.add_typer(audit, name="audit")


def verify(
    log: Log = DEFAULT_LOG,
    public_key: PublicKey = None,
    head: Annotated[
        str | None, typer.Option(help="NUMBER:HASH noted earlier: the log must contain it.")
    ] = None,
) -> None:
    """Verify the whole log; status 1 and the line's name if it was changed or cut."""
    from halfkey.audit import reader

    noted = None if head is None else reader.Head.parse(head)
    summary = reader.verify(log, _key(log, public_key), noted)
    for note in summary.notes:
        typer.echo(f"note: {note}")
    span = f", {summary.first_at} to {summary.last_at}" if summary.records else ""
    typer.echo(f"verified: {summary.records} records in {summary.files} files{span}")
    typer.echo(f"head: {summary.head}")


def head(log: Log = DEFAULT_LOG, public_key: PublicKey = None) -> None:
    """Print NUMBER:HASH of the last record, to be noted where the log's keeper can't change it."""
    from halfkey.audit import reader

    typer.echo(str(reader.verify(log, _key(log, public_key)).head))


def export(
    format_: Annotated[str, typer.Option("--format", help="csv or json.")] = "csv",
    out: Annotated[Path | None, typer.Option(help="The file; standard output if absent.")] = None,
    conference: Annotated[str | None, typer.Option(help="Only this conference's records.")] = None,
    log: Log = DEFAULT_LOG,
    public_key: PublicKey = None,
) -> None:
    """Write the verified records as CSV or JSON."""
    from halfkey.audit import export as formats
    from halfkey.audit import reader

    if format_ not in formats.FORMATS:
        raise ConfigurationError(f"--format {format_}: give csv or json")
    lines = [
        line
        for line, _ in reader.LogReader(log, _key(log, public_key)).records()
        if conference is None or line.fields.get("conference") == conference
    ]
    pieces = formats.as_csv(lines) if format_ == "csv" else formats.as_json(lines)
    _write(pieces, out)


def who(
    conference: ConferenceName,
    at: Annotated[
        str,
        typer.Option(
            help="RFC 3339, or 10:37 (local, today), or +37m since the conference's latest session "
            "began."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    log: Log = DEFAULT_LOG,
    public_key: PublicKey = None,
) -> None:
    """Say who could decrypt a conference at a moment: who held the EKT keys in use then."""
    from halfkey.audit import answer, holders, reader

    source = reader.LogReader(log, _key(log, public_key))
    found = holders.conferences(source.records())
    if conference not in found:
        known = ", ".join(answer.shown(name) for name in sorted(found)[:8]) or "none"
        raise ConfigurationError(
            f"--conference {answer.shown(conference)}: not in the log, which has: {known}"
        )
    one = found[conference]
    moment = read_time(at, one.began_at, datetime.datetime.now().astimezone())
    if source.summary is None:
        raise AssertionError("the reader ended without a summary")
    said = answer.who_could_decrypt(one, moment, str(source.summary.head))
    lines = [json.dumps(said.as_dict(), indent=2)] if as_json else said.lines()
    for line in lines:
        typer.echo(line)


def read_time(text: str, began_at: float | None, now: datetime.datetime) -> float:
    """Reads a moment as Unix seconds.

    Args:
        text: as given.
        began_at: when the conference began; None if it never did.
        now: with the local zone.

    Raises:
        ConfigurationError: it is none of the three ways.
    """
    since = _SINCE_BEGIN.fullmatch(text)
    if since and any(since.groups()):
        if began_at is None:
            raise ConfigurationError(f"--at {text}: the conference never began; give RFC 3339")
        hours, minutes, seconds = (int(part or 0) for part in since.groups())
        return began_at + 3600 * hours + 60 * minutes + seconds
    try:
        if _TIME_OF_DAY.fullmatch(text):
            time = datetime.time.fromisoformat(text.zfill(len(text) + (text.index(":") == 1)))
            return datetime.datetime.combine(now.date(), time).astimezone().timestamp()
        moment = datetime.datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.timestamp()
    except (ValueError, OverflowError, OSError):
        pass
    raise ConfigurationError(
        f"--at {text!a}: give RFC 3339 such as 2026-05-04T10:37:00Z, or 10:37, or +37m"
    )


def _key(log: Path, given: Path | None) -> Ed25519PublicKey:
    from halfkey.audit.keys import PUBLIC_KEY_FILE, load_public_key

    if given is None and not log.is_dir():
        raise ConfigurationError(f"--log {log}: no such folder; name the folder of a log")
    return load_public_key(given or log / PUBLIC_KEY_FILE)


def _write(pieces: Iterator[str], out: Path | None) -> None:
    if out is None:
        for piece in pieces:
            typer.echo(piece, nl=False)
        return
    try:
        with out.open("w", encoding="utf-8", newline="") as file:
            file.writelines(pieces)
    except OSError as fault:
        raise ConfigurationError(
            f"--out {out}: can't be written ({fault.strerror}); name another file"
        ) from None
