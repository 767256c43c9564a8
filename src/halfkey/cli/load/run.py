"""One run: a Media Distributor, all Endpoints around it, and what comes of it."""

from __future__ import annotations

import asyncio
import json
import resource
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from halfkey._media import LoadGenerator, measure_load_floor
from halfkey.cli.children import ChildFailed
from halfkey.cli.load.distributor import Distributor, Hop, distributor
from halfkey.cli.load.options import PICTURE, RESULT, LoadOptions
from halfkey.cli.load.picture import draw
from halfkey.cli.load.report import (
    Counted,
    Figures,
    Measured,
    add_floor,
    describe,
    describe_flood,
    lines,
    rows,
    title,
)
from halfkey.cli.printing import table

_WARM_UP = 0.5
_LOG = "md.log"
_PROGRESS_INTERVAL = 0.5
_SPI = 1

_SWEEP_FROM, _SWEEP_FACTOR, _SWEEP_STEPS = 0.1, 1.5, 20
_SWEEP_LOSS = 0.01


@dataclass(frozen=True, slots=True)
class _Conference:
    """A conference's number and EKT parameter set."""

    number: int
    ekt: tuple[int, bytes, bytes] = field(repr=False)


def run(options: LoadOptions) -> int:
    """Makes the run, tells what came of it, and writes load.json.

    Returns:
        The exit status: 0, or 1 if a sampled packet was not authentic.

    Raises:
        ChildFailed: the Media Distributor can't be measured.
    """
    reports = _sweep(options) if options.sweep else [asyncio.run(_measure(options))]
    if options.floor:
        _tell(options, "measuring the floor")
        floor = _floor(options)
        for report in reports:
            add_floor(report, floor)
    document = json.dumps({"sweep": reports} if options.sweep else reports[0], indent=2)
    (options.out / RESULT).write_text(document + "\n")
    if options.sweep:
        draw(options.out / PICTURE, title(options), reports)
    if options.json:
        print(document)  # noqa: T201
    elif options.sweep:
        table(*rows(reports))
    else:
        for name, text in lines(reports[0]):
            print(f"{name:<28}{text}")  # noqa: T201
    return 1 if any(report["authentication_failures"] for report in reports) else 0


def _sweep(options: LoadOptions) -> list[Figures]:
    """From a tenth of the load on, each step half as much again, until packets are lost twice.

    Each step has a Media Distributor of its own, so that none pays for the one before.
    """
    reports: list[Figures] = []
    factor, lossy = _SWEEP_FROM, 0
    while len(reports) < _SWEEP_STEPS and lossy < 2:
        step = options.times(factor)
        _tell(options, f"{step.traffic.rate * step.ways:,.0f} packets a second")
        report = asyncio.run(_measure(step))
        reports.append(report)
        lossy = lossy + 1 if report["lost"] > _SWEEP_LOSS * report["offered"] else 0
        factor *= _SWEEP_FACTOR
    return reports


def _floor(options: LoadOptions) -> tuple[float, float]:
    time = min(max(options.duration / 4, 0.5), 3.0)
    return measure_load_floor(
        "127.0.0.1",
        options.profile.value,
        options.traffic.as_bursts(),
        options.receivers,
        time,
    )


async def _measure(options: LoadOptions) -> Figures:
    _allow_sockets()
    with tempfile.TemporaryDirectory(prefix="halfkey-load-") as folder:
        async with distributor(Path(folder), options.out / _LOG, options.workers) as md:
            return await _load(options, md)


def _allow_sockets() -> None:
    """As many open files as the system lets us have: each Endpoint has a socket."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _load(options: LoadOptions, md: Distributor) -> Figures:
    generator = LoadGenerator(*md.media, options.profile.value, options.sample)
    _tell(options, f"admitting {options.participants} participants")
    await _admit_all(options, generator, md)
    warm = await _run(generator, options, _WARM_UP)
    if not warm["received"]:
        raise ChildFailed("nothing came through the Media Distributor; its log is in " + _LOG)
    alone = await _measured(generator, options, md)
    report = describe(options, *alone)
    if options.flood is not None:
        _tell(options, f"the same under a flood ({options.flood})")
        flooded = await _measured(generator, options, md, options.flood)
        report["flood"] = describe_flood(options.flood, alone, flooded)
    return report


async def _measured(
    generator: LoadGenerator, options: LoadOptions, md: Distributor, flood: str | None = None
) -> Measured:
    before = await md.statistics()
    used = md.usage()
    came = await _run(generator, options, options.duration, flood)
    used = md.usage().since(used)
    after = await md.statistics()
    return Measured(came, Counted.between(before, after), used)


async def _admit_all(options: LoadOptions, generator: LoadGenerator, md: Distributor) -> None:
    """Senders go first, so that each receiver's slots are filled as it comes."""
    conferences = [
        _Conference(
            number, (_SPI, secrets.token_bytes(options.key_length), secrets.token_bytes(14))
        )
        for number in range(options.conferences)
    ]
    numbers = iter(range(options.streams))
    for conference in conferences:
        senders = options.receivers if options.speakers is None else options.speakers
        for index in range(senders):
            name = f"s{index}"
            receives = options.speakers is None
            await _admit(options, generator, md, conference, name, next(numbers), receives)
    for conference in conferences:
        for index in range(0 if options.speakers is None else options.receivers):
            await _admit(options, generator, md, conference, f"r{index}", None, True)


async def _admit(
    options: LoadOptions,
    generator: LoadGenerator,
    md: Distributor,
    conference: _Conference,
    name: str,
    number: int | None,
    receives: bool,
) -> None:
    """Adds a participant on both sides; `number` is its stream's, or None."""
    kind = options.scenario.kind
    hop = Hop.make(options.profile.value, options.key_length)
    ssrc, stream = None, None
    if number is not None:
        ssrc = number + 1
        phase = options.traffic.interval * number / options.streams
        bursts = options.traffic.as_bursts()
        stream = ssrc, secrets.token_bytes(options.key_length), bursts, phase
    at = generator.add(
        conference.number,
        client=hop.client,
        server=hop.server,
        ekt=conference.ekt,
        receives=receives,
        stream=stream,
    )
    slots = options.slots if receives else 0
    full_name = f"load-{conference.number}", name
    await md.admit(full_name, at, hop, kind=kind, ssrc=ssrc, slots=slots)


async def _run(
    generator: LoadGenerator, options: LoadOptions, seconds: float, flood: str | None = None
) -> dict[str, Any]:
    running = asyncio.create_task(asyncio.to_thread(generator.run, seconds, flood))
    try:
        with _line(options) as show:
            while not running.done():
                await asyncio.wait([running], timeout=_PROGRESS_INTERVAL)
                show(*generator.progress())
        return await running
    finally:
        # The thread can't be cancelled; told to stop, it is done in a moment.
        if not running.done():
            generator.stop()


@contextmanager
def _line(options: LoadOptions) -> Iterator[Any]:
    """One line on a terminal that says how far it is."""
    shown = sys.stderr.isatty() and not options.json

    def show(sent: int, received: int) -> None:
        if shown:
            sys.stderr.write(f"\r{sent:,} packets sent, {received:,} forwarded \033[K")
            sys.stderr.flush()

    try:
        yield show
    finally:
        if shown:
            sys.stderr.write("\r\033[K")


def _tell(options: LoadOptions, text: str) -> None:
    if not options.json:
        sys.stderr.write(text + "\n")
