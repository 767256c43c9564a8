"""An Endpoint as a process: `halfkey join`.

It says what happens in objects fit for JSON, each with an ``event``:

- ``joined`` {at, ms, ssrcs}; ``ekt_key`` {spi, at}
- ``switched`` {spi, epoch, at, newest_before}: by SSRC, SEQ and timestamp of the last packet sealed
  under the old keys
- ``track`` {name, kind, ssrc, unverified}; ``stopped`` {spi, reason, at}
- ``terminated`` {reason, at}
- ``progress``, twice a second: the counters; ``mark`` on command and ``final`` at the end: the
  counters, and how far each source was understood
- ``left`` {at}
- and what `halfkey.endpoint.presence` tells of people
- ``reassociating`` and ``rejoining`` {reason, at}: a restart took our keys, or our place;
  ``reassociated`` {at, ms} and ``rejoined`` {at, ms, ssrcs}: we have them back

and takes the commands ``leave``, ``mark`` and ``stop``. Every ``at`` is in seconds of the system's
monotonic clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from av import VideoFrame

from halfkey.conference_name import is_conference_name
from halfkey.endpoint.client import FocusError
from halfkey.endpoint.core import Disclose, EKTKeyInstalled, KeysSwitched, SendingStopped
from halfkey.endpoint.endpoint import Endpoint
from halfkey.endpoint.events import (
    EndpointStatistics,
    Event,
    Joined,
    Left,
    Reassociated,
    Reassociating,
    Rejoined,
    Rejoining,
    RemoteStatistics,
    Terminated,
    TrackAdded,
)
from halfkey.endpoint.media import (
    FileMedia,
    PictureTrack,
    ToneTrack,
    VideoShape,
    image_of,
    tone_of,
)
from halfkey.endpoint.options import EndpointOptions
from halfkey.endpoint.presence import Presence
from halfkey.errors import ConfigurationError, HalfkeyError
from halfkey.identity.credential import Credential
from halfkey.profiles import DOUBLE_128, SRTPProtectionProfile
from halfkey.sdp.offer import MAXIMUM_NAME_LENGTH, is_display_name

PROGRESS_INTERVAL = 0.5

Report = Callable[[Mapping[str, Any]], None]

_PLAIN_NAME = re.compile(r"\w[\w .-]{0,63}")
_SUMS = ("packets", "bytes", "before_key", "e2e_failures", "e2e_failures_during_rekey")


@dataclass(frozen=True, slots=True)
class ProcessOptions:
    """What `halfkey join` was asked for.

    Attributes:
        focus_url: ``https://host:port`` of the Focus.
        trusted: who is believed to be the Focus; see `EndpointOptions`.
        conference: the conference's name.
        name: our display name; it stands on the test picture.
        index: chooses the test picture's colour and the tone.
        profiles: the double profiles to offer, best first.
        media: a file to send; None for the test picture and tone.
        shape: how large and how often pictures are sent.
        slots: how many others' audio, and how many videos, to receive at once.
        duration: seconds to stay; None until told to leave or stop.
        keep_listening: told to leave, go on trying to open what arrives, until told to stop.
        pictures: a folder for the last picture of each sender; None for none.
        disclose: see `EndpointOptions`.
        credential: what to join with; None believes the Focus.
    """

    focus_url: str
    trusted: Path | bytes | None
    conference: str
    name: str
    index: int = 0
    profiles: tuple[SRTPProtectionProfile, ...] = (DOUBLE_128,)
    media: Path | None = None
    shape: VideoShape = field(default_factory=VideoShape)
    slots: int = 8
    duration: float | None = None
    keep_listening: bool = False
    pictures: Path | None = None
    disclose: Disclose | None = field(default=None, repr=False)
    credential: Credential | None = None

    def check(self) -> None:
        """Checks what can be known to be wrong without asking anybody.

        Raises:
            ConfigurationError: an option can't be used.
        """
        if not is_conference_name(self.conference):
            raise ConfigurationError(
                f"--conference {self.conference!r}: give 1 to 64 letters, digits, dots, dashes and "
                "underscores, not dots alone"
            )
        if not self.name.strip() or not is_display_name(self.name):
            raise ConfigurationError(
                f"--name {self.name!r}: give 1 to {MAXIMUM_NAME_LENGTH} printable characters"
            )
        if self.index < 0:
            raise ConfigurationError(f"--index {self.index}: give 0 or more")
        if self.duration is not None and not 0 < self.duration < math.inf:
            raise ConfigurationError(
                f"--duration {self.duration:g}: give seconds above 0, or leave it out to stay "
                "until told"
            )

    def of_endpoint(self) -> EndpointOptions:
        """The Endpoint's own options."""
        return EndpointOptions(
            focus_url=self.focus_url,
            conference=self.conference,
            name=self.name,
            trusted=self.trusted,
            check_hostname=self.credential is not None and self.trusted is None,
            profiles=self.profiles,
            slots=self.slots,
            credential=self.credential,
            keep_listening=self.keep_listening,
            disclose=self.disclose,
        )


class PutOutError(HalfkeyError):
    """Others ended our participation for good; the message is one line that says why."""


class EndpointProcess:
    """Joins, reports, and leaves or stops on command.

    Args:
        options: what was asked for.
        report: called with each object.
    """

    def __init__(self, options: ProcessOptions, report: Report) -> None:
        self._options = options
        self._report = report
        self._endpoint: Endpoint | None = None
        self._presence: Presence | None = None
        self._pictured: dict[int, TrackAdded] = {}
        self._leave = asyncio.Event()
        self._stop = asyncio.Event()
        self._joined = False
        self._put_out: str | None = None
        self._over = asyncio.Event()

    async def stop(self) -> None:
        """Ends the stay as the command ``stop`` does, and returns when it is over.

        Before there is a stay there is nothing to save: then it returns at once.
        """
        self._stop.set()
        if self._joined:
            await self._over.wait()

    async def command(self, message: Mapping[str, Any]) -> None:
        """Takes a command; an unknown one is passed over."""
        what = message.get("command")
        if what == "leave":
            self._leave.set()
        elif what == "stop":
            self._stop.set()
        elif what == "mark" and self._endpoint is not None:
            self._count("mark", self._endpoint.statistics())

    async def run(self) -> None:
        """Stays in the conference for as long as it should.

        Raises:
            ConfigurationError: an option can't be used.
            JoinFailedError: the conference could not be joined.
            PutOutError: others ended the participation; everything was saved before.
        """
        options = self._options
        options.check()
        _make_folder(options.pictures)
        media = None if options.media is None else FileMedia(options.media, options.shape)
        self._endpoint = endpoint = Endpoint(options.of_endpoint())
        self._presence = presence = Presence(endpoint, self._report)
        for track in self._test_tracks() if media is None else media.tracks:
            endpoint.add_track(track)
        helpers = [
            asyncio.create_task(self._follow(endpoint)),
            asyncio.create_task(presence.run()),
        ]
        try:
            await endpoint.join()
            self._joined = True
            helpers.append(asyncio.create_task(self._progress(endpoint)))
            await self._stay(endpoint)
            self._save_pictures()
            self._count("final", endpoint.statistics())
        finally:
            await endpoint.close()
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            self._over.set()
        if self._put_out is not None:
            raise PutOutError(f"no longer in {options.conference}: {self._put_out}")

    def _test_tracks(self) -> tuple[ToneTrack, PictureTrack]:
        options = self._options
        picture = PictureTrack(options.name, options.index, options.shape)
        return ToneTrack(tone_of(options.index)), picture

    async def _stay(self, endpoint: Endpoint) -> None:
        """Until the time is over or a command comes; then leaves, and maybe listens on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.duration):
                await _either(self._leave, self._stop)
        if self._stop.is_set() or not (self._leave.is_set() and self._options.keep_listening):
            return  # closing the Endpoint makes it leave
        try:
            await endpoint.leave()
        except FocusError as error:
            self._report({"event": "warning", "text": str(error)})
        await self._stop.wait()

    async def _progress(self, endpoint: Endpoint) -> None:
        while True:
            await asyncio.sleep(PROGRESS_INTERVAL)
            self._count("progress", endpoint.statistics())

    async def _follow(self, endpoint: Endpoint) -> None:
        async for event in endpoint.events():
            self._report_event(event)
            if self._presence is not None:
                self._presence.take(event)

    def _report_event(self, event: Event) -> None:
        if isinstance(event, Joined):
            ms, ssrcs = round(event.seconds * 1000, 1), list(event.ssrcs)
            self._report({"event": "joined", "at": event.at, "ms": ms, "ssrcs": ssrcs})
        elif isinstance(event, EKTKeyInstalled):
            self._report({"event": "ekt_key", "spi": event.spi, "at": event.at})
        elif isinstance(event, KeysSwitched):
            # Each EKTKey sees one master key of ours, the one of epoch 0.
            before = {
                str(ssrc): [position.sequence_number, position.timestamp]
                for ssrc, position in event.newest_before.items()
            }
            switched = {"spi": event.spi, "epoch": 0, "at": event.at, "newest_before": before}
            self._report({"event": "switched", **switched})
        elif isinstance(event, SendingStopped):
            stopped = {"spi": event.spi, "reason": event.reason, "at": event.at}
            self._report({"event": "stopped", **stopped})
        elif isinstance(event, TrackAdded):
            if event.kind == "video":
                self._pictured[event.ssrc] = event
            what = {
                "name": event.name,
                "kind": event.kind,
                "ssrc": event.ssrc,
                "unverified": event.unverified,
            }
            self._report({"event": "track", **what})
        elif isinstance(event, Left):
            self._report({"event": "left", "at": event.at})
        elif isinstance(event, Reassociating | Reassociated | Rejoining | Rejoined):
            self._report(_recovery(event))
        elif isinstance(event, Terminated):
            self._report({"event": "terminated", "reason": event.reason, "at": event.at})
            if not self._options.keep_listening:
                self._put_out = event.reason
                self._stop.set()

    def _count(self, name: str, statistics: EndpointStatistics) -> None:
        told = counters(statistics)
        if name != "progress":
            told["sources"] = sources(statistics)
        self._report({"event": name, **told})

    def _save_pictures(self) -> None:
        """Saves the last picture of each sender, under its name if that is plain."""
        folder = self._options.pictures
        if folder is None:
            return
        for added in self._pictured.values():
            frame = added.track.last_frame
            if isinstance(frame, VideoFrame):
                plain = _PLAIN_NAME.fullmatch(added.name) is not None
                name = added.name if plain else f"{added.ssrc:08x}"
                image_of(frame).save(folder / f"{name}.png")


def _recovery(event: Reassociating | Reassociated | Rejoining | Rejoined) -> dict[str, Any]:
    """What to report of recovery from a restart."""
    name = type(event).__name__.lower()
    if isinstance(event, Reassociating | Rejoining):
        return {"event": name, "reason": event.reason, "at": event.at}
    told = {"event": name, "at": event.at, "ms": round(event.seconds * 1000, 1)}
    return told if isinstance(event, Reassociated) else {**told, "ssrcs": list(event.ssrcs)}


async def run(options: ProcessOptions, report: Report) -> None:
    """Runs an Endpoint that takes no commands; see `EndpointProcess`."""
    await EndpointProcess(options, report).run()


def counters(statistics: EndpointStatistics) -> dict[str, Any]:
    """The counters as an object fit for JSON; what was received stands by the sender's name."""
    received: dict[str, dict[str, int]] = {}
    for stream in statistics.streams:
        sender = received.setdefault(
            stream.name, dict.fromkeys(("audio_frames", "video_frames", *_SUMS), 0)
        )
        _add(sender, stream)
    return {
        "at": statistics.at,
        "ekt_spi": statistics.ekt_spi,
        "sent_packets": sum(statistics.sent.values()),
        "unsent": statistics.unsent,
        "packets_received": statistics.packets_received,
        "packets_opened": statistics.packets_opened,
        "frames_decoded": statistics.frames_decoded,
        "last_received_at": statistics.last_received_at,
        "last_opened_at": statistics.last_opened_at,
        "last_frame_at": statistics.last_frame_at,
        "rejections": statistics.rejections,
        "received": received,
    }


def sources(statistics: EndpointStatistics) -> dict[str, dict[str, Any]]:
    """By SSRC: what was opened and decoded, and the latest of it by the sender's own count.

    ``newest_opened`` is [SEQ, timestamp] and ``last_frame`` a timestamp; None where there is none.
    """
    return {
        str(stream.ssrc): {
            "packets": stream.packets,
            "frames": stream.frames,
            "newest_opened": None
            if stream.newest_opened is None
            else [stream.newest_opened.sequence_number, stream.newest_opened.timestamp],
            "last_frame": stream.last_frame_rtp_timestamp,
        }
        for stream in statistics.streams
    }


def _add(sender: dict[str, int], stream: RemoteStatistics) -> None:
    sender[f"{stream.kind}_frames"] += stream.frames
    for name in _SUMS:
        sender[name] += getattr(stream, name)


async def _either(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


def _make_folder(folder: Path | None) -> None:
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: the folder can't be made ({error.strerror}); name another one"
        ) from error
