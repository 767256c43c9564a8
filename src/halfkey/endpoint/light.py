"""A light Endpoint: all of an Endpoint but the codecs, so that hundreds fit into one process.

Link, offer and answer, ICE, DTLS, EKT and Double are an Endpoint's own. What it sends is bytes that
its user gives, in the place of coded sound; what it opens goes to its user as it is. It is for
measurements and load: it doesn't follow the Focus's events, so it learns nothing of people.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable

from halfkey._media import UnprotectedPacket
from halfkey.dtls import Certificate
from halfkey.ekt.outbound import Kind
from halfkey.endpoint.aiortc_adapter import Receiver, run_now
from halfkey.endpoint.client import FocusClient
from halfkey.endpoint.core import (
    Association,
    AssociationTerminated,
    Disclose,
    EKTKeyInstalled,
)
from halfkey.endpoint.membership import Membership
from halfkey.endpoint.statistics import Statistics
from halfkey.endpoint.transport import Transport, TransportEvent
from halfkey.errors import HalfkeyError, UsageError
from halfkey.identity.credential import Credential
from halfkey.identity.link import Link
from halfkey.profiles import DOUBLE_128, SRTPProtectionProfile
from halfkey.sdp import Offer, build_offer, read_answer
from halfkey.sdp.codecs import OPUS
from halfkey.sdp.transport import Transport as TransportDescription

_TLS_ID_BYTES = 30
_CNAME_BYTES = 12  # 96 bits (RFC 7022 section 4.2)
_JOIN_TIMEOUT = 60.0
_TICKS = 960  # of 48 kHz in 20 ms, what a packet of Opus usually holds

OnOpened = Callable[[UnprotectedPacket], None]
OnEvent = Callable[[TransportEvent], None]


class _LightTransport(Transport):
    """Hands on what opens, and decodes none of it."""

    on_opened: OnOpened

    def _rtp_received(self, association: Association, data: bytes) -> None:
        opened = association.open_rtp(data, self._loop.time())
        if opened is not None:
            self.on_opened(opened)


class LightEndpoint:
    """One participant without codecs; made inside a running event loop, used once.

    Attributes:
        statistics: counters.
        ssrc: of the one audio source that it declares; None for who only listens.

    Args:
        link: what to join by.
        sends: whether it declares a source.
        slots: how many others to hear, or to see, at once.
        on_opened: called with each packet that opened end to end.
        on_event: called with what happens to keys and path, after we have taken note of it.
        kind: of its source and its slots.
        profile: the double profile that it offers.
        disclose: see `Association`: whoever is to seal in its place needs the keys.
    """

    def __init__(
        self,
        link: Link,
        *,
        sends: bool = True,
        slots: int = 1,
        on_opened: OnOpened = lambda _: None,
        on_event: OnEvent = lambda _: None,
        kind: Kind = "audio",
        profile: SRTPProtectionProfile = DOUBLE_128,
        disclose: Disclose | None = None,
    ) -> None:
        self.statistics = Statistics()
        self.ssrc = 1 + secrets.randbelow(0xFFFFFFFF) if sends else None
        self._link = link
        self._kind: Kind = kind
        self._slots = slots
        self._is_lent = False
        self._on_event = on_event
        self._certificate = Certificate.generate()
        self._tls_id = secrets.token_hex(_TLS_ID_BYTES)
        self._membership = Membership(Credential.of(link), lambda _: None)
        self._keyed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport = _LightTransport(
            self,
            certificate=self._certificate,
            tls_id=self._tls_id,
            profiles=(profile,),
            statistics=self.statistics,
            disclose=disclose,
        )
        self._transport.on_opened = on_opened
        self._sequence_number = secrets.randbits(15)
        self._timestamp = secrets.randbits(32)

    @property
    def ekt_spi(self) -> int | None:
        """The SPI of the newest EKTKey, None before the first."""
        return self._transport.ekt_spi

    async def join(self, client: FocusClient) -> None:
        """Joins, and returns once the Key Distributor has given us an EKTKey.

        Args:
            client: of the link's Focus and conference; many may share one.

        Raises:
            HalfkeyError: that was not to be; `close` is still to be called.
        """
        offer = self._make_offer()
        participation = await client.join(offer.text)
        answer = read_answer(participation.answer, offer)
        hashes = self._membership.verify(answer)
        self._membership.close()
        try:
            async with asyncio.timeout(_JOIN_TIMEOUT):
                kinds = {} if self.ssrc is None else {self.ssrc: self._kind}
                await self._transport.connect(
                    answer.transport, kinds, hashes, handshake_timeout=_JOIN_TIMEOUT
                )
                await self._keyed
        except TimeoutError:
            raise HalfkeyError(f"{self._link.name}: no keys in {_JOIN_TIMEOUT:g} s") from None

    def send(self, payload: bytes) -> None:
        """Sends a packet of 20 ms with this payload; counted as unsent where there are no keys.

        Raises:
            UsageError: it has no source, or its socket is lent: then another one seals.
            ConnectionError: it is closed, or hasn't joined.
        """
        if self.ssrc is None:
            raise UsageError("this light Endpoint only listens")
        if self._is_lent:
            raise UsageError("another one sends by this light Endpoint's socket and keys")
        self._sequence_number = (self._sequence_number + 1) & 0xFFFF
        self._timestamp = (self._timestamp + _TICKS) & 0xFFFFFFFF
        header = (
            bytes((0x80, OPUS.payload_type))
            + self._sequence_number.to_bytes(2, "big")
            + self._timestamp.to_bytes(4, "big")
            + self.ssrc.to_bytes(4, "big")
        )
        run_now(self._transport._send_rtp(header + payload))

    def lend_socket(self) -> socket.socket:
        """Gives the socket of its path to somebody who reads it, and seals with its keys from now
        on, instead of it: no index of a key may be used twice. It stays ours to close.

        ICE and DTLS go on here, with what is given to `hand_back`.

        Raises:
            UsageError: it has sent already.
            ICEFailedError: it has not joined.
        """
        if self.statistics.sent:
            raise UsageError("this light Endpoint has sent already")
        lent = self._transport.ice.lend_socket()
        self._is_lent = True
        return lent

    def hand_back(self, datagram: bytes) -> None:
        """Takes what came to the socket that was lent, and isn't media."""
        self._transport.ice.hand_back(datagram)

    async def close(self) -> None:
        """Ends all of it; the Focus learns of it from the Media Distributor."""
        self._membership.close()
        await self._transport.close()

    def _make_offer(self) -> Offer:
        ssrcs = () if self.ssrc is None else (self.ssrc,)
        fingerprint = self._certificate.fingerprint()
        own_end = TransportDescription(
            fingerprint=str(fingerprint),
            tls_id=self._tls_id,
            ice_ufrag=self._transport.ice.local_username,
            ice_pwd=self._transport.ice.local_password,
        )
        return build_offer(
            session_id=secrets.randbits(62),
            transport=own_end,
            sources=[(self._kind, ssrc) for ssrc in ssrcs],
            audio_slots=self._slots if self._kind == "audio" else 0,
            video_slots=self._slots if self._kind == "video" else 0,
            cname=secrets.token_urlsafe(_CNAME_BYTES),
            name=self._link.name,
            identity=self._membership.assert_identity(fingerprint, self._tls_id, ssrcs),
        )

    # What the transport tells

    def association_event(self, event: TransportEvent) -> None:
        """Something happened to the keys, or to the path."""
        if not self._keyed.done():
            if isinstance(event, EKTKeyInstalled):
                self._keyed.set_result(None)
            elif isinstance(event, AssociationTerminated):
                self._keyed.set_exception(HalfkeyError(f"{self._link.name}: {event.reason}"))
        self._on_event(event)

    def new_stream(self, ssrc: int) -> Receiver | None:
        """There are no receivers here."""
        return None

    def stream_ended(self, ssrc: int) -> None:
        """Nothing here depends on it."""
