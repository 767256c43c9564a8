"""Writing: one fsync for many, before anybody is told; rotation; and no way on after a fault."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from halfkey.audit import log as log_module
from halfkey.audit.disk import CHECKPOINT_FILE, log_files
from halfkey.audit.faults import AuditUnavailable
from halfkey.audit.log import AuditLog
from halfkey.audit.reader import verify
from halfkey.audit.records import Admitted, EKTKeySent, Started
from halfkey.errors import ConfigurationError, UsageError
from tests.audit.helpers import KEY, OTHER_KEY, STORY, WatchedDisk, records_of, write_log

PUBLIC = KEY.public_key()
FIRST = "000000000001.jsonl"


async def test_a_thousand_records_cost_one_fsync_before_they_are_relied_on(tmp_path: Path) -> None:
    disk = WatchedDisk()
    log = AuditLog.open(tmp_path, KEY, disk=disk, linger=60)
    before = len(disk.calls)
    for number in range(1000):
        seq = log.append(EKTKeySent("weekly", 7, 60, (f"p{number}",)))
    await log.durable(seq)
    relied = [call for call in disk.calls[before:] if call[1] == FIRST]
    assert relied == [("write", FIRST), ("sync", FIRST)]
    log.close()
    assert disk.calls[-2:] == [("write", CHECKPOINT_FILE), ("sync", CHECKPOINT_FILE)]
    assert len(records_of(tmp_path)) == 1000


class SlowDisk(WatchedDisk):
    """Syncs of the log wait until a test lets them go."""

    def __init__(self) -> None:
        super().__init__()
        self.may_sync = threading.Event()
        self.is_syncing = threading.Event()

    def sync(self, descriptor: int) -> None:
        if self.calls and self.calls[-1] == ("write", FIRST):
            self.is_syncing.set()
            self.may_sync.wait()
        super().sync(descriptor)


async def test_nothing_is_durable_before_its_fsync_returns(tmp_path: Path) -> None:
    disk = SlowDisk()
    log = AuditLog.open(tmp_path, KEY, disk=disk)
    relying = asyncio.ensure_future(log.durable(log.append(STORY[0])))
    await asyncio.to_thread(disk.is_syncing.wait)
    await asyncio.sleep(0.05)
    assert not relying.done()
    disk.may_sync.set()
    await relying
    assert ("sync", FIRST) in disk.calls
    log.close()


async def test_who_stops_waiting_disturbs_nobody(tmp_path: Path) -> None:
    disk = SlowDisk()
    log = AuditLog.open(tmp_path, KEY, disk=disk)
    seq = log.append(STORY[0])
    impatient, patient = (asyncio.ensure_future(log.durable(seq)) for _ in range(2))
    await asyncio.to_thread(disk.is_syncing.wait)
    impatient.cancel()
    disk.may_sync.set()
    await patient
    assert impatient.cancelled()
    log.append_durably(STORY[1])
    log.close()
    assert records_of(tmp_path) == list(STORY[:2])


def test_records_that_nobody_waits_for_are_written_too(tmp_path: Path) -> None:
    disk = SlowDisk()
    log = AuditLog.open(tmp_path, KEY, disk=disk)
    log.append(STORY[0])
    assert disk.is_syncing.wait(30)
    disk.may_sync.set()
    log.close()


def test_many_threads_get_numbers_in_one_row(tmp_path: Path) -> None:
    log = AuditLog.open(tmp_path, KEY)
    numbers: list[int] = []

    def write(name: str) -> None:
        numbers.extend(log.append_durably(Admitted("weekly", name)) for _ in range(20))

    threads = [threading.Thread(target=write, args=(f"t{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert sorted(numbers) == list(range(1, 161))
    assert len(records_of(tmp_path)) == 160


@pytest.mark.parametrize("maximum_size", [1, 500, 5000])
def test_the_chain_goes_on_through_files_and_openings(tmp_path: Path, maximum_size: int) -> None:
    for _ in range(3):
        write_log(tmp_path, maximum_size=maximum_size)
    assert records_of(tmp_path) == list(STORY) * 3
    assert len(log_files(tmp_path)) >= 24 if maximum_size == 1 else True
    assert all(path.stat().st_size <= maximum_size + 600 for path in log_files(tmp_path))


def test_a_new_file_has_its_name_on_the_disk_before_anybody_relies_on_it(tmp_path: Path) -> None:
    disk = WatchedDisk()
    log = AuditLog.open(tmp_path, KEY, disk=disk)
    log.append_durably(STORY[0])
    log.close()
    first = disk.calls.index(("write", FIRST))
    assert disk.calls[first - 1 : first + 2] == [
        ("sync", "directory"),
        ("write", FIRST),
        ("sync", FIRST),
    ]


def test_a_full_disk(tmp_path: Path) -> None:
    """A real one, as far as the process can tell: no file may grow beyond a limit."""
    run = [sys.executable, "-m", "tests.audit.writer", str(tmp_path), "5000"]
    ended = subprocess.run(run, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["told"] == "the audit log can't be written (File too large)"
    assert told["again"] == [told["told"]] * 2
    assert told["durable"] > 5
    assert (tmp_path / FIRST).stat().st_size == 5000, "the last write was torn"
    write_log(tmp_path, STORY[:1])
    assert len(records_of(tmp_path)) == told["durable"] + 2
    assert "unfinished tail" in verify(tmp_path, PUBLIC).notes[0]


class FailingDisk(WatchedDisk):
    """The calls of a kind fail from some moment on."""

    def __init__(self, failing: str, name: str) -> None:
        super().__init__()
        self.failing = failing, name
        self.fails = False

    def sync(self, descriptor: int) -> None:
        if self.fails and self.failing == ("sync", self._names.get(descriptor)):
            raise OSError(5, "Input/output error")
        super().sync(descriptor)

    def write(self, descriptor: int, data: bytes) -> None:
        if self.fails and self.failing == ("write", self._names[descriptor]):
            super().write(descriptor, data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        super().write(descriptor, data)


@pytest.mark.parametrize(
    ("failing", "said"), [("sync", "Input/output error"), ("write", "No space left on device")]
)
async def test_after_a_fault_nothing_more_is_taken(tmp_path: Path, failing: str, said: str) -> None:
    disk = FailingDisk(failing, FIRST)
    log = AuditLog.open(tmp_path, KEY, disk=disk)
    log.append_durably(STORY[0])
    disk.fails = True
    seq = log.append(STORY[1])
    with pytest.raises(AuditUnavailable, match=said):
        await log.durable(seq)
    disk.fails = False
    for attempt in (lambda: log.append(STORY[2]), lambda: log.sync(seq), log.close):
        with pytest.raises(AuditUnavailable, match=said):
            attempt()
    assert log.fault is not None
    log.sync(1)
    write_log(tmp_path, STORY[2:3])
    kept = records_of(tmp_path)
    assert (kept[0], kept[-1]) == (STORY[0], STORY[2])


class FailingCheckpoint(WatchedDisk):
    """The checkpoint's third sync fails: that of the second batch."""

    def sync(self, descriptor: int) -> None:
        synced = self.calls.count(("sync", CHECKPOINT_FILE))
        if self._names.get(descriptor) == CHECKPOINT_FILE and synced == 2:
            raise OSError(5, "Input/output error")
        super().sync(descriptor)


def test_a_checkpoint_that_fails_ends_the_log(tmp_path: Path) -> None:
    log = AuditLog.open(tmp_path, KEY, disk=FailingCheckpoint())
    for record in STORY[:2]:
        log.append_durably(record)
    with pytest.raises(AuditUnavailable, match="Input/output error"):
        log.append_durably(STORY[2])
    with pytest.raises(AuditUnavailable, match="Input/output error"):
        log.close()
    assert records_of(tmp_path) == list(STORY[:2])


def test_a_disk_that_hangs_fails_the_log_before_memory_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "MAXIMUM_PENDING", 100)
    disk = SlowDisk()
    log = AuditLog.open(tmp_path, KEY, disk=disk)
    log.append(STORY[0])
    disk.is_syncing.wait()
    for _ in range(100):
        log.append(STORY[1])
    with pytest.raises(AuditUnavailable, match="too slow"):
        log.append(STORY[1])
    disk.may_sync.set()
    with pytest.raises(AuditUnavailable, match="too slow"):
        log.close()
    assert records_of(tmp_path) == [STORY[0]]


def test_a_log_is_verified_while_it_is_written(tmp_path: Path) -> None:
    log = AuditLog.open(tmp_path, KEY, maximum_size=20_000)
    was_verified = threading.Event()

    def write() -> None:
        for turn in range(60):
            for _ in range(10):
                log.append(STORY[1])
            log.append_durably(STORY[1])
            if turn == 30:
                was_verified.wait(60)

    writer = threading.Thread(target=write)
    counts = []
    writer.start()
    try:
        while writer.is_alive():
            counts.append(verify(tmp_path, PUBLIC).records)
            was_verified.set()
    finally:
        writer.join()
        log.close()
    assert counts == sorted(counts)
    assert counts[0] < verify(tmp_path, PUBLIC).records == 660
    assert len(log_files(tmp_path)) > 1


def test_a_closed_log(tmp_path: Path) -> None:
    log = AuditLog.open(tmp_path, KEY)
    log.append(STORY[0])
    log.close()
    log.close()
    with pytest.raises(AuditUnavailable, match="closed"):
        log.append(STORY[1])
    log.sync(1)
    assert records_of(tmp_path) == [STORY[0]]


def test_waiting_for_what_was_never_appended(tmp_path: Path) -> None:
    log = AuditLog.open(tmp_path, KEY)
    with pytest.raises(UsageError, match="never appended"):
        log.sync(1)
    log.close()


def test_a_record_with_a_key_in_it_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    log = AuditLog.open(tmp_path, KEY)
    secret = b"\x17" * 16
    with pytest.raises(UsageError, match="bytes"):
        log.append(Started(secret, "c"))  # type: ignore[arg-type]
    log.append(STORY[0])
    log.close()
    assert records_of(tmp_path) == [STORY[0]]


def test_a_folder_is_one_process_s(tmp_path: Path) -> None:
    log = AuditLog.open(tmp_path, KEY)
    with pytest.raises(ConfigurationError, match="is in use"):
        AuditLog.open(tmp_path, KEY)
    log.close()
    AuditLog.open(tmp_path, KEY).close()


def test_a_folder_is_one_key_s(tmp_path: Path) -> None:
    write_log(tmp_path)
    with pytest.raises(ConfigurationError, match="another audit key"):
        AuditLog.open(tmp_path, OTHER_KEY)
    write_log(tmp_path)


def test_a_folder_that_can_not_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ConfigurationError, match="name a folder that is writable"):
        AuditLog.open(tmp_path / "file" / "log", KEY)


def test_its_files_are_the_owner_s(tmp_path: Path) -> None:
    write_log(tmp_path / "log")
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "log").iterdir()} == {0o600}
