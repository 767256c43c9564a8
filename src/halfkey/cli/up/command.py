"""`halfkey up`: a Key Distributor, a Media Distributor and a Focus on one machine, kept running."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from halfkey.errors import ConfigurationError

if TYPE_CHECKING:
    from halfkey.cli.up.folder import Folder
    from halfkey.cli.up.keeping import Kept

EXIT_INTERRUPTED = 130

_NAMES = {
    "kd": "the Key Distributor",
    "md": "the Media Distributor",
    "focus": "the Focus",
}


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command("up")(up)


def up(
    directory: Annotated[
        Path, typer.Option(help="Folder for certificates, configuration, state; made if absent.")
    ] = Path("halfkey"),
    host: Annotated[
        str | None,
        typer.Option(help="IP address of this machine that participants reach; else 127.0.0.1."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="The first of 8 ports in a row; else 7000.")
    ] = None,
) -> None:
    """Run everything for conferences on this machine, until Ctrl-C; the folder survives it."""
    from halfkey.cli.up.folder import Folder

    folder = Folder(directory)
    # Told to stop while the folder is made, we must get to the end of what takes the half away.
    signal.signal(signal.SIGTERM, _stop)
    _prepare(folder, host, port)
    with folder.locked():
        code = asyncio.run(_run(folder))
    raise typer.Exit(code)


def _stop(number: int, frame: object) -> None:
    raise SystemExit(0)


def _prepare(folder: Folder, host: str | None, port: int | None) -> None:
    """Makes the folder, or sees that nobody wants it otherwise than it was made."""
    from halfkey.cli.arguments import shown
    from halfkey.cli.up.folder import DEFAULT_HOST, DEFAULT_PORT, check_host, check_ports

    if host is not None:
        check_host(host)
    if not folder.is_made():
        place = host or DEFAULT_HOST, DEFAULT_PORT if port is None else port
        check_ports(*place)
        folder.make(*place)
        say(f"made {folder.path} with certificates and configuration; keep it to yourself")
        return
    made = folder.focus_url.removeprefix("https://")
    made_host, _, made_port = made.rpartition(":")
    wanted = host or made_host.strip("[]"), int(made_port) if port is None else port
    if shown(wanted) != made:
        raise ConfigurationError(
            f"--directory {folder.path}: was made for {made}, and links say so; leave out --host "
            "and --port, or name another folder"
        )


async def _run(folder: Folder) -> int:
    """Runs all roles until told to stop; gives the exit status."""
    from halfkey.cli.up.folder import ROLES
    from halfkey.cli.up.keeping import Kept

    kept = [
        Kept(_NAMES[role], role, folder.configuration(role), folder.log(role), say)
        for role in ROLES
    ]
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    _listen_for_signals(told)
    work = asyncio.create_task(_keep(folder, kept))
    try:
        waiting: list[asyncio.Future[Any]] = [told, work]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        # The latest first: who asks others ends before they do.
        await asyncio.gather(*(one.stop() for one in reversed(kept)))
    if told.done():
        return told.result()
    await work  # why it ended
    return 0


def _listen_for_signals(told: asyncio.Future[int]) -> None:
    def tell(code: int) -> None:
        if not told.done():
            told.set_result(code)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, tell, EXIT_INTERRUPTED)
    loop.add_signal_handler(signal.SIGTERM, tell, 0)


async def _keep(folder: Folder, kept: list[Kept]) -> None:
    for one in kept:
        await one.start()
    say(f"ready at {folder.focus_url}; Ctrl-C ends it")
    option = "" if str(folder.path) == "halfkey" else f" --directory {folder.path}"
    say("invite somebody, in another terminal:")
    say(f"    halfkey invite Alice --conference weekly{option}")
    say("it prints a link, with which that person joins:")
    say("    halfkey join LINK")
    async with asyncio.TaskGroup() as group:
        for one in kept:
            group.create_task(one.keep())


def say(line: str) -> None:
    """Says a line to the person who watches."""
    sys.stderr.write(f"halfkey up: {line}\n")
    sys.stderr.flush()
