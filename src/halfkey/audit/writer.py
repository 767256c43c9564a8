"""Batches of records into files: chained, signed, synced, and rotated by size. One thread's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from halfkey.audit.chain import CHECKPOINT_SIZE, Checkpoint, digest_of, seal_checkpoint, seal_line
from halfkey.audit.disk import CHECKPOINT_FILE, Disk, log_file
from halfkey.audit.records import Value


@dataclass(frozen=True, slots=True)
class Pending:
    """A record that waits to be written.

    Attributes:
        at: when it happened, RFC 3339.
        event: its kind.
        fields: its fields.
    """

    at: str
    event: str
    fields: dict[str, Value]


class Writer:
    """The end of the log.

    After an `OSError` of any method the object must not be used but for `close`: whether the disk
    has what was written is unknown.

    Args:
        directory: the log's folder.
        key: signs.
        place: the last line; the next goes behind it.
        maximum_size: bytes after which a new file is begun; a batch is never divided.
        disk: the system calls.

    Raises:
        OSError: a file can't be opened.
    """

    def __init__(
        self,
        directory: Path,
        key: Ed25519PrivateKey,
        place: Checkpoint,
        maximum_size: int,
        disk: Disk,
    ) -> None:
        self._directory = directory
        self._key = key
        self._place = place
        self._maximum_size = maximum_size
        self._disk = disk
        self._log: int | None = None
        self._checkpoint = disk.open(directory / CHECKPOINT_FILE, os.O_WRONLY | os.O_CREAT)
        os.ftruncate(self._checkpoint, CHECKPOINT_SIZE)
        # Before the first line: so a log that has lines always has a checkpoint.
        self.write_checkpoint()
        disk.sync_directory(directory)
        if place.file:
            self._log = disk.open(directory / place.file, os.O_WRONLY | os.O_APPEND)

    @property
    def place(self) -> Checkpoint:
        """The last line."""
        return self._place

    def write(self, batch: list[Pending]) -> None:
        """Returns when all of the batch is on the disk.

        Raises:
            OSError: it isn't.
        """
        if self._log is None or self._place.end >= self._maximum_size:
            self._begin_file()
        descriptor, place, lines = self._log, self._place, []
        for record in batch:
            line = seal_line(
                place.seq + 1, record.at, record.event, record.fields, place.digest, self._key
            )
            lines.append(line)
            end = place.end + len(line)
            place = Checkpoint(
                place.seq + 1, place.file, place.number + 1, end, len(line), digest_of(line)
            )
        if descriptor is not None:
            self._disk.write(descriptor, b"".join(lines))
            self._disk.sync(descriptor)
            self._place = place

    def write_checkpoint(self) -> None:
        """Returns when the checkpoint names the last line, on the disk.

        Raises:
            OSError: it doesn't.
        """
        data = seal_checkpoint(self._place, self._key)
        self._disk.write_at_start(self._checkpoint, data)
        self._disk.sync(self._checkpoint)

    def close(self) -> None:
        """Closes the files."""
        for descriptor in (self._log, self._checkpoint):
            if descriptor is not None:
                self._disk.close(descriptor)

    def _begin_file(self) -> None:
        place = self._place
        name = log_file(place.seq + 1)
        # An empty one may be left over from a crash.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        descriptor = self._disk.open(self._directory / name, flags)
        if self._log is not None:
            self._disk.close(self._log)
        self._log = descriptor
        self._disk.sync_directory(self._directory)
        self._place = Checkpoint(place.seq, name, 0, 0, 0, place.digest)
