"""The `halfkey load` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command("load")(load)


def load(
    scenario: Annotated[
        str,
        typer.Argument(
            help="audio (10 speakers to N), meeting (N by N, sound), livestream (1 to N, pictures)."
        ),
    ],
    receivers: Annotated[
        int | None, typer.Option(help="Receivers in each conference (50; in a meeting 10).")
    ] = None,
    speakers: Annotated[
        int | None, typer.Option(help="Senders in each conference (audio 10, livestream 1).")
    ] = None,
    conferences: Annotated[int, typer.Option(help="Conferences at once.")] = 1,
    workers: Annotated[int, typer.Option(help="The Media Distributor's threads that forward.")] = 1,
    duration: Annotated[float, typer.Option(help="Seconds to measure.")] = 10.0,
    offered: Annotated[
        float | None,
        typer.Option("--load", help="Packets a second to be forwarded in all, come what may."),
    ] = None,
    profile: Annotated[str, typer.Option(help="128 or 256: the Double profile.")] = "128",
    sample: Annotated[
        int, typer.Option(help="Each receiver opens one packet of so many, through both layers.")
    ] = 16,
    direct: Annotated[
        bool,
        typer.Option("--direct", help="Nobody joins: hop keys are given; media alone."),
    ] = False,
    floor: Annotated[
        bool, typer.Option("--floor", help="Measure bare sends and seals of the same, too.")
    ] = False,
    sweep: Annotated[
        bool,
        typer.Option("--sweep", help="From a tenth of the load up until packets are lost; a plot."),
    ] = False,
    flood: Annotated[
        str | None,
        typer.Option(help="garbage, replay or unknown: a second run under a flood of it."),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(help="File of SECONDS,BYTES lines: what each sender sends, again and again."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for load.json, load.png and logs.")] = Path(
        "halfkey-load"
    ),
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.")
    ] = False,
) -> None:
    """Put load on a Media Distributor of its own on this machine, and measure what it costs.

    Packets are sent by a schedule, whatever happens; all that arrive are counted, and a share of
    them is opened through both layers.
    """
    from halfkey.cli.load.options import LoadOptions

    options = LoadOptions.check(
        scenario,
        receivers=receivers,
        speakers=speakers,
        conferences=conferences,
        workers=workers,
        duration=duration,
        load=offered,
        profile=profile,
        sample=sample,
        floor=floor,
        sweep=sweep,
        flood=flood,
        direct=direct,
        trace=trace,
        out=out,
        json=json,
    )
    from halfkey.cli.load.run import run  # loads the services: only when it is to run

    raise typer.Exit(run(options))
