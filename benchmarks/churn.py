"""What joins and leaves do to forwarding: somebody comes and goes in a large conference."""

from __future__ import annotations

import asyncio
import socket
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Row, table
from halfkey._media import LoadGenerator, measure_load_floor
from halfkey.cli.load.direct import Direct
from halfkey.cli.load.distributor import Distributor, Hop, distributor
from halfkey.cli.load.options import LoadOptions
from halfkey.cli.load.report import Counted
from halfkey.cli.load.run import allow_sockets
from halfkey.cli.load.seats import seats

RECEIVERS = 1000
ROUNDS = 3

_PAUSE = 0.02
_WARM_UP = 0.5
_FLOOR_SECONDS = 1.0

TEXT = f"""\
## Joins and leaves

One speaker to {RECEIVERS:,}, without and with somebody who is let into the conference, gets the
stream, and is taken out again, all the time; rounds by turns. Added latency is the worker's own, of
every forwarded packet, p99 and longest of a round, medians of {ROUNDS} rounds. Most of it is the
packet's way to all the others: `floor us` is what the floor takes to send one to everybody."""


@dataclass(frozen=True, slots=True)
class Round:
    """What was counted in one.

    Attributes:
        changes: joins and leaves.
        p99: microseconds of added latency.
        longest: likewise.
        late: how far the generator was behind, p99, in microseconds.
    """

    changes: int
    p99: float
    longest: float
    late: float


@dataclass(frozen=True, slots=True)
class Stalls:
    """Both kinds of rounds.

    Attributes:
        seconds: of each.
        alone: those in which nobody came or went.
        changed: those in which somebody did.
        batch_us: what the floor takes for one packet to everybody.
    """

    seconds: float
    alone: list[Round]
    changed: list[Round]
    batch_us: float

    def p99(self, rounds: list[Round]) -> float:
        """The median."""
        return statistics.median(one.p99 for one in rounds)


def measure(seconds: float) -> Stalls:
    """Makes the rounds, so many seconds each."""
    allow_sockets()
    return asyncio.run(_measure(seconds))


def text(stalls: Stalls) -> list[str]:
    """The section with its table."""
    alone = _row("nobody", stalls, stalls.alone)
    return [TEXT, "", *table([alone, _row("somebody, always", stalls, stalls.changed)])]


def _row(name: str, stalls: Stalls, rounds: list[Round]) -> Row:
    return {
        "who comes and goes": name,
        "changes/s": f"{sum(one.changes for one in rounds) / stalls.seconds / len(rounds):.0f}",
        "p99 us": stalls.p99(rounds),
        "longest us": statistics.median(one.longest for one in rounds),
        "floor us": stalls.batch_us,
        "late us": statistics.median(one.late for one in rounds),
    }


async def _measure(seconds: float) -> Stalls:
    with tempfile.TemporaryDirectory(prefix="halfkey-churn-") as folder:
        place = Path(folder)
        options = _options(place, seconds)
        alone: list[Round] = []
        changed: list[Round] = []
        async with distributor(place, place / "md.log", options.workers) as md:
            generator = LoadGenerator(*md.media, options.profile.value, options.sample)
            await Direct(options, md).admit_all(generator)
            await asyncio.to_thread(generator.run, _WARM_UP)
            for number in range(ROUNDS):
                print(f"joins and leaves, round {number + 1} of {ROUNDS}", file=sys.stderr)
                alone.append(await _round(md, generator, options, changing=False))
                changed.append(await _round(md, generator, options, changing=True))
        profile, bursts = options.profile.value, options.traffic.as_bursts()
        audience = options.conferences, options.others
        floor = measure_load_floor("127.0.0.1", profile, bursts, *audience, _FLOOR_SECONDS)
        return Stalls(seconds, alone, changed, sum(floor) * RECEIVERS)


def _options(out: Path, seconds: float) -> LoadOptions:
    return LoadOptions.check(
        "audio",
        receivers=RECEIVERS,
        speakers=1,
        conferences=1,
        workers=1,
        duration=seconds,
        load=None,
        profile="128",
        sample=64,
        floor=False,
        sweep=False,
        flood=None,
        direct=True,
        trace=None,
        out=out,
        json=True,
    )


async def _round(
    md: Distributor, generator: LoadGenerator, options: LoadOptions, *, changing: bool
) -> Round:
    before = await md.statistics()
    running = asyncio.create_task(asyncio.to_thread(generator.run, options.duration))
    changes = await _come_and_go(md, options, running) if changing else 0
    came = await running
    latency = Counted.between(before, await md.statistics()).latency
    p99, longest = latency.quantile(0.99), latency.quantile(1.0)
    if p99 is None or longest is None:
        raise RuntimeError("nothing was forwarded")
    return Round(changes, 1e6 * p99, 1e6 * longest, came["lateness"]["p99"] or 0.0)


async def _come_and_go(md: Distributor, options: LoadOptions, running: asyncio.Task[object]) -> int:
    """Lets somebody in and takes it out until the round is over; says how often.

    Raises:
        RuntimeError: whoever was let in got nothing: then this would measure nothing.
    """
    conference = next(seats(options)).conference
    name, kind, changes = (conference, "coming and going"), options.scenario.kind, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mailbox:
        mailbox.bind(("127.0.0.1", 0))
        mailbox.setblocking(False)
        while not running.done():
            hop = Hop.make(options.profile.value, options.key_length)
            await md.admit(name, mailbox.getsockname(), hop, kind=kind, ssrc=None, slots=1)
            await asyncio.sleep(_PAUSE)
            await md.remove(name)
            changes += 2
            await asyncio.sleep(_PAUSE)
        try:
            mailbox.recv(1)
        except BlockingIOError:
            raise RuntimeError("whoever was let in got nothing") from None
    return changes


if __name__ == "__main__":
    print("\n".join(text(measure(5.0))))
