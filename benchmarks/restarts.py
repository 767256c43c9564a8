"""How long media is interrupted when a server is killed and started again: `make bench-restarts`.

Three Endpoints in this process and three servers in theirs. Each server in turn gets SIGKILL and is
started again at once; every Endpoint is watched for silence of every other's sound.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks.report import Row, machine, table
from halfkey.endpoint import Endpoint, Reassociated, Rejoined
from tests.e2e.processes import Server, running_processes
from tests.e2e.system import everyone_has
from tests.endpoint.stage import Listener
from tests.endpoint.waiting import until

RESULTS = Path(__file__).parent / "restarts.md"

MEMBERS, ROUNDS = 3, 5
WATCHED_SECONDS = 6.0
"""From a server's restart on, or from when everybody is back."""

LOOK_EVERY = 0.005
PATIENCE = 60.0


class Silence:
    """Watches every pair for the longest time in which no packet of sound was opened."""

    def __init__(self, endpoints: list[Endpoint]) -> None:
        self._endpoints = endpoints
        self._latest: dict[tuple[int, str], float] = {}
        self.longest: dict[tuple[int, str], float] = {}

    async def watch(self) -> None:
        """Until it is cancelled."""
        while True:
            for number, endpoint in enumerate(self._endpoints):
                for stream in endpoint.statistics().streams:
                    if stream.kind == "audio" and stream.last_opened_at is not None:
                        self._note((number, stream.name), stream.last_opened_at)
            await asyncio.sleep(LOOK_EVERY)

    def _note(self, pair: tuple[int, str], opened_at: float) -> None:
        gap = opened_at - self._latest.get(pair, opened_at)
        self.longest[pair] = max(gap, self.longest.get(pair, 0.0))
        self._latest[pair] = opened_at


def measure() -> list[Row]:
    """One row for each server."""
    return asyncio.run(_measure())


async def _measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        async with running_processes(Path(folder)) as processes:
            endpoints = [processes.endpoint(index) for index in range(MEMBERS)]
            listeners = [Listener(endpoint) for endpoint in endpoints]
            await asyncio.gather(*(endpoint.join() for endpoint in endpoints))
            await until(lambda: everyone_has(enumerate(endpoints), 10), PATIENCE)
            return [
                await _kill(processes.focus, endpoints, listeners, None),
                await _kill(processes.kd, endpoints, listeners, Reassociated),
                await _kill(processes.md, endpoints, listeners, Rejoined),
            ]


async def _kill(
    server: Server,
    endpoints: list[Endpoint],
    listeners: list[Listener],
    awaited: type[Reassociated | Rejoined] | None,
) -> Row:
    loop = asyncio.get_running_loop()
    for listener in listeners:
        listener.events.clear()
    silence = Silence(endpoints)
    watching = loop.create_task(silence.watch())
    await asyncio.sleep(1.0)
    killed = loop.time()
    await server.kill()
    await server.start()
    ready = loop.time()
    back = ready
    if awaited is not None:
        for listener in listeners:
            await until(lambda listener=listener: listener.of(awaited), PATIENCE)
        back = max(listener.of(awaited)[-1].at for listener in listeners)
    await asyncio.sleep(WATCHED_SECONDS)
    watching.cancel()
    gaps = sorted(silence.longest.values())
    return {
        "killed": server.role,
        "down (s)": ready - killed,
        "everybody is back after (s)": back - ready if awaited is not None else "was never away",
        "longest silence, median of pairs (ms)": 1000 * gaps[len(gaps) // 2],
        "of the worst pair (ms)": 1000 * gaps[-1],
    }


READING = """\
Each row is a kill; [README.md](README.md#restarts) says what is measured, and what bounds it."""


def main() -> None:
    """Kills every server `ROUNDS` times and writes down what came of each."""
    where = machine()  # before our own work is in the load
    rows: list[Row] = []
    for number in range(1, ROUNDS + 1):
        print(f"round {number} of {ROUNDS}", file=sys.stderr)
        rows += measure()
    rows.sort(key=lambda row: str(row["killed"]))
    head = f"# Restarts\n\nMade by `make bench-restarts` on {where}."
    text = "\n\n".join([head, READING, "\n".join(table(rows))]) + "\n"
    RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
