"""What changes nothing, beside what does."""

from __future__ import annotations

import pytest

from halfkey.dtls.handshake import present
from tests.dtls.helpers import (
    LATENCY,
    Delivery,
    Network,
    client_configuration,
    connected,
    ekt_key,
    server_configuration,
)


def test_a_timer_that_is_served_too_early_sends_no_ekt_key_again() -> None:
    network = connected()
    server = network.server.connection
    server.send_ekt_key(ekt_key(), network.now)
    assert len(server.datagrams_to_send()) == 1
    due = server.next_timer()
    assert due is not None
    server.handle_timer(due - 0.001)
    assert server.datagrams_to_send() == []
    server.handle_timer(due)
    assert len(server.datagrams_to_send()) == 1


def test_a_last_flight_that_was_lost_is_sent_again_without_ekt_too() -> None:
    network = Network(client_configuration(ekt_ciphers=()), server_configuration(ekt_ciphers=()))

    def fate(index: int, sender: str, datagram: bytes) -> Delivery:
        is_first = network.server.connection.is_connected and sender == "server" and not lost
        if is_first:
            lost.append(index)
        return [] if is_first else [(LATENCY, datagram)]

    lost: list[int] = []
    network.fate = fate
    network.start().run(10)
    assert lost
    assert network.client.completed.keying_material == network.server.completed.keying_material
    assert network.client.completed.ekt_cipher is None


def test_a_value_that_the_state_table_owes_us_is_our_own_fault() -> None:
    assert present(b"") == b""
    with pytest.raises(RuntimeError, match="state table"):
        present(None)
