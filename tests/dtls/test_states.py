"""Every message in every state of both sides and versions, in plain text and under every key.

What the tables don't admit ends in the right alert or in silence, never in a key.
"""

from __future__ import annotations

from itertools import product

import pytest

from halfkey.dtls import AlertDescription, EKTKeyReceived, HandshakeCompleted
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.record import APPLICATION_EPOCH, HANDSHAKE_EPOCH, PROTECTED_EPOCH
from halfkey.dtls.registries import DTLS_1_2, DTLS_1_3, ContentType, HandshakeType, ProtocolVersion
from halfkey.dtls.states import (
    CLIENT_TABLES,
    SERVER_TABLES,
    State,
    StateTable,
    next_state,
    plaintext_types,
)
from tests.dtls.helpers import (
    RECORD_HEADER,
    Delivery,
    Network,
    client_configuration,
    handshake_record,
    of_each_version,
    server_configuration,
    split_records,
)

pytestmark = [of_each_version, pytest.mark.usefixtures("one_message_per_record")]

TABLES = {
    (side, version): table
    for side, tables in (("client", CLIENT_TABLES), ("server", SERVER_TABLES))
    for version, table in tables.items()
}
A, H = AlertDescription, HandshakeType
ON_THE_WIRE = [kind for kind in H if kind <= 0xFF]


def table_of(side: str, version: ProtocolVersion) -> StateTable:
    return TABLES[side, version]


by_side = pytest.mark.parametrize("side", ["client", "server"])


@by_side
def test_what_the_table_lacks_is_unexpected(side: str, version: ProtocolVersion) -> None:
    table = table_of(side, version)
    for state, kind in product(table, [*H, 99]):
        if kind in table[state].transitions:
            assert next_state(table, state, kind) is table[state].transitions[H(kind)]
            continue
        with pytest.raises(ProtocolFault) as caught:
            next_state(table, state, kind)
        assert caught.value.alert is A.UNEXPECTED_MESSAGE


def roads(table: StateTable, state: State, seen: tuple[State, ...] = ()) -> list[tuple[State, ...]]:
    """Every way from a state to CONNECTED, without circles."""
    seen = (*seen, state)
    if state is State.CONNECTED:
        return [seen]
    onward = dict.fromkeys(table[state].transitions.values())
    return [road for one in onward if one not in seen for road in roads(table, one, seen)]


@by_side
def test_there_is_one_road_to_connected(side: str, version: ProtocolVersion) -> None:
    """But for the client's detour by a HelloRetryRequest."""
    table = table_of(side, version)
    every = roads(table, next(iter(table)))
    assert tuple(table) in every
    assert len(every) == (2 if (side, version) == ("client", DTLS_1_3) else 1)
    for road in every:
        epochs = [table[state].epoch for state in road]
        assert epochs == sorted(epochs)


@by_side
def test_connected_needs_every_proof(side: str, version: ProtocolVersion) -> None:
    road = [kind for row in table_of(side, version).values() for kind in row.transitions]
    proof = H.CERTIFICATE_VERIFY
    if (side, version) == ("client", DTLS_1_2):
        proof = H.SERVER_KEY_EXCHANGE
    assert road.index(H.CERTIFICATE) < road.index(proof) < road.index(H.FINISHED)


@by_side
def test_a_finished_is_never_in_plain_text(side: str, version: ProtocolVersion) -> None:
    for row in table_of(side, version).values():
        if {H.FINISHED, H.EKT_KEY, H.KEY_UPDATE} & set(row.transitions):
            assert row.epoch > 0


# --- whole connections


def paused_in(state: State, side: str) -> Network:
    """A handshake in which one side has just come to a state, and hears nothing more."""
    network = Network(client_configuration(), server_configuration())

    def fate(index: int, sender: str, datagram: bytes) -> Delivery:
        # Each record by itself, and no two at once.
        begin = 0.01 + 0.001 * index
        return [(begin + 0.0001 * at, one) for at, one in enumerate(split_records(datagram))]

    network.fate = fate
    network.start()
    while network.side(side).connection.state is not state:
        assert network.step(network.now + 1)
    network._flying.clear()
    network.fate = lambda *_: []
    return network


LIVE = [
    (side, version, state)
    for (side, version), table in TABLES.items()
    for state in table
    if state is not State.EXPECT_CLIENT_HELLO
]
in_every_state = pytest.mark.parametrize(
    ("side", "version", "state"),
    LIVE,
    indirect=["version"],
    ids=[f"{side} {version.title} {state.name}" for side, version, state in LIVE],
)


def expected_alert(kind: int, row_epoch: int, epoch: int, admitted: bool) -> A | None:
    """What a message must come to whose body is one byte, 1; None if nothing may change."""
    if epoch != row_epoch or not admitted:
        return A.UNEXPECTED_MESSAGE
    # A KeyUpdate of that byte asks for one in return.
    return None if kind == H.KEY_UPDATE else A.DECODE_ERROR


FIRST_WORD_OF_1_2 = (State.EXPECT_SERVER_HELLO, H.HELLO_VERIFY_REQUEST)
"""Who speaks 1.3 alone is told so that there is no common version."""


@in_every_state
def test_plaintext_messages_in_every_state(
    side: str, version: ProtocolVersion, state: State
) -> None:
    table = table_of(side, version)
    for kind in ON_THE_WIRE:
        network = paused_in(state, side)
        subject = network.side(side)
        connection = subject.connection
        before = len(subject.of(HandshakeCompleted))
        message_seq = connection._channel.reassembler.next_seq
        connection.receive_datagram(handshake_record(kind, message_seq, b"\1"), network.now)
        network.drain()
        assert len(subject.of(HandshakeCompleted)) == before
        if state is State.CONNECTED:
            assert connection.counters["late_plaintext"] == 1
        elif version is DTLS_1_3 and (state, kind) == FIRST_WORD_OF_1_2:
            assert subject.terminated.alert is A.PROTOCOL_VERSION
        elif kind not in plaintext_types(table):
            assert connection.counters["unexpected_plaintext"] == 1
            assert connection.state is state
        elif table[state].epoch > 0:
            assert connection.state is state  # waits for a protected message, whatever else comes
        else:
            alert = expected_alert(kind, 0, 0, kind in table[state].transitions)
            assert subject.terminated.alert is alert


@in_every_state
def test_authentic_messages_in_every_state(
    side: str, version: ProtocolVersion, state: State
) -> None:
    """The peer itself sends them, under every key that it has by then."""
    row = table_of(side, version)[state]
    for kind in [*ON_THE_WIRE, 99]:
        network = paused_in(state, side)
        subject, connection = network.side(side), network.side(side).connection
        peer = network.side("server" if side == "client" else "client").connection
        for epoch in sorted(peer._channel.writer._keys):
            if connection.is_terminated:
                break
            before = len(subject.of(HandshakeCompleted))
            message_seq = connection._channel.reassembler.next_seq
            payload = handshake_record(kind, message_seq, b"\1")[RECORD_HEADER:]
            _, record = peer._channel.writer.write(epoch, ContentType.HANDSHAKE, payload)
            is_readable = epoch in connection._channel.reader._epochs
            connection.receive_datagram(record, network.now)
            network.drain()
            assert len(subject.of(HandshakeCompleted)) == before
            assert subject.of(EKTKeyReceived) == []
            alert = expected_alert(kind, row.epoch, epoch, kind in row.transitions)
            if not is_readable or alert is None:
                assert connection.state is state
                assert not connection.is_terminated
            else:
                assert subject.terminated.alert is alert


def test_the_states_above_were_reached_under_every_key(version: ProtocolVersion) -> None:
    """The control of the test before: peers do have those keys."""
    epochs: set[int] = set()
    for side, of_version, state in LIVE:
        if of_version is version:
            network = paused_in(state, side)
            for one in (network.client, network.server):
                epochs |= set(one.connection._channel.writer._keys)
    wanted = {DTLS_1_2: {PROTECTED_EPOCH}, DTLS_1_3: {HANDSHAKE_EPOCH, APPLICATION_EPOCH}}
    assert epochs == wanted[version]


@pytest.mark.parametrize("kind", [*ON_THE_WIRE, 99], ids=str)
def test_nothing_but_a_client_hello_is_answered_at_the_gate(kind: int) -> None:
    network = Network(client_configuration(), server_configuration())
    server = network.server.connection
    server.receive_datagram(handshake_record(kind, 0, b"\1"), network.now)
    answers = server.datagrams_to_send()
    assert bool(answers) == (kind == H.CLIENT_HELLO and server.counters["cookie_missing"] == 1) or (
        # In 1.3 what can't be read is refused.
        kind == H.CLIENT_HELLO and server.counters["client_hello_refused"] == 1
    )
    assert server.state is State.EXPECT_CLIENT_HELLO
    assert server.next_event() is None
    assert server.next_timer() is None
