"""Whatever is changed in a log, verification says where."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halfkey.audit.chain import CHECKPOINT_SIZE, Checkpoint, open_checkpoint, seal_checkpoint
from halfkey.audit.disk import CHECKPOINT_FILE, log_files
from halfkey.audit.faults import AuditLogBroken
from halfkey.audit.keys import PUBLIC_KEY_FILE
from halfkey.audit.reader import Head, verify
from halfkey.errors import CodecError, ConfigurationError
from tests.audit.helpers import KEY, OTHER_KEY, STORY, only_file, write_log

PUBLIC = KEY.public_key()


@dataclass(frozen=True)
class Sound:
    """A sound log of one file, and its content."""

    directory: Path
    data: bytes

    @property
    def lines(self) -> list[bytes]:
        return self.data.splitlines(keepends=True)

    def line_at(self, offset: int) -> int:
        """The number of the line that a byte belongs to."""
        return self.data[:offset].count(b"\n") + 1

    def broken_by(self, data: bytes) -> AuditLogBroken:
        """What verification says of the log with another content."""
        path = only_file(self.directory)
        path.write_bytes(data)
        try:
            with pytest.raises(AuditLogBroken) as caught:
                verify(self.directory, PUBLIC)
        finally:
            path.write_bytes(self.data)
        assert caught.value.file == path.name
        return caught.value


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    directory = tmp_path_factory.mktemp("sound")
    write_log(directory)
    return Sound(directory, only_file(directory).read_bytes())


def anywhere(data: st.DataObject, sound: Sound) -> int:
    return data.draw(st.integers(0, len(sound.data) - 1), "offset")


thorough = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def test_the_control_an_untouched_log_is_verified(sound: Sound) -> None:
    summary = verify(sound.directory, PUBLIC)
    assert (summary.records, summary.files, summary.notes) == (len(STORY), 1, ())


@thorough
@given(data=st.data())
def test_a_changed_byte(sound: Sound, data: st.DataObject) -> None:
    offset = anywhere(data, sound)
    value = data.draw(st.integers(0, 255).filter(lambda one: one != sound.data[offset]), "value")
    fault = sound.broken_by(sound.data[:offset] + bytes([value]) + sound.data[offset + 1 :])
    assert fault.line == sound.line_at(offset)


@thorough
@given(data=st.data())
def test_a_removed_byte(sound: Sound, data: st.DataObject) -> None:
    offset = anywhere(data, sound)
    fault = sound.broken_by(sound.data[:offset] + sound.data[offset + 1 :])
    assert fault.line == sound.line_at(offset)


@thorough
@given(data=st.data())
def test_a_doubled_byte(sound: Sound, data: st.DataObject) -> None:
    offset = anywhere(data, sound)
    fault = sound.broken_by(sound.data[: offset + 1] + sound.data[offset:])
    # A doubled newline is an empty line after it.
    assert fault.line == sound.line_at(offset) + (sound.data[offset] == ord("\n"))


@pytest.mark.parametrize("number", range(len(STORY)))
def test_a_removed_line(sound: Sound, number: int) -> None:
    lines = sound.lines
    fault = sound.broken_by(b"".join(lines[:number] + lines[number + 1 :]))
    is_last = number == len(lines) - 1
    assert fault.line == (None if is_last else number + 1)
    assert ("was cut off" if is_last else "removed") in fault.fault


@pytest.mark.parametrize("number", range(len(STORY)))
def test_a_repeated_line(sound: Sound, number: int) -> None:
    lines = sound.lines
    fault = sound.broken_by(b"".join(lines[: number + 1] + lines[number:]))
    assert (fault.line, "repeated" in fault.fault) == (number + 2, True)


@thorough
@given(data=st.data())
def test_swapped_lines(sound: Sound, data: st.DataObject) -> None:
    lines = sound.lines
    first = data.draw(st.integers(0, len(lines) - 2), "first")
    second = data.draw(st.integers(first + 1, len(lines) - 1), "second")
    lines[first], lines[second] = lines[second], lines[first]
    fault = sound.broken_by(b"".join(lines))
    assert (fault.line, "swapped" in fault.fault) == (first + 1, True)


def test_a_cut_tail(sound: Sound) -> None:
    """At every byte of the last line, and around every end of a line."""
    ends = [sum(map(len, sound.lines[:number])) for number in range(len(STORY))]
    around = {max(0, end + near) for end in ends for near in (-1, 0, 1)}
    for length in sorted(around | set(range(ends[-1], len(sound.data)))):
        fault = sound.broken_by(sound.data[:length])
        amid = length > 0 and sound.data[length - 1] != ord("\n")
        assert fault.line == (sound.line_at(length) if amid else None), length
        assert ("unfinished" if amid else "was cut off") in fault.fault


@thorough
@given(data=st.data())
def test_the_checkpoint_changed(sound: Sound, data: st.DataObject) -> None:
    content = (sound.directory / CHECKPOINT_FILE).read_bytes()
    offset = data.draw(st.integers(0, len(content) - 1), "offset")
    value = data.draw(st.integers(0, 255).filter(lambda one: one != content[offset]), "value")
    changed = content[:offset] + bytes([value]) + content[offset + 1 :]
    assert open_checkpoint(content, PUBLIC).seq == len(STORY)
    with pytest.raises(CodecError):
        open_checkpoint(changed, PUBLIC)


def test_a_checkpoint_is_one_sector_whatever_it_says() -> None:
    large = 10**15 - 1
    widest = Checkpoint(large, "999999999999.jsonl", large, large, 1 << 20, "f" * 64)
    data = seal_checkpoint(widest, KEY)
    assert (len(data), open_checkpoint(data, PUBLIC)) == (CHECKPOINT_SIZE, widest)


Harm = Callable[[Path], object]


def swap_files(directory: Path) -> None:
    first, second, *_ = log_files(directory)
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda log: log_files(log)[0].unlink(), "files are missing before it"),
        (lambda log: log_files(log)[2].unlink(), "files are missing before it"),
        (lambda log: log_files(log)[-1].unlink(), "was cut off"),
        (lambda log: [path.unlink() for path in log_files(log)], "was cut off"),
        (swap_files, "stands where record 1 is expected"),
        (lambda log: (log / CHECKPOINT_FILE).unlink(), "checkpoint: is missing"),
        (lambda log: (log / CHECKPOINT_FILE).write_bytes(b""), "checkpoint: it is damaged"),
    ],
)
def test_whole_files(tmp_path: Path, harm: Harm, said: str) -> None:
    write_log(tmp_path, maximum_size=500)
    assert verify(tmp_path, PUBLIC).files > 3
    harm(tmp_path)
    with pytest.raises(AuditLogBroken, match=said):
        verify(tmp_path, PUBLIC)


def test_another_key(sound: Sound) -> None:
    with pytest.raises(AuditLogBroken, match="another key"):
        verify(sound.directory, OTHER_KEY.public_key())


def test_lines_of_another_log_by_the_same_key(sound: Sound, tmp_path: Path) -> None:
    write_log(tmp_path)
    other = only_file(tmp_path).read_bytes().splitlines(keepends=True)
    fault = sound.broken_by(b"".join([*sound.lines[:3], *other[3:]]))
    assert (fault.line, "of another log" in fault.fault) == (4, True)


def test_a_log_put_in_place_of_another_by_the_same_key(sound: Sound, tmp_path: Path) -> None:
    """Only a head that was noted elsewhere tells them apart."""
    head = verify(sound.directory, PUBLIC).head
    assert verify(sound.directory, PUBLIC, head).head == head
    write_log(tmp_path)
    assert verify(tmp_path, PUBLIC).records == head.seq
    with pytest.raises(AuditLogBroken, match="not the line of the head"):
        verify(tmp_path, PUBLIC, head)


def test_a_tail_cut_together_with_the_checkpoint(tmp_path: Path) -> None:
    """An older copy of the whole folder is sound in itself; a head noted elsewhere tells."""
    write_log(tmp_path / "log", STORY[:4])
    shutil.copytree(tmp_path / "log", tmp_path / "older")
    (tmp_path / "older" / "lock").unlink()
    write_log(tmp_path / "log", STORY[4:])
    head = verify(tmp_path / "log", PUBLIC).head
    assert verify(tmp_path / "older", PUBLIC).records == 4
    with pytest.raises(AuditLogBroken, match="the head is record 8"):
        verify(tmp_path / "older", PUBLIC, head)


@pytest.mark.parametrize("text", ["", "7", "7:", "x:" + "0" * 64, "7:" + "0" * 63, "7:" + "G" * 64])
def test_a_head_that_is_none(text: str) -> None:
    with pytest.raises(ConfigurationError, match="NUMBER:HASH"):
        Head.parse(text)
    assert str(Head.parse("7:" + "0" * 64)) == "7:" + "0" * 64


def test_other_files_in_the_folder_do_not_matter(tmp_path: Path) -> None:
    write_log(tmp_path)
    (tmp_path / "notes.txt").write_text("kept by hand")
    (tmp_path / PUBLIC_KEY_FILE).unlink()
    assert verify(tmp_path, PUBLIC).records == len(STORY)
