"""A recorder as a process: `halfkey record`.

It joins as an Endpoint that sends nothing, and says what happens in objects fit for JSON, each with
an ``event``:

- ``joined`` {at, ms, ssrcs}, ``recording`` {path, layout, at}
- ``track`` {name, kind, ssrc}, ``terminated`` {reason, at}
- what `halfkey.endpoint.presence` tells of people
- ``progress``, every second: the counters of `halfkey.recorder.recording.Progress`
- ``recorded`` {path, overflow, chapters, and the counters}

It takes the command ``stop``; ``leave`` is the same. Every ``at`` is in seconds of the system's
monotonic clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from aiortc.mediastreams import MediaStreamError
from av.frame import Frame

from halfkey.endpoint import (
    Endpoint,
    EndpointOptions,
    Event,
    Joined,
    Terminated,
    TrackAdded,
    TrackRemoved,
)
from halfkey.endpoint.aiortc_adapter import SenderReport
from halfkey.endpoint.events import Waiting
from halfkey.endpoint.presence import Presence
from halfkey.errors import HalfkeyError
from halfkey.recorder.composed import Composed
from halfkey.recorder.layout import Layout
from halfkey.recorder.recording import Recording
from halfkey.recorder.timeline import Source
from halfkey.recorder.tracks import Tracks
from halfkey.recorder.worker import PICTURE_LIMIT, SOUND_LIMIT, Task, Worker

PROGRESS_INTERVAL = 1.0

Report = Callable[[Mapping[str, Any]], None]
LayoutName = Literal["composed", "tracks"]

_CLOCK_RATES = {"audio": 48_000, "video": 90_000}
_LAYOUTS: dict[LayoutName, type[Composed | Tracks]] = {"composed": Composed, "tracks": Tracks}


class RecordingEndedError(HalfkeyError):
    """The recording ended before it was to; the message says why, and that the rest is kept."""


@dataclass(frozen=True, slots=True)
class RecorderOptions:
    """What `halfkey record` was asked for.

    Attributes:
        endpoint: which conference, and as whom.
        out: the file.
        layout: ``"composed"`` or ``"tracks"``.
        overwrite: whether a file that is there may be written over.
        duration: seconds to record; None until told to stop.
    """

    endpoint: EndpointOptions
    out: Path
    layout: LayoutName = "composed"
    overwrite: bool = False
    duration: float | None = None


class Recorder:
    """Joins, records, and stops on command; made and used inside a running event loop.

    Args:
        options: what was asked for.
        report: called with each object.
    """

    def __init__(self, options: RecorderOptions, report: Report) -> None:
        self._options = options
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._cut_short: str | None = None
        self._readers: dict[int, asyncio.Task[None]] = {}
        self._worker: asyncio.Future[Worker] = self._loop.create_future()

    async def command(self, message: Mapping[str, Any]) -> None:
        """Takes a command; an unknown one is passed over."""
        if message.get("command") in ("stop", "leave"):
            self._stop.set()

    async def run(self) -> None:
        """Records for as long as it should. Cancelled, it ends the file first.

        Raises:
            ConfigurationError: an option can't be used.
            JoinFailedError: the conference could not be joined; no file is left.
            RecordingEndedError: it could not go on; what was recorded is kept.
        """
        options = self._options
        layout = _LAYOUTS[options.layout](options.out, overwrite=options.overwrite)
        tasks: list[asyncio.Task[None]] = []
        try:
            endpoint = Endpoint(options.endpoint)
            presence = Presence(endpoint, self._report)
            tasks.append(asyncio.create_task(self._follow(endpoint, presence)))
            tasks.append(asyncio.create_task(presence.run()))
            await endpoint.join()
        except BaseException:
            await _cancel(tasks)
            layout.close()
            raise
        worker = self._start(layout)
        self._worker.set_result(worker)
        tasks.append(asyncio.create_task(self._tell_progress(endpoint, worker)))
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(options.duration):
                    await self._stop.wait()
        finally:
            await self._end(endpoint, worker, tasks)
            if self._cut_short is not None:
                raise RecordingEndedError(f"{self._cut_short}; what was recorded is kept")

    def _start(self, layout: Layout) -> Worker:
        options, start = self._options, time.monotonic()
        title = options.endpoint.conference

        def failed() -> None:
            self._loop.call_soon_threadsafe(self._stop.set)

        worker = Worker(lambda: Recording(layout, start, title), failed)
        what = {"path": str(options.out), "layout": options.layout, "at": start}
        self._report({"event": "recording", **what})
        return worker

    async def _end(
        self, endpoint: Endpoint, worker: Worker, tasks: list[asyncio.Task[None]]
    ) -> None:
        end = time.monotonic()
        await _cancel([*tasks, *self._readers.values()])
        await endpoint.close()
        await asyncio.to_thread(worker.stop, end)
        if worker.failure is not None:
            self._cut_short = str(worker.failure)
        written = asdict(worker.progress) if worker.progress is not None else {}
        self._report(
            {
                "event": "recorded",
                "path": str(self._options.out),
                "overflow": worker.overflow,
                "chapters": [asdict(chapter) for chapter in worker.chapters],
                **written,
            }
        )

    # What the Endpoint tells

    async def _follow(self, endpoint: Endpoint, presence: Presence) -> None:
        """From before the joining on: somebody who waits to be let in wants to know."""
        async for event in endpoint.events():
            presence.take(event)
            if not isinstance(event, Waiting):
                self._take(event, await self._worker)

    def _take(self, event: Event, worker: Worker) -> None:
        if isinstance(event, Joined):
            ms, ssrcs = round(event.seconds * 1000, 1), list(event.ssrcs)
            self._report({"event": "joined", "at": event.at, "ms": ms, "ssrcs": ssrcs})
        elif isinstance(event, TrackAdded):
            what = {"name": event.name, "kind": event.kind, "ssrc": event.ssrc}
            self._report({"event": "track", **what})
            self._add(event, worker)
        elif isinstance(event, TrackRemoved):
            ssrc, now = event.ssrc, time.monotonic()
            worker.post(lambda recording: recording.remove(ssrc, now))
        elif isinstance(event, Terminated):
            self._report({"event": "terminated", "reason": event.reason, "at": event.at})
            self._cut_short = f"the Key Distributor ended the association: {event.reason}"
            self._stop.set()

    def _add(self, added: TrackAdded, worker: Worker) -> None:
        source = Source(added.ssrc, added.participant_id, added.name, added.kind)
        now = time.monotonic()
        worker.post(lambda recording: recording.add(source, now))
        previous = self._readers.pop(added.ssrc, None)
        if previous is not None:
            previous.cancel()
        self._readers[added.ssrc] = task = asyncio.create_task(_read(added, worker))
        task.add_done_callback(lambda done: self._forget(added.ssrc, done))

    def _forget(self, ssrc: int, reader: asyncio.Task[None]) -> None:
        if self._readers.get(ssrc) is reader:
            del self._readers[ssrc]

    async def _tell_progress(self, endpoint: Endpoint, worker: Worker) -> None:
        names: dict[str, str] = {}
        while True:
            await asyncio.sleep(PROGRESS_INTERVAL)
            for identifier, name in {
                stream.participant_id: stream.name for stream in endpoint.statistics().streams
            }.items():
                if names.get(identifier) != name:
                    names[identifier] = name
                    worker.post(_renaming(identifier, name))
            if worker.progress is not None:
                self._report({"event": "progress", **asdict(worker.progress)})


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _renaming(identifier: str, name: str) -> Task:
    now = time.monotonic()
    return lambda recording: recording.rename(identifier, name, now)


async def _read(added: TrackAdded, worker: Worker) -> None:
    """Hands on every frame of a track with the time of its arrival, until the track ends."""
    track, ssrc, told = added.track, added.ssrc, None
    rate = _CLOCK_RATES[added.kind]
    limit = SOUND_LIMIT if added.kind == "audio" else PICTURE_LIMIT
    with contextlib.suppress(MediaStreamError):
        while True:
            frame = await track.recv()
            report = track.sender_report
            if report is not None and report is not told:
                told = report
                worker.post(_reporting(ssrc, report, rate))
            if frame.pts is not None:
                worker.post(_handing(added.kind, ssrc, frame, frame.pts / rate), limit)


def _reporting(ssrc: int, report: SenderReport, rate: int) -> Task:
    return lambda recording: recording.reported(ssrc, report.ntp, report.pts / rate)


def _handing(kind: str, ssrc: int, frame: Frame, timestamp: float) -> Task:
    arrival = time.monotonic()
    if kind == "audio":
        return lambda recording: recording.sound(ssrc, frame, timestamp, arrival)
    return lambda recording: recording.picture(ssrc, frame, timestamp, arrival)
