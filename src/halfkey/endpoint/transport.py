"""The asyncio shell around an `Association`: ICE below it, aiortc's senders and receivers above.

One datagram takes one way, without a task of its own: socket, `ICEAgent`, `Association`, the
receiver's jitter buffer. To aiortc this stands where its RTCDtlsTransport stands; the methods with
a leading underscore are those that aiortc calls.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any, Protocol

from aiortc.rtcrtpparameters import RTCRtpReceiveParameters, RTCRtpSendParameters
from aiortc.rtcrtpsender import RTCRtpSender
from aiortc.rtp import (
    RTCP_PSFB_FIR,
    AnyRtcpPacket,
    RtcpByePacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
    RtpPacket,
)
from aiortc.stats import RTCStatsReport

from halfkey.demux import PacketKind, classify
from halfkey.dtls import Certificate, Configuration, Connection, Fingerprint, Role
from halfkey.ekt.messages import EKTCipher
from halfkey.ekt.outbound import Kind
from halfkey.endpoint.aiortc_adapter import Receiver, run_now, sender_ssrc
from halfkey.endpoint.core import Association, CoreEvent, Disclose
from halfkey.endpoint.ice import ICEAgent
from halfkey.endpoint.statistics import Statistics
from halfkey.engine_timer import EngineTimer
from halfkey.errors import UsageError
from halfkey.profiles import SRTPProtectionProfile
from halfkey.sdp.transport import Transport as TransportDescription

_FIR_ENTRY = 8  # bytes (RFC 5104 section 4.3.1.1)


REASSOCIATION_TIMEOUT = 6.0
"""Seconds that a second handshake may last: enough for four retransmissions of a flight. It can be
tried again, while nothing is lost by it."""


@dataclass(frozen=True, slots=True)
class ConsentLost:
    """The Media Distributor has not answered for 30 s (RFC 7675): nothing is sent any more."""

    at: float


TransportEvent = CoreEvent | ConsentLost


class Owner(Protocol):
    """Who has a transport and is told what happens on it."""

    def association_event(self, event: TransportEvent) -> None:
        """Something happened to the keys, or to the path."""

    def new_stream(self, ssrc: int) -> Receiver | None:
        """A packet of this SSRC opened for the first time; None: it isn't wanted."""

    def stream_ended(self, ssrc: int) -> None:
        """The source said goodbye (hop by hop: the Media Distributor may have made it up)."""


class Transport:
    """One Endpoint's transport to the Media Distributor, keyed by the Key Distributor.

    Args:
        owner: who is told what happens.
        certificate: of the DTLS client; its fingerprint was offered.
        tls_id: the external_session_id; it was offered.
        profiles: the double profiles to offer, best first.
        statistics: where to count.
        disclose: see `Association`.
    """

    def __init__(
        self,
        owner: Owner,
        *,
        certificate: Certificate,
        tls_id: str,
        profiles: tuple[SRTPProtectionProfile, ...],
        statistics: Statistics,
        disclose: Disclose | None = None,
    ) -> None:
        self.ice = ICEAgent(self._datagram_received, self._consent_lost)
        self._owner = owner
        self._certificate = certificate
        self._tls_id = tls_id
        self._profiles = profiles
        self._statistics = statistics
        self._disclose = disclose
        self._association: Association | None = None
        self._configuration: Configuration | None = None
        self._was_connected = False
        self._timer = EngineTimer(self._timer_due)
        self._senders: dict[int, RTCRtpSender] = {}
        self._receivers: dict[int, Receiver] = {}
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._stats_id = f"transport_{id(self)}"

    @property
    def state(self) -> str:
        """What aiortc asks: ``"new"``, ``"connected"`` or ``"closed"``."""
        if self._closed:
            return "closed"
        return "connected" if self._was_connected else "new"

    @property
    def ekt_spi(self) -> int | None:
        """The SPI of the newest EKTKey, None before the first."""
        return None if self._association is None else self._association.ekt_spi

    async def connect(
        self,
        remote: TransportDescription,
        sources: dict[int, Kind],
        id_hashes: tuple[bytes, bytes] | None = None,
        *,
        handshake_timeout: float = 20.0,
    ) -> None:
        """Finds a path and begins the handshake; its end comes as an event.

        Args:
            remote: the answer's: the Key Distributor's identity, the Media Distributor's path.
            sources: SSRC and kind of what will be sent.
            id_hashes: our external_id_hash, and the Key Distributor's (RFC 8844 section 3.2); None
                where no identity was asserted.
            handshake_timeout: seconds that the handshake may last.

        Raises:
            ICEFailedError: the Media Distributor doesn't answer.
        """
        if self._association is not None or self._closed:
            raise UsageError("a transport connects once; renew it to connect it again")
        configuration = Configuration(
            role=Role.CLIENT,
            certificate=self._certificate,
            srtp_profiles=self._profiles,
            ekt_ciphers=(EKTCipher.AESKW256, EKTCipher.AESKW128),
            external_session_id=self._tls_id.encode(),
            peer_fingerprints=(Fingerprint.parse(remote.fingerprint),),
            peer_external_session_id=remote.tls_id.encode(),
            external_id_hash=b"" if id_hashes is None else id_hashes[0],
            peer_external_id_hash=None if id_hashes is None else id_hashes[1],
            handshake_timeout=handshake_timeout,
        )
        addresses = [(candidate.address, candidate.port) for candidate in remote.candidates]
        await self.ice.connect_to(remote.ice_ufrag, remote.ice_pwd, addresses)
        connection = Connection(configuration, remote.ice_ufrag.encode())
        association = Association(connection, self._statistics, self._disclose)
        now = self._loop.time()
        for ssrc, kind in sources.items():
            association.add_source(ssrc, kind, now)
        self._association, self._configuration = association, configuration
        self._was_connected = True
        association.start(now)
        self._drain()

    def reassociate(self) -> bool:
        """Begins a second handshake with the same Key Distributor; its end comes as an event.

        Media goes on under the keys in use until it is complete, and if it fails.

        Returns:
            False where one is under way, or there is no association to take the place of.
        """
        association, configuration = self._association, self._configuration
        if self._closed or association is None or configuration is None:
            return False
        if association.is_reassociating or not association.is_keyed:
            return False
        configuration = replace(configuration, handshake_timeout=REASSOCIATION_TIMEOUT)
        connection = Connection(configuration, (self.ice.remote_username or "").encode())
        association.reassociate(connection, self._loop.time())
        self._drain()
        return True

    async def renew(self, certificate: Certificate, tls_id: str) -> None:
        """Gives up path and association, to `connect` anew; senders may go on sending meanwhile.

        Args:
            certificate: of the next DTLS client.
            tls_id: the next external_session_id.
        """
        association, self._association = self._association, None
        self._configuration = None
        self._timer.arm(None)
        if association is not None:
            association.close(self._loop.time())
            for datagram in association.datagrams_to_send():
                self.ice.transmit(datagram)
        self._certificate, self._tls_id = certificate, tls_id
        old, self.ice = self.ice, ICEAgent(self._datagram_received, self._consent_lost)
        await old.close()

    def end_association(self) -> None:
        """Says close_notify to the Key Distributor; the keys and the socket stay."""
        if self._association is not None:
            self._association.close(self._loop.time())
            self._drain()

    async def close(self) -> None:
        """Ends all of it; senders and receivers must have been stopped."""
        if self._closed:
            return
        self.end_association()
        self._closed = True
        self._timer.close()
        await self.ice.close()

    # Datagrams in

    def _datagram_received(self, kind: PacketKind, data: bytes) -> None:
        association = self._association
        if association is None or self._closed:
            return
        if kind is PacketKind.RTP:
            self._rtp_received(association, data)
        elif kind is PacketKind.RTCP:
            self._rtcp_received(association, data)
        elif kind is PacketKind.DTLS:
            association.receive_dtls(data, self._loop.time())
            self._drain()

    def _rtp_received(self, association: Association, data: bytes) -> None:
        now = self._loop.time()
        opened = association.open_rtp(data, now)
        if opened is None:
            self._tell_events(association)
            return
        receiver = self._receivers.get(opened.ssrc)
        fresh = receiver is None
        if receiver is None:
            receiver = self._owner.new_stream(opened.ssrc)
            if receiver is None:
                self._statistics.rejections["unknown_source"] += 1
                return
        try:
            # Header extensions are hints of the hop (RFC 8723 section 5.3): none is needed here.
            packet = RtpPacket.parse(opened.packet)
            if not fresh and self._statistics.stream(opened.ssrc).has_resumed:
                receiver.resume(opened.ssrc)  # what was refused won't come again
            run_now(receiver._handle_rtp_packet(packet, arrival_time_ms=round(now * 1000)))
            if fresh and receiver.remote_track.kind == "video":
                # We may have come in the middle of things: without this the picture would have
                # to wait until the decoder has failed once.
                receiver.request_keyframe(opened.ssrc)
        except Exception:
            # aiortc's parsers take a peer's packet for well-formed, and raise whatever if it isn't.
            self._statistics.rejections["payload"] += 1

    def _rtcp_received(self, association: Association, data: bytes) -> None:
        opened = association.open_rtcp(data)
        if opened is None:
            return
        try:
            for packet in RtcpPacket.parse(opened):
                self._dispatch_rtcp(packet)
        except Exception:
            self._statistics.rejections["rtcp"] += 1  # as above

    def _dispatch_rtcp(self, packet: AnyRtcpPacket) -> None:
        """Finds those that a packet concerns, by SSRC (RFC 3550 section 6, RFC 4585 section 6)."""
        concerned: list[Any] = []
        if isinstance(packet, RtcpSrPacket):
            concerned.append(self._receivers.get(packet.ssrc))
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            concerned += [self._senders.get(report.ssrc) for report in packet.reports]
        elif isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_FIR:
            # FIR names its targets in its entries; its media SSRC is 0 (RFC 5104 section 4.3.1.2).
            starts = range(0, len(packet.fci), _FIR_ENTRY)
            targets = [int.from_bytes(packet.fci[at : at + 4], "big") for at in starts]
            concerned += [self._senders.get(ssrc) for ssrc in targets]
        elif isinstance(packet, RtcpPsfbPacket | RtcpRtpfbPacket):
            concerned.append(self._senders.get(packet.media_ssrc))
        elif isinstance(packet, RtcpByePacket):
            for ssrc in packet.sources:
                if ssrc in self._receivers:
                    self._owner.stream_ended(ssrc)
        for stream in concerned:
            if stream is not None:
                run_now(stream._handle_rtcp_packet(packet))

    # The association's output and timer

    def _drain(self) -> None:
        association = self._association
        if association is None:
            return
        for datagram in association.datagrams_to_send():
            self.ice.transmit(datagram)
        self._tell_events(association)
        if association is self._association:
            self._timer.arm(association.next_timer())

    def _tell_events(self, association: Association) -> None:
        while (event := association.next_event()) is not None:
            self._owner.association_event(event)

    def _consent_lost(self) -> None:
        if not self._closed:
            self._owner.association_event(ConsentLost(self._loop.time()))

    def _timer_due(self) -> None:
        if self._association is not None and not self._closed:
            self._association.handle_timer(self._loop.time())
            self._drain()

    # What aiortc calls

    async def _send_rtp(self, data: bytes) -> None:
        """Seals and sends RTP or RTCP.

        Raises:
            ConnectionError: the transport is closed; aiortc's sender ends on it.
        """
        if self._closed or not self._was_connected:
            raise ConnectionError("the transport is closed")
        if self._association is None:
            self._statistics.unsent["not_connected"] += 1
            return
        if classify(data) is PacketKind.RTCP:
            sealed = self._association.seal_rtcp(data)
        else:
            sealed = self._association.seal_rtp(data, self._loop.time())
        if sealed is not None and not self.ice.transmit(sealed):
            self._statistics.unsent["no_consent"] += 1

    def _register_rtp_sender(self, sender: RTCRtpSender, parameters: RTCRtpSendParameters) -> None:
        self._senders[sender_ssrc(sender)] = sender

    def _unregister_rtp_sender(self, sender: RTCRtpSender) -> None:
        self._senders.pop(sender_ssrc(sender), None)

    def _register_rtp_receiver(
        self, receiver: Receiver, parameters: RTCRtpReceiveParameters
    ) -> None:
        for encoding in parameters.encodings:
            self._receivers[encoding.ssrc] = receiver

    def _unregister_rtp_receiver(self, receiver: Receiver) -> None:
        for ssrc in [ssrc for ssrc, known in self._receivers.items() if known is receiver]:
            del self._receivers[ssrc]

    def _get_stats(self) -> RTCStatsReport:
        return RTCStatsReport()
