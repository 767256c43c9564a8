"""One Endpoint's association with a conference, without I/O: DTLS, EKT and Double together.

    datagram --receive_dtls--> Connection --EKTKeyReceived--> InboundEKT, OutboundEKT
    RTP packet --seal_rtp--> EKT Field, inner layer, outer layer --> datagram
    datagram --open_rtp--> outer layer, EKT Field, inner layer --> RTP packet

A second DTLS handshake may follow the first (RFC 6347 section 4.2.8): until it is complete, the
keys of the first stay in use; then the hop has other keys, and all that is end to end stays.

After each call that takes `now`: send `datagrams_to_send`, take the events, arm one timer.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from halfkey._media import (
    DoubleReceiver,
    DoubleSender,
    UnprotectedPacket,
    derive_srtp_session_key,
    full_ekt_field,
)
from halfkey.dtls import (
    AlertDescription,
    Connection,
    ConnectionTerminated,
    EKTKeyReceived,
    HandshakeCompleted,
    SRTPKeyingMaterial,
)
from halfkey.ekt.inbound import InboundEKT, ParameterSetAdded
from halfkey.ekt.messages import EKTKey
from halfkey.ekt.outbound import (
    OVERLAP,
    EKTKeyUsedUp,
    InnerKey,
    InnerKeysAnnounced,
    InnerKeysSwitched,
    Kind,
    OutboundEKT,
)
from halfkey.endpoint.payload import begins_intra_picture
from halfkey.endpoint.statistics import Position, Statistics, newer
from halfkey.errors import PacketRejected, UsageError
from halfkey.profiles import SRTPProtectionProfile

REASSOCIATION_OVERLAP = 2.0
"""Seconds for which we seal under the old keys once a second handshake has brought an EKTKey: the
others shake hands within about a second, and each key is announced once a second."""

SEALED_CACHE = 256
"""Packets per SSRC that are kept sealed, for retransmission: twice what aiortc keeps unsealed."""

NO_KEY_REASONS = frozenset({"no_inner_key", "unknown_spi"})

END_TO_END_REASONS = NO_KEY_REASONS | {
    "inner_authentication",
    "original_header_block",
    "ekt_authentication",
    "ekt_plaintext",
    "ekt_key_length",
    "ekt_epoch",
}
"""Refusals of packets that had passed the hop; replays are not among them."""

Disclose = Callable[[Mapping[str, str | int]], None]


@dataclass(frozen=True, slots=True)
class Connected:
    """The handshake with the Key Distributor is complete; an EKTKey follows."""

    profile: SRTPProtectionProfile
    at: float


@dataclass(frozen=True, slots=True)
class EKTKeyInstalled:
    """A new EKTKey is in use for receiving, and is announced in what is sent."""

    spi: int
    at: float


@dataclass(frozen=True, slots=True)
class KeysSwitched:
    """From now on packets are sealed under master keys that went out under the EKTKey `spi`.

    Attributes:
        newest_before: by SSRC, the latest packet that was sealed before; every later one is sealed
            under the new keys.
    """

    spi: int
    at: float
    newest_before: Mapping[int, Position] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SendingStopped:
    """The EKTKey `spi` is used up, and nothing is sent until another comes."""

    spi: int
    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class AssociationTerminated:
    """The DTLS association is over. Keys that were received stay until they expire.

    Attributes:
        reason: one line.
        at: when.
        closed_by_peer: whether the Key Distributor said so itself, authentically.
    """

    reason: str
    at: float
    closed_by_peer: bool = False


@dataclass(frozen=True, slots=True)
class AssociationRenewed:
    """A second handshake is complete, its hop keys are in use, and an EKTKey has come of it."""

    at: float


@dataclass(frozen=True, slots=True)
class RenewalFailed:
    """A second handshake came to nothing; the keys in use stay.

    Attributes:
        reason: one line.
        at: when.
        is_refused: whether an alert said that we aren't admitted. Nothing authenticates it.
    """

    reason: str
    at: float
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class EKTKeyMissed:
    """A source of the roster has been sending under an EKTKey that never came to us."""

    ssrc: int
    at: float


CoreEvent = (
    Connected
    | EKTKeyInstalled
    | KeysSwitched
    | SendingStopped
    | AssociationTerminated
    | AssociationRenewed
    | RenewalFailed
    | EKTKeyMissed
)


class Association:
    """Seals and opens an Endpoint's packets with the keys that its DTLS association brings.

    Args:
        connection: a DTLS client that was not started yet.
        statistics: where to count.
        disclose: gets every secret as it comes to be known, for a demonstration or a test that
            looks for them elsewhere. Whoever has this callback has the conference: leave it None.
    """

    def __init__(
        self, connection: Connection, statistics: Statistics, disclose: Disclose | None = None
    ) -> None:
        self._connection = connection
        self._successor: Connection | None = None
        self._awaits_ekt_key = False
        self._last_words: list[bytes] = []
        self._statistics = statistics
        self._disclose = disclose
        self._profile: SRTPProtectionProfile | None = None
        self._sender: DoubleSender | None = None
        self._receiver: DoubleReceiver | None = None
        self._outbound: OutboundEKT | None = None
        self._inbound = InboundEKT()
        self._sources: dict[int, Kind] = {}
        self._sealed: dict[int, OrderedDict[int, bytes | None]] = {}
        self._events: deque[CoreEvent] = deque()

    @property
    def ekt_spi(self) -> int | None:
        """The SPI of the newest EKTKey, None before the first."""
        return None if self._outbound is None else self._outbound.spi

    @property
    def is_keyed(self) -> bool:
        """Whether the hop has keys: a handshake is complete, or was."""
        return self._sender is not None

    @property
    def is_reassociating(self) -> bool:
        """Whether a second handshake is under way."""
        return self._successor is not None

    def add_source(self, ssrc: int, kind: Kind, now: float) -> None:
        """Declares an SSRC that will be sent.

        Raises:
            UsageError: it was declared before.
        """
        if ssrc in self._sources:
            raise UsageError(f"SSRC {ssrc:#010x} was added twice")
        self._sources[ssrc] = kind
        self._sealed[ssrc] = OrderedDict()
        if self._outbound is not None:
            self._outbound.add_source(ssrc, kind, now)
            self._take_outbound_events()

    # DTLS

    def start(self, now: float) -> None:
        """Begins the handshake."""
        self._connection.start(now)
        self._take_dtls_events(now)

    def reassociate(self, connection: Connection, now: float) -> None:
        """Begins a second handshake; `AssociationRenewed` or `RenewalFailed` tells its end.

        Args:
            connection: a DTLS client that was not started yet.
            now: monotonic seconds.

        Raises:
            UsageError: the first is not complete, or a second is under way.
        """
        if self._sender is None or self._successor is not None:
            raise UsageError("there is nothing to take the place of, or another is about to")
        self._successor = connection
        self._awaits_ekt_key = False
        connection.start(now)
        self._take_dtls_events(now)

    def receive_dtls(self, data: bytes, now: float) -> None:
        """Takes a DTLS datagram; what isn't one handshake's is the other's, and noise to this."""
        for connection in self._connections():
            connection.receive_datagram(data, now)
        self._take_dtls_events(now)

    def datagrams_to_send(self) -> list[bytes]:
        """Takes the DTLS datagrams that are to be sent."""
        datagrams, self._last_words = self._last_words, []
        for connection in self._connections():
            datagrams += connection.datagrams_to_send()
        return datagrams

    def close(self, now: float) -> None:
        """Ends the DTLS association."""
        for connection in self._connections():
            connection.close(now)
        self._take_dtls_events(now)

    def next_timer(self) -> float | None:
        """When `handle_timer` has to be called, if ever."""
        times = [connection.next_timer() for connection in self._connections()]
        times.append(self._inbound.next_timer())
        if self._outbound is not None:
            times.append(self._outbound.next_timer())
        return min((time for time in times if time is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Does what is due."""
        for connection in self._connections():
            connection.handle_timer(now)
        self._inbound.handle_timer(now)
        if self._outbound is not None:
            self._outbound.handle_timer(now)
        self._take_dtls_events(now)
        self._take_inbound_events()
        self._take_outbound_events()

    def next_event(self) -> CoreEvent | None:
        """The next event, None when all are taken."""
        return self._events.popleft() if self._events else None

    # Packets

    def seal_rtp(self, packet: bytes, now: float) -> bytes | None:
        """Seals an RTP packet; one that was sealed before comes out as the very same bytes.

        Returns:
            The datagram, or None where there is no key to seal with, or the packet was sealed for
            a hop whose keys have changed since (counted as unsent).

        Raises:
            UsageError: the packet's SSRC was not added.
        """
        ssrc, sequence_number = _ssrc(packet), int.from_bytes(packet[2:4], "big")
        sealed = self._sealed.get(ssrc)
        if sealed is None:
            raise UsageError(f"SSRC {ssrc:#010x} was never added")
        if sequence_number in sealed:
            again = sealed[sequence_number]
            if again is None:
                self._statistics.unsent["sealed_for_old_hop_keys"] += 1
            return again
        if self._sender is None or self._outbound is None:
            self._statistics.unsent["not_connected"] += 1
            return None
        counter = self._sender.rollover_counter(ssrc, sequence_number)
        intra = self._sources[ssrc] == "video" and begins_intra_picture(packet)
        field = self._outbound.ekt_field(ssrc, counter, now, intra=intra)
        self._take_outbound_events()
        if field is None:
            self._statistics.unsent["no_ekt_key"] += 1
            return None
        datagram = self._sender.protect(packet, field)
        sealed[sequence_number] = datagram
        if len(sealed) > SEALED_CACHE:
            sealed.popitem(last=False)
        self._statistics.sent[ssrc] += 1
        newest = self._statistics.newest_sealed
        newest[ssrc] = newer(newest.get(ssrc), Position(sequence_number, _timestamp(packet)))
        return datagram

    def seal_rtcp(self, packet: bytes) -> bytes | None:
        """Seals an RTCP packet for the hop; None before the handshake is complete."""
        if self._sender is None:
            self._statistics.unsent["not_connected"] += 1
            return None
        return self._sender.protect_rtcp(packet)

    def open_rtp(self, data: bytes, now: float) -> UnprotectedPacket | None:
        """Opens an SRTP packet; None, and a count, where it is refused."""
        statistics = self._statistics
        statistics.packets_received += 1
        statistics.last_received_at = now
        if self._receiver is None:
            statistics.rejections["no_keys"] += 1
            return None
        try:
            opened = self._receiver.unprotect(data)
        except PacketRejected as rejection:
            self._count_rejection(data, rejection.reason, now)
            return None
        stream = statistics.opened(opened.ssrc, len(data), now)
        if opened.new_key and stream.ekt_spi is not None:
            stream.rekeyed(now)
        stream.ekt_spi, stream.ekt_epoch = opened.ekt_spi, opened.ekt_epoch
        position = Position(opened.inner_sequence_number, _timestamp(opened.packet))
        stream.newest_opened = newer(stream.newest_opened, position)
        return opened

    def open_rtcp(self, data: bytes) -> bytes | None:
        """Opens an SRTCP packet of the hop; None, and a count, where it is refused."""
        if self._receiver is None:
            self._statistics.rejections["no_keys"] += 1
            return None
        try:
            return self._receiver.unprotect_rtcp(data)
        except PacketRejected as rejection:
            self._statistics.rejections[rejection.reason] += 1
            return None

    def _count_rejection(self, data: bytes, reason: str, now: float) -> None:
        self._statistics.rejections[reason] += 1
        # The hop vouched for the SSRC; streams that the roster doesn't name aren't counted apart.
        if reason in END_TO_END_REASONS:
            stream = self._statistics.streams.get(_ssrc(data))
            if stream is not None:
                stream.failed(now, for_want_of_a_key=reason in NO_KEY_REASONS)
                if reason == "unknown_spi" and stream.missed_ekt_key(now):
                    self._events.append(EKTKeyMissed(stream.ssrc, now))

    # Events of the engines below

    def _connections(self) -> tuple[Connection, ...]:
        if self._successor is None:
            return (self._connection,)
        return self._connection, self._successor

    def _take_dtls_events(self, now: float) -> None:
        self._take_successor_events(now)
        while (event := self._connection.next_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                self._install_hop(event, now)
            elif isinstance(event, EKTKeyReceived):
                self._install_ekt_key(event.ekt_key, now)
                if self._awaits_ekt_key:
                    self._awaits_ekt_key = False
                    self._events.append(AssociationRenewed(now))
            elif isinstance(event, ConnectionTerminated):
                closed = event.by_peer and event.alert is AlertDescription.CLOSE_NOTIFY
                self._events.append(AssociationTerminated(event.explanation, now, closed))

    def _take_successor_events(self, now: float) -> None:
        """Those of a second handshake, up to its end; from then on it is the first."""
        while (successor := self._successor) is not None:
            event = successor.next_event()
            if event is None:
                return
            if isinstance(event, HandshakeCompleted):
                self._succeed(successor, event, now)
            elif isinstance(event, ConnectionTerminated):
                refused = event.hint is AlertDescription.ACCESS_DENIED
                self._fail_successor(event.explanation, now, is_refused=refused)

    def _succeed(self, successor: Connection, completed: HandshakeCompleted, now: float) -> None:
        """Puts a second handshake in the first one's place."""
        if completed.srtp_profile != self._profile or completed.ekt_cipher is None:
            successor.close(now)
            return self._fail_successor("the Key Distributor chose another profile", now)
        keys = completed.keying_material.outer()
        try:
            self._replace_hop_keys(keys)
        except ValueError:  # keys that served before: nonces would repeat
            successor.close(now)
            return self._fail_successor("the Key Distributor repeated hop keys", now)
        self._successor, replaced = None, self._connection
        self._connection, self._awaits_ekt_key = successor, True
        # It is wiped, and says nothing: for the Key Distributor it is replaced already, or unknown.
        replaced.close(now)
        for ssrc, sealed in self._sealed.items():
            self._sealed[ssrc] = OrderedDict.fromkeys(sealed)
        self._disclose_hop_keys(keys)
        return None

    def _replace_hop_keys(self, keys: SRTPKeyingMaterial) -> None:
        if self._sender is not None and self._receiver is not None:
            self._sender.replace_hop_keys(keys.client_write_key, keys.client_write_salt)
            self._receiver.replace_hop_keys(keys.server_write_key, keys.server_write_salt)

    def _fail_successor(self, reason: str, now: float, *, is_refused: bool = False) -> None:
        if self._successor is not None:
            self._last_words += self._successor.datagrams_to_send()
            self._successor = None
            self._events.append(RenewalFailed(reason, now, is_refused))

    def _install_hop(self, completed: HandshakeCompleted, now: float) -> None:
        profile = completed.srtp_profile
        if not profile.is_double or completed.ekt_cipher is None:
            self._connection.close(now)
            return
        self._profile = profile
        keys = completed.keying_material.outer()
        self._sender = DoubleSender(profile, keys.client_write_key, keys.client_write_salt)
        self._receiver = DoubleReceiver(profile, keys.server_write_key, keys.server_write_salt)
        hop = profile.parameters.hop_profile
        self._outbound = OutboundEKT(hop.parameters.key_length, full_ekt_field)
        for ssrc, kind in self._sources.items():
            self._outbound.add_source(ssrc, kind, now)
        self._disclose_hop_keys(keys)
        self._events.append(Connected(profile, now))

    def _install_ekt_key(self, key: EKTKey, now: float) -> None:
        first = self._outbound is None or self._outbound.spi is None
        if self._outbound is None or not self._inbound.receive_ekt_key(key, now):
            return
        self._take_inbound_events()
        if not first:
            self._statistics.rekeyed(now)
        self._tell(
            {
                "kind": "kek",
                "hex": key.ekt_key_value.hex(),
                "salt": key.master_salt.hex(),
                "spi": key.ekt_spi,
            }
        )
        self._events.append(EKTKeyInstalled(key.ekt_spi, now))
        overlap = REASSOCIATION_OVERLAP if self._awaits_ekt_key else OVERLAP
        self._outbound.receive_ekt_key(key, now, overlap)
        self._take_outbound_events()

    def _take_inbound_events(self) -> None:
        while (event := self._inbound.next_event()) is not None:
            if self._receiver is None:
                continue
            if isinstance(event, ParameterSetAdded):
                self._receiver.add_ekt_parameter_set(
                    event.spi, event.ekt_key, event.srtp_master_salt
                )
            else:
                self._receiver.remove_ekt_parameter_set(event.spi)

    def _take_outbound_events(self) -> None:
        if self._outbound is None:
            return
        while (event := self._outbound.next_event()) is not None:
            if isinstance(event, InnerKeysAnnounced):
                for key in event.keys:
                    self._disclose_keys("e2e", key.master_key, key.master_salt, ssrc=key.ssrc)
            elif isinstance(event, InnerKeysSwitched):
                self._use(event.keys)
                before = dict(self._statistics.newest_sealed)
                self._events.append(KeysSwitched(event.spi, event.at, before))
            elif isinstance(event, EKTKeyUsedUp):
                self._events.append(SendingStopped(event.spi, event.at, event.reason))

    def _use(self, keys: tuple[InnerKey, ...]) -> None:
        if self._sender is not None:
            for key in keys:
                self._sender.set_inner_key(key.ssrc, key.master_key, key.master_salt)

    # Disclosure

    def _disclose_hop_keys(self, keys: SRTPKeyingMaterial) -> None:
        client, server = keys.client_write_key, keys.server_write_key
        self._disclose_keys("hop", client, keys.client_write_salt, side="client")
        self._disclose_keys("hop", server, keys.server_write_salt, side="server")

    def _disclose_keys(
        self, layer: str, master_key: bytes, master_salt: bytes, **owner: str | int
    ) -> None:
        if self._disclose is None or self._profile is None:
            return
        hop = self._profile.parameters.hop_profile
        session = derive_srtp_session_key(hop, master_key, master_salt)
        master = {"kind": f"{layer}_master", "hex": master_key.hex(), "salt": master_salt.hex()}
        self._tell({**master, **owner})
        self._tell({"kind": f"{layer}_session", "hex": session.hex(), **owner})

    def _tell(self, secret: Mapping[str, str | int]) -> None:
        if self._disclose is not None:
            self._disclose(secret)


def _timestamp(packet: bytes) -> int:
    return int.from_bytes(packet[4:8], "big")


def _ssrc(packet: bytes) -> int:
    return int.from_bytes(packet[8:12], "big")
