"""Whole recordings on virtual time: what is put in, and what a player finds in the file."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from halfkey.errors import ConfigurationError
from halfkey.recorder.audio import BLOCK
from halfkey.recorder.composed import Composed
from halfkey.recorder.grid import tiles
from halfkey.recorder.matroska import OutputError
from halfkey.recorder.recording import DELAY, Recording
from halfkey.recorder.scene import HEIGHT, WIDTH
from halfkey.recorder.timeline import Source
from halfkey.recorder.tracks import Tracks
from tests.recorder.helpers import (
    RGB,
    alike,
    colour_at,
    decoded,
    has_colour,
    picture,
    sound,
    strength,
    tone,
)

RED, BLUE = (200, 30, 30), (30, 30, 200)
START = 1000.0


@dataclass
class Actor:
    """Someone who sends a tone and a colour from one moment to another."""

    name: str
    frequency: float
    colour: RGB
    begin: float = 0.0
    end: float = 1e9
    size: tuple[int, int] = (320, 180)
    peak: int = 4000
    way: float = 0.05

    @property
    def number(self) -> int:
        return int(self.frequency)

    def sources(self) -> list[Source]:
        return [
            Source(self.number, self.name, self.name, "audio"),
            Source(self.number + 1, self.name, self.name, "video"),
        ]


def play(recording: Recording, actors: Sequence[Actor], begin: float, end: float) -> None:
    """Everybody acts, in steps of 20 ms; pictures come 25 times a second."""
    for step in range(round(begin * 50), round(end * 50)):
        at = step / 50
        now = START + at
        for actor in actors:
            if step == round(actor.begin * 50):
                for source in actor.sources():
                    recording.add(source, now)
            if actor.begin <= at < actor.end:
                samples = tone(actor.frequency, step * BLOCK, peak=actor.peak)
                recording.sound(actor.number, sound(samples), at, now + actor.way)
                if step % 2 == 0:
                    shown = picture(actor.colour, *actor.size)
                    recording.picture(actor.number + 1, shown, at, now + actor.way)
            if step == round(actor.end * 50):
                for source in actor.sources():
                    recording.remove(source.ssrc, now)
        recording.advance(now)


def record(
    layout: Composed | Tracks, actors: Sequence[Actor], seconds: float, begin: float = 0.0
) -> Recording:
    recording = Recording(layout, START, "weekly")
    play(recording, actors, begin, seconds)
    recording.close(START + seconds)
    recording.finish()
    return recording


ALICE, BOB = Actor("Alice", 400, RED), Actor("Bob", 900, BLUE, size=(320, 240))


def test_composed_has_everybody(tmp_path: Path) -> None:
    out = tmp_path / "a.mkv"
    record(Composed(out, overwrite=False), [ALICE, BOB], 5)
    found = decoded(out)
    assert found.duration == pytest.approx(5, abs=0.05)
    video, audio = found.only("video"), found.only("audio")
    assert len(video.pictures) == 75
    assert audio.end == pytest.approx(5, abs=0.03)
    shown = video.seen(3)
    assert (shown.width, shown.height) == (WIDTH, HEIGHT)
    assert has_colour(shown, RED)
    assert has_colour(shown, BLUE)
    heard = audio.heard(2, 4)
    assert strength(heard, 400) == pytest.approx(4000, rel=0.1)
    assert strength(heard, 900) == pytest.approx(4000, rel=0.1)
    assert strength(heard, 650) < 100
    assert out.stat().st_mode & 0o777 == 0o600


def test_composed_follows_who_comes_and_goes(tmp_path: Path) -> None:
    out = tmp_path / "a.mkv"
    carol = Actor("Carol", 900, BLUE, begin=2, end=4)
    record(Composed(out, overwrite=False), [ALICE, carol], 6)
    found = decoded(out)
    video, audio = found.only("video"), found.only("audio")
    assert [has_colour(video.seen(at), BLUE) for at in (1.8, 2.3, 3.8, 4.3)] == [
        False,
        True,
        True,
        False,
    ]
    assert all(has_colour(frame, RED) for at, frame in video.pictures if at > 0.2)
    for begin, end, there in ((0.5, 1.9, False), (2.3, 3.7, True), (4.3, 5.9, False)):
        assert (strength(audio.heard(begin, end), 900) > 3000) is there
    times = [at for at, _ in video.pictures]
    assert max(b - a for a, b in itertools.pairwise(times)) < 0.1


def test_composed_survives_pictures_of_any_shape(tmp_path: Path) -> None:
    out = tmp_path / "a.mkv"
    recording = Recording(Composed(out, overwrite=False), START, "weekly")
    sizes = [(320, 240), (640, 480), (180, 320), (17, 33), (4096, 16), (2, 2), (5000, 20)]
    for number, size in enumerate(sizes):
        actor = Actor("Alice", 400, RED, size=size, begin=0 if number == 0 else -1)
        play(recording, [actor], number, number + 1)
    recording.close(START + len(sizes))
    found = decoded(out)
    assert found.only("video").end == pytest.approx(len(sizes), abs=0.1)
    assert has_colour(found.only("video").seen(1.8), RED)


def test_chapters_tell_who_spoke(tmp_path: Path) -> None:
    out = tmp_path / "a.mkv"
    recording = Recording(Composed(out, overwrite=False), START, "weekly")
    loud, soft = Actor("Alice", 400, RED), Actor("Bob", 900, BLUE, peak=200)
    play(recording, [loud, soft], 0, 4)
    loud.peak, soft.peak = 200, 4000
    play(recording, [loud, soft], 4, 8)
    recording.rename("Bob", "Robert", START + 8)
    recording.close(START + 8)
    before = decoded(out)
    recording.finish()
    after = decoded(out)
    assert before.chapters == [], "the file is whole without them too"
    assert [title for _, _, title in after.chapters] == ["Alice", "Robert"]
    (_, turn, _), (begin, end, _) = after.chapters
    assert turn == begin == pytest.approx(4, abs=0.2)
    assert end == pytest.approx(8, abs=0.05)
    assert len(after.only("video").pictures) == len(before.only("video").pictures)
    border = tiles(2, WIDTH, HEIGHT)[1].picture
    edge = border.left - 2, border.top + 40
    green = (88, 196, 132)
    assert not alike(colour_at(after.only("video").seen(3), *edge), green)
    assert alike(colour_at(after.only("video").seen(7), *edge), green, within=40)


def test_tracks_keeps_everybody_apart(tmp_path: Path) -> None:
    out = tmp_path / "a.mkv"
    late = Actor("Bob", 900, BLUE, begin=2, end=4)
    record(Tracks(out, overwrite=False), [ALICE, late], 6)
    found = decoded(out)
    assert len(found.tracks) == 4
    alice, bob = found.titled("Alice", "audio"), found.titled("Bob", "audio")
    assert strength(alice.heard(1, 5), 400) == pytest.approx(4000, rel=0.1)
    assert strength(alice.heard(2.5, 3.5), 900) < 100
    assert strength(bob.heard(2.3, 3.7), 900) == pytest.approx(4000, rel=0.1)
    assert bob.sounds[0][0] == pytest.approx(2.05, abs=0.05)
    assert bob.end == pytest.approx(4.05, abs=0.05)
    seen = found.titled("Bob", "video")
    assert has_colour(seen.pictures[5][1], BLUE, 0.9)
    assert (seen.pictures[0][0], seen.end) == pytest.approx((2.05, 4.0), abs=0.06)
    assert found.chapters[0][2] == "Alice"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv"]


def test_a_track_goes_on_when_its_pictures_change_shape(tmp_path: Path) -> None:
    out = tmp_path / "a.mkv"
    recording = Recording(Tracks(out, overwrite=False), START, "weekly")
    play(recording, [Actor("Alice", 400, RED, size=(320, 180))], 0, 2)
    play(recording, [Actor("Alice", 400, BLUE, size=(480, 640), begin=-1)], 2, 4)
    recording.close(START + 4)
    recording.finish()
    video = decoded(out).titled("Alice", "video")
    assert {(frame.width, frame.height) for _, frame in video.pictures} == {(640, 360)}
    assert has_colour(video.seen(1.5), RED, 0.9)
    assert has_colour(video.seen(3.5), BLUE, 0.3)
    assert not has_colour(video.seen(3.5), RED, 0.01)


@pytest.mark.parametrize("layout", [Composed, Tracks])
def test_what_is_there_is_not_written_over(tmp_path: Path, layout: type[Composed | Tracks]) -> None:
    out = tmp_path / "a.mkv"
    out.write_bytes(b"precious" * 100_000)
    with pytest.raises(ConfigurationError, match="add --overwrite"):
        layout(out, overwrite=False)
    layout(out, overwrite=True).close()  # it never began, since joining failed
    assert out.read_bytes() == b"precious" * 100_000
    record(layout(out, overwrite=True), [ALICE], 2)
    assert decoded(out).duration == pytest.approx(2, abs=0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]


@pytest.mark.parametrize("layout", [Composed, Tracks])
def test_a_recording_that_never_began_leaves_nothing(
    tmp_path: Path, layout: type[Composed | Tracks]
) -> None:
    layout(tmp_path / "a.mkv", overwrite=False).close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layout", [Composed, Tracks])
def test_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, layout: type[Composed | Tracks]
) -> None:
    for path in (tmp_path / "no" / "a.mkv", Path("/proc/a.mkv")):
        with pytest.raises(ConfigurationError, match="name another file"):
            layout(path, overwrite=False)


def test_a_folder_and_a_device_are_no_files(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/full")):
        with pytest.raises(ConfigurationError, match="not a file"):
            Composed(path, overwrite=True)


def test_tracks_left_by_a_kill_are_not_thrown_away(tmp_path: Path) -> None:
    out = tmp_path / "a.mkv"
    recording = Recording(Tracks(out, overwrite=False), START, "weekly")
    play(recording, [ALICE], 0, 3)
    with pytest.raises(ConfigurationError, match="didn't end well"):
        Tracks(out, overwrite=False)
    left = {path.name[3:]: path for path in (tmp_path / "a.mkv.tracks").iterdir()}
    assert sorted(left) == ["Alice-audio.mkv", "Alice-video.mkv"]
    assert decoded(left["Alice-audio.mkv"]).only("audio").end > 3 - DELAY - 0.5
    assert decoded(left["Alice-video.mkv"]).only("video").end > 3 - DELAY - 0.5


def test_nobody_sent_anything(tmp_path: Path) -> None:
    recording = Recording(Tracks(tmp_path / "a.mkv", overwrite=False), START, "weekly")
    recording.close(START + 1)
    with pytest.raises(OutputError, match="nobody sent anything"):
        recording.finish()
    assert list(tmp_path.iterdir()) == []
    record(Composed(tmp_path / "b.mkv", overwrite=False), [], 1)
    assert decoded(tmp_path / "b.mkv").duration == pytest.approx(1, abs=0.1)


@contextmanager
def descriptors_stay() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    yield
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


def test_many_who_come_and_go_leave_no_file_open(tmp_path: Path) -> None:
    with descriptors_stay():
        layout = Tracks(tmp_path / "a.mkv", overwrite=False)
        actors = [Actor(f"P{n}", 400 + 10 * n, RED, n * 0.4, n * 0.4 + 0.6) for n in range(12)]
        record(layout, actors, 6)
    assert len(decoded(tmp_path / "a.mkv").tracks) == 24
