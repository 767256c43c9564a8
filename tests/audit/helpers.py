"""A signing key, logs in a folder, and what is written into them."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from halfkey.audit.disk import Disk, log_files
from halfkey.audit.log import AuditLog
from halfkey.audit.reader import LogReader
from halfkey.audit.records import (
    Admitted,
    EKTKeyAcknowledged,
    EKTKeySent,
    Record,
    Removed,
    Started,
    Stopped,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))

STORY: tuple[Record, ...] = (
    Started("instance-1", "c0ffee"),
    Admitted("weekly", "p1", "invite:1", "Alice"),
    EKTKeySent("weekly", 7, 3600, ("p1",)),
    EKTKeyAcknowledged("weekly", "p1", 7),
    Admitted("weekly", "p2", "invite:2", "Bärbel \x1b[2J"),
    EKTKeySent("weekly", 7, 3600, ("p2",)),
    Removed("weekly", "p2", "evicted", "operator"),
    Stopped("instance-1"),
)


class QuickDisk(Disk):
    """Leaves it to the system when bytes get to the disk, where only their content matters."""

    def sync(self, descriptor: int) -> None:
        pass


def write_log(
    directory: Path, records: tuple[Record, ...] = STORY, maximum_size: int = 1 << 20
) -> None:
    """Writes a log, each record in a batch of its own."""
    log = AuditLog.open(directory, KEY, maximum_size=maximum_size, disk=QuickDisk())
    for record in records:
        log.append_durably(record)
    log.close()


def records_of(directory: Path) -> list[Record | None]:
    """All records of a log, verified."""
    return [record for _, record in LogReader(directory, KEY.public_key()).records()]


def only_file(directory: Path) -> Path:
    """The log's file, of a log that has one."""
    (path,) = log_files(directory)
    return path


class WatchedDisk(Disk):
    """The real disk; notes what was done to which file, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self._names: dict[int, str] = {}

    def open(self, path: Path, flags: int) -> int:
        descriptor = super().open(path, flags)
        self._names[descriptor] = path.name
        return descriptor

    def write(self, descriptor: int, data: bytes) -> None:
        super().write(descriptor, data)
        self.calls.append(("write", self._names[descriptor]))

    def write_at_start(self, descriptor: int, data: bytes) -> None:
        super().write_at_start(descriptor, data)
        self.calls.append(("write", self._names[descriptor]))

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        self.calls.append(("sync", self._names.get(descriptor, "directory")))

    def close(self, descriptor: int) -> None:
        self._names.pop(descriptor, None)
        super().close(descriptor)
