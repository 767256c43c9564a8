"""What an operator does to conferences: look, evict, let in, set policies, rekey."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from halfkey.cli.operator import Directory, Operator, OperatorError, State
from halfkey.cli.printing import moment, printable, table
from halfkey.cli.up.folder import DEFAULT
from halfkey.errors import ConfigurationError

Conference = Annotated[str, typer.Argument(metavar="CONFERENCE", help="The conference's name.")]
OnOff = bool | None


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command("conferences")(conferences)
    app.command("remove")(remove)
    app.command("readmit")(readmit)
    app.command("lobby")(lobby)
    app.command("policy")(policy)
    app.command("rekey")(rekey)


def conferences(directory: Directory = DEFAULT, state: State = None) -> None:
    """List conferences and who is in them, as the Key Distributor knows it."""
    found = Operator.of(directory, state).get("conferences")["conferences"]
    if not found:
        typer.echo("no conferences", err=True)
    for one in found:
        spi = "no key in use" if one["spi"] is None else f"EKT key with SPI {one['spi']:04x}"
        waiting = f", {one['waiting']} waiting" if one["waiting"] else ""
        out = f", {one['excluded']} kept out (halfkey readmit)" if one["excluded"] else ""
        typer.echo(f"{printable(one['conference'])}: {_count(one)}, {spi}{waiting}{out}")
        if one["participants"]:
            rows = [
                (person["id"], person["name"], person["role"], person["identity"], _since(person))
                for person in one["participants"]
            ]
            table(("id", "name", "role", "identity", "holds a key since"), rows)


def remove(
    who: Annotated[str, typer.Argument(metavar="NAME|ID", help="Whom: a name, or an id.")],
    conference: Annotated[str, typer.Option(help="The conference's name.")],
    revoke: Annotated[
        bool,
        typer.Option("--revoke", help="For good; else until 'halfkey readmit'."),
    ] = False,
    directory: Directory = DEFAULT,
    state: State = None,
) -> None:
    """Put somebody out of a conference, with all devices; everybody else gets a new key at once."""
    operator = Operator.of(directory, state)
    person = _one(who, _participants(operator, conference), f"in {printable(conference)}")
    path = ("conferences", conference, "participants", person["id"])
    operator.ask("DELETE", *path, query="revoke=true" if revoke else "")
    until = "for good" if revoke else "until you readmit them (halfkey readmit)"
    typer.echo(f"removed {printable(person['name'] or person['id'])}, {until}", err=True)


def readmit(
    conference: Annotated[str, typer.Option(help="The conference's name.")],
    who: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|ID]", help="Whom; without it, those who stay out are listed."
        ),
    ] = None,
    directory: Directory = DEFAULT,
    state: State = None,
) -> None:
    """Let somebody come in again who was put out of a conference, or turned away."""
    operator = Operator.of(directory, state)
    excluded = operator.get("conferences", conference, "excluded")["excluded"]
    if who is not None:
        person = _one(who, excluded, f"kept out of {printable(conference)}")
        operator.ask("DELETE", "conferences", conference, "excluded", person["id"])
        return
    if not excluded:
        typer.echo("nobody is kept out", err=True)
        return
    rows = [
        (*(one[key] for key in ("id", "name", "identity", "reason")), _until(one))
        for one in excluded
    ]
    table(("id", "name", "identity", "reason", "until"), rows)


def lobby(
    conference: Conference,
    let_in: Annotated[str | None, typer.Option(metavar="NAME|ID", help="Whom to let in.")] = None,
    reject: Annotated[
        str | None, typer.Option(metavar="NAME|ID", help="Whom to turn away.")
    ] = None,
    directory: Directory = DEFAULT,
    state: State = None,
) -> None:
    """List who waits to be let into a conference, or decide about one of them."""
    if let_in is not None and reject is not None:
        raise ConfigurationError("--let-in, --reject: decide about one at a time")
    operator = Operator.of(directory, state)
    waiting = operator.get("conferences", conference, "waiting")["waiting"]
    who = let_in if let_in is not None else reject
    if who is not None:
        decision = "let-in" if let_in is not None else "reject"
        person = _one(who, waiting, f"waiting for {printable(conference)}")
        operator.ask("POST", "conferences", conference, "waiting", person["id"], decision)
        return
    if not waiting:
        typer.echo("nobody waits", err=True)
        return
    heads = ("id", "name", "role", "identity", "since")
    rows = [(*(one[key] for key in heads[:-1]), moment(one["since"])) for one in waiting]
    table(heads, rows)


def policy(
    conference: Conference,
    waiting_room: Annotated[
        OnOff,
        typer.Option(
            "--waiting-room/--no-waiting-room", help="Whether all but hosts wait to be let in."
        ),
    ] = None,
    rekey_on_join: Annotated[
        OnOff,
        typer.Option(
            "--rekey-on-join/--no-rekey-on-join",
            help="Whether a new key keeps who joins from opening what was sent before.",
        ),
    ] = None,
    media_distributor: Annotated[
        list[Path] | None,
        typer.Option(help="PEM file of a Media Distributor that may serve it, for new handshakes."),
    ] = None,
    any_media_distributor: Annotated[
        bool, typer.Option("--any-media-distributor", help="Let all of them serve it again.")
    ] = False,
    directory: Directory = DEFAULT,
    state: State = None,
) -> None:
    """Show what holds for a conference, or change it."""
    if media_distributor and any_media_distributor:
        raise ConfigurationError("--media-distributor, --any-media-distributor: choose one")
    changes: dict[str, Any] = {"waiting_room": waiting_room, "rekey_on_join": rekey_on_join}
    changes = {name: value for name, value in changes.items() if value is not None}
    if media_distributor:
        changes["media_distributors"] = sorted(
            {one for p in media_distributor for one in _hashes(p)}
        )
    elif any_media_distributor:
        changes["media_distributors"] = None
    operator = Operator.of(directory, state)
    told = operator.ask("PATCH", "conferences", conference, "policy", body=changes)
    allowed = told["media_distributors"]
    typer.echo(f"waiting room: {_on(told['waiting_room'])}")
    typer.echo(f"rekey on join: {_on(told['rekey_on_join'])}")
    typer.echo(f"media distributors: {'any' if allowed is None else ' '.join(allowed)}")


def rekey(conference: Conference, directory: Directory = DEFAULT, state: State = None) -> None:
    """Give everybody in a conference a new EKT key now."""
    Operator.of(directory, state).ask("POST", "conferences", conference, "rekey")


def _participants(operator: Operator, conference: str) -> list[dict[str, Any]]:
    for one in operator.get("conferences")["conferences"]:
        if one["conference"] == conference:
            people: list[dict[str, Any]] = one["participants"]
            return people
    raise OperatorError(f"--conference {printable(conference)}: no such conference at the moment")


def _one(who: str, people: list[dict[str, Any]], where: str) -> dict[str, Any]:
    """Who is meant: an id goes before names.

    Raises:
        OperatorError: nobody, or several.
    """
    found = [one for one in people if one["id"] == who] or [
        one for one in people if who in (one["name"], one["identity"])
    ]
    if len(found) > 1:
        ids = ", ".join(printable(one["id"]) for one in found)
        raise OperatorError(f"{printable(who)}: several are {where}; give one of the ids {ids}")
    if not found:
        names = ", ".join(printable(one["name"] or one["id"]) for one in people) or "nobody"
        raise OperatorError(f"{printable(who)}: not {where}; there is {names}")
    return found[0]


def _hashes(path: Path) -> list[str]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as fault:
        raise ConfigurationError(
            f"--media-distributor {path}: can't be read ({fault.strerror}); name a PEM file"
        ) from None
    except ValueError:
        raise ConfigurationError(
            f"--media-distributor {path}: no certificate in it; name a PEM file"
        ) from None
    return [one.fingerprint(hashes.SHA256()).hex() for one in found]


def _count(conference: dict[str, Any]) -> str:
    number = len(conference["participants"])
    return f"{number} participant{'' if number == 1 else 's'}"


def _since(person: dict[str, Any]) -> str:
    return "not yet" if person["since"] is None else moment(person["since"])


def _until(person: dict[str, Any]) -> str:
    return "it is lifted" if person["until"] is None else moment(person["until"])


def _on(value: bool) -> str:
    return "on" if value else "off"
