"""One run: a Media Distributor, all Endpoints around it, and what comes of it."""

from __future__ import annotations

import asyncio
import json
import resource
import tempfile
from pathlib import Path
from typing import Any, Protocol

from halfkey._media import LoadGenerator, measure_load_floor
from halfkey.cli.children import ChildFailed
from halfkey.cli.load.direct import direct
from halfkey.cli.load.joining import conferences
from halfkey.cli.load.options import PICTURE, RESULT, LoadOptions
from halfkey.cli.load.picture import draw_run, draw_sweep
from halfkey.cli.load.process import Usage
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
from halfkey.cli.load.samples import Sampler
from halfkey.cli.load.telling import line, tell
from halfkey.cli.printing import table

_WARM_UP = 0.5

_TURN = 0.05
"""Seconds between looks at a run: a consent check has to be answered within half a second."""

_SWEEP_FROM, _SWEEP_FACTOR, _SWEEP_STEPS = 0.1, 1.5, 20
_SWEEP_LOSS = 0.01


class _UnderLoad(Protocol):
    """A running Media Distributor, with or without the others around it."""

    media: tuple[str, int]

    def usage(self) -> Usage:
        """What its process has used so far."""

    async def statistics(self) -> dict[str, Any]:
        """Its own counters."""

    async def admit_all(self, generator: LoadGenerator) -> Figures | None:
        """Brings everybody in, on both sides; says what joins took, if there were any."""

    def hand_back(self, participant: int, datagram: bytes) -> None:
        """Takes what came to a participant's socket and isn't media."""

    def check(self) -> None:
        """Raises `ChildFailed` where somebody isn't in any more."""


def run(options: LoadOptions) -> int:
    """Makes the run, tells what came of it, and writes load.json and load.png.

    Returns:
        The exit status: 0, or 1 if a sampled packet was not authentic. A generator that couldn't
        keep its schedule is no fault of who is measured: the report says it.

    Raises:
        ChildFailed: the Media Distributor, or the floor, can't be measured.
    """
    before = _floor(options) if options.floor else None
    reports = _sweep(options) if options.sweep else [asyncio.run(_measure(options))]
    if before is not None:
        # On both sides of the load: the machine's own pace changes by more than what is looked for.
        floor = _between(before, _floor(options))
        for report in reports:
            add_floor(report, floor)
    document = json.dumps({"sweep": reports} if options.sweep else reports[0], indent=2)
    (options.out / RESULT).write_text(document + "\n")
    if options.sweep:
        draw_sweep(options.out / PICTURE, title(options), reports)
    else:
        draw_run(options.out / PICTURE, title(options), reports[0])
    if options.json:
        print(document)  # noqa: T201
    elif options.sweep:
        table(*rows(reports))
    else:
        for name, text in lines(reports[0]):
            print(f"{name:<28}{text}")  # noqa: T201
    return 1 if any(report["authentication_failures"] for report in reports) else 0


def _sweep(options: LoadOptions) -> list[Figures]:
    """From a tenth of the load on, each step half as much again, until packets are lost twice, or
    the generator can't make the load: more of it would measure nothing.

    Each step has a Media Distributor of its own, so that none pays for the one before.
    """
    reports: list[Figures] = []
    factor, lossy, short = _SWEEP_FROM, 0, 0
    while len(reports) < _SWEEP_STEPS and lossy < 2 and short < 2:
        step = options.times(factor)
        tell(options, f"{step.traffic.rate * step.ways:,.0f} packets a second")
        report = asyncio.run(_measure(step))
        reports.append(report)
        lossy = lossy + 1 if report["lost"] > _SWEEP_LOSS * report["offered"] else 0
        short = 0 if report["generator"]["kept_up"] else short + 1
        factor *= _SWEEP_FACTOR
    return reports


def _floor(options: LoadOptions) -> tuple[float, float]:
    """Microseconds of a send and of a seal."""
    allow_sockets()
    tell(options, "measuring the floor")
    time = min(max(options.duration / 4, 0.5), 3.0)
    profile, bursts = options.profile.value, options.traffic.as_bursts()
    audience = options.conferences, options.others
    try:
        return measure_load_floor("127.0.0.1", profile, bursts, *audience, time)
    except OSError as fault:
        raise ChildFailed(f"the floor can't be measured: {fault}") from None


def _between(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return (one[0] + other[0]) / 2, (one[1] + other[1]) / 2


async def _measure(options: LoadOptions) -> Figures:
    allow_sockets()
    with tempfile.TemporaryDirectory(prefix="halfkey-load-") as folder:
        start = direct if options.direct else conferences
        async with start(options, Path(folder)) as md:
            return await _load(options, md)


def allow_sockets() -> None:
    """As many open files as the system lets us have: each Endpoint has a socket."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _load(options: LoadOptions, md: _UnderLoad) -> Figures:
    generator = LoadGenerator(*md.media, options.profile.value, options.sample)
    joins = await md.admit_all(generator)
    warm = await _run(generator, options, md, _WARM_UP)
    if not warm["received"]:
        raise ChildFailed(
            f"nothing came through the Media Distributor; its log is {options.out / 'md.log'}"
        )
    tell(options, f"measuring for {options.duration:g} seconds")
    alone = await _measured(generator, options, md)
    report = describe(options, alone)
    if joins is not None:
        report["joins"] = joins
    if options.flood is not None:
        tell(options, f"the same under a flood ({options.flood})")
        flooded = await _measured(generator, options, md, options.flood)
        report["flood"] = describe_flood(options.flood, alone, flooded)
    return report


async def _measured(
    generator: LoadGenerator, options: LoadOptions, md: _UnderLoad, flood: str | None = None
) -> Measured:
    before = await md.statistics()
    used = md.usage()
    sampler = Sampler(options.duration, options.others, generator.progress, lambda: md.usage().rss)
    came = await _run(generator, options, md, options.duration, flood, sampler)
    used = md.usage().since(used)
    after = await md.statistics()
    sampler.conclude(came["offered"], came["offered"] - came["received"])
    return Measured(came, Counted.between(before, after), used, sampler.samples)


async def _run(
    generator: LoadGenerator,
    options: LoadOptions,
    md: _UnderLoad,
    seconds: float,
    flood: str | None = None,
    sampler: Sampler | None = None,
) -> dict[str, Any]:
    running = asyncio.create_task(asyncio.to_thread(generator.run, seconds, flood))
    try:
        with line(options) as show:
            while not running.done():
                await asyncio.wait([running], timeout=_TURN)
                for participant, datagram in generator.handed_back():
                    md.hand_back(participant, datagram)
                md.check()
                if sampler is not None:
                    sampler.take_if_due()
                sent, received = generator.progress()
                show(f"{sent:,} packets sent, {received:,} forwarded")
        return await running
    finally:
        # The thread can't be cancelled; told to stop, it is done in a moment.
        if not running.done():
            generator.stop()
