"""aiortc's own sender and our receiver, with nothing in between but a function call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters, RTCRtpSendParameters
from aiortc.rtcrtpsender import RTCRtpSender
from aiortc.rtp import (
    RTCP_PSFB_PLI,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
    RtpPacket,
)
from aiortc.stats import RTCStatsReport

from halfkey.endpoint import aiortc_adapter
from halfkey.endpoint.aiortc_adapter import (
    FRAMES_WAITING,
    Receiver,
    SenderReport,
    run_now,
    send_parameters,
    sender_ssrc,
    start_receiver,
)
from halfkey.endpoint.media import PictureTrack, ToneTrack, VideoShape, frequency_of
from halfkey.errors import UsageError
from tests.endpoint.waiting import until

PAYLOAD_TYPES = {"opus/48000/2": 111, "VP8/90000": 96}
EXTENSIONS = {"urn:ietf:params:rtp-hdrext:sdes:mid": 1}


class Wire:
    """Carries packets of one sender to a receiver that starts when it is told to."""

    state = "connected"
    _stats_id = "wire"

    def __init__(self) -> None:
        self.receiver: Receiver | None = None
        self.sender: RTCRtpSender | None = None
        self.requests = 0
        self.lose: Callable[[bytes], bool] | None = None
        self.lost = 0

    async def _send_rtp(self, data: bytes) -> None:
        if 192 <= data[1] <= 223:
            for packet in RtcpPacket.parse(data):
                if isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_PLI:
                    self.requests += 1
                    assert self.sender is not None
                    run_now(self.sender._handle_rtcp_packet(packet))
        elif self.lose is not None and self.lose(data):
            self.lost += 1
        elif self.receiver is not None:
            run_now(self.receiver._handle_rtp_packet(RtpPacket.parse(data), arrival_time_ms=0))

    def _register_rtp_sender(self, sender: Any, parameters: RTCRtpSendParameters) -> None:
        self.sender = sender

    def _register_rtp_receiver(self, receiver: Any, parameters: RTCRtpReceiveParameters) -> None:
        self.receiver = receiver

    def _unregister_rtp_sender(self, sender: Any) -> None:
        self.sender = None

    def _unregister_rtp_receiver(self, receiver: Any) -> None:
        self.receiver = None

    def _get_stats(self) -> RTCStatsReport:
        return RTCStatsReport()


async def start(track: MediaStreamTrack) -> tuple[Wire, RTCRtpSender]:
    wire = Wire()
    sender = RTCRtpSender(track, wire)  # type: ignore[arg-type]
    await sender.send(send_parameters(track.kind, "0", "cname", PAYLOAD_TYPES, EXTENSIONS))
    return wire, sender


def receive(wire: Wire, sender: RTCRtpSender) -> Receiver:
    return start_receiver(sender.kind, sender_ssrc(sender), wire, 77, PAYLOAD_TYPES)


async def test_a_tone_is_heard() -> None:
    wire, sender = await start(ToneTrack(450))
    receiver = receive(wire, sender)
    frames = [await receiver.remote_track.recv() for _ in range(12)]
    assert frequency_of(frames[-1]) == pytest.approx(450, abs=15)  # type: ignore[arg-type]
    assert receiver.remote_track.frames >= 12
    await sender.stop()
    await receiver.stop()
    while not receiver.remote_track._frames_kept.empty():  # type: ignore[union-attr]
        await receiver.remote_track._frames_kept.get()  # type: ignore[union-attr]
    with pytest.raises(MediaStreamError):
        await receiver.remote_track.recv()


async def test_a_receiver_that_comes_late_gets_its_key_frame() -> None:
    wire, sender = await start(PictureTrack("Alice", 0, VideoShape(160, 90, 30)))
    await asyncio.sleep(0.3)
    receiver = receive(wire, sender)
    receiver.request_keyframe(sender_ssrc(sender))
    await until(lambda: receiver.remote_track.frames >= 5)
    assert wire.requests >= 1
    frame = receiver.remote_track.last_frame
    assert (frame.width, frame.height) == (160, 90)  # type: ignore[union-attr]
    await sender.stop()
    await receiver.stop()


async def test_requests_for_key_frames_are_limited_in_rate() -> None:
    wire, sender = await start(PictureTrack("Alice", 0, VideoShape(160, 90, 30)))
    receiver = receive(wire, sender)
    for _ in range(50):
        receiver.request_keyframe(sender_ssrc(sender))
    assert wire.requests == 1
    await sender.stop()
    await receiver.stop()


async def test_a_sender_report_names_its_moment_in_the_frames_timestamps() -> None:
    wire, sender = await start(ToneTrack(450))
    receiver = receive(wire, sender)
    track = receiver.remote_track

    def report(timestamp: int) -> None:
        info = RtcpSenderInfo(5 << 31, timestamp % (1 << 32), packet_count=0, octet_count=0)
        run_now(receiver._handle_rtcp_packet(RtcpSrPacket(sender_ssrc(sender), info)))

    report(0)
    assert track.sender_report is None, "nothing to relate it to before the first frame"
    await until(lambda: track.frames >= 3)
    origin = receiver._RTCRtpReceiver__timestamp_mapper._origin  # type: ignore[attr-defined]
    report(origin + 960)
    assert track.sender_report == SenderReport(2.5, 960)
    report(origin - 960)
    assert track.sender_report == SenderReport(2.5, -960)
    await sender.stop()
    await receiver.stop()


async def test_a_track_that_nobody_reads_keeps_no_frames() -> None:
    wire, sender = await start(ToneTrack(450))
    receiver = receive(wire, sender)
    track = receiver.remote_track
    await until(lambda: track.frames >= 10)
    first = asyncio.ensure_future(track.recv())
    await asyncio.sleep(0)
    before = track.frames
    await first
    assert track.frames > before, "the frame that was read came after reading began"
    await sender.stop()
    await receiver.stop()


async def test_a_slow_reader_gets_the_latest_frames() -> None:
    wire, sender = await start(ToneTrack(450))
    receiver = receive(wire, sender)
    track = receiver.remote_track
    await track.recv()
    frame = track.last_frame
    assert frame is not None
    for number in range(3 * FRAMES_WAITING):
        frame.pts = number
        track._put(frame)
    assert track._frames_kept is not None
    assert track._frames_kept.qsize() == FRAMES_WAITING
    await sender.stop()
    await receiver.stop()


def test_a_handler_that_waits_is_refused() -> None:
    async def waits() -> None:
        await asyncio.sleep(0)

    with pytest.raises(UsageError, match="waits"):
        run_now(waits())


async def test_a_packet_that_never_comes_does_not_hold_up_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aiortc_adapter, "MISSING_PATIENCE", 0.2)
    wire, sender = await start(PictureTrack("Alice", 0, VideoShape(160, 90, 15)))
    receiver = start_receiver("video", sender_ssrc(sender), wire, 1, PAYLOAD_TYPES)
    receiver.request_keyframe(sender_ssrc(sender))
    await until(lambda: receiver.remote_track.frames >= 5)
    lost: list[bytes] = []

    def lose(data: bytes) -> bool:
        """One packet, and it alone, also when it is sent again."""
        lost[:] = lost or [data[2:4]]
        return data[2:4] == lost[0]

    wire.lose = lose
    await until(lambda: wire.lost)
    before, asked = receiver.remote_track.frames, wire.requests
    await until(lambda: receiver.remote_track.frames >= before + 15)  # aiortc alone: 512 packets
    assert wire.requests > asked
    await asyncio.gather(sender.stop(), receiver.stop())
