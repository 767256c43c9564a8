"""Sources and what can be read off their frames, all for real."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from aiortc.mediastreams import MediaStreamError
from PIL import ImageChops, ImageStat

from halfkey.endpoint.media import (
    FileMedia,
    PictureTrack,
    ToneTrack,
    VideoShape,
    fitted,
    frequency_of,
    tone_of,
)
from halfkey.endpoint.picture import Picture
from halfkey.errors import ConfigurationError
from tests.endpoint.files import write_movie

NOON = datetime(2024, 5, 6, 12, 0, 0, 250_000)


@pytest.mark.parametrize("index", [0, 1, 2, 7, 23])
async def test_a_tone_has_the_frequency_of_its_participant(index: int) -> None:
    frame = await ToneTrack(tone_of(index)).recv()
    assert (frame.sample_rate, frame.samples) == (48000, 960)
    assert frequency_of(frame) == pytest.approx(tone_of(index), abs=1)


def test_tones_differ() -> None:
    assert len({tone_of(index) for index in range(24)}) == 24


async def test_frames_follow_in_time_and_a_stopped_track_ends() -> None:
    track = ToneTrack(440)
    frames = [await track.recv() for _ in range(4)]
    assert [frame.pts for frame in frames] == [0, 960, 1920, 2880]
    track.stop()
    with pytest.raises(MediaStreamError):
        await track.recv()


async def test_a_source_that_was_held_up_leaves_frames_out() -> None:
    track = PictureTrack("Alice", 0, VideoShape(64, 36, frame_rate=50))
    await track.recv()
    await asyncio.sleep(0.21)
    late, following = await track.recv(), await track.recv()
    assert late.pts is not None
    assert following.pts is not None
    assert late.pts >= 9 * 1800
    assert following.pts > late.pts


@pytest.mark.parametrize("size", [(320, 180), (64, 36), (322, 182)])
def test_a_picture_has_its_size_and_its_clock_runs(size: tuple[int, int]) -> None:
    picture = Picture("Alice", 0, *size)
    first = picture.frame(1, NOON)
    assert (first.width, first.height, first.format.name) == (*size, "yuv420p")
    later = picture.frame(2, NOON + timedelta(milliseconds=321))
    changed = ImageChops.difference(first.to_image(), later.to_image()).getbbox()
    assert changed is not None
    assert changed[1] >= size[1] * 0.7, "only the clock's band changes"


def test_pictures_of_two_participants_have_other_colours() -> None:
    means = [
        ImageStat.Stat(Picture("Same", index, 160, 90).frame(0, NOON).to_image()).mean
        for index in range(12)
    ]
    for index, mean in enumerate(means):
        for other in means[:index]:
            assert max(abs(a - b) for a, b in zip(mean, other, strict=True)) > 8


def test_a_long_name_stays_on_the_picture() -> None:
    picture = Picture("Wolfeschlegelsteinhausen-Bergerdorff", 3, 320, 180)
    image = picture.frame(0, NOON).to_image().convert("L")
    edges = [image.getpixel((x, y)) for x in (0, 319) for y in range(40, 100)]
    assert max(edges) < 200  # type: ignore[type-var]


async def test_a_movie_is_played_round_after_round(tmp_path: Path) -> None:
    await write_movie(tmp_path / "movie.mp4", seconds=0.6)
    media = FileMedia(tmp_path / "movie.mp4", VideoShape(320, 180, frame_rate=25))
    audio, video = media.tracks
    assert (audio.kind, video.kind) == ("audio", "video")

    async def read(track: object, count: int) -> list[tuple[int, object]]:
        frames = [await track.recv() for _ in range(count)]  # type: ignore[attr-defined]
        track.stop()  # type: ignore[attr-defined]
        return [(frame.pts, frame) for frame in frames]

    heard, seen = await asyncio.gather(read(audio, 70), read(video, 35))
    assert [pts for pts, _ in heard] == [960 * number for number in range(70)]
    times = [pts for pts, _ in seen]
    assert times == sorted(set(times))
    assert times[-1] > 1.2 * 90000, "into the third round"
    frame = seen[-1][1]
    assert (frame.width, frame.height) == (240, 180)  # type: ignore[attr-defined]
    assert frequency_of(heard[10][1]) == pytest.approx(400, abs=20)  # type: ignore[arg-type]


async def test_pictures_beyond_the_frame_rate_are_left_out(tmp_path: Path) -> None:
    await write_movie(tmp_path / "movie.mp4", seconds=1.0)
    media = FileMedia(tmp_path / "movie.mp4", VideoShape(frame_rate=5))
    audio, video = media.tracks
    drain = asyncio.create_task(_drain(audio))
    pts = [(await video.recv()).pts for _ in range(4)]
    video.stop()
    drain.cancel()
    assert pts == [0, 18000, 36000, 54000]


async def _drain(track: object) -> None:
    try:
        while True:
            await track.recv()  # type: ignore[attr-defined]
    finally:
        track.stop()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "there is no such file; give a media file such as MP4 or WebM"),
        (b"", "; give a media file such as MP4 or WebM"),
        (b"not a film at all\n" * 50, "; give a media file such as MP4 or WebM"),
    ],
)
def test_a_file_that_is_no_media_is_named(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    path = tmp_path / "film.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as failure:
        FileMedia(path)
    message = str(failure.value)
    assert message.startswith(str(path))
    assert complaint in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("/etc", "/etc: that is a folder; give a media file"),
        ("", ".: that is a folder; give"),
        ("/dev/zero", "/dev/zero: that is no regular file; give"),
        ("/etc/passwd/film.mp4", "/etc/passwd/film.mp4: Not a directory; give"),
        ("film\0.mp4", "that is no path; give"),
    ],
)
def test_what_is_wrong_with_a_path_is_said(path: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as failure:
        FileMedia(Path(path))
    assert complaint in str(failure.value)


def open_files(path: Path) -> int:
    """How many descriptors of ours are of this file."""
    return sum(link.resolve() == path for link in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("both", [True, False], ids=["both read", "one read"])
async def test_a_file_played_again_and_again_is_open_twice_at_most(
    tmp_path: Path, both: bool
) -> None:
    path = tmp_path / "movie.mp4"
    await write_movie(path, seconds=0.2)
    media = FileMedia(path, VideoShape(320, 180, frame_rate=25))
    audio, video = media.tracks
    reading = asyncio.create_task(_drain(video)) if both else None
    opened = []
    for _ in range(100):  # 10 rounds
        await audio.recv()
        opened.append(open_files(path))
    assert 1 <= max(opened) <= 3, "two rounds, and one that is just being closed"
    if reading is None:  # who begins late joins the round that is being played
        frame = await video.recv()
        assert frame.pts > 90_000  # type: ignore[attr-defined]
    else:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    audio.stop()
    video.stop()


def test_pictures_are_only_ever_scaled_down() -> None:
    shape = VideoShape(320, 180)
    assert fitted(1920, 1080, shape) == (320, 180)
    assert fitted(480, 640, shape) == (134, 180)
    assert fitted(101, 51, shape) == (100, 50)
    assert fitted(10000, 2, shape) == (320, 2)
