"""What anybody on the path can send, while a handshake runs and after it."""

from __future__ import annotations

import pytest

from halfkey.dtls import AlertDescription, Event, HandshakeCompleted
from halfkey.dtls.registries import (
    DTLS_1_3,
    AlertLevel,
    ContentType,
    HandshakeType,
    ProtocolVersion,
)
from halfkey.dtls.states import State
from tests.dtls.helpers import (
    Network,
    client_configuration,
    connected,
    deliver,
    ekt_key,
    handshake_record,
    is_protected,
    is_unified,
    of_each_version,
    only_1_2,
    plaintext_record,
    server_configuration,
    split_records,
)

pytestmark = of_each_version

A = AlertDescription


def noise() -> list[bytes]:
    alerts = [bytes([level, kind]) for level in (1, 2) for kind in (0, 10, 20, 40, 80)]
    return [
        *(plaintext_record(ContentType.ALERT, alert) for alert in alerts),
        plaintext_record(ContentType.ALERT, b"\x02"),
        plaintext_record(ContentType.CHANGE_CIPHER_SPEC, b"\x01"),
        plaintext_record(ContentType.CHANGE_CIPHER_SPEC, b"\x02"),
        plaintext_record(ContentType.APPLICATION_DATA, b"hello"),
        plaintext_record(ContentType.ACK, b"\0\x10" + bytes(16)),
        plaintext_record(99, b"?"),
        plaintext_record(ContentType.HANDSHAKE, b""),
        plaintext_record(ContentType.HANDSHAKE, b"\x01\0\0\x05"),
        plaintext_record(ContentType.HANDSHAKE, bytes(20000)),
        b"\x16",
        b"\x16\xfe\xfd\0\0",
        b"\x16\x03\x03" + bytes(10),
        b"\x16\xfe\xfd\0\x01" + bytes(6) + b"\0\x20" + bytes(32),
        b"\x16\xfe\xfd\0\x02" + bytes(6) + b"\0\x20" + bytes(32),
        b"\x16\xfe\xfd\xff\xff" + b"\xff" * 6 + b"\0\x20" + bytes(32),
        *(bytes([0x2C | bits]) + b"\0\1\0\x20" + bytes(32) for bits in range(4)),
        b"\x20\1" + bytes(20),
        b"\x30" + bytes(40),
        b"",
        handshake_record(HandshakeType.HELLO_REQUEST, 0, b""),
        handshake_record(HandshakeType.CLIENT_HELLO, 0, bytes(50)),
        handshake_record(HandshakeType.FINISHED, 60000, bytes(12)),
    ]


@pytest.mark.usefixtures("one_message_per_record")
def test_noise_changes_nothing_in_any_state() -> None:
    """Noise before and after every record of a handshake, to both sides."""
    network = Network(client_configuration(), server_configuration())

    def fate(index: int, sender: str, datagram: bytes) -> list[tuple[float, bytes]]:
        records = split_records(datagram)
        flow = [piece for record in records for piece in (*noise(), record)]
        return [(0.01, piece) for piece in (*flow, *noise())]

    network.fate = fate

    def on_event(name: str, event: Event) -> None:
        if name == "server" and isinstance(event, HandshakeCompleted):
            network.server.connection.send_ekt_key(ekt_key(), network.now)

    network.on_event = on_event
    network.start().run(0.39)  # before any timer: nothing was set back
    assert network.client.completed.keying_material == network.server.completed.keying_material
    assert network.client.received_spis == network.server.acknowledged_spis == [7]
    assert network.client.connection.counters["plaintext_alert"] > 10


def test_a_stray_client_hello_never_disturbs_a_connection() -> None:
    network = connected()
    hellos = [datagram for name, datagram in network.datagrams if name == "client"][:2]
    before = len(network.datagrams)
    for hello in hellos * 3:
        network.server.connection.receive_datagram(hello, network.now)
    network.drain()
    assert len(network.datagrams) == before
    assert network.server.connection.is_connected
    assert network.server.connection.counters["late_plaintext"] == 6


@pytest.mark.parametrize("side", ["client", "server"])
def test_replayed_and_forged_records_are_counted(side: str) -> None:
    network = connected()
    network.server.connection.send_ekt_key(ekt_key(), network.now)
    network.drain()
    network.run(1)
    other = "server" if side == "client" else "client"
    protected = [
        record
        for name, datagram in network.datagrams
        if name == other
        for record in split_records(datagram)
        if is_protected(record)
    ]
    connection = network.side(side).connection
    before = dict(connection.counters)
    for record in protected:
        connection.receive_datagram(record, network.now)
        last_of_number = 2 if is_unified(record) else 10
        for place in (last_of_number, len(record) - 1):
            forged = bytearray(record)
            forged[place] ^= 0x28
            connection.receive_datagram(bytes(forged), network.now)
    assert connection.datagrams_to_send() == []
    assert connection.next_event() is None
    assert connection.counters["replayed"] - before["replayed"] == len(protected)
    assert connection.counters["decryption_failed"] == 2 * len(protected)


def test_a_forgery_does_not_move_the_replay_window() -> None:
    network = connected()
    for header in (b"\x16\xfe\xfd\0\x01" + b"\xff" * 6 + b"\0\x40", b"\x2f\xff\xff\0\x40"):
        network.client.connection.receive_datagram(header + bytes(64), network.now)
    network.server.connection.send_ekt_key(ekt_key(), network.now)
    network.drain()
    network.run(1)
    assert network.client.received_spis == [7]


@only_1_2
def test_renegotiation_is_declined_and_harmless() -> None:
    network = connected()
    for sender, kind in (
        ("client", HandshakeType.CLIENT_HELLO),
        ("server", HandshakeType.HELLO_REQUEST),
    ):
        side = network.side(sender)
        payload = handshake_record(kind, 0, b"")[13:]
        side.connection._channel.send_record(ContentType.HANDSHAKE, payload)
    network.drain()
    network.run(1)
    for name in ("client", "server"):
        connection = network.side(name).connection
        assert connection.is_connected
        assert connection.counters["warning_alert"] == 1


@pytest.mark.parametrize("sender", ["client", "server"])
def test_a_late_handshake_message_is_unexpected(sender: str) -> None:
    network = connected()
    channel = network.side(sender).connection._channel
    payload = handshake_record(HandshakeType.FINISHED, channel.take_message_seq(), bytes(12))[13:]
    channel.send_record(ContentType.HANDSHAKE, payload)
    network.drain()
    network.run(1)
    other = "server" if sender == "client" else "client"
    assert network.side(other).terminated.alert is A.UNEXPECTED_MESSAGE
    assert network.side(sender).terminated.alert is A.UNEXPECTED_MESSAGE
    assert network.side(sender).terminated.by_peer


@pytest.mark.parametrize("payload", [b"\x01", b"\x01\x0a" * 2], ids=["half", "two in one"])
def test_a_protected_alert_must_be_well_formed(payload: bytes) -> None:
    network = connected()
    channel = network.client.connection._channel
    channel.send_alert(AlertLevel.WARNING, A.USER_CANCELED)  # goes on, in both versions
    network.drain()
    network.run(1)
    assert network.server.connection.is_connected
    channel.send_record(ContentType.ALERT, payload)
    network.drain()
    network.run(1)
    assert network.server.terminated.alert is A.DECODE_ERROR


def test_a_protected_fatal_alert_ends_the_connection() -> None:
    network = connected()
    network.client.connection._channel.send_alert(AlertLevel.FATAL, A.INTERNAL_ERROR)
    network.drain()
    network.run(1)
    assert network.server.terminated.alert is A.INTERNAL_ERROR
    assert network.server.connection.state is State.TERMINATED


def test_a_plaintext_finished_does_not_stand_in_the_way() -> None:
    """What is injected in epoch 0 under Finished's number is not mixed up with it."""

    def fate(index: int, sender: str, datagram: bytes) -> list[tuple[float, bytes]]:
        fakes = [handshake_record(kind, seq, bytes(12)) for kind in (20, 26) for seq in (5, 6, 7)]
        return [(0.01, fake) for fake in fakes] + deliver(index, sender, datagram)

    network = Network(client_configuration(), server_configuration(), fate)
    network.start().run(0.39)
    assert network.server.completed.keying_material == network.client.completed.keying_material


@only_1_2
def test_a_server_that_only_sends_cookies() -> None:
    network = Network(client_configuration(), server_configuration(), lambda *_: [])
    network.start()
    for seq in range(6):
        request = handshake_record(3, seq, b"\xfe\xff\x01" + bytes([seq]))
        network.client.connection.receive_datagram(request, network.now)
        network.drain()
    assert len(network.client.sent) == 5 + 1  # the hello, four answers, the alert
    assert network.client.terminated.alert is A.HANDSHAKE_FAILURE


LAST = (State.EXPECT_FINISHED, State.EXPECT_ACK)
"""What a client is in when it has just sent its last flight, in 1.2 and in 1.3."""


def test_alerts_that_came_before_their_key_end_an_association_once(
    version: ProtocolVersion,
) -> None:
    network = Network(client_configuration(), server_configuration())
    network.fate = lambda index, sender, datagram: (
        [] if network.client.connection.state in LAST else deliver(index, sender, datagram)
    )
    network.start().run(0.09)
    name, flight = network.datagrams[-1]
    assert name == "client"
    for _ in range(3):
        network.client.connection._channel.send_alert(AlertLevel.FATAL, A.INTERNAL_ERROR)
    server = network.server.connection
    for record in network.client.connection.datagrams_to_send():
        server.receive_datagram(record, network.now)
    assert server.state is State.EXPECT_CERTIFICATE
    server.receive_datagram(flight, network.now)
    network.drain()
    assert network.server.terminated.alert is A.INTERNAL_ERROR
    # In 1.3 they came under the keys that Finished opens.
    is_1_3 = version is DTLS_1_3
    assert len(network.server.of(HandshakeCompleted)) == is_1_3


def test_what_was_left_of_plain_text_is_forgotten() -> None:
    network = Network(client_configuration(), server_configuration())
    # Half a ServerHello (and, for 1.2, Certificate), of a number that never comes to its turn.
    half = b"".join(
        plaintext_record(
            ContentType.HANDSHAKE, bytes.fromhex(kind + "000100 0007 000000 000001 30")
        )
        for kind in ("02", "0b")
    )
    network.fate = lambda index, sender, datagram: [(0.01, half), (0.01, datagram)]
    network.start()
    most = 0
    sides = [network.client.connection, network.server.connection]
    while not all(side.is_connected for side in sides):
        network.step(network.now + 1)
        most = max(most, *(side._channel.reassembler.held_bytes for side in sides))
    assert most >= 256
    assert [side._channel.reassembler.held_bytes for side in sides] == [0, 0]
