"""Everybody else's sources: who is in the roster, what decodes them, what became of them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from halfkey.endpoint.aiortc_adapter import Receiver, RemoteTrack
from halfkey.endpoint.events import RemoteStatistics, TrackAdded, TrackRemoved
from halfkey.endpoint.roster import SOURCE_LIMIT, Roster, Source
from halfkey.endpoint.statistics import Statistics
from halfkey.vouching.standing import Standing

Start = Callable[[Source], Receiver]
Vouched = Callable[[int], Standing | None]
Tell = Callable[[TrackAdded | TrackRemoved], None]


@dataclass(slots=True)
class _Remote:
    """A source that is or was in the roster; its latest track stays when it is gone."""

    source: Source
    receiver: Receiver | None = None
    track: RemoteTrack | None = None
    earlier_frames: int = 0

    @property
    def frames(self) -> int:
        return self.earlier_frames + (self.track.frames if self.track is not None else 0)


class Remotes:
    """The remote sources of one Endpoint.

    Args:
        own: our own SSRCs.
        statistics: where packets are counted.
        start: makes the receiver of a source.
        tell: gets the events.
        vouched: gives who is vouched for as the sender of an SSRC, or None; None where nobody
            vouches for anything.
    """

    def __init__(
        self,
        own: frozenset[int],
        statistics: Statistics,
        start: Start,
        tell: Tell,
        vouched: Vouched | None = None,
    ) -> None:
        self._roster = Roster(own)
        self._statistics = statistics
        self._start = start
        self._tell = tell
        self._vouched = vouched
        self._remotes: dict[int, _Remote] = {}

    def set_own(self, ssrcs: frozenset[int]) -> None:
        """Takes other SSRCs for ours."""
        self._roster.own = ssrcs

    def apply(self, event: str, data: dict[str, Any]) -> list[Coroutine[Any, Any, None]]:
        """Takes in an event of the Focus.

        Returns:
            What has to be awaited to stop those that went.
        """
        came, went = self._roster.apply(event, data)
        for source in came:
            if source.ssrc not in self._remotes and len(self._remotes) >= SOURCE_LIMIT:
                self._forget_one()
            self._remotes.setdefault(source.ssrc, _Remote(source)).source = source
            self._statistics.stream(source.ssrc)
        return [self.stop(source.ssrc) for source in went]

    def start(self, ssrc: int) -> Receiver | None:
        """Starts decoding a source whose first packet has opened; None if nobody named it."""
        source, remote = self._roster.find(ssrc), self._remotes.get(ssrc)
        if source is None or remote is None:
            return None
        remote.earlier_frames = remote.frames
        remote.receiver = receiver = self._start(source)
        remote.track = track = receiver.remote_track
        name, unverified = self._who(source)
        identifier = source.participant_id
        self._tell(TrackAdded(identifier, name, source.kind, ssrc, track, unverified))
        return receiver

    async def stop(self, ssrc: int) -> None:
        """Stops decoding a source."""
        remote = self._remotes.get(ssrc)
        if remote is not None and remote.receiver is not None:
            receiver, remote.receiver = remote.receiver, None
            await receiver.stop()
            self._tell(TrackRemoved(remote.source.participant_id, ssrc))

    async def stop_all(self) -> None:
        """Stops decoding."""
        for ssrc in list(self._remotes):
            await self.stop(ssrc)

    @property
    def frames(self) -> int:
        """Audio frames and pictures decoded, of all sources."""
        return sum(remote.frames for remote in self._remotes.values())

    @property
    def last_frame_at(self) -> float | None:
        """When a frame was decoded last."""
        tracks = [remote.track for remote in self._remotes.values() if remote.track is not None]
        return max((track.last_at for track in tracks if track.last_at is not None), default=None)

    def counters(self) -> tuple[RemoteStatistics, ...]:
        """What became of each source."""
        return tuple(self._counters(remote) for remote in self._remotes.values())

    def _counters(self, remote: _Remote) -> RemoteStatistics:
        source = self._roster.find(remote.source.ssrc) or remote.source
        stream, track = self._statistics.stream(source.ssrc), remote.track
        name, unverified = self._who(source)
        return RemoteStatistics(
            participant_id=source.participant_id,
            name=name,
            unverified=unverified,
            kind=source.kind,
            ssrc=source.ssrc,
            packets=stream.packets,
            bytes=stream.bytes,
            frames=remote.frames,
            decode_errors=track.decode_errors if track is not None else 0,
            before_key=stream.before_key,
            e2e_failures=stream.e2e_failures,
            e2e_failures_during_rekey=stream.e2e_failures_during_rekey,
            ekt_spi=stream.ekt_spi,
            ekt_epoch=stream.ekt_epoch,
            last_opened_at=stream.last_opened_at,
            last_frame_at=track.last_at if track is not None else None,
            newest_opened=stream.newest_opened,
            last_frame_rtp_timestamp=track.last_rtp_timestamp if track is not None else None,
        )

    def _who(self, source: Source) -> tuple[str, str | None]:
        """The name of a source's sender, and why that is no more than the Focus's word."""
        if self._vouched is None:
            return source.name, "no_link"
        person = self._vouched(source.ssrc)
        if person is None:
            return source.name, "not_vouched"
        return person.entry.name, person.reason

    def _forget_one(self) -> None:
        """Makes room: the oldest source that isn't being decoded goes."""
        for ssrc, remote in self._remotes.items():
            if remote.receiver is None:
                del self._remotes[ssrc]
                return
