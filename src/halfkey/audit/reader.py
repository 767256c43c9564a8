"""Reading a log that was verified: what it holds, and whether it ends where it should."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from halfkey.audit.chain import Checkpoint, Line
from halfkey.audit.disk import log_files
from halfkey.audit.faults import AuditLogBroken, UnfinishedLine
from halfkey.audit.records import Record, Recovered, Started, Stopped, record_from
from halfkey.audit.walk import Entry, read_checkpoint, walk
from halfkey.errors import CodecError, ConfigurationError

_HEAD = re.compile(r"([0-9]{1,15}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Head:
    """A line by number and hash: noted elsewhere, it holds the log to all that came before.

    Attributes:
        seq: the line's number; 0 for an empty log.
        digest: its SHA-256 in hexadecimal.
    """

    seq: int
    digest: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.digest}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Reads what `str` gives.

        Raises:
            ConfigurationError: it is no such thing.
        """
        found = _HEAD.fullmatch(text)
        if found is None:
            raise ConfigurationError(
                f"head {text!r}: give NUMBER:HASH as 'halfkey audit head' prints it"
            )
        return cls(int(found[1]), found[2])


@dataclass(frozen=True, slots=True)
class Summary:
    """What a verified log comes to.

    Attributes:
        records: how many.
        files: in how many files.
        head: the last line.
        first_at: when the first record was made, RFC 3339; None for an empty log.
        last_at: likewise the last.
        notes: what isn't wrong, but worth a look: crashes, a clock set back, a line under way.
    """

    records: int
    files: int
    head: Head
    first_at: str | None
    last_at: str | None
    notes: tuple[str, ...]


class LogReader:
    """Reads one log from its beginning, once, and verifies all of it on the way.

    Take every entry before you believe any: only at the end is it known that nothing was cut off.

    Attributes:
        summary: what it came to; None until the end was reached.

    Args:
        directory: the log's folder.
        key: what must have signed it.
        head: a line that must be in it.
    """

    def __init__(self, directory: Path, key: Ed25519PublicKey, head: Head | None = None) -> None:
        self.summary: Summary | None = None
        self._directory = directory
        self._key = key
        self._head = head
        self._notes: list[str] = []
        self._unfinished: UnfinishedLine | None = None

    def records(self) -> Iterator[tuple[Line, Record | None]]:
        """Yields each line and its record; None for a kind that is not known here.

        Raises:
            AuditLogBroken: the log is not as it was written; names the place.
            ConfigurationError: the folder can't be read.
        """
        try:
            yield from self._records()
        except OSError as fault:
            raise ConfigurationError(
                f"audit log {self._directory}: can't be read ({fault.strerror}); "
                "name the folder of a log"
            ) from None

    def _records(self) -> Iterator[tuple[Line, Record | None]]:
        # Read first: a log that is being written only grows meanwhile.
        checkpoint = read_checkpoint(self._directory, self._key)
        paths = log_files(self._directory)
        first: Line | None = None
        last: Line | None = None
        instance: str | None = None
        at_checkpoint = None if checkpoint.seq else checkpoint
        for entry in self._walk(paths):
            first, line, place = first or entry.line, entry.line, entry.place
            record = _record(entry)
            instance = self._note(line, last, record, instance)
            if line.seq == checkpoint.seq:
                at_checkpoint = place
            if self._head is not None and line.seq == self._head.seq:
                _hold(line.digest == self._head.digest, place, "it is not the line of the head")
            last = line
            yield line, record
        self._check_end(checkpoint, at_checkpoint, paths, last)
        self.summary = Summary(
            last.seq if last else 0,
            len(paths),
            Head(last.seq, last.digest) if last else Head(0, checkpoint.digest),
            first.at if first else None,
            last.at if last else None,
            tuple(self._notes),
        )

    def _walk(self, paths: list[Path]) -> Iterator[Entry]:
        """As `walk`; an unfinished last line ends it, to be judged with the checkpoint."""
        try:
            yield from walk(paths, self._key, Checkpoint())
        except UnfinishedLine as fault:
            if fault.file != paths[-1].name:
                raise
            self._unfinished = fault

    def _note(
        self, line: Line, before: Line | None, record: Record | None, instance: str | None
    ) -> str | None:
        """Notes what is worth a look; gives the instance that is running now."""
        if before is not None and line.at < before.at:
            self._notes.append(f"record {line.seq} at {line.at}: the clock was set back")
        if isinstance(record, Recovered):
            what = f"{record.cut} bytes of an unfinished tail moved away; " if record.cut else ""
            self._notes.append(
                f"record {line.seq} at {line.at}: recovered: {what}checkpoint {record.checkpoint}"
            )
        if isinstance(record, Started):
            if instance is not None:
                self._notes.append(f"record {line.seq} at {line.at}: started after no orderly stop")
            return record.instance
        return None if isinstance(record, Stopped) else instance

    def _check_end(
        self,
        checkpoint: Checkpoint,
        found: Checkpoint | None,
        paths: list[Path],
        last: Line | None,
    ) -> None:
        seq = last.seq if last else 0
        if checkpoint.seq > seq:
            if self._unfinished is not None:
                raise self._unfinished
            raise AuditLogBroken(
                paths[-1].name if paths else checkpoint.file,
                None,
                f"the log ends after record {seq}, but record {checkpoint.seq} was written "
                "(the checkpoint says so): its tail was cut off",
            )
        if found is not None and found.digest != checkpoint.digest:
            raise AuditLogBroken(found.file, found.number, "the checkpoint is of another log")
        if self._head is not None and self._head.seq > seq:
            raise AuditLogBroken(
                paths[-1].name if paths else "log",
                None,
                f"the log ends after record {seq}, but the head is record {self._head.seq}: "
                "its tail was cut off",
            )
        if self._unfinished is not None:
            self._notes.append(
                f"{self._unfinished.file} line {self._unfinished.line}: unfinished: being written, "
                "or torn by a crash before anybody relied on it"
            )


def verify(directory: Path, key: Ed25519PublicKey, head: Head | None = None) -> Summary:
    """Verifies a whole log.

    Raises:
        AuditLogBroken: it is not as it was written; names the place.
        ConfigurationError: the folder can't be read.
    """
    reader = LogReader(directory, key, head)
    for _ in reader.records():
        pass
    if reader.summary is None:
        raise AssertionError("the reader ended without a summary")
    return reader.summary


def _record(entry: Entry) -> Record | None:
    try:
        return record_from(entry.line.event, entry.line.fields)
    except CodecError as fault:
        raise AuditLogBroken(entry.place.file, entry.place.number, str(fault)) from None


def _hold(is_right: bool, place: Checkpoint, fault: str) -> None:
    if not is_right:
        raise AuditLogBroken(place.file, place.number, fault)
