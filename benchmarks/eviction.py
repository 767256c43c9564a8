"""How long somebody who is taken out can still listen: `make bench`, and `make bench-eviction`.

A conference of light Endpoints stands. Again and again one more joins, hears all who send, and is
taken out; it keeps its keys and goes on listening, and the Media Distributor, which is hostile,
goes on forwarding to it. Each packet carries the time at which it was sent. What is measured is
from the decision, the moment before the Key Distributor is asked, to the sending of the last packet
that the evicted one could open.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.conference import Member, Servers, until
from benchmarks.report import Row, machine, table
from halfkey.key_distributor.statements import SPACING_PER_ENTRY

RESULTS = Path(__file__).parent / "eviction.md"

READING = """\
Steps are p50 / p99, and of 50 evictions or fewer p99 is the longest; costs are means.
[README.md](README.md#eviction) says what is measured, and what bounds it."""

_JOINS_AT_ONCE = 8
_LISTEN_ON = 0.5
"""Seconds that the evicted one listens after the last sender has changed keys."""

_REST = 0.5
"""Seconds between a join and the eviction, besides what rosters are spaced by."""

_KEYS_TIMEOUT = 30.0
_HEARD_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Setting:
    """One conference to measure in.

    Attributes:
        participants: with the one who is to be evicted.
        evictions: how often that is repeated.
        senders: how many of those who stay send, evenly spread over the order of joining.
        rate: packets each second of each sender.
        everybody_hears: how many senders those who stay hear; the evicted one hears all.
    """

    participants: int
    evictions: int
    senders: int
    rate: float
    everybody_hears: int = 1


SMALL = Setting(participants=3, evictions=50, senders=2, rate=50)
MIDDLE = Setting(participants=50, evictions=20, senders=49, rate=20)
LARGE = Setting(participants=500, evictions=20, senders=50, rate=20)
QUICK = (
    Setting(participants=3, evictions=12, senders=2, rate=50),
    Setting(participants=50, evictions=4, senders=49, rate=20),
)


@dataclass(frozen=True, slots=True)
class Eviction:
    """One eviction; all in seconds from the decision.

    Attributes:
        answered: the Key Distributor's answer is here: the new key is on record and sent.
        acknowledged: from the Key Distributor's decision to its last acknowledgement.
        first_key: the first Endpoint has the new EKTKey.
        last_key: the last has.
        first_switch: the first sender seals under a new key.
        last_switch: the last does.
        last_opened: the last packet was sent that the evicted one could open.
        packets_refused: how many came to it afterwards that it couldn't.
        key_distributor: seconds of CPU that the Key Distributor spent until the last switch.
        media_distributor: likewise.
        endpoints: likewise, all Endpoints together.
    """

    answered: float
    acknowledged: float
    first_key: float
    last_key: float
    first_switch: float
    last_switch: float
    last_opened: float
    packets_refused: int
    key_distributor: float
    media_distributor: float
    endpoints: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one setting.

    Attributes:
        setting: it.
        evictions: one each.
        join_seconds: until all who stay had joined.
        join_cpu: by role, seconds of CPU in that time.
        memory: by role, resident MB before anybody joined, and with all.
    """

    setting: Setting
    evictions: list[Eviction]
    join_seconds: float
    join_cpu: dict[str, float]
    memory: dict[str, tuple[float, float]]


async def measure(setting: Setting) -> Measured:
    """Runs one conference.

    Raises:
        RuntimeError: something that the figures rest on didn't happen.
    """
    staying = setting.participants - 1
    with tempfile.TemporaryDirectory(prefix="halfkey-bench-") as folder:
        async with AsyncExitStack() as stack:
            people = staying + setting.evictions
            servers = await stack.enter_async_context(Servers(Path(folder), people))
            roles = ("kd", "md", "focus")
            before = {role: servers.usage(role) for role in roles}
            begin = time.monotonic()
            members = [_member(servers, setting, number) for number in range(staying)]
            stack.push_async_callback(_close, members)
            await _join(servers, members)
            seconds = time.monotonic() - begin
            after = {role: servers.usage(role) for role in roles}
            print(f"{setting.participants}: {staying} joined in {seconds:.1f} s", file=sys.stderr)
            evictions = [
                await _evict(servers, setting, members, staying + number)
                for number in range(setting.evictions)
            ]
    return Measured(
        setting,
        evictions,
        seconds,
        {role: after[role][0] - before[role][0] for role in roles},
        {role: (before[role][1], after[role][1]) for role in roles},
    )


def _member(servers: Servers, setting: Setting, number: int) -> Member:
    """One who stays; of the senders one is the last to join, and so the last in every list."""
    staying = setting.participants - 1
    ranks = {round((n + 1) * staying / setting.senders) - 1 for n in range(setting.senders)}
    rate = setting.rate if number in ranks else 0
    return Member(servers.links[number], rate, setting.everybody_hears)


async def _join(servers: Servers, members: Sequence[Member]) -> None:
    """Some at once, in their order."""
    free = asyncio.Semaphore(_JOINS_AT_ONCE)

    async def join(member: Member) -> None:
        async with free:
            await member.join(servers.focus)

    async with asyncio.TaskGroup() as group:
        for member in members:
            group.create_task(join(member))


async def _close(members: Sequence[Member]) -> None:
    await asyncio.gather(*(member.close() for member in members))


async def _evict(
    servers: Servers, setting: Setting, members: Sequence[Member], person: int
) -> Eviction:
    senders = [member for member in members if member.endpoint.ssrc is not None]
    evicted = Member(servers.links[person], 0, len(senders))
    try:
        await evicted.join(servers.focus)
        await until(lambda: len(evicted.newest) == len(senders), _HEARD_TIMEOUT, "to be heard")
        # The rest is random, so that no sender's rhythm falls together with the decision.
        rest = _REST + SPACING_PER_ENTRY * setting.participants + secrets.randbelow(100) / 1000
        await asyncio.sleep(rest)
        old = evicted.endpoint.ekt_spi
        cpu = _cpu(servers)
        decided = time.monotonic()
        await servers.remove(person)
        answered = time.monotonic()
        await until(lambda: _new_key(members, old) is not None, _KEYS_TIMEOUT, "a new key")
        spi = _new_key(members, old) or 0
        await until(lambda: all(spi in m.switched for m in members), _KEYS_TIMEOUT, "new keys")
        spent = [now - then for now, then in zip(_cpu(servers), cpu, strict=True)]
        refused = evicted.endpoint.statistics.rejections.total()
        await asyncio.sleep(_LISTEN_ON)
        # The control: it does hear them still, and can open none.
        refused = evicted.endpoint.statistics.rejections.total() - refused
        if not refused:
            raise RuntimeError("nothing came to the evicted one any more: it proves nothing")
        await until(lambda: spi in servers.acknowledged_after, _KEYS_TIMEOUT, "acknowledgements")
    finally:
        await evicted.close()
    installed = [member.installed[spi] - decided for member in members]
    switched = [member.switched[spi] - decided for member in senders]
    return Eviction(
        answered - decided,
        servers.acknowledged_after[spi],
        min(installed),
        max(installed),
        min(switched),
        max(switched),
        max(evicted.newest.values()) - decided,
        refused,
        *spent,
    )


def _new_key(members: Sequence[Member], old: int | None) -> int | None:
    """The EKTKey that somebody has and that isn't the old one."""
    return next((one.endpoint.ekt_spi for one in members if one.endpoint.ekt_spi != old), None)


def _cpu(servers: Servers) -> tuple[float, float, float]:
    return servers.usage("kd")[0], servers.usage("md")[0], time.process_time()


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent don't exceed; of few values p99 is the largest."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


_STEPS = {
    "first_key": "first Endpoint has the new EKTKey",
    "answered": "operator has the Key Distributor's answer",
    "last_key": "last Endpoint has it",
    "first_switch": "first sender under a new key",
    "last_switch": "last sender under a new key",
    "last_opened": "**last packet that the evicted one could open**",
}


def steps(measured: Sequence[Measured]) -> list[Row]:
    """The table of steps: a row for each, a column for each setting; p50 / p99 in ms."""
    rows: list[Row] = []
    for name, told in _STEPS.items():
        row: Row = {"ms from the decision until": told}
        for one in measured:
            times = [1000 * asdict(eviction)[name] for eviction in one.evictions]
            row[_title(one)] = f"{percentile(times, 50):.0f} / {percentile(times, 99):.0f}"
        rows.append(row)
    return rows


def costs(measured: Sequence[Measured]) -> list[Row]:
    """The table of what a setting costs, likewise."""
    titles = [_title(one) for one in measured]
    return [
        {"cost": cost, **dict(zip(titles, figures, strict=True))}
        for cost, figures in zip(
            _COSTS, zip(*(_figures(one) for one in measured), strict=True), strict=True
        )
    ]


_COSTS = (
    "senders that the evicted one heard",
    "s until all who stay had joined, 8 at once",
    "ms of CPU for a join: Key Distributor",
    "ms of CPU for a join: Media Distributor",
    "ms of CPU for a join: Focus",
    "MB resident, Key Distributor: empty, full",
    "MB resident, Media Distributor: empty, full",
    "ms of CPU until the last switch: Key Distributor",
    "ms of CPU until the last switch: Media Distributor, media included",
    "ms of CPU until the last switch: all Endpoints, media included",
)


def _figures(measured: Measured) -> tuple[object, ...]:
    joined = measured.setting.participants - 1
    spent = [
        statistics.fmean(asdict(one)[role] for one in measured.evictions)
        for role in ("key_distributor", "media_distributor", "endpoints")
    ]
    memory = (f"{measured.memory[role][0]:.0f}, {measured.memory[role][1]:.0f}" for role in _HOLD)
    return (
        measured.setting.senders,
        measured.join_seconds,
        *(1000 * measured.join_cpu[role] / joined for role in ("kd", "md", "focus")),
        *memory,
        *(1000 * seconds for seconds in spent),
    )


_HOLD = ("kd", "md")


def _title(measured: Measured) -> str:
    setting = measured.setting
    return f"{setting.participants} participants, {setting.evictions} evictions"


def run(settings: Sequence[Setting]) -> list[Measured]:
    """Measures one setting after the other."""
    return [asyncio.run(measure(setting)) for setting in settings]


def main() -> None:
    """Measures the three sizes and writes them down, or prints one of one's own."""
    parser = argparse.ArgumentParser(description="measure evictions")
    for name, kind in (
        ("participants", int),
        ("evictions", int),
        ("senders", int),
        ("rate", float),
    ):
        parser.add_argument(f"--{name}", type=kind, help="of one conference; give all four")
    own = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    where = machine()  # before our own work is in the load
    measured = run([Setting(**own)] if own else [SMALL, MIDDLE, LARGE])
    told = ["\n".join(table(rows)) for rows in (steps(measured), costs(measured))]
    if own:
        print(*told, sep="\n\n")
        return
    head = f"# Eviction\n\nMade by `make bench-eviction` on {where}."
    text = "\n\n".join([head, READING, *told]) + "\n"
    RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
