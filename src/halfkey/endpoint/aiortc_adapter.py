"""The one place that knows aiortc's inner working.

An Endpoint sends and receives with aiortc's `RTCRtpSender` and `RTCRtpReceiver`. They call back
into whatever stands where aiortc has its DTLS transport: `halfkey.endpoint.transport`. Private
members used, and why:

- `RTCRtpSender._ssrc` is read: the offer declares it before anything is sent.
- `_handle_rtp_packet`, `_handle_rtcp_packet` of both are called, as aiortc's own transport does.
  They are coroutines, but never wait, since our transport sends at once; `run_now` runs them to
  their end without a task for each packet.
- `RTCRtpReceiver.receive` is overridden, so that frames are decoded by a thread of ours: with one
  thread for each decoder instead of one for each core, with a bound on what waits, without a log
  line for each bad frame, and without waking the event loop for frames that nobody awaits. It sets
  the private members that aiortc's own `receive` sets.
- `RTCRtpReceiver._track`, `_set_rtcp_ssrc` are what aiortc's peer connection sets too.
- `_handle_rtp_packet` is overridden to give up packets that don't come, with the jitter buffer's
  `_origin` and the NACK generator's `max_seq` and `missing`, which aiortc has no method to reset.
- `_handle_rtcp_packet` is overridden too, to note what sender reports say of the sender's clock;
  the timestamps of frames count from an origin that only aiortc's `TimestampMapper` knows, which
  the decoder's thread asks for it as well.
- `_send_rtcp_pli` is called for the first packet of a stream, and limited in rate.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import av
from aiortc.codecs import get_decoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtcrtpparameters import (
    RTCRtcpParameters,
    RTCRtpCodecParameters,
    RTCRtpDecodingParameters,
    RTCRtpHeaderExtensionParameters,
    RTCRtpReceiveParameters,
    RTCRtpSendParameters,
)
from aiortc.rtcrtpreceiver import RTCRtpReceiver, TimestampMapper
from aiortc.rtcrtpsender import RTCRtpSender
from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket, RtpPacket
from av.frame import Frame

from halfkey.errors import UsageError
from halfkey.sdp.codecs import MID, OPUS, SSRC_AUDIO_LEVEL, VP8

FRAMES_WAITING = 64
"""Encoded frames that may wait for the decoder, and decoded ones for who reads the track."""

KEYFRAME_REQUEST_INTERVAL = 0.2
"""Seconds between two requests for a key frame of one stream, at least."""

MISSING_PATIENCE = 1.0
"""Seconds to wait for a packet that was asked for again. aiortc would wait until 512 more have
come, which takes half a minute where a picture is a packet."""

# abs-send-time is left out although it is offered: it feeds aiortc's bandwidth estimator, whose
# REMB messages end at the Media Distributor, and it costs time for every packet.
_EXTENSIONS = (MID, SSRC_AUDIO_LEVEL)


def run_now(coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine that never waits.

    Raises:
        UsageError: it does wait.
    """
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise UsageError("a packet handler of aiortc waits; it can't be run without a task")


def codec_parameters(kind: str, payload_types: dict[str, int]) -> RTCRtpCodecParameters:
    """aiortc's description of the codec of a kind, with the payload type that was agreed on."""
    codec = OPUS if kind == "audio" else VP8
    encoding, rate = codec.name.split("/")[:2]
    return RTCRtpCodecParameters(
        mimeType=f"{kind}/{encoding}",
        clockRate=int(rate),
        channels=2 if kind == "audio" else None,
        payloadType=payload_types[codec.name],
    )


def send_parameters(
    kind: str, mid: str, cname: str, payload_types: dict[str, int], extensions: dict[str, int]
) -> RTCRtpSendParameters:
    """What `RTCRtpSender.send` takes."""
    return RTCRtpSendParameters(
        codecs=[codec_parameters(kind, payload_types)],
        headerExtensions=[
            RTCRtpHeaderExtensionParameters(id=extensions[uri], uri=uri)
            for uri in _EXTENSIONS
            if uri in extensions
        ],
        muxId=mid,
        rtcp=RTCRtcpParameters(cname=cname),
    )


def sender_ssrc(sender: RTCRtpSender) -> int:
    """The SSRC that a sender will use."""
    return sender._ssrc


@dataclass(frozen=True, slots=True)
class SenderReport:
    """One moment by two clocks, as a sender report names it (RFC 3550 section 6.4.1).

    RTCP is protected hop by hop: this is the Media Distributor's word.

    Attributes:
        ntp: seconds of the sender's wall clock, which all of its streams share.
        pts: the same moment in the timestamps of the track's frames.
    """

    ntp: float
    pts: int


class RemoteTrack(MediaStreamTrack):
    """What one remote SSRC sends, decoded.

    Every frame is decoded and counted whether it is read or not. Frames are kept for `recv` from
    its first call on, the latest ones if it falls behind.

    Attributes:
        frames: how many were decoded.
        decode_errors: how many encoded frames the decoder refused.
        last_frame: the latest.
        last_at: when it was decoded, in seconds of the monotonic clock.
        last_rtp_timestamp: of the packets that it came in.
        sender_report: the latest, None before the first.
    """

    def __init__(self, kind: str, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.kind = kind
        self.frames = 0
        self.decode_errors = 0
        self.last_frame: Frame | None = None
        self.last_at: float | None = None
        self.last_rtp_timestamp: int | None = None
        self.sender_report: SenderReport | None = None
        self._reader_loop = loop
        self._frames_kept: asyncio.Queue[Frame | None] | None = None
        self._over = False

    async def recv(self) -> Frame:
        """The next frame.

        Raises:
            MediaStreamError: the stream has ended.
        """
        if self._frames_kept is None:
            self._frames_kept = asyncio.Queue(FRAMES_WAITING)
        if self.readyState != "live" or (self._over and self._frames_kept.empty()):
            raise MediaStreamError
        frame = await self._frames_kept.get()
        if frame is None:
            self.stop()
            raise MediaStreamError
        return frame

    def decoded(self, frame: Frame) -> None:
        """Takes a frame; called by the decoder's thread."""
        self.frames += 1
        self.last_frame = frame
        self.last_at = time.monotonic()
        if self._frames_kept is not None:
            self._reader_loop.call_soon_threadsafe(self._put, frame)

    def end(self) -> None:
        """Says that there will be no further frame; called by the event loop's thread."""
        self._over = True
        self._put(None)

    def _put(self, frame: Frame | None) -> None:
        if self._frames_kept is not None:
            if self._frames_kept.full():
                self._frames_kept.get_nowait()
            self._frames_kept.put_nowait(frame)


class _DecoderQueue:
    """Encoded frames on their way to the decoder; says so when it had to drop them."""

    def __init__(self, dropped: threading.Event) -> None:
        self._queue: queue.SimpleQueue[tuple[RTCRtpCodecParameters, JitterFrame] | None] = (
            queue.SimpleQueue()
        )
        self._dropped = dropped

    def put(self, task: tuple[RTCRtpCodecParameters, JitterFrame] | None) -> None:
        if task is None or self._queue.qsize() >= FRAMES_WAITING:
            self._clear()
            self._dropped.set()
        self._queue.put(task)

    def get(self) -> tuple[RTCRtpCodecParameters, JitterFrame] | None:
        return self._queue.get()

    def _clear(self) -> None:
        while True:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                return


def _decode(
    source: _DecoderQueue, track: RemoteTrack, failed: threading.Event, mapper: TimestampMapper
) -> None:
    """Decodes until there is no more; the body of a thread."""
    decoder = None
    while (task := source.get()) is not None:
        codec, encoded = task
        if decoder is None:
            decoder = get_decoder(codec)
            context = getattr(decoder, "codec", None)
            if isinstance(context, av.CodecContext):
                context.thread_count = 1
        try:
            frames = decoder.decode(encoded)
        except av.FFmpegError:
            track.decode_errors += 1
            failed.set()  # makes the receiver ask for a key frame
            continue
        if frames and mapper._origin is not None:
            track.last_rtp_timestamp = (mapper._origin + encoded.timestamp) % (1 << 32)
        for frame in frames:
            track.decoded(frame)


class Receiver(RTCRtpReceiver):
    """aiortc's receiver for one remote SSRC.

    Args:
        kind: ``"audio"`` or ``"video"``.
        transport: stands where aiortc has its DTLS transport.
        feedback_ssrc: the SSRC that its RTCP comes from.
    """

    def __init__(self, kind: str, transport: Any, feedback_ssrc: int) -> None:
        super().__init__(kind, transport)
        self.remote_track = RemoteTrack(kind, asyncio.get_running_loop())
        self._track = self.remote_track  # type: ignore[assignment]
        self._asked_at = float("-inf")
        self._missing: tuple[int, float] | None = None  # a packet, and since when
        self._set_rtcp_ssrc(feedback_ssrc)

    async def receive(self, parameters: RTCRtpReceiveParameters) -> None:
        """Starts the decoder, and reports to the sender."""
        failed = self._RTCRtpReceiver__decoder_error  # type: ignore[attr-defined]
        mapper = self._RTCRtpReceiver__timestamp_mapper  # type: ignore[attr-defined]
        frames = _DecoderQueue(failed)
        thread = threading.Thread(
            target=_decode, args=(frames, self.remote_track, failed, mapper), daemon=True
        )
        thread.start()
        for codec in parameters.codecs:
            self._RTCRtpReceiver__codecs[codec.payloadType] = codec  # type: ignore[attr-defined]
        self._RTCRtpReceiver__decoder_queue = frames
        self._RTCRtpReceiver__decoder_thread = thread
        self.transport._register_rtp_receiver(self, parameters)
        self._RTCRtpReceiver__rtcp_task = asyncio.ensure_future(self._run_rtcp())
        self._RTCRtpReceiver__started = True

    def resume(self, ssrc: int) -> None:
        """Begins anew with the next packet: those that are missing will never come."""
        buffer = self._RTCRtpReceiver__jitter_buffer  # type: ignore[attr-defined]
        if buffer._origin is not None:
            buffer.remove(buffer.capacity)
            buffer._origin = None
        nack = self._RTCRtpReceiver__nack_generator  # type: ignore[attr-defined]
        if nack is not None:
            nack.missing.clear()
            nack.max_seq = None
            self.request_keyframe(ssrc)
        self._missing = None

    def request_keyframe(self, ssrc: int) -> None:
        """Asks the sender of a video stream for a key frame."""
        run_now(self._send_rtcp_pli(ssrc))

    async def stop(self) -> None:
        """Stops decoding; the track ends."""
        await super().stop()
        self.remote_track.end()

    async def _handle_rtp_packet(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        await super()._handle_rtp_packet(packet, arrival_time_ms)
        nack = self._RTCRtpReceiver__nack_generator  # type: ignore[attr-defined]
        now = time.monotonic()
        if nack is None or not nack.missing:
            self._missing = None
        elif self._missing is None or self._missing[0] not in nack.missing:
            self._missing = next(iter(nack.missing)), now
        elif now - self._missing[1] >= MISSING_PATIENCE:
            self.resume(packet.ssrc)

    async def _handle_rtcp_packet(self, packet: AnyRtcpPacket) -> None:
        mapper = self._RTCRtpReceiver__timestamp_mapper  # type: ignore[attr-defined]
        if isinstance(packet, RtcpSrPacket) and mapper._origin is not None:
            info = packet.sender_info
            # Timestamps wrap at 32 bits; the report is of a moment near the latest frame.
            ahead = (info.rtp_timestamp - mapper._last + (1 << 31)) % (1 << 32) - (1 << 31)
            pts = mapper._last - mapper._origin + ahead
            self.remote_track.sender_report = SenderReport(info.ntp_timestamp / (1 << 32), pts)
        await super()._handle_rtcp_packet(packet)

    async def _send_rtcp_pli(self, media_ssrc: int) -> None:
        now = time.monotonic()
        if now - self._asked_at >= KEYFRAME_REQUEST_INTERVAL:
            self._asked_at = now
            await super()._send_rtcp_pli(media_ssrc)


def start_receiver(
    kind: str, ssrc: int, transport: Any, feedback_ssrc: int, payload_types: dict[str, int]
) -> Receiver:
    """A receiver that takes the packets of one SSRC from now on."""
    receiver = Receiver(kind, transport, feedback_ssrc)
    codec = codec_parameters(kind, payload_types)
    parameters = RTCRtpReceiveParameters(
        codecs=[codec],
        encodings=[RTCRtpDecodingParameters(ssrc=ssrc, payloadType=codec.payloadType or 0)],
    )
    run_now(receiver.receive(parameters))
    return receiver
