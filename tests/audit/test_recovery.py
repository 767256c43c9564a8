"""Opening a log after a crash: what was acknowledged stays, half a line goes, and that is told."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from halfkey.audit.disk import CHECKPOINT_FILE, log_files, torn_file
from halfkey.audit.faults import AuditLogBroken
from halfkey.audit.log import AuditLog
from halfkey.audit.reader import verify
from halfkey.audit.records import Recovered
from halfkey.errors import ConfigurationError
from tests.audit.helpers import KEY, STORY, only_file, records_of, write_log

PUBLIC = KEY.public_key()


def checkpoint_of(directory: Path) -> bytes:
    return (directory / CHECKPOINT_FILE).read_bytes()


@pytest.fixture
def crashed(tmp_path: Path) -> tuple[Path, int, bytes]:
    """A log whose last record was on its way: the folder, the acknowledged length, all bytes."""
    directory = tmp_path / "crashed"
    write_log(directory, STORY[:3])
    acknowledged = checkpoint_of(directory)
    length = only_file(directory).stat().st_size
    write_log(directory, STORY[3:4])
    (directory / CHECKPOINT_FILE).write_bytes(acknowledged)
    return directory, length, only_file(directory).read_bytes()


def test_a_write_torn_at_every_byte(crashed: tuple[Path, int, bytes], tmp_path: Path) -> None:
    directory, acknowledged, data = crashed
    for length in range(acknowledged, len(data) + 1):
        copy = tmp_path / "copy"
        shutil.copytree(directory, copy)
        only_file(copy).write_bytes(data[:length])
        notes = verify(copy, PUBLIC).notes
        tail = data[acknowledged:length] if length < len(data) else b""
        assert len(notes) == (1 if tail else 0), "half a line is noted, and no fault"
        write_log(copy, STORY[-1:])
        kept = STORY[: 4 if length == len(data) else 3]
        told = (Recovered(len(tail), hashlib.sha256(tail).hexdigest(), "sound"),) if tail else ()
        assert records_of(copy) == [*kept, *told, STORY[-1]], length
        if tail:
            assert (copy / torn_file(3)).read_bytes() == tail
        shutil.rmtree(copy)


def test_garbage_after_the_checkpoint_is_kept_apart(crashed: tuple[Path, int, bytes]) -> None:
    """A power cut may leave pages of a batch unwritten, newlines and all."""
    directory, acknowledged, data = crashed
    garbage = bytes(100) + b"\n" + data[acknowledged:]
    only_file(directory).write_bytes(data[:acknowledged] + garbage)
    with pytest.raises(AuditLogBroken, match="line 4"):
        verify(directory, PUBLIC)
    write_log(directory, STORY[3:])
    assert (directory / torn_file(3)).read_bytes() == garbage
    digest = hashlib.sha256(garbage).hexdigest()
    told = Recovered(len(garbage), digest, "sound")
    assert records_of(directory) == [*STORY[:3], told, *STORY[3:]]
    assert "unfinished tail" in verify(directory, PUBLIC).notes[0]


def test_nothing_acknowledged_is_ever_cut(tmp_path: Path) -> None:
    """A log that ends before its checkpoint isn't opened, and not touched."""
    write_log(tmp_path)
    whole = only_file(tmp_path).read_bytes()
    for length in range(0, len(whole), 7):
        only_file(tmp_path).write_bytes(whole[:length])
        with pytest.raises(ConfigurationError, match="keep it as evidence"):
            AuditLog.open(tmp_path, KEY)
        assert only_file(tmp_path).read_bytes() == whole[:length]
    only_file(tmp_path).write_bytes(whole)
    write_log(tmp_path, STORY[:1])
    assert records_of(tmp_path) == [*STORY, STORY[0]]


def test_a_missing_file_is_no_fresh_log(tmp_path: Path) -> None:
    write_log(tmp_path)
    only_file(tmp_path).unlink()
    with pytest.raises(ConfigurationError, match="the file is missing"):
        AuditLog.open(tmp_path, KEY)


@pytest.mark.parametrize(
    ("content", "state"), [(None, "missing"), (b"", "unreadable"), (bytes(512), "unreadable")]
)
def test_a_lost_checkpoint_is_told(tmp_path: Path, content: bytes | None, state: str) -> None:
    write_log(tmp_path, STORY[:3], maximum_size=500)
    path = tmp_path / CHECKPOINT_FILE
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    write_log(tmp_path, STORY[3:])
    assert records_of(tmp_path) == [*STORY[:3], Recovered(0, "", state), *STORY[3:]]


def test_without_a_checkpoint_a_whole_line_is_never_cut(tmp_path: Path) -> None:
    write_log(tmp_path)
    (tmp_path / CHECKPOINT_FILE).unlink()
    whole = only_file(tmp_path).read_bytes()
    only_file(tmp_path).write_bytes(whole[:-200] + b"?" + whole[-199:])
    with pytest.raises(ConfigurationError, match="signature doesn't fit"):
        AuditLog.open(tmp_path, KEY)
    only_file(tmp_path).write_bytes(whole[:-1])
    write_log(tmp_path, STORY[:1])
    told = records_of(tmp_path)[-2]
    assert isinstance(told, Recovered)
    assert told.checkpoint == "missing"
    assert told.cut > 0


def test_an_empty_file_left_by_a_crash_while_rotating(tmp_path: Path) -> None:
    write_log(tmp_path, STORY[:3])
    (tmp_path / "000000000004.jsonl").touch()
    assert verify(tmp_path, PUBLIC).records == 3
    write_log(tmp_path, STORY[3:], maximum_size=1)
    assert records_of(tmp_path) == list(STORY)
    assert "000000000004.jsonl" in [path.name for path in log_files(tmp_path)]


def test_a_crash_before_the_first_line(tmp_path: Path) -> None:
    AuditLog.open(tmp_path, KEY).close()
    assert verify(tmp_path, PUBLIC).records == 0
    write_log(tmp_path)
    assert records_of(tmp_path) == list(STORY)


def test_a_start_without_a_stop_is_noted(tmp_path: Path) -> None:
    write_log(tmp_path)
    write_log(tmp_path)
    assert verify(tmp_path, PUBLIC).notes == ()
    write_log(tmp_path, STORY[:1])
    write_log(tmp_path, STORY[:1])
    assert ["no orderly stop" in note for note in verify(tmp_path, PUBLIC).notes] == [True]
