"""`halfkey record`: a participant that sends nothing and writes down what it decodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from halfkey.cli.arguments import Supervised, within
from halfkey.cli.arguments import profile as read_profile
from halfkey.cli.identifying import IdentityFile
from halfkey.cli.linking import ConferenceName, Focus, LinkText, TrustFocus, read_place
from halfkey.cli.supervised import Supervision, run_role
from halfkey.errors import ConfigurationError

if TYPE_CHECKING:
    from halfkey.recorder.session import RecorderOptions


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command("record")(record)


def record(
    out: Annotated[Path, typer.Option(help="The Matroska file to write, for example talk.mkv.")],
    link: LinkText = None,
    focus: Focus = None,
    trust_focus: TrustFocus = None,
    conference: ConferenceName = None,
    name: Annotated[
        str | None,
        typer.Option(help="Without a link: the recorder's name for others; else Recorder."),
    ] = None,
    identity: IdentityFile = None,
    layout: Annotated[
        Literal["composed", "tracks"],
        typer.Option(help="One picture with everybody and one sound, or each by itself."),
    ] = "composed",
    profile: Annotated[str, typer.Option(help="128 or 256: the Double profile to offer.")] = "128",
    slots: Annotated[int, typer.Option(help="How many others to record at once (1 to 32).")] = 8,
    duration: Annotated[
        float | None, typer.Option(help="Seconds to record; else until told to stop.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over a file that is there.")
    ] = False,
    supervised: Supervised = False,
) -> None:
    """Record a conference, as a participant that everybody sees in the roster."""
    from halfkey.endpoint import EndpointOptions
    from halfkey.recorder.session import RecorderOptions

    within("--slots", slots, 1, 32)
    if duration is not None and not 0 < duration < float("inf"):
        raise ConfigurationError(f"--duration {duration:g}: give a number of seconds above 0")
    place = read_place(
        link,
        focus=focus,
        trust_focus=trust_focus,
        conference=conference,
        name=name,
        identity=identity,
        default_name="Recorder",
    )
    endpoint = EndpointOptions(
        focus_url=place.focus_url,
        conference=place.conference,
        name=place.name,
        trusted=place.trusted,
        check_hostname=place.check_hostname,
        profiles=(read_profile(profile),),
        slots=slots,
        credential=place.credential,
    )
    options = RecorderOptions(endpoint, out, layout, overwrite=overwrite, duration=duration)
    run_recorder(options, supervised)


def run_recorder(options: RecorderOptions, supervised: bool) -> None:
    """Records until it is over; SIGINT and SIGTERM end the file well."""
    from halfkey.recorder.session import Recorder

    async def attend(supervision: Supervision) -> None:
        recorder = Recorder(options, supervision.report)
        supervision.on_command = recorder.command
        await recorder.run()

    run_role("record", supervised, attend)
