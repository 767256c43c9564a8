"""The recorder in a real conference: Key and Media Distributor, Focus and senders over sockets."""

from __future__ import annotations

import asyncio
import itertools
import json
import resource
import signal
import statistics
import sys
import time
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from av import AudioFrame, VideoFrame

from halfkey.endpoint import Endpoint, EndpointOptions
from halfkey.endpoint.media import PictureTrack, ToneTrack, tone_of
from halfkey.endpoint.picture import Picture
from halfkey.recorder.session import LayoutName, Recorder, RecorderOptions
from tests.e2e.system import CONFERENCE, SHAPE, System, running_system
from tests.endpoint.waiting import until
from tests.recorder.helpers import (
    RGB,
    Track,
    colour_at,
    decoded,
    has_colour,
    picture,
    strength,
)

CLUSTER = 0.35  # seconds: one cluster, and the frames around it


@dataclass
class Child:
    """`halfkey record` as a process of its own."""

    process: asyncio.subprocess.Process
    reports: list[dict[str, Any]] = field(default_factory=list)

    def last(self, event: str) -> dict[str, Any]:
        found = [report for report in self.reports if report.get("event") == event]
        return found[-1] if found else {}

    @property
    def seconds(self) -> float:
        """How much it says that it has written."""
        return float(self.last("progress").get("seconds", 0.0))

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.reports.append(json.loads(line))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for what its reports show; it may not end before."""
        await until(lambda: condition() or self.process.returncode is not None, 40)
        assert condition(), await self.ended()

    async def ended(self) -> tuple[int, str]:
        """Its exit status, and what it wrote to stderr."""
        assert self.process.stderr is not None
        said = (await self.process.stderr.read()).decode()
        return await self.process.wait(), said


@asynccontextmanager
async def recorder(
    system: System, out: Path, *arguments: str, limit: int | None = None
) -> AsyncIterator[Child]:
    """Starts it; `limit` is how many bytes its files may have."""

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    where = ("--focus", system.focus_url, "--trust-focus", str(system.folder / "focus.crt"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "halfkey", "record", *where, "--conference", CONFERENCE),
        *("--out", str(out), "--supervised", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=limited,
    )
    child = Child(process)
    reader = asyncio.create_task(child.read())
    try:
        yield child
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reader


async def two_people(system: System) -> list[Endpoint]:
    endpoints = [system.endpoint(number) for number in range(2)]
    await asyncio.gather(*(endpoint.join() for endpoint in endpoints))
    return endpoints


def colour_of(index: int) -> RGB:
    """The colour at the top of a test picture."""
    frame = Picture(f"P{index}", index, SHAPE.width, SHAPE.height).frame(0, datetime.now())
    return colour_at(frame, 3, 8)


def assert_steady(track: Track, frequency: float, begin: float, end: float) -> None:
    """The tone goes on: it may miss what a busy machine lost, but no three tenths in a row."""
    tenths = [begin + tenth / 10 for tenth in range(int((end - begin) * 10))]
    heard = [strength(track.heard(at, at + 0.1), frequency) > 1000 for at in tenths]
    missing = [f"{at:.1f}" for at, is_heard in zip(tenths, heard, strict=True) if not is_heard]
    assert len(missing) <= len(tenths) / 5, f"no {frequency} Hz at {missing}"
    assert all(any(heard[at : at + 3]) for at in range(len(heard) - 2)), f"a hole at {missing}"


async def test_two_people_are_recorded_through_a_rekey(tmp_path: Path) -> None:
    out = tmp_path / "meeting.mkv"
    async with running_system(tmp_path) as system:
        await two_people(system)
        async with recorder(system, out) as child:
            await child.until(lambda: child.seconds >= 2)
            visitor = system.endpoint(2)
            await visitor.join()
            await child.until(lambda: child.last("progress").get("people") == 3)
            await visitor.leave()  # a rekey
            await child.until(lambda: child.last("progress").get("people") == 2)
            enough = child.seconds + 2
            await child.until(lambda: child.seconds >= enough)
            child.process.send_signal(signal.SIGINT)
            status, said = await child.ended()
        assert (status, said) == (0, "")
    final, found = child.last("recorded"), decoded(out)
    video, audio = found.only("video"), found.only("audio")
    assert found.duration == pytest.approx(final["seconds"], abs=0.1)
    assert video.end == pytest.approx(final["seconds"], abs=0.2)
    assert audio.end == pytest.approx(final["seconds"], abs=0.1)
    for index in range(2):
        assert has_colour(video.seen(final["seconds"] - 0.3), colour_of(index))
        assert_steady(audio, tone_of(index), 2, final["seconds"] - 0.3)
    assert strength(audio.heard(2, 3), 777) < 200
    assert found.chapters[0][0] == 0
    assert found.chapters[-1][1] == pytest.approx(final["seconds"], abs=0.1)
    assert {title for _, _, title in found.chapters} <= {"P0", "P1", "P2"}


async def test_a_kill_loses_at_most_the_last_second(tmp_path: Path) -> None:
    out = tmp_path / "meeting.mkv"
    async with running_system(tmp_path) as system:
        await two_people(system)
        async with recorder(system, out) as child:
            await child.until(lambda: child.seconds >= 3)
            written, began = child.seconds, child.last("recording")["at"]
            killed = time.monotonic()
            child.process.send_signal(signal.SIGKILL)
            await child.ended()
    found = decoded(out)
    video, audio = found.only("video"), found.only("audio")
    print(f"lost {killed - began - min(video.end, audio.end):.2f} s")
    assert min(video.end, audio.end) >= written - CLUSTER
    assert has_colour(video.pictures[-1][1], colour_of(0))
    assert_steady(audio, tone_of(1), 1, written - CLUSTER)


async def test_a_full_disk_ends_the_recording_and_keeps_it(tmp_path: Path) -> None:
    out = tmp_path / "meeting.mkv"
    async with running_system(tmp_path) as system:
        await two_people(system)
        async with recorder(system, out, limit=150_000) as child:
            status, said = await child.ended()
    assert status == 1
    assert said.count("\n") == 1
    assert "File too large" in said
    assert "what was recorded is kept" in said
    found = decoded(out)
    assert out.stat().st_size <= 150_000
    assert found.only("audio").end > 1
    assert has_colour(found.only("video").pictures[-1][1], colour_of(0))


async def test_no_room_to_finish_keeps_the_file_without_chapters(tmp_path: Path) -> None:
    """The folder can't be written any more when chapters are to be added."""
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / "meeting.mkv"
    async with running_system(tmp_path) as system:
        await two_people(system)
        async with recorder(system, out) as child:
            await child.until(lambda: child.seconds >= 2)
            (folder / ".meeting.mkv.finishing").mkdir()
            child.process.send_signal(signal.SIGTERM)
            status, said = await child.ended()
    assert status == 1
    assert said.count("\n") == 1
    found = decoded(out)
    assert found.only("audio").end > 2
    assert found.chapters == []


async def test_the_file_that_is_there_is_named_before_joining(tmp_path: Path) -> None:
    out = tmp_path / "meeting.mkv"
    out.write_bytes(b"precious")
    nobody = System("https://127.0.0.1:9", tmp_path, [], [], "", None, None)  # type: ignore[arg-type]
    (tmp_path / "focus.crt").write_text("")
    async with recorder(nobody, out) as child:
        status, said = await child.ended()
    assert status == 2
    assert said.count("\n") == 1
    assert "add --overwrite" in said
    assert out.read_bytes() == b"precious"


async def test_who_can_not_join_leaves_no_file(tmp_path: Path) -> None:
    async with running_system(tmp_path) as system:
        other = System(system.focus_url, tmp_path, [], [], "", system.session, system.kd)
        (tmp_path / "focus.crt").write_text((tmp_path / "kd.crt").read_text())
        async with recorder(other, tmp_path / "meeting.mkv") as child:
            status, said = await child.ended()
    assert status == 1
    assert said.count("\n") == 1
    assert not (tmp_path / "meeting.mkv").exists()


# Picture and sound together

PERIOD, LIT = 1.0, 0.3
"""Every so many seconds it flashes and beeps, for so long."""

BEEP = 1000
WHITE, BLACK = (235, 235, 235), (20, 20, 20)


class Lamp:
    """Lit for a while in every period; notes when a track first showed it lit."""

    def __init__(self) -> None:
        self.lit_at: list[float] = []

    def lit(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now % PERIOD >= LIT:
            return False
        if not self.lit_at or now - self.lit_at[-1] > LIT:
            self.lit_at.append(now)
        return True


class FlashTrack(PictureTrack):
    """White while its lamp is lit, black otherwise."""

    def __init__(self) -> None:
        super().__init__("Flash", 0, SHAPE)
        self.lamp = Lamp()

    async def recv(self) -> VideoFrame:
        frame = await super().recv()
        shown = picture(WHITE if self.lamp.lit() else BLACK, SHAPE.width, SHAPE.height)
        shown.pts, shown.time_base = frame.pts, frame.time_base
        return shown


class BeepTrack(ToneTrack):
    """A tone while its lamp is lit, silence otherwise."""

    def __init__(self) -> None:
        super().__init__(BEEP)
        self.lamp = Lamp()

    async def recv(self) -> AudioFrame:
        frame = await super().recv()
        if not self.lamp.lit():
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        return frame


def flashes(track: Track) -> list[float]:
    """When it turns bright."""
    bright = [
        (at, colour_at(frame, frame.width // 2, frame.height // 2)[0] > 120)
        for at, frame in track.pictures
    ]
    return [at for (_, before), (at, now) in itertools.pairwise(bright) if now and not before]


def beeps(track: Track) -> list[float]:
    """When a tone begins after silence, to the millisecond."""
    begin, samples = track.sounds[0][0], array("h")
    for _, part in track.sounds:
        samples.extend(part)
    loud = [max(samples[at : at + 48]) > 800 for at in range(0, len(samples), 48)]
    return [
        begin + at / 1000
        for at, now in enumerate(loud)
        if now and at >= 100 and not any(loud[at - 100 : at])
    ]


def lags(sent: list[float], found: list[float]) -> list[float]:
    """Where each of what was found lies from what was sent, up to whole periods."""
    return [(at - sent[0]) % PERIOD for at in found]


@pytest.mark.parametrize("layout", ["tracks", "composed"])
async def test_picture_and_sound_are_together(tmp_path: Path, layout: LayoutName) -> None:
    """A flash and a beep that were sent at known moments, found again in the file."""
    out, trusted = tmp_path / "meeting.mkv", tmp_path / "focus.crt"
    flash, beep = FlashTrack(), BeepTrack()
    async with running_system(tmp_path) as system:
        sender = Endpoint(EndpointOptions(system.focus_url, CONFERENCE, "Flash", trusted))
        system.endpoints.append(sender)
        sender.add_track(beep)
        sender.add_track(flash)
        await sender.join()
        joining = EndpointOptions(system.focus_url, CONFERENCE, "Recorder", trusted)
        await Recorder(RecorderOptions(joining, out, layout, duration=10), lambda _: None).run()
    found = decoded(out)
    seen = lags(flash.lamp.lit_at, flashes(found.only("video")))
    heard = lags(beep.lamp.lit_at, beeps(found.only("audio")))
    assert min(len(seen), len(heard)) >= 5
    middle = PERIOD / 2
    offset = (statistics.median(seen) - statistics.median(heard) + middle) % PERIOD - middle
    print(f"{layout}: the picture is {1000 * offset:.0f} ms behind the sound")
    assert abs(offset) < 0.1
