"""DTLS 1.3 when part of a flight is missing: what is acknowledged, when, and what is sent again.

RFC 9147 sections 5.8 and 7; and under which key a server speaks that has sent its flight.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from halfkey.dtls import AlertDescription, Certificate, HandshakeCompleted
from halfkey.dtls.configuration import MINIMUM_PMTU
from halfkey.dtls.crypto.signatures import sign
from halfkey.dtls.messages.ack import Ack
from halfkey.dtls.messages.certificate import CertificateVerify
from halfkey.dtls.messages.framing import decode_fragments
from halfkey.dtls.record import (
    APPLICATION_EPOCH,
    HANDSHAKE_EPOCH,
    PLAINTEXT_EPOCH,
    RecordNumber,
)
from halfkey.dtls.record_layer import RecordWriter
from halfkey.dtls.registries import DTLS_1_3, ContentType, HandshakeType, NamedGroup
from tests.dtls.deviations import Deviate, replacing
from tests.dtls.helpers import (
    CLIENT_CERTIFICATE,
    LATENCY,
    Delivery,
    Network,
    client_configuration,
    deliver,
    is_unified,
    plaintext_record,
    server_configuration,
    split_records,
)

FIRST_TIMEOUT = 0.4
ACK_DELAY = FIRST_TIMEOUT / 4
SETTINGS = {"versions": (DTLS_1_3,), "groups": (NamedGroup.X25519,), "pmtu": MINIMUM_PMTU}
CERTIFICATE = Certificate.generate("a client whose flight takes three datagrams of the least size")
OTHER = {"client": "server", "server": "client"}
both_sides = pytest.mark.parametrize("sender", OTHER)


@dataclasses.dataclass(frozen=True)
class Written:
    """A record as its writer meant it, and when."""

    at: float
    number: RecordNumber
    content_type: int
    payload: bytes


class Flights(Network):
    """A handshake in small datagrams that notes every record before it is sealed.

    Attributes:
        sender: whose flight is disturbed: the datagrams that it sends at once, the first of them
            with a protected record in it.
        lost: which of them get lost, by their place.
        flight: the time when the flight was sent, and its datagrams.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, sender: str = "client") -> None:
        super().__init__(
            client_configuration(certificate=CERTIFICATE, **SETTINGS),
            server_configuration(peer_fingerprints=(CERTIFICATE.fingerprint(),), **SETTINGS),
        )
        self.sender = sender
        self.lost: Callable[[int], bool] = lambda place: False
        self.flight: list[tuple[float, bytes]] = []
        self.repeated: list[tuple[float, bytes]] = []
        self._written: dict[RecordWriter, list[Written]] = {}
        write = RecordWriter.write

        def noting(
            writer: RecordWriter, epoch: int, content_type: int, payload: bytes
        ) -> tuple[RecordNumber, bytes]:
            number, record = write(writer, epoch, content_type, payload)
            written = Written(self.now, number, content_type, payload)
            self._written.setdefault(writer, []).append(written)
            return number, record

        monkeypatch.setattr(RecordWriter, "write", noting)
        self.fate = self._decide

    def _decide(self, index: int, sender: str, datagram: bytes) -> Delivery:
        is_protected = any(map(is_unified, split_records(datagram)))
        if sender != self.sender or not is_protected or self.side(sender).connection.is_connected:
            return deliver(index, sender, datagram)
        if self.flight and self.now > self.flight[0][0]:
            self.repeated.append((self.now, datagram))
            return deliver(index, sender, datagram)
        self.flight.append((self.now, datagram))
        return [] if self.lost(len(self.flight) - 1) else deliver(index, sender, datagram)

    def written(self, side: str, content_type: ContentType) -> list[Written]:
        writer = self.side(side).connection._channel.writer
        return [one for one in self._written[writer] if one.content_type == content_type]

    def acks_of_flight(self) -> list[tuple[float, int, tuple[RecordNumber, ...]]]:
        """After how long, in which epoch, of which records."""
        begin = self.flight[0][0] + LATENCY
        acks = self.written(OTHER[self.sender], ContentType.ACK)
        return [
            (round(one.at - begin, 6), one.number.epoch, Ack.decode(one.payload).record_numbers)
            for one in acks
        ]

    def records_at(self, moment: float) -> list[Written]:
        """The protected ones of the flight, first or again."""
        return [
            one
            for one in self.written(self.sender, ContentType.HANDSHAKE)
            if one.at == moment and one.number.epoch == HANDSHAKE_EPOCH
        ]

    def records(self, is_wanted: Callable[[int], bool]) -> list[Written]:
        """The protected ones in those datagrams of the flight that are wanted."""
        records, found = self.records_at(self.flight[0][0]), []
        for place, (_, datagram) in enumerate(self.flight):
            count = sum(map(is_unified, split_records(datagram)))
            here, records = records[:count], records[count:]
            found += here if is_wanted(place) else []
        return found

    def numbers(self, is_wanted: Callable[[int], bool]) -> set[RecordNumber]:
        """Of these records."""
        return {one.number for one in self.records(is_wanted)}


def undisturbed_length(monkeypatch: pytest.MonkeyPatch, sender: str) -> int:
    network = Flights(monkeypatch, sender)
    network.start().run(5)
    assert network.repeated == []
    return len(network.flight)


def covered(records: list[Written]) -> set[tuple[int, int]]:
    """Which bytes of which messages: by message_seq, one by one."""
    return {
        (one.message_seq, at)
        for record in records
        for one in decode_fragments(record.payload)
        for at in range(one.offset, one.offset + len(one.data))
    }


def assert_connected(network: Flights) -> None:
    client, server = network.client.completed, network.server.completed
    assert client.keying_material == server.keying_material


@both_sides
def test_a_gap_is_acknowledged_at_once_and_filled_at_once(
    monkeypatch: pytest.MonkeyPatch, sender: str
) -> None:
    """Section 7.1, first circumstance; section 5.8.1: no timer is waited for."""
    length = undisturbed_length(monkeypatch, sender)
    assert length >= 3
    for gap in range(1, length - 1):
        network = Flights(monkeypatch, sender)
        network.lost = gap.__eq__
        network.start().run(5)
        (after, epoch, named), *_ = network.acks_of_flight()
        assert after == 0
        assert epoch == (HANDSHAKE_EPOCH if sender == "server" else APPLICATION_EPOCH)
        # What has come by then of the flight, but not what is missing.
        assert set(named) <= network.numbers(lambda place, gap=gap: place != gap)
        assert set(named) >= network.numbers(lambda place, gap=gap: place < gap)
        assert network.repeated
        begin = network.flight[0][0]
        assert all(at - begin < FIRST_TIMEOUT for at, _ in network.repeated)
        assert_connected(network)


@both_sides
def test_what_is_missing_at_the_end_is_missed_after_a_quarter_of_the_timeout(
    monkeypatch: pytest.MonkeyPatch, sender: str
) -> None:
    """Section 7.1, second circumstance: then only the rest is sent again."""
    last = undisturbed_length(monkeypatch, sender) - 1
    network = Flights(monkeypatch, sender)
    network.lost = last.__eq__
    network.start().run(5)
    (after, _, named), *_ = network.acks_of_flight()
    assert after == pytest.approx(ACK_DELAY)
    assert set(named) == network.numbers(lambda place: place < last)
    at = network.repeated[0][0]
    assert at - network.flight[0][0] == pytest.approx(ACK_DELAY + 2 * LATENCY)
    assert covered(network.records_at(at)) == covered(network.records(last.__eq__))
    assert_connected(network)


def test_a_server_hello_is_not_sent_again_to_who_has_acknowledged_something_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    last = undisturbed_length(monkeypatch, "server") - 1
    epochs = []
    for lost in (last.__eq__, lambda place: True):
        network = Flights(monkeypatch, "server")
        network.lost = lost
        network.start().run(5)
        at = network.repeated[0][0]
        written = network.written("server", ContentType.HANDSHAKE)
        epochs.append({one.number.epoch for one in written if one.at == at})
        assert_connected(network)
    assert epochs == [{HANDSHAKE_EPOCH}, {PLAINTEXT_EPOCH, HANDSHAKE_EPOCH}]


@both_sides
def test_a_flight_of_which_nothing_came_is_sent_again_by_the_timer(
    monkeypatch: pytest.MonkeyPatch, sender: str
) -> None:
    network = Flights(monkeypatch, sender)
    network.lost = lambda place: True
    network.start().run(5)
    at, begin = network.repeated[0][0], network.flight[0][0]
    assert at - begin == pytest.approx(FIRST_TIMEOUT)
    # The first ACK comes with the end of the flight: there was nothing to acknowledge before.
    assert all(after > FIRST_TIMEOUT - LATENCY for after, _, _ in network.acks_of_flight())
    assert len(network.repeated) >= len(network.flight)
    assert_connected(network)


@both_sides
def test_nothing_is_acknowledged_twice_without_news(
    monkeypatch: pytest.MonkeyPatch, sender: str
) -> None:
    """One ACK of a part, however long the rest is away."""
    last = undisturbed_length(monkeypatch, sender) - 1
    network = Flights(monkeypatch, sender)
    network.lost = last.__eq__
    decide = network.fate

    def fate(index: int, sender: str, datagram: bytes) -> Delivery:
        delivery = decide(index, sender, datagram)
        return [] if network.repeated else delivery

    network.fate = fate
    network.start().run(FIRST_TIMEOUT)
    assert network.repeated
    assert len(network.acks_of_flight()) == 1


def test_an_ack_in_plain_text_stops_no_retransmission(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody could send it."""
    network = Flights(monkeypatch)
    network.lost = lambda place: True
    network.start().run(0.1)
    named = network.numbers(lambda place: True)
    assert named
    forged = plaintext_record(ContentType.ACK, Ack(tuple(sorted(named))).encode())
    network.client.connection.receive_datagram(forged, network.now)
    assert network.client.connection.counters["unexpected_ack"] == 1
    assert not network.client.of(HandshakeCompleted)
    network.run(5)
    assert_connected(network)


def test_an_ack_of_records_that_were_not_sent_is_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Flights(monkeypatch, "server")
    network.lost = lambda place: place > 0
    network.start().run(0.05)
    network.client.connection._channel.acknowledge([RecordNumber(HANDSHAKE_EPOCH, 1 << 20)])
    network.drain()
    network.run(0.02)
    assert network.server.connection.counters["unexpected_ack"] == 1
    network.run(5)
    assert_connected(network)


def test_an_ack_of_records_that_do_not_exist_yet_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = Flights(monkeypatch, "server")
    network.lost = lambda place: place > 0
    network.start().run(0.05)
    channel = network.client.connection._channel
    assert channel.writer.epoch == HANDSHAKE_EPOCH
    channel.acknowledge([RecordNumber(APPLICATION_EPOCH, 0)])
    network.drain()
    network.run(1)
    assert network.server.terminated.alert is AlertDescription.ILLEGAL_PARAMETER
    assert network.server.terminated.reason == "ACK of a later epoch"


def test_a_flight_that_comes_again_to_a_connected_client_is_not_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server has our flight, or we weren't connected: an ACK would tell it nothing."""
    network = Flights(monkeypatch)
    network.lost = lambda place: True
    decide = network.fate

    def fate(index: int, sender: str, datagram: bytes) -> Delivery:
        is_repeated = sender == "server" and network.flight and not network.repeated
        delivery = decide(index, sender, datagram)
        return [(1.0, datagram) for _ in delivery] if is_repeated else delivery

    network.fate = fate
    network.start().run(1)
    assert_connected(network)
    sent = len(network.client.sent)
    network.run(5)
    assert network.client.connection.counters["stale_message"] > 0
    assert len(network.client.sent) == sent


# --- the server's keys


def test_a_server_that_has_sent_its_flight_refuses_under_the_next_key(
    monkeypatch: pytest.MonkeyPatch, deviate: Deviate
) -> None:
    """RFC 8446 appendix A.2; and the client believes it, since nobody else has that key."""

    def spoil(message: CertificateVerify) -> CertificateVerify:
        return dataclasses.replace(message, signature=sign(CLIENT_CERTIFICATE.private_key, b""))

    deviate("client", replacing(HandshakeType.CERTIFICATE_VERIFY, spoil))
    network = Flights(monkeypatch)
    network.start().run(5)
    assert network.server.terminated.alert is AlertDescription.DECRYPT_ERROR
    last = network.server.sent[-1]
    assert is_unified(last)
    assert last[0] & 3 == APPLICATION_EPOCH
    assert network.client.terminated.alert is AlertDescription.DECRYPT_ERROR
    assert network.client.terminated.by_peer
    assert not network.client.of(HandshakeCompleted)
    assert not network.server.of(HandshakeCompleted)


def test_the_flight_itself_is_sent_again_under_its_own_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = Flights(monkeypatch, "server")
    network.lost = lambda place: True
    network.start().run(5)
    records = network.written("server", ContentType.HANDSHAKE)
    begin = network.flight[0][0]
    again = [one for one in records if begin < one.at <= network.repeated[-1][0]]
    assert again
    assert {one.number.epoch for one in again} == {0, HANDSHAKE_EPOCH}
    assert_connected(network)
