"""The `halfkey demo` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from halfkey.cli.demo.options import DemoOptions


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command("demo")(demo)


def demo(
    participants: Annotated[int, typer.Option(help="How many take part (2 to 12).")] = 3,
    duration: Annotated[
        float, typer.Option(help="Seconds, once everybody has joined (6 to 3600).")
    ] = 15.0,
    media: Annotated[
        Path | None, typer.Option(help="A media file to send instead of the test picture.")
    ] = None,
    profile: Annotated[str, typer.Option(help="128 or 256: the Double profile to offer.")] = "128",
    dtls: Annotated[
        str | None, typer.Option(help="1.2, 1.3 or hybrid: require it; else the best, the hybrid.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for report.json, what-they-saw.png and logs.")
    ] = Path("halfkey-demo"),
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.")
    ] = False,
) -> None:
    """Run a whole conference on this machine, check it, and show what each party saw.

    A Key Distributor, a Media Distributor, a Focus and the Endpoints run as processes of their
    own. Midway one participant leaves and goes on listening; at the end the Media Distributor's
    memory is searched for keys.
    """
    options = DemoOptions.check(participants, duration, media, profile, out, json, dtls)
    from halfkey.cli.demo.command import run  # loads the services: only when it is to run

    raise typer.Exit(run(options))
