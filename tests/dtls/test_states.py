"""Every message in every state: admitted by the table, or refused with unexpected_message."""

from __future__ import annotations

from itertools import product

import pytest

from halfkey.dtls import AlertDescription, HandshakeCompleted
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.handshake import next_state
from halfkey.dtls.registries import HandshakeType
from halfkey.dtls.states import CLIENT_1_2, SERVER_1_2, State, StateTable, plaintext_types
from tests.dtls.helpers import (
    Delivery,
    Network,
    client_configuration,
    handshake_record,
    server_configuration,
    split_records,
)

TABLES = {"client": CLIENT_1_2, "server": SERVER_1_2}
by_table = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())


@by_table
def test_what_the_table_lacks_is_unexpected(table: StateTable) -> None:
    for state, kind in product(table, [*HandshakeType, 99]):
        if kind in table[state].transitions:
            assert next_state(table, state, kind) is table[state].transitions[HandshakeType(kind)]
            continue
        with pytest.raises(ProtocolFault) as caught:
            next_state(table, state, kind)
        assert caught.value.alert is AlertDescription.UNEXPECTED_MESSAGE


@by_table
def test_every_state_leads_to_connected_by_one_road(table: StateTable) -> None:
    state = next(iter(table))
    seen = [state]
    while state is not State.CONNECTED:
        onward = {after for after in table[state].transitions.values() if after is not state}
        (state,) = onward
        seen.append(state)
    assert seen == list(table)
    assert all(row.epoch == (1 if state in seen[-2:] else 0) for state, row in table.items())


@by_table
def test_connected_needs_every_proof(table: StateTable) -> None:
    road = [kind for row in table.values() for kind in row.transitions]
    proof = {
        "client": HandshakeType.SERVER_KEY_EXCHANGE,
        "server": HandshakeType.CERTIFICATE_VERIFY,
    }["client" if table is CLIENT_1_2 else "server"]
    certificate = road.index(HandshakeType.CERTIFICATE)
    assert certificate < road.index(proof) < road.index(HandshakeType.FINISHED)


def paused_in(state: State, side: str) -> Network:
    """A handshake in which one side has just come to a state, and hears nothing more."""
    network = Network(client_configuration(), server_configuration())

    def fate(index: int, sender: str, datagram: bytes) -> Delivery:
        return [(0.01 + 0.0001 * at, one) for at, one in enumerate(split_records(datagram))]

    network.fate = fate
    network.start()
    while network.side(side).connection.state is not state:
        assert network.step(network.now + 1)
    network._flying.clear()
    network.fate = lambda *_: []
    return network


LIVE = [
    (side, state)
    for side, table in TABLES.items()
    for state in table
    if state not in (State.CONNECTED, State.EXPECT_CLIENT_HELLO)
]


@pytest.mark.parametrize("kind", list(HandshakeType), ids=lambda kind: kind.name)
@pytest.mark.parametrize(("side", "state"), LIVE, ids=str)
def test_plaintext_messages_in_every_state(side: str, state: State, kind: HandshakeType) -> None:
    table = TABLES[side]
    network = paused_in(state, side)
    subject = network.side(side)
    connection = subject.connection
    message_seq = connection._channel.reassembler.next_seq
    connection.receive_datagram(handshake_record(kind, message_seq, b"\1"), network.now)
    network.drain()
    assert subject.of(HandshakeCompleted) == []
    if kind not in plaintext_types(table):
        assert connection.counters["unexpected_plaintext"] == 1
        assert connection.state is state
    elif table[state].epoch == 1:
        assert connection.state is state  # waits for a protected message, whatever else comes
    elif kind in table[state].transitions:
        assert subject.terminated.alert is AlertDescription.DECODE_ERROR
    else:
        assert subject.terminated.alert is AlertDescription.UNEXPECTED_MESSAGE
