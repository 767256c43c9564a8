"""Running the demo to its end, whatever that is: exit status, report, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import sys

from halfkey.cli.children import ChildFailed, Children
from halfkey.cli.demo.conference import Conference
from halfkey.cli.demo.credentials import credentials_folder
from halfkey.cli.demo.memory import MemoryUnreadableError
from halfkey.cli.demo.options import PICTURE, REPORT, DemoOptions
from halfkey.cli.demo.report import Facts, claims, document
from halfkey.cli.demo.table import LiveView

EXIT_CLAIM_FAILED = 1
EXIT_INTERRUPTED = 130

DEATH_IS_NOTICED = 1.0
"""Seconds within which a child's death is seen."""


def run(options: DemoOptions) -> int:
    """Runs the demo.

    Returns:
        The exit status: 0 only if every claim holds, 1 if one doesn't or a process died, 130 if
        it was interrupted.
    """
    shutil.rmtree(options.out / "pictures", ignore_errors=True)
    return asyncio.run(_run(options))


async def _run(options: DemoOptions) -> int:
    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, interrupted.set)
    children = Children()
    try:
        with (
            LiveView(options.names, quiet=options.json) as view,
            credentials_folder() as credentials,
        ):
            conference = Conference(options, view, children, credentials)
            facts = await _first(conference, children, interrupted)
    except (ChildFailed, MemoryUnreadableError) as error:
        sys.stderr.write(f"halfkey demo: {error}\n")
        return EXIT_CLAIM_FAILED
    except OSError as error:  # the folder, or the file system, failed under way
        return _cannot_write(error)
    finally:
        await children.stop()
    if facts is None:
        sys.stderr.write("halfkey demo: interrupted; every process was ended\n")
        return EXIT_INTERRUPTED
    return _conclude(options, view, facts)


async def _first(
    conference: Conference, children: Children, interrupted: asyncio.Event
) -> Facts | None:
    """Runs until the conference is over, a child dies, or somebody interrupts (gives None)."""
    run = asyncio.create_task(conference.run())
    death = asyncio.create_task(children.first_death())
    stop = asyncio.create_task(interrupted.wait())
    tasks: list[asyncio.Task[object]] = [run, death, stop]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            return None
        if run.done() and run.exception() is not None:
            # What failed may only be what a death looks like from here: name the death if so.
            await asyncio.wait([death], timeout=DEATH_IS_NOTICED)
        if death.done():
            death.result()
        return run.result()
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


def _conclude(options: DemoOptions, view: LiveView, facts: Facts) -> int:
    result = document(facts)
    text = json.dumps(result, indent=2)
    report = options.out / REPORT
    try:
        report.write_text(text + "\n")
    except OSError as error:
        return _cannot_write(error)
    if options.json:
        sys.stdout.write(text + "\n")
    view.conclude(
        claims(facts),
        [f"the figures:  {report}", f"the picture:  {options.out / PICTURE}"],
    )
    return 0 if result["ok"] else EXIT_CLAIM_FAILED


def _cannot_write(error: OSError) -> int:
    where = f"{error.filename}: " if error.filename else ""
    sys.stderr.write(f"halfkey demo: {where}{error.strerror or error}\n")
    return EXIT_CLAIM_FAILED
