"""Loss, duplication and reordering: every one and two datagrams, from ClientHello to the last ACK.

Whatever happens to them, both sides come to the same end: connected, with the same keys and the
same EKTKeys, each received once and acknowledged once.
"""

from __future__ import annotations

from itertools import combinations, product

import pytest

from halfkey.dtls import Event, HandshakeCompleted
from tests.dtls.helpers import (
    LATENCY,
    Delivery,
    Network,
    client_configuration,
    deliver,
    ekt_key,
    record_number,
    server_configuration,
    split_records,
)

SPIS = [7, 0xFFFF]
FATES: dict[str, list[float]] = {
    "lost": [],
    "duplicated": [LATENCY, 1.5 * LATENCY],
    "overtaken": [2.5 * LATENCY],
    "late": [0.9],
    "repeated_late": [LATENCY, 0.9],
}
PMTUS = {"whole": 1200, "fragmented": 300}
by_pmtu = pytest.mark.parametrize("pmtu", PMTUS.values(), ids=PMTUS.keys())


def run(pmtu: int, fates: dict[int, list[float]]) -> Network:
    """A handshake and two EKTKeys, with the given fates by datagram index."""

    def fate(index: int, sender: str, datagram: bytes) -> Delivery:
        if index in fates:
            return [(delay, datagram) for delay in fates[index]]
        return deliver(index, sender, datagram)

    network = Network(client_configuration(pmtu=pmtu), server_configuration(pmtu=pmtu), fate)

    def on_event(name: str, event: Event) -> None:
        if name == "server" and isinstance(event, HandshakeCompleted):
            for spi in SPIS:
                network.server.connection.send_ekt_key(ekt_key(spi), network.now)

    network.on_event = on_event
    return network.start().run(60)


def check(network: Network) -> None:
    client, server = network.client, network.server
    assert client.connection.is_connected
    assert server.connection.is_connected
    assert client.completed.keying_material == server.completed.keying_material
    assert client.received_spis == SPIS
    assert server.acknowledged_spis == SPIS
    assert client.connection.next_timer() is None
    assert server.connection.next_timer() is None
    for side in (client, server):
        numbers = [
            record_number(record)
            for datagram in side.sent
            for record in split_records(datagram)
            if record_number(record)[0]
        ]
        assert len(numbers) == len(set(numbers))


def reach(pmtu: int) -> range:
    """The datagrams of an undisturbed run, and some of what follows a disturbance."""
    return range(len(run(pmtu, {}).datagrams) + 2)


@by_pmtu
def test_undisturbed(pmtu: int) -> None:
    network = run(pmtu, {})
    check(network)
    assert network.client.connection.counters["stale_message"] == 0


@by_pmtu
@pytest.mark.parametrize("what", FATES)
def test_every_datagram(pmtu: int, what: str) -> None:
    for index in reach(pmtu):
        check(run(pmtu, {index: FATES[what]}))


@by_pmtu
@pytest.mark.parametrize(
    ("first", "second"), list(product(FATES, repeat=2)), ids=lambda name: str(name)
)
def test_every_two_datagrams(pmtu: int, first: str, second: str) -> None:
    for one, other in combinations(reach(pmtu), 2):
        check(run(pmtu, {one: FATES[first], other: FATES[second]}))


@pytest.mark.parametrize("lost", [("client",), ("server",), ("client", "server")])
def test_nothing_gets_through_for_ten_seconds(lost: tuple[str, ...]) -> None:
    network = Network(client_configuration(), server_configuration())
    begin = network.now

    def fate(index: int, sender: str, datagram: bytes) -> Delivery:
        if sender in lost and network.now < begin + 10:
            return []
        return deliver(index, sender, datagram)

    network.fate = fate
    network.start().run(60)
    assert network.client.completed.keying_material == network.server.completed.keying_material
