"""The audit log for who writes it: append a record, and wait until it is on the disk.

`append` gives a record its place and returns at once. A thread writes what has gathered as one
batch, syncs it, tells those who wait, and then syncs the checkpoint. So whoever appends a thousand
records and waits for the last waits for one fsync.

If anything fails, the log fails for good and all that waits is told so: an unwritten record must
never look written. What is already in the files stays valid.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from halfkey.audit.chain import timestamp
from halfkey.audit.disk import LOCK_FILE, Disk
from halfkey.audit.faults import AuditLogBroken, AuditUnavailable
from halfkey.audit.keys import PUBLIC_KEY_FILE, load_public_key, public_pem
from halfkey.audit.records import Record, RefusalsCounted, Refused, fields_of
from halfkey.audit.recovery import recover
from halfkey.audit.refusals import Refusals
from halfkey.audit.writer import Pending, Writer
from halfkey.errors import ConfigurationError, UsageError

MAXIMUM_SIZE = 64 << 20
"""Bytes after which a new file is begun."""

LINGER = 0.05
"""Seconds that a record which nobody waits for may gather company."""

MAXIMUM_PENDING = 100_000
"""Records that may wait for the disk; beyond that the log fails."""

BATCH = 4096
"""Records that are written at once at most."""


class AuditLog:
    """A log that is open for writing; from any thread. Make one with `open`.

    Args:
        writer: writes the files.
        seq: the number of the last record.
        lock: an open descriptor that holds the folder's lock.
        linger: seconds that a record which nobody waits for may gather company.
        clock: gives Unix time.
    """

    def __init__(
        self, writer: Writer, seq: int, lock: int, linger: float, clock: Callable[[], float]
    ) -> None:
        self._writer = writer
        self._lock = lock
        self._linger = linger
        self._clock = clock
        self._changed = threading.Condition()
        self._refusals = Refusals()
        self._pending: list[Pending] = []
        self._waiting: list[tuple[int, Future[None]]] = []
        self._seq = seq
        self._durable = seq
        self._is_closing = False
        self._fault: str | None = None
        self._thread = threading.Thread(target=self._run, name="audit-log", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        directory: Path,
        key: Ed25519PrivateKey,
        *,
        maximum_size: int = MAXIMUM_SIZE,
        linger: float = LINGER,
        clock: Callable[[], float] = time.time,
        disk: Disk | None = None,
    ) -> AuditLog:
        """Opens the log in a folder, which is made if it isn't there, and goes on where it ended.

        Args:
            directory: the folder; for one log and one process at a time.
            key: signs every record; the log's from its first record on.
            maximum_size: bytes after which a new file is begun.
            linger: seconds that a record which nobody waits for may gather company.
            clock: gives Unix time.
            disk: the system calls.

        Raises:
            ConfigurationError: the folder can't be used, is in use, belongs to another key, or its
                log is not as it was written; the message says which.
        """
        disk = disk or Disk()
        lock = None
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            disk.sync_directory(directory.parent)
            lock = _lock(directory)
            _settle_public_key(directory, key, disk)
            found = recover(directory, key.public_key(), disk)
            writer = Writer(directory, key, found.place, maximum_size, disk)
            log = cls(writer, found.place.seq, lock, linger, clock)
        except (OSError, AuditLogBroken, ConfigurationError) as fault:
            if lock is not None:
                os.close(lock)
            raise _refusal(directory, fault) from None
        if found.record is not None:
            log.append(found.record)
        return log

    @property
    def fault(self) -> str | None:
        """Why the log takes no more records; None while it does."""
        return self._fault

    def append(self, record: Record) -> int:
        """Takes a record; it is durable when `sync` or `durable` say so of the number.

        Refusals at a high rate are counted instead (see `halfkey.audit.refusals`).

        Returns:
            The record's number; of a refusal that was only counted, that of the last record.

        Raises:
            AuditUnavailable: the log has failed or is closed.
            UsageError: a field has a type that a record can't have.
        """
        fields = fields_of(record)
        with self._changed:
            now = self._clock()
            self._check_open()
            self._put_counts(self._refusals.take_due(now), now)
            if not isinstance(record, Refused) or self._refusals.admit(record, now):
                self._put(Pending(timestamp(now), record.event, fields))
            return self._seq

    def append_durably(self, record: Record) -> int:
        """Takes a record and returns its number when it is on the disk; blocks the thread.

        Raises:
            AuditUnavailable: it isn't there, and won't be.
        """
        seq = self.append(record)
        self.sync(seq)
        return seq

    def sync(self, seq: int) -> None:
        """Returns when the record of that number and all before are on the disk; blocks the thread.

        Raises:
            AuditUnavailable: they aren't, and won't be.
        """
        self._durability(seq).result()

    async def durable(self, seq: int) -> None:
        """Returns when the record of that number and all before are on the disk.

        Raises:
            AuditUnavailable: they aren't, and won't be.
        """
        await asyncio.wrap_future(self._durability(seq))

    def close(self) -> None:
        """Writes what waits, and closes the files; again has no effect.

        Raises:
            AuditUnavailable: not all of it could be written.
        """
        with self._changed:
            if self._is_closing:
                return
            if self._fault is None:
                self._put_counts(self._refusals.take(), self._clock())
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join()
        self._writer.close()
        os.close(self._lock)
        if self._fault is not None:
            raise AuditUnavailable(self._fault)

    # Under the lock

    def _check_open(self) -> None:
        if self._fault is None and len(self._pending) >= MAXIMUM_PENDING:
            self._fail("the disk is too slow for the audit log")
        if self._fault is not None or self._is_closing:
            raise AuditUnavailable(self._fault or "the audit log is closed")

    def _put(self, record: Pending) -> None:
        self._pending.append(record)
        self._seq += 1
        self._changed.notify_all()

    def _put_counts(self, record: RefusalsCounted | None, now: float) -> None:
        if record is not None:
            self._put(Pending(timestamp(now), record.event, fields_of(record)))

    def _durability(self, seq: int) -> Future[None]:
        future: Future[None] = Future()
        with self._changed:
            if seq > self._seq:
                raise UsageError(f"record {seq} was never appended")
            if seq <= self._durable:
                future.set_result(None)
            elif self._fault is not None:
                future.set_exception(AuditUnavailable(self._fault))
            else:
                self._waiting.append((seq, future))
                self._changed.notify_all()
        return future

    def _fail(self, fault: str) -> None:
        self._fault = fault
        self._pending.clear()
        waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(AuditUnavailable(fault))
        self._changed.notify_all()

    # The thread's

    def _run(self) -> None:
        try:
            while batch := self._next_batch():
                self._writer.write(batch)
                self._tell()
                self._writer.write_checkpoint()
        except Exception as fault:
            # Whatever it is, nothing may wait for ever or look written.
            why = fault.strerror if isinstance(fault, OSError) else type(fault).__name__
            with self._changed:
                self._fail(f"the audit log can't be written ({why})")

    def _next_batch(self) -> list[Pending]:
        """Waits for records and gives some; none when the log is closed or has failed."""
        with self._changed:
            while not self._pending and not self._is_over():
                now = self._clock()
                self._put_counts(self._refusals.take_due(now), now)
                self._changed.wait(None if self._pending else self._refusals.due_in(now))
            self._changed.wait_for(lambda: self._waiting or self._is_over(), self._linger)
            batch, self._pending = self._pending[:BATCH], self._pending[BATCH:]
            return batch

    def _is_over(self) -> bool:
        return self._is_closing or self._fault is not None

    def _tell(self) -> None:
        with self._changed:
            self._durable = self._writer.place.seq
            done = [future for seq, future in self._waiting if seq <= self._durable]
            self._waiting = [one for one in self._waiting if one[0] > self._durable]
        for future in done:
            if future.set_running_or_notify_cancel():
                future.set_result(None)


def _lock(directory: Path) -> int:
    """Takes the folder for this process; a crash gives it back."""
    descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigurationError(
            "is in use; stop the other Key Distributor, or name another folder"
        ) from None
    return descriptor


def _settle_public_key(directory: Path, key: Ed25519PrivateKey, disk: Disk) -> None:
    path, own = directory / PUBLIC_KEY_FILE, public_pem(key.public_key())
    if path.exists():
        if public_pem(load_public_key(path)) != own:
            raise ConfigurationError("belongs to another audit key; name that one")
        return
    whole = path.with_suffix(".new")
    descriptor = disk.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        disk.write(descriptor, own)
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)
    whole.replace(path)


def _refusal(directory: Path, fault: Exception) -> ConfigurationError:
    place = f"audit log {directory}"
    if isinstance(fault, OSError):
        return ConfigurationError(
            f"{place}: can't be used ({fault.strerror}); name a folder that is writable"
        )
    if isinstance(fault, AuditLogBroken):
        return ConfigurationError(f"{place}: {fault}; keep it as evidence and name another folder")
    return ConfigurationError(f"{place}: {fault}")
