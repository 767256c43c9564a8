"""A small relay that stands for the Media and Key Distributors: real ICE, DTLS, SRTP and EKT.

It answers ICE checks, is the DTLS server, hands out EKTKeys, and re-seals every packet with the
receiver's hop key. It is written for tests: one socket, no limits.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from aioice import stun

from halfkey._media import SrtpReceiver, SrtpSender
from halfkey.demux import PacketKind, classify
from halfkey.dtls import (
    Certificate,
    Configuration,
    Connection,
    ConnectionTerminated,
    EKTKeyAcknowledged,
    Fingerprint,
    HandshakeCompleted,
    Role,
)
from halfkey.ekt.messages import EKTCipher, EKTKey
from halfkey.errors import PacketRejected
from halfkey.profiles import DOUBLE_128, SRTPProtectionProfile
from halfkey.sdp import Candidate, Setup
from halfkey.sdp import Transport as TransportDescription

Address = tuple[str, int]


@dataclass
class Peer:
    """One Endpoint as the relay sees it."""

    ufrag: str
    pwd: str
    tls_id: str
    connection: Connection
    address: Address | None = None
    hop_in: SrtpReceiver | None = None
    hop_out: SrtpSender | None = None
    acknowledged: list[int] = field(default_factory=list)
    terminated: bool = False
    deaf: bool = False


class Relay(asyncio.DatagramProtocol):
    """Runs on loopback; `expect` lets an Endpoint in."""

    def __init__(self, profile: SRTPProtectionProfile = DOUBLE_128) -> None:
        self.profile = profile
        self.certificate = Certificate.generate()
        self.peers: list[Peer] = []
        self.ekt_key = new_ekt_key(1, profile)
        self.refused: list[str] = []
        self.lose: Callable[[bytes], bool] = lambda _: False
        self._transport: asyncio.DatagramTransport | None = None
        self._ticker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self._ticker = loop.create_task(self._tick())

    async def stop(self) -> None:
        assert self._transport is not None
        assert self._ticker is not None
        self._ticker.cancel()
        self._transport.close()

    @property
    def address(self) -> Address:
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")[:2]
        return host, port

    def expect(self, fingerprint: Fingerprint, tls_id: str) -> tuple[Peer, TransportDescription]:
        """Admits an Endpoint; gives its answer's transport."""
        own_tls_id = secrets.token_hex(20)
        cipher = EKTCipher.AESKW128 if self.profile is DOUBLE_128 else EKTCipher.AESKW256
        configuration = Configuration(
            role=Role.SERVER,
            certificate=self.certificate,
            srtp_profiles=(self.profile,),
            ekt_ciphers=(cipher,),
            external_session_id=own_tls_id.encode(),
            peer_fingerprints=(fingerprint,),
            peer_external_session_id=tls_id.encode(),
        )
        ufrag, pwd = secrets.token_hex(4), secrets.token_hex(16)
        connection = Connection(configuration, ufrag.encode())
        peer = Peer(ufrag, pwd, own_tls_id, connection)
        self.peers.append(peer)
        description = TransportDescription(
            fingerprint=str(self.certificate.fingerprint()),
            tls_id=own_tls_id,
            ice_ufrag=ufrag,
            ice_pwd=pwd,
            setup=Setup.PASSIVE,
            candidates=(Candidate.host(*self.address, 0),),
            ice_lite=True,
        )
        return peer, description

    def rekey(self, *, without: tuple[Peer, ...] = ()) -> EKTKey:
        """A new EKTKey for all but some."""
        self.ekt_key = new_ekt_key(self.ekt_key.ekt_spi + 1, self.profile)
        now = asyncio.get_running_loop().time()
        for peer in self.peers:
            if peer not in without and peer.hop_in is not None and not peer.terminated:
                peer.connection.send_ekt_key(self.ekt_key, now)
                self._drain(peer)
        return self.ekt_key

    # Datagrams

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        address = (str(addr[0]), int(addr[1]))  # type: ignore[call-overload]
        kind = classify(data)
        if kind is PacketKind.STUN:
            self._stun(data, address)
            return
        peer = next((peer for peer in self.peers if peer.address == address), None)
        if peer is None:
            return
        if kind is PacketKind.DTLS:
            peer.connection.receive_datagram(data, asyncio.get_running_loop().time())
            self._drain(peer)
        elif peer.hop_in is not None and not self.lose(data):
            try:
                self._forward(peer, kind, data)
            except PacketRejected as rejection:
                self.refused.append(rejection.reason)

    def _stun(self, data: bytes, address: Address) -> None:
        request = stun.parse_message(data)
        ufrag = request.attributes["USERNAME"].partition(":")[0]
        peer = next(peer for peer in self.peers if peer.ufrag == ufrag)
        if peer.deaf or not request.check_message_integrity(peer.pwd.encode()):
            return
        response = stun.Message(
            stun.Method.BINDING, stun.Class.RESPONSE, transaction_id=request.transaction_id
        )
        response.attributes["XOR-MAPPED-ADDRESS"] = address
        response.add_message_integrity(peer.pwd.encode())
        self._send(bytes(response), address)
        if "USE-CANDIDATE" in request.attributes:
            peer.address = address

    def _forward(self, sender: Peer, kind: PacketKind, data: bytes) -> None:
        assert sender.hop_in is not None
        others = [peer for peer in self.peers if peer is not sender and peer.hop_out is not None]
        if kind is PacketKind.RTCP:
            opened = sender.hop_in.unprotect_rtcp(data)
            for peer in others:
                assert peer.hop_out is not None
                self._send(peer.hop_out.protect_rtcp(opened), peer.address)
            return
        length = 1 if data[-1] == 0 else int.from_bytes(data[-3:-1], "big")
        opened, field_bytes = sender.hop_in.unprotect(data[:-length]), data[-length:]
        for peer in others:
            assert peer.hop_out is not None
            self._send(peer.hop_out.protect(opened) + field_bytes, peer.address)

    def _drain(self, peer: Peer) -> None:
        now = asyncio.get_running_loop().time()
        while (event := peer.connection.next_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                hop, keys = self.profile.parameters.hop_profile, event.keying_material.outer()
                peer.hop_in = SrtpReceiver(hop, keys.client_write_key, keys.client_write_salt)
                peer.hop_out = SrtpSender(hop, keys.server_write_key, keys.server_write_salt)
                peer.connection.send_ekt_key(self.ekt_key, now)
            elif isinstance(event, EKTKeyAcknowledged):
                peer.acknowledged.append(event.ekt_spi)
            elif isinstance(event, ConnectionTerminated):
                peer.terminated = True
        for datagram in peer.connection.datagrams_to_send():
            self._send(datagram, peer.address)

    def _send(self, data: bytes, address: Address | None) -> None:
        if self._transport is not None and address is not None:
            self._transport.sendto(data, address)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            now = asyncio.get_running_loop().time()
            for peer in self.peers:
                due = peer.connection.next_timer()
                if due is not None and due <= now:
                    peer.connection.handle_timer(now)
                    self._drain(peer)


def new_ekt_key(spi: int, profile: SRTPProtectionProfile, ttl: int = 3600) -> EKTKey:
    """A random EKTKey."""
    return EKTKey(os.urandom(16 if profile is DOUBLE_128 else 32), os.urandom(12), spi, ttl)
