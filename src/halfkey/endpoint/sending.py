"""What an Endpoint sends: a sender of aiortc's for each track, and its SSRC."""

from __future__ import annotations

import secrets

from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtcrtpsender import RTCRtpSender

from halfkey.ekt.outbound import Kind
from halfkey.endpoint.aiortc_adapter import send_parameters, sender_ssrc
from halfkey.endpoint.roster import kind_of
from halfkey.endpoint.transport import Transport
from halfkey.errors import UsageError
from halfkey.sdp import Answer

_CNAME_BYTES = 12  # 96 bits (RFC 7022 section 4.2)


class Senders:
    """Those of one Endpoint, in the order in which tracks were added.

    Args:
        transport: what they send by.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._senders: list[tuple[Kind, RTCRtpSender]] = []
        self.cname = secrets.token_urlsafe(_CNAME_BYTES)

    @property
    def sources(self) -> dict[int, Kind]:
        """SSRC and kind of each."""
        return {sender_ssrc(sender): kind for kind, sender in self._senders}

    def add(self, track: MediaStreamTrack) -> None:
        """Adds one for a track.

        Raises:
            UsageError: it is neither audio nor video.
        """
        kind = kind_of(track.kind)
        if kind is None:
            raise UsageError(f"a track of kind {track.kind!r} can't be sent")
        self._senders.append((kind, self._sender(track)))

    async def start(self, answer: Answer) -> None:
        """Sends what an answer takes; what is sent already goes on."""
        for number, (kind, sender) in enumerate(self._senders):
            if answer.media[number].rejected:
                continue
            parameters = send_parameters(
                kind, str(number), self.cname, answer.payload_types, answer.extensions
            )
            await sender.send(parameters)

    async def replace(self) -> None:
        """Has the same tracks sent under other SSRCs, from the next `start` on."""
        for number, (kind, sender) in enumerate(self._senders):
            track = sender.track
            sender.replaceTrack(None)  # or it would stop the track with itself
            await sender.stop()
            self._senders[number] = kind, self._sender(track)

    async def stop(self) -> None:
        """Ends them, and their tracks."""
        for _, sender in self._senders:
            await sender.stop()
            if sender.track is not None:
                sender.track.stop()

    def _sender(self, track: MediaStreamTrack) -> RTCRtpSender:
        return RTCRtpSender(track, self._transport)  # type: ignore[arg-type]
