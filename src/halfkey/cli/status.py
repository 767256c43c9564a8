"""`halfkey status`: which roles are up, which are ready, and their figures."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from halfkey.cli.arguments import Address, address, shown
from halfkey.errors import ConfigurationError

if TYPE_CHECKING:
    from halfkey.operations.asking import RoleStatus

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (an address to ask at, not to bind)

_UNLIMITED = 10_000


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command("status")(status)


def status(
    places: Annotated[
        list[str] | None, typer.Argument(metavar="[HOST:PORT]...", help="Roles' metrics addresses.")
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A role's TOML file, which names its address; repeat."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> None:
    """Ask roles how they are; exit status 0 if all of them are ready, else 1."""
    from halfkey.operations.asking import ask_all

    wanted = [address(place, "HOST:PORT") for place in places or ()]
    wanted += [_metrics_address(path) for path in config or ()]
    if not wanted:
        raise ConfigurationError(
            "status: nobody to ask; give HOST:PORT of --metrics-listen, or --config FILE"
        )
    answers = asyncio.run(ask_all(wanted))
    if as_json:
        typer.echo(json.dumps([_as_dict(answer) for answer in answers], indent=2))
    else:
        _print_table(answers)
    raise typer.Exit(0 if all(answer.is_ready for answer in answers) else 1)


def _metrics_address(path: Path) -> Address:
    """Where the role of this file can be asked."""
    from halfkey.configuration import read_tables

    text = read_tables(path).get("metrics_listen")
    if not isinstance(text, str):
        raise ConfigurationError(f"{path}: no [metrics] listen in it; set one to be able to ask")
    host, port = address(text, f"{path}: [metrics] listen")
    return _ANYWHERE.get(host, host), port


def _as_dict(answer: RoleStatus) -> dict[str, object]:
    end = answer.certificate_expires
    told = None if end is None else end.isoformat()
    return {**asdict(answer), "address": shown(answer.address), "certificate_expires": told}


def _print_table(answers: list[RoleStatus]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("role", "address", "state", "figures", "certificates", box=None)
    for answer in answers:
        cells = (answer.role or "?", shown(answer.address), _state(answer), _figures(answer))
        # As texts: what a role answers is not markup for our terminal.
        table.add_row(*map(Text, (*cells, _expiry(answer))))
    # Only a terminal has a width: in a pipe each role is one line.
    Console(width=None if sys.stdout.isatty() else _UNLIMITED).print(table)


def _state(answer: RoleStatus) -> str:
    if answer.is_ready:
        return "ready"
    reasons = "; ".join(answer.faults)
    told = reasons if reasons.isprintable() else ascii(reasons)
    return told if answer.role is None else f"not ready: {told}"


def _figures(answer: RoleStatus) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in answer.figures.items())


def _expiry(answer: RoleStatus) -> str:
    end = answer.certificate_expires
    return "" if end is None else f"until {end:%Y-%m-%d}"
