"""ekt_key and its ACK (RFC 8870 sections 5.2.2 and 5.4)."""

from __future__ import annotations

import pytest

from halfkey.dtls import (
    AlertDescription,
    ConnectionTerminated,
    EKTKeyReceived,
    Event,
    HandshakeCompleted,
)
from halfkey.dtls.messages.ack import Ack
from halfkey.dtls.messages.framing import Fragment
from halfkey.dtls.registries import ContentType, HandshakeType
from halfkey.dtls.states import State
from halfkey.ekt.messages import EKTCipher, EKTKey
from halfkey.errors import UsageError
from tests.dtls.helpers import (
    Delivery,
    Network,
    SealedNumbers,
    client_configuration,
    connected,
    deliver,
    ekt_key,
    handshake_record,
    is_protected,
    of_each_version,
    only_1_2,
    only_1_3,
    record_number,
    server_configuration,
    split_records,
)

pytestmark = of_each_version


def send(network: Network, *spis: int) -> None:
    for spi in spis:
        network.server.connection.send_ekt_key(ekt_key(spi), network.now)
    network.drain()


def protected_records(network: Network, sender: str) -> list[bytes]:
    return [
        record
        for name, datagram in network.datagrams
        if name == sender
        for record in split_records(datagram)
        if is_protected(record)
    ]


def sent_after(network: Network, sender: str, before: int) -> int:
    """How many protected records a side has sent beyond so many."""
    return len(protected_records(network, sender)) - before


def inject(network: Network, sender: str, content_type: int, payload: bytes) -> None:
    """The peer itself sends something it shouldn't."""
    network.side(sender).connection._channel.send_record(content_type, payload)
    network.drain()
    network.run(1)


def inject_ekt_key(network: Network, body: bytes) -> None:
    message_seq = network.server.connection._channel.take_message_seq()
    record = handshake_record(HandshakeType.EKT_KEY, message_seq, body)
    inject(network, "server", ContentType.HANDSHAKE, record[13:])


# --- the wire, by hand


def naive_ekt_key(key: bytes, salt: bytes, spi: int, ttl: int) -> bytes:
    """The body, straight from the struct in RFC 8870 section 5.2.2."""
    two = [len(key) >> 8, len(key) & 255]
    three = [len(salt) >> 8, len(salt) & 255]
    tail = [spi >> 8, spi & 255, ttl >> 16, ttl >> 8 & 255, ttl & 255]
    return bytes(two) + key + bytes(three) + salt + bytes(tail)


VECTOR = bytes.fromhex(
    "0010 000102030405060708090a0b0c0d0e0f"  # ekt_key_value
    "000c 73616c742d6f662d31322d62"  # srtp_master_salt
    "0007 000e10"  # ekt_spi 7, ekt_ttl 3600
)


def test_the_body_on_the_wire() -> None:
    assert ekt_key().encode() == VECTOR
    assert naive_ekt_key(bytes(range(16)), b"salt-of-12-b", 7, 3600) == VECTOR
    assert EKTKey.decode(VECTOR, EKTCipher.AESKW128) == ekt_key()


def test_the_message_follows_the_servers_finished() -> None:
    network = connected()
    before = network.server.connection._channel.take_message_seq()
    network = connected()
    sent: list[tuple[int, bytes]] = []
    channel = network.server.connection._channel
    original = channel.writer.write

    class Watching:
        """Notes what goes into protected records."""

        def __init__(self) -> None:
            self.epoch, self.overhead = channel.writer.epoch, channel.writer.overhead
            self.remaining = channel.writer.remaining

        def write(self, epoch: int, content_type: int, payload: bytes) -> object:
            sent.append((content_type, payload))
            return original(epoch, content_type, payload)

        def wipe(self) -> None:
            """Nothing to forget here."""

    channel.writer = Watching()  # type: ignore[assignment]
    send(network, 7)
    ((content_type, payload),) = sent
    length = len(VECTOR).to_bytes(3, "big")
    header = b"\x1a" + length + before.to_bytes(2, "big") + bytes(3) + length
    assert content_type == 22
    assert payload == header + VECTOR
    # ServerHello has 1 after the 0 of the message with the cookie; and Finished has 6 in both.
    assert before == 7


# --- delivery


def test_several_keys_come_in_order_one_at_a_time() -> None:
    network = connected()
    before = len(protected_records(network, "server"))
    spis = list(range(20))
    send(network, *spis)
    assert sent_after(network, "server", before) == 1
    network.run(5)
    assert network.client.received_spis == network.server.acknowledged_spis == spis
    received = [e.ekt_key for e in network.client.events if isinstance(e, EKTKeyReceived)]
    assert received == [ekt_key(spi) for spi in spis]


def test_a_key_long_after_the_handshake() -> None:
    network = connected()
    network.run(100_000)
    send(network, 3)
    network.run(1)
    assert network.server.acknowledged_spis == [3]


@only_1_2
def test_an_ekt_key_before_finished_is_kept_and_acknowledged_later() -> None:
    network = Network(client_configuration(), server_configuration())
    held_back: list[bytes] = []

    def fate(index: int, sender: str, datagram: bytes) -> Delivery:
        if sender == "server" and record_number(split_records(datagram)[-1])[0] == 1:
            held_back.append(datagram)
            return []
        return deliver(index, sender, datagram)

    def on_event(name: str, event: Event) -> None:
        if name == "server" and isinstance(event, HandshakeCompleted):
            network.server.connection.send_ekt_key(ekt_key(), network.now)

    network.fate, network.on_event = fate, on_event
    network.start().run(0.2)
    finished, key = held_back
    client = network.client.connection
    client.receive_datagram(key, network.now)
    assert client.datagrams_to_send() == []
    assert client.next_event() is None
    client.receive_datagram(finished, network.now)
    assert isinstance(client.next_event(), HandshakeCompleted)
    assert isinstance(client.next_event(), EKTKeyReceived)
    (ack,) = client.datagrams_to_send()
    assert ack[0] == ContentType.ACK
    network.server.connection.receive_datagram(ack, network.now)
    network.drain()
    assert network.server.acknowledged_spis == [7]


@only_1_3
def test_an_ekt_key_before_the_ack_of_finished_is_kept_and_does_not_stand_for_it() -> None:
    network = Network(client_configuration(), server_configuration())
    withheld: list[bytes] = []

    def fate(index: int, sender: str, datagram: bytes) -> Delivery:
        if sender == "server" and network.server.of(HandshakeCompleted) and not withheld:
            withheld.append(datagram)
            return []
        return deliver(index, sender, datagram)

    def on_event(name: str, event: Event) -> None:
        if name == "server" and isinstance(event, HandshakeCompleted):
            network.server.connection.send_ekt_key(ekt_key(), network.now)

    network.fate, network.on_event = fate, on_event
    network.start().run(0.3)
    client = network.client
    assert client.connection.state is State.EXPECT_ACK
    assert client.events == network.server.acknowledged_spis == []
    network.run(1)  # it repeats its last flight, and both come again
    assert client.connection.is_connected
    assert client.received_spis == network.server.acknowledged_spis == [7]
    assert client.connection.next_timer() is None


def test_every_repetition_is_acknowledged_again_under_its_own_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sealed = SealedNumbers(monkeypatch)
    network = connected()
    acknowledgements = 0

    def fate(index: int, sender: str, datagram: bytes) -> Delivery:
        nonlocal acknowledgements
        if sender == "client":
            acknowledgements += 1
            return deliver(index, sender, datagram) if acknowledgements == 3 else []
        return deliver(index, sender, datagram)

    network.fate = fate
    before = len(protected_records(network, "server"))
    send(network, 7)
    network.run(10)
    assert acknowledgements == 3
    assert network.client.received_spis == network.server.acknowledged_spis == [7]
    assert sent_after(network, "server", before) == 3
    sealed.assert_unique()


def test_an_ack_of_an_earlier_transmission_counts() -> None:
    network = connected()
    late: list[float] = [1.0, 5.0]

    def fate(index: int, sender: str, datagram: bytes) -> Delivery:
        if sender == "client":
            return [(late.pop(0), datagram)] if late else []
        return deliver(index, sender, datagram)

    network.fate = fate
    begin, before = network.now, len(protected_records(network, "server"))
    send(network, 7)
    while not network.server.acknowledged_spis:
        assert network.step(begin + 60)
    assert network.now == pytest.approx(begin + 1.01)  # the first ACK, after a second transmission
    assert sent_after(network, "server", before) == 2


TOO_FAR_AHEAD = 20


def acks_of(network: Network, *message_seqs: int) -> list[bytes]:
    """What a client says to ekt_keys with these numbers, in one record."""
    parts = [
        Fragment(HandshakeType.EKT_KEY, len(VECTOR), seq, 0, VECTOR).encode()
        for seq in message_seqs
    ]
    network.server.connection._channel.send_record(ContentType.HANDSHAKE, b"".join(parts))
    (datagram,) = network.server.connection.datagrams_to_send()
    network.client.connection.receive_datagram(datagram, network.now)
    network.client.events += iter(network.client.connection.next_event, None)
    return network.client.connection.datagrams_to_send()


def test_a_record_that_was_kept_in_part_is_not_acknowledged() -> None:
    """RFC 9147 section 7: whoever sent it would take it that all of it came."""
    network = connected()
    first = network.server.connection._channel.take_message_seq()
    assert acks_of(network, first, first + TOO_FAR_AHEAD) == []
    assert network.client.connection.counters["reassembly_limit"] == 1
    assert network.client.received_spis == [7]  # what was kept is taken all the same
    # Nor where what was kept is a repetition.
    assert acks_of(network, first, first + TOO_FAR_AHEAD) == []
    assert acks_of(network, first + TOO_FAR_AHEAD, first) == []
    # By itself it is acknowledged again; and so is what comes next, one ACK for all of it.
    assert len(acks_of(network, first)) == 1
    assert len(acks_of(network, first + 1)) == 1
    assert acks_of(network, first + 2, first + 3)
    assert network.client.received_spis == [7] * 4


def test_without_ack_the_association_ends() -> None:
    network = connected()
    network.fate = lambda index, sender, datagram: (
        [] if sender == "client" else deliver(index, sender, datagram)
    )
    before = len(protected_records(network, "server"))
    send(network, 7, 8)
    network.run(200)
    assert network.server.terminated == ConnectionTerminated("ekt_key not acknowledged")
    assert sent_after(network, "server", before) == 7
    assert network.client.received_spis == [7]


@only_1_2
def test_a_repeated_last_flight_brings_finished_and_the_open_ekt_key() -> None:
    network = connected()
    network.fate = lambda *_: []
    send(network, 7)
    before = len(protected_records(network, "server"))
    deadline = network.server.connection.next_timer()
    finished = protected_records(network, "client")[0]
    # The very same record is a replay; a client's retransmission has a number of its own.
    network.server.connection.receive_datagram(finished, network.now)
    network.drain()
    assert len(protected_records(network, "server")) == before
    repeat = handshake_record(HandshakeType.FINISHED, 5, bytes(12))[13:]
    network.client.connection._channel.send_record(ContentType.HANDSHAKE, repeat)
    (datagram,) = network.client.connection.datagrams_to_send()
    network.server.connection.receive_datagram(datagram, network.now)
    network.drain()
    assert len(protected_records(network, "server")) == before + 2
    assert network.server.connection.next_timer() == deadline


@only_1_2
def test_a_repeated_finished_in_fragments_is_answered_once() -> None:
    network = connected()
    network.fate = lambda *_: []
    send(network, 7)
    before = len(protected_records(network, "server"))
    for at in range(0, 12, 4):
        part = Fragment(HandshakeType.FINISHED, 12, 5, at, bytes(4))
        network.client.connection._channel.send_record(ContentType.HANDSHAKE, part.encode())
    for datagram in network.client.connection.datagrams_to_send():
        network.server.connection.receive_datagram(datagram, network.now)
    network.drain()
    assert len(protected_records(network, "server")) == before + 2


# --- what is refused


@pytest.mark.parametrize("side", ["client", "server"])
def test_unnegotiated_ekt_key_is_unexpected(side: str) -> None:
    network = connected(
        client_configuration(ekt_ciphers=() if side == "client" else (EKTCipher.AESKW128,)),
        server_configuration(ekt_ciphers=() if side == "server" else (EKTCipher.AESKW128,)),
    )
    with pytest.raises(UsageError):
        send(network, 7)
    inject_ekt_key(network, VECTOR)
    assert network.client.terminated.alert is AlertDescription.UNEXPECTED_MESSAGE
    assert network.client.received_spis == []


def test_an_ekt_key_from_a_client_is_unexpected() -> None:
    network = connected()
    message_seq = network.client.connection._channel.take_message_seq()
    record = handshake_record(HandshakeType.EKT_KEY, message_seq, VECTOR)
    inject(network, "client", ContentType.HANDSHAKE, record[13:])
    assert network.server.terminated.alert is AlertDescription.UNEXPECTED_MESSAGE


@pytest.mark.parametrize(
    ("body", "alert"),
    [
        (VECTOR[:-1], AlertDescription.DECODE_ERROR),
        (VECTOR + b"\0", AlertDescription.DECODE_ERROR),
        (b"\0\0" + VECTOR[18:], AlertDescription.DECODE_ERROR),
        (b"", AlertDescription.DECODE_ERROR),
        (naive_ekt_key(bytes(32), bytes(12), 1, 1), AlertDescription.ILLEGAL_PARAMETER),
        (naive_ekt_key(bytes(16), bytes(11), 1, 1), AlertDescription.ILLEGAL_PARAMETER),
    ],
    ids=["short", "long", "no_key", "empty", "key_of_another_cipher", "short_salt"],
)
def test_unusable_ekt_keys(body: bytes, alert: AlertDescription) -> None:
    network = connected()
    inject_ekt_key(network, body)
    assert network.client.terminated.alert is alert
    assert network.server.terminated.alert is alert
    assert network.client.received_spis == []


def test_a_longer_salt_is_cut_to_what_srtp_uses() -> None:
    network = connected()
    inject_ekt_key(network, naive_ekt_key(bytes(16), bytes(range(256)), 9, 1))
    (event,) = network.client.of(EKTKeyReceived)
    assert isinstance(event, EKTKeyReceived)
    assert event.ekt_key.master_salt == bytes(range(12))


def test_misuse_is_told_to_the_caller() -> None:
    network = connected()
    with pytest.raises(UsageError):
        network.client.connection.send_ekt_key(ekt_key(), network.now)
    with pytest.raises(UsageError):
        network.server.connection.send_ekt_key(ekt_key(length=32), network.now)
    fresh = Network(client_configuration(), server_configuration())
    with pytest.raises(UsageError):
        fresh.server.connection.send_ekt_key(ekt_key(), 0.0)


def test_once_the_association_is_over_no_ekt_key_is_sent() -> None:
    """The peer may have ended it a moment ago: that is no misuse."""
    network = connected()
    network.server.connection.close(network.now)
    assert len(network.server.connection.datagrams_to_send()) == 1  # close_notify
    network.server.connection.send_ekt_key(ekt_key(), network.now)
    assert network.server.connection.datagrams_to_send() == []


@pytest.mark.parametrize(
    "numbers",
    [(), ((1, 0),), ((3, 0),), ((1, 99),), ((3, 99),), ((0, 1),), ((2**64 - 1, 2**64 - 1),)],
    ids=str,
)
def test_acks_that_name_no_ekt_key_change_nothing(numbers: tuple[tuple[int, int], ...]) -> None:
    from halfkey.dtls.record import RecordNumber

    network = connected()
    network.fate = lambda index, sender, datagram: (
        deliver(index, sender, datagram) if sender == "client" else []
    )
    send(network, 7)
    ack = Ack(tuple(RecordNumber(*number) for number in numbers))
    network.client.connection._channel.send_record(ContentType.ACK, ack.encode())
    network.drain()
    network.run(0.3)
    assert network.server.acknowledged_spis == []
    assert network.server.connection.counters["unexpected_ack"] == 1
    assert network.server.connection.is_connected


def test_a_malformed_ack_is_a_decode_error() -> None:
    network = connected()
    inject(network, "client", ContentType.ACK, b"\0\x0f" + bytes(15))
    assert network.server.terminated.alert is AlertDescription.DECODE_ERROR


def test_a_client_that_awaits_none_ignores_acks() -> None:
    network = connected()
    inject(network, "server", ContentType.ACK, b"\0\0")
    assert network.client.connection.counters["unexpected_ack"] == 1
    assert network.client.connection.is_connected
