"""Whatever arrives, nothing raises, ends twice, or completes with keys that differ."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from halfkey.dtls import Connection, ConnectionTerminated, Event, HandshakeCompleted
from halfkey.dtls.fragments import MAXIMUM_BYTES_AHEAD, MAXIMUM_MESSAGE
from tests.dtls.helpers import (
    PEER,
    Delivery,
    Network,
    client_configuration,
    connected,
    deliver,
    ekt_key,
    of_each_version,
    server_configuration,
    split_records,
)

pytestmark = of_each_version

MEMORY_BOUND = MAXIMUM_BYTES_AHEAD + 2 * MAXIMUM_MESSAGE


@st.composite
def almost_records(draw: st.DrawFn) -> bytes:
    """Well-formed record headers around nonsense, and now and then no record at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=60))
    if draw(st.integers(0, 4)) == 0:
        body = draw(st.binary(max_size=60))
        header = bytes([0x2C | draw(st.integers(0, 3))]) + draw(st.binary(min_size=2, max_size=2))
        return header + len(body).to_bytes(2, "big") + body
    content_type = draw(st.sampled_from([20, 21, 22, 22, 22, 23, 26, 25, 0, 255]))
    epoch = draw(st.sampled_from([0, 0, 0, 1, 2, 0xFFFF]))
    payload = draw(st.one_of(st.binary(max_size=60), almost_messages()))
    header = bytes([content_type]) + b"\xfe\xfd" + epoch.to_bytes(2, "big")
    header += draw(st.integers(0, 2**48 - 1)).to_bytes(6, "big")
    return header + len(payload).to_bytes(2, "big") + payload


@st.composite
def almost_messages(draw: st.DrawFn) -> bytes:
    """Handshake headers that mostly fit what follows."""
    body = draw(st.binary(max_size=60))
    length = draw(st.sampled_from([len(body), len(body), len(body) + 1, 40000]))
    kind = draw(st.sampled_from([0, 1, 2, 3, 4, 8, 11, 12, 13, 14, 15, 16, 20, 24, 26, 99]))
    seq = draw(st.integers(0, 10))
    offset = draw(st.sampled_from([0, 0, 0, 1, 39990]))
    return (
        bytes([kind])
        + length.to_bytes(3, "big")
        + seq.to_bytes(2, "big")
        + offset.to_bytes(3, "big")
        + len(body).to_bytes(3, "big")
        + body
    )


@st.composite
def mutations(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """Which byte of which datagram to change: (datagram, place, XOR)."""
    one = st.tuples(st.integers(0, 9), st.integers(0, 1199), st.integers(1, 255))
    return draw(st.lists(one, min_size=1, max_size=4))


def check(network: Network) -> None:
    for side in (network.client, network.server):
        assert len(side.of(ConnectionTerminated)) <= 1
        assert len(side.of(HandshakeCompleted)) <= 1
        assert side.connection._channel.reassembler.held_bytes <= MEMORY_BOUND
        if side.of(ConnectionTerminated):
            assert isinstance(side.events[-1], ConnectionTerminated)
    client, server = network.client, network.server
    if client.of(HandshakeCompleted) and server.of(HandshakeCompleted):
        assert client.completed.keying_material == server.completed.keying_material
        assert client.completed.srtp_profile is server.completed.srtp_profile
        assert client.completed.ekt_cipher is server.completed.ekt_cipher


@given(garbage=st.lists(almost_records(), max_size=12))
def test_garbage_before_the_handshake(garbage: list[bytes]) -> None:
    network = Network(client_configuration(), server_configuration())
    fresh = Connection(client_configuration(), PEER)
    for datagram in garbage:
        network.server.connection.receive_datagram(datagram, network.now)
        fresh.receive_datagram(datagram, network.now)
        assert network.server.connection.next_timer() is None
    assert network.server.connection.next_event() is None
    answers = network.server.connection.datagrams_to_send()
    assert sum(map(len, answers)) <= 3 * sum(map(len, garbage))
    assert fresh.datagrams_to_send() == []
    network.start().run(5)
    assert network.client.completed.keying_material == network.server.completed.keying_material


@settings(max_examples=200, deadline=None)
@given(changes=mutations())
def test_mutated_datagrams(changes: list[tuple[int, int, int]]) -> None:
    def fate(index: int, sender: str, datagram: bytes) -> Delivery:
        data = bytearray(datagram)
        for at, place, mask in changes:
            if at == index:
                data[place % len(data)] ^= mask
        return deliver(index, sender, bytes(data))

    network = Network(client_configuration(), server_configuration(), fate)

    def on_event(name: str, event: Event) -> None:
        if name == "server" and isinstance(event, HandshakeCompleted):
            network.server.connection.send_ekt_key(ekt_key(), network.now)

    network.on_event = on_event
    network.start().run(40)
    check(network)


@settings(max_examples=100, deadline=None)
@given(
    injected=st.lists(st.tuples(st.integers(0, 20), almost_records()), max_size=10),
)
def test_garbage_within_the_handshake(injected: list[tuple[int, bytes]]) -> None:
    position = 0

    def fate(index: int, sender: str, datagram: bytes) -> Delivery:
        nonlocal position
        flow: Delivery = []
        for record in split_records(datagram):
            flow += [(0.01, garbage) for at, garbage in injected if at == position]
            flow.append((0.01, record))
            position += 1
        return flow

    network = Network(client_configuration(), server_configuration(), fate)
    network.start().run(40)
    check(network)


@given(garbage=st.lists(almost_records(), min_size=1, max_size=10))
def test_garbage_after_the_handshake(garbage: list[bytes]) -> None:
    network = connected()
    for datagram in garbage:
        for side in (network.client, network.server):
            side.connection.receive_datagram(datagram, network.now)
            assert side.connection.next_event() is None
            assert side.connection.datagrams_to_send() == []
            assert side.connection.next_timer() is None
    network.server.connection.send_ekt_key(ekt_key(), network.now)
    network.drain()
    network.run(1)
    assert network.client.received_spis == network.server.acknowledged_spis == [7]


@given(data=st.data())
def test_authentic_nonsense_after_the_handshake(data: st.DataObject) -> None:
    """The peer itself, with the right keys, sends anything."""
    network = connected()
    for _ in range(data.draw(st.integers(1, 4))):
        sender = network.side(data.draw(st.sampled_from(["client", "server"])))
        content_type = data.draw(st.sampled_from([20, 21, 22, 23, 26]))
        payload = data.draw(st.one_of(st.binary(max_size=40), almost_messages()))
        if not sender.connection.is_terminated:
            sender.connection._channel.send_record(content_type, payload)
        network.drain()
        network.run(1)
    check(network)
