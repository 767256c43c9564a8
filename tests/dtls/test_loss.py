"""Loss, duplication and reordering: every one and two datagrams, from ClientHello to the last ACK.

Whatever happens to them, in either version both sides come to the same end: connected, with the
same keys and the same EKTKeys, each received once and acknowledged once; in DTLS 1.3 also with the
same new keys after a KeyUpdate of each side.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor

import pytest

from halfkey.dtls import Event, HandshakeCompleted
from halfkey.dtls.crypto.key_exchange import AVAILABLE_GROUPS
from halfkey.dtls.registries import DTLS_1_3, NamedGroup, ProtocolVersion
from tests.dtls import helpers
from tests.dtls.helpers import (
    LATENCY,
    Delivery,
    Network,
    SealedNumbers,
    client_configuration,
    deliver,
    ekt_key,
    of_each_version,
    server_configuration,
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


pytestmark = of_each_version


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> SealedNumbers:
    return SealedNumbers(monkeypatch)


def run(pmtu: int, fates: dict[int, list[float]]) -> Network:
    """A handshake and two EKTKeys, in 1.3 a KeyUpdate too, with the given fates by index."""

    def fate(index: int, sender: str, datagram: bytes) -> Delivery:
        if index in fates:
            return [(delay, datagram) for delay in fates[index]]
        return deliver(index, sender, datagram)

    # The hybrid's long key shares in whole datagrams; cut to pieces, the others are long enough.
    groups = AVAILABLE_GROUPS if pmtu == PMTUS["whole"] else (NamedGroup.X25519,)
    client = client_configuration(pmtu=pmtu, groups=groups)
    network = Network(client, server_configuration(pmtu=pmtu, groups=groups), fate)

    def on_event(name: str, event: Event) -> None:
        if name == "server" and isinstance(event, HandshakeCompleted):
            server = network.server.connection
            server.send_ekt_key(ekt_key(SPIS[0]), network.now)
            if network.server.completed.version is DTLS_1_3:
                server.update_keys(network.now, request_peer=True)
            server.send_ekt_key(ekt_key(SPIS[1]), network.now)

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
    epochs = {
        side.connection._channel.writer.epoch: side.connection._channel.reader.epoch
        for side in (client, server)
    }
    assert epochs == ({4: 4} if client.completed.version is DTLS_1_3 else {1: 1})


def reach(pmtu: int) -> range:
    """The datagrams of an undisturbed run, and some of what follows a disturbance."""
    return range(len(run(pmtu, {}).datagrams) + 2)


@by_pmtu
def test_undisturbed(pmtu: int, sealed: SealedNumbers) -> None:
    network = run(pmtu, {})
    check(network)
    sealed.assert_unique()
    assert network.client.connection.counters["stale_message"] == 0


@by_pmtu
@pytest.mark.parametrize("what", FATES)
def test_every_datagram(pmtu: int, what: str, sealed: SealedNumbers) -> None:
    for index in reach(pmtu):
        check(run(pmtu, {index: FATES[what]}))
        sealed.assert_unique()
        sealed.numbers.clear()


@pytest.fixture(scope="module")
def processors() -> Iterator[Executor]:
    """All of them, since there are ten thousand handshakes to go through."""
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def check_pairs(
    version: ProtocolVersion, pmtu: int, one: int, first: str, others: range, second: str
) -> None:
    """Has one datagram meet a fate, and each of the others in turn another."""
    helpers.SPOKEN[:] = [version]
    for other in others:
        try:
            check(run(pmtu, {one: FATES[first], other: FATES[second]}))
        except AssertionError as error:
            error.add_note(f"datagram {one} {first}, {other} {second}")
            raise


@by_pmtu
@pytest.mark.parametrize("first", FATES)
def test_every_two_datagrams(
    pmtu: int, first: str, version: ProtocolVersion, processors: Executor
) -> None:
    pairs, datagrams = [], reach(pmtu)
    for one in datagrams:
        length = len(run(pmtu, {one: FATES[first]}).datagrams)  # later ones have no fate to meet
        others = range(one + 1, min(datagrams.stop, length))
        pairs += [
            processors.submit(check_pairs, version, pmtu, one, first, others, second)
            for second in FATES
        ]
    for pair in pairs:
        pair.result()


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
