"""`halfkey join`: take part in a conference, by a link or by options that say where."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from halfkey.cli.arguments import Supervised, disclosure, within
from halfkey.cli.arguments import profile as read_profile
from halfkey.cli.identifying import IdentityFile
from halfkey.cli.linking import ConferenceName, Focus, LinkText, TrustFocus, read_place
from halfkey.cli.supervised import Supervision, run_role


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command("join")(join)


def join(
    link: LinkText = None,
    focus: Focus = None,
    trust_focus: TrustFocus = None,
    conference: ConferenceName = None,
    name: Annotated[
        str | None, typer.Option(help="Without a link: your name, as others are to see it.")
    ] = None,
    identity: IdentityFile = None,
    media: Annotated[
        Path | None, typer.Option(help="A media file to send instead of the test picture.")
    ] = None,
    profile: Annotated[str, typer.Option(help="128 or 256: the Double profile to offer.")] = "128",
    frame_rate: Annotated[int, typer.Option(help="Pictures to send each second (1 to 30).")] = 15,
    slots: Annotated[int, typer.Option(help="How many others to receive at once (1 to 32).")] = 8,
    duration: Annotated[
        float | None, typer.Option(help="Seconds to stay; else until told.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder for the last picture of each participant.")
    ] = None,
    index: Annotated[int, typer.Option(hidden=True, help="Colour and tone.")] = 0,
    keep_listening: Annotated[
        bool, typer.Option("--keep-listening", hidden=True, help="After leaving, listen on.")
    ] = False,
    disclose_secrets_to: Annotated[
        int | None, typer.Option(hidden=True, help="Descriptor that gets every key, to look for.")
    ] = None,
    supervised: Supervised = False,
) -> None:
    """Join a conference as an Endpoint: send a test picture or a file, decode everybody else."""
    from halfkey.endpoint.media import VideoShape
    from halfkey.endpoint.process import EndpointProcess, ProcessOptions

    within("--frame-rate", frame_rate, 1, 30)
    within("--slots", slots, 1, 32)
    place = read_place(
        link,
        focus=focus,
        trust_focus=trust_focus,
        conference=conference,
        name=name,
        identity=identity,
    )
    options = ProcessOptions(
        focus_url=place.focus_url,
        trusted=place.trusted,
        conference=place.conference,
        name=place.name,
        credential=place.credential,
        index=index,
        profiles=(read_profile(profile),),
        media=media,
        shape=VideoShape(frame_rate=frame_rate),
        slots=slots,
        duration=duration,
        keep_listening=keep_listening,
        pictures=pictures,
        disclose=None if disclose_secrets_to is None else disclosure(disclose_secrets_to),
    )

    async def attend(supervision: Supervision) -> None:
        process = EndpointProcess(options, supervision.report)
        supervision.on_command, supervision.drain = process.command, process.stop
        await process.run()

    run_role("join", supervised, attend)
