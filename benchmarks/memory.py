"""How much memory a Media Distributor takes for participants that are in and send nothing."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks.report import Row
from halfkey.cli.load.distributor import Distributor, Hop, distributor
from halfkey.profiles import DOUBLE_128

_STEP = 500
_KEY_LENGTH = 16
_FIRST_PORT = 10_000


def measure(participants: int = 2000, conference: int = 5, workers: int = 1) -> list[Row]:
    """Rows with the resident memory as more and more are in.

    Args:
        participants: how many in the end.
        conference: how many to a conference: each has a stream, and slots for those of the others.
        workers: the Media Distributor's threads that forward.
    """
    return asyncio.run(_measure(participants, conference, workers))


async def _measure(participants: int, conference: int, workers: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="halfkey-memory-") as folder:
        place = Path(folder)
        async with distributor(place, place / "md.log", workers) as md:
            empty, rows = md.usage().rss, []
            for first in range(0, participants, _STEP):
                for number in range(first, min(first + _STEP, participants)):
                    await _admit(md, number, conference)
                rss, count = md.usage().rss, min(first + _STEP, participants)
                print(f"{count} participants", file=sys.stderr)
                rows.append(_row(workers, conference, count, empty, rss))
            return rows


def _row(workers: int, conference: int, count: int, empty: int, rss: int) -> Row:
    return {
        "workers": workers,
        "participants": count,
        "in a conference": conference,
        "MiB before": empty / 2**20,
        "MiB": rss / 2**20,
        "KiB each": (rss - empty) / 2**10 / count,
    }


async def _admit(md: Distributor, number: int, conference: int) -> None:
    name = f"memory-{number // conference}", f"p{number}"
    hop = Hop.make(DOUBLE_128.value, _KEY_LENGTH)
    address = "127.0.0.1", _FIRST_PORT + number
    await md.admit(name, address, hop, kind="audio", ssrc=number + 1, slots=conference - 1)
