"""Traffic from a file: what one stream sends, packet by packet.

Each line is ``SECONDS,BYTES``: when a packet is sent, from any beginning, and how long its RTP
payload is. Empty lines, and those that begin with ``#``, say nothing. At its end the file begins
anew, after a pause as long as the others are on average.
"""

from __future__ import annotations

import itertools
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from halfkey.cli.load.traffic import DOUBLE_OVERHEAD, Traffic
from halfkey.errors import ConfigurationError

MAXIMUM_FILE = 8 << 20
MAXIMUM_PACKETS = 100_000

SHORTEST, LONGEST = 8, 1400 - DOUBLE_OVERHEAD
"""Bytes of a payload: with room for our time stamp, and for all that a datagram adds to it."""

_LONGEST_LINE = 80
_Packet = tuple[float, int]


def read(path: Path) -> Traffic:
    """Reads a trace.

    Raises:
        ConfigurationError: it can't be read, or a line of it makes no sense; the message names it.
    """
    packets = list(itertools.islice(_packets(path, _text(path)), MAXIMUM_PACKETS + 1))
    if len(packets) > MAXIMUM_PACKETS:
        raise _wrong(path, f"has more than {MAXIMUM_PACKETS:,} packets; cut it")
    beginning, end = (packets[0][0], packets[-1][0]) if packets else (0.0, 0.0)
    times = len({at for at, _ in packets})
    if times < 2:
        raise _wrong(path, "needs packets at two different times or more")
    bursts = tuple(
        (at - beginning, length + DOUBLE_OVERHEAD, len(list(same)))
        for (at, length), same in itertools.groupby(packets)
    )
    return Traffic(bursts, (end - beginning) * times / (times - 1))


def _text(path: Path) -> str:
    try:
        with open(path, "rb", opener=_open) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _wrong(path, "is no regular file; give a file of SECONDS,BYTES lines")
            data = file.read(MAXIMUM_FILE + 1)
    except OSError as fault:
        raise _wrong(path, f"can't be read ({fault.strerror})") from None
    if len(data) > MAXIMUM_FILE:
        raise _wrong(path, f"is larger than {MAXIMUM_FILE >> 20} MiB; cut it")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _wrong(path, "is no text; give lines of SECONDS,BYTES") from None


def _open(path: str, flags: int) -> int:
    """Without waiting for somebody who writes: it may be a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def _packets(path: Path, text: str) -> Iterator[_Packet]:
    latest = -math.inf
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            at, length = _packet(line)
            if at < latest:
                raise ValueError(f"{at:g} s comes before {latest:g} s; put them in order")
        except ValueError as fault:
            raise _wrong(path, f"line {number}: {fault}") from None
        latest = at
        yield at, length


def _packet(line: str) -> _Packet:
    """Raises `ValueError` that says what is wrong with a line."""
    try:
        first, second = line[: _LONGEST_LINE + 1].split(",")
        if len(line) > _LONGEST_LINE:
            raise ValueError
        at, length = float(first), int(second)
    except ValueError:
        shown = line[:_LONGEST_LINE]
        raise ValueError(f"{shown!r} is not SECONDS,BYTES, such as 0.02,160") from None
    if not (math.isfinite(at) and 0 <= at <= 1e9):
        raise ValueError(f"{first}: give seconds from 0 to 1e9")
    if not SHORTEST <= length <= LONGEST:
        raise ValueError(f"{length}: a payload has {SHORTEST} to {LONGEST} bytes")
    return at, length


def _wrong(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(f"--trace {path}: {what}")
