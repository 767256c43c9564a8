"""Going through a log line by line, each held against the one before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from halfkey.audit.chain import MAXIMUM_LINE, Checkpoint, Line, open_checkpoint, open_line
from halfkey.audit.disk import CHECKPOINT_FILE, log_file
from halfkey.audit.faults import AuditLogBroken, UnfinishedLine
from halfkey.errors import CodecError

_READS = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """A verified line, and where it is.

    Attributes:
        line: what it says.
        place: its position; a checkpoint that names this line says the same.
    """

    line: Line
    place: Checkpoint


def read_checkpoint(directory: Path, key: Ed25519PublicKey) -> Checkpoint:
    """Reads the checkpoint.

    Raises:
        AuditLogBroken: it is missing or damaged.
        OSError: it can't be read.
    """
    fault = ""
    # Read again, since a read may fall into a write of the Key Distributor.
    for _ in range(_READS):
        try:
            with (directory / CHECKPOINT_FILE).open("rb") as file:
                return open_checkpoint(file.read(MAXIMUM_LINE), key)
        except FileNotFoundError:
            raise AuditLogBroken(CHECKPOINT_FILE, None, "is missing") from None
        except CodecError as found:
            fault = str(found)
    raise AuditLogBroken(CHECKPOINT_FILE, None, fault)


def walk(paths: list[Path], key: Ed25519PublicKey, start: Checkpoint) -> Iterator[Entry]:
    """Yields the lines after `start`, verified one by one and in order.

    Args:
        paths: the log's files from the one that `start` is in (from the first, if it is in none).
        key: what has signed them.
        start: the position to begin behind.

    Raises:
        AuditLogBroken: at the first line that isn't as it was written; `UnfinishedLine` if it has
            no end.
        OSError: a file can't be read.
    """
    place = start
    for path in paths:
        if path.name != place.file:
            if path.name != log_file(place.seq + 1):
                fault = f"record {place.seq + 1} is expected next, in {log_file(place.seq + 1)}"
                raise AuditLogBroken(path.name, None, f"files are missing before it: {fault}")
            place = replace(place, file=path.name, number=0, end=0)
        with path.open("rb") as file:
            file.seek(place.end)
            while data := file.readline(MAXIMUM_LINE + 2):
                line, place = _next(data, key, place)
                yield Entry(line, place)


def _next(data: bytes, key: Ed25519PublicKey, before: Checkpoint) -> tuple[Line, Checkpoint]:
    number = before.number + 1
    if not data.endswith(b"\n") and len(data) <= MAXIMUM_LINE:
        raise UnfinishedLine(before.file, number, "the line is unfinished")
    try:
        line = open_line(data, key)
        _check_order(line, before)
    except CodecError as fault:
        raise AuditLogBroken(before.file, number, str(fault)) from None
    end = before.end + len(data)
    return line, Checkpoint(line.seq, before.file, number, end, len(data), line.digest)


def _check_order(line: Line, before: Checkpoint) -> None:
    expected = before.seq + 1
    if line.seq != expected:
        raise CodecError(
            f"record {line.seq} stands where record {expected} is expected: "
            "lines were removed, repeated or swapped"
        )
    if line.previous != before.digest:
        raise CodecError("it doesn't continue the line before: that one is of another log")
