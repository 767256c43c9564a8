"""KeyUpdate in DTLS 1.3 (RFC 9147 section 8): when keys are renewed, and what is no KeyUpdate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from halfkey.dtls import AlertDescription
from halfkey.dtls.crypto.aead import FAILURE_LIMIT
from halfkey.dtls.crypto.aead_1_3 import TrafficSealingKey
from halfkey.dtls.ekt_delivery import Deliveries
from halfkey.dtls.messages.key_update import KeyUpdate
from halfkey.dtls.record import APPLICATION_EPOCH
from halfkey.dtls.registries import DTLS_1_2, DTLS_1_3
from halfkey.errors import UsageError
from tests.dtls.helpers import (
    Delivery,
    Network,
    client_configuration,
    connected,
    deliver,
    ekt_key,
    server_configuration,
)

A = AlertDescription
OTHER = {"client": "server", "server": "client"}
both_sides = pytest.mark.parametrize("side", OTHER)


def connected_1_3() -> Network:
    only = {"versions": (DTLS_1_3,)}
    return connected(client_configuration(**only), server_configuration(**only))


def epochs(network: Network, side: str) -> tuple[int, int]:
    """What a side seals under, and what the other one does as far as it knows."""
    channel = network.side(side).connection._channel
    return channel.writer.epoch - APPLICATION_EPOCH, channel.reader.epoch - APPLICATION_EPOCH


def assert_still_understood(network: Network) -> None:
    network.server.connection.send_ekt_key(ekt_key(0x1234), network.now)
    network.drain()
    network.run(5)
    assert network.client.received_spis[-1] == 0x1234
    assert network.server.acknowledged_spis[-1] == 0x1234


@both_sides
@pytest.mark.parametrize("is_asked", [False, True])
def test_one_direction_or_both(side: str, is_asked: bool) -> None:
    network = connected_1_3()
    network.side(side).connection.update_keys(network.now, request_peer=is_asked)
    network.drain()
    assert epochs(network, side) == (0, 0)  # not before it was acknowledged
    network.run(1)
    assert epochs(network, side) == (1, int(is_asked))
    assert epochs(network, OTHER[side]) == (int(is_asked), 1)
    assert_still_understood(network)


FATES: dict[str, list[float]] = {"lost": [], "duplicated": [0.01, 0.015], "late": [0.9]}


@pytest.mark.parametrize("fate", FATES.values(), ids=FATES.keys())
def test_both_sides_at_once_whatever_happens_to_a_datagram(fate: list[float]) -> None:
    undisturbed = len(crossing(connected_1_3(), {}).datagrams)
    begin = len(connected_1_3().datagrams)
    assert undisturbed - begin >= 6
    for index in range(begin, undisturbed + 2):
        network = crossing(connected_1_3(), {index: fate})
        for side in OTHER:
            assert epochs(network, side) == (2, 2)
        assert_still_understood(network)


def crossing(network: Network, fates: dict[int, list[float]]) -> Network:
    """Each side renews, and asks the other to, before it has heard of the other's doing so."""

    def decide(index: int, sender: str, datagram: bytes) -> Delivery:
        if index in fates:
            return [(delay, datagram) for delay in fates[index]]
        return deliver(index, sender, datagram)

    network.fate = decide
    for side in OTHER:
        network.side(side).connection.update_keys(network.now, request_peer=True)
    network.drain()
    return network.run(30)


def wear_out_ours(network: Network) -> None:
    writer = network.server.connection._channel.writer
    key = writer._keys[writer.epoch]
    assert isinstance(key, TrafficSealingKey)
    key._suite = dataclasses.replace(key._suite, record_limit=1000)


def wear_out_theirs(network: Network) -> None:
    reader = network.server.connection._channel.reader
    reader._epochs[reader.epoch].failures = FAILURE_LIMIT // 2 + 1


@pytest.mark.parametrize(
    ("wear_out", "renewed"), [(wear_out_ours, (1, 0)), (wear_out_theirs, (1, 1))]
)
def test_keys_that_are_worn_out_are_renewed_unasked(
    wear_out: Callable[[Network], None], renewed: tuple[int, int]
) -> None:
    """RFC 9147 section 4.5.3: after many records ours, after many forgeries the peer's too."""
    network = connected_1_3()
    wear_out(network)
    assert_still_understood(network)  # its ACK is when that is looked at
    network.run(1)
    assert epochs(network, "server") == renewed
    assert_still_understood(network)
    assert epochs(network, "server") == renewed


def test_an_unknown_request_is_refused() -> None:
    network = connected_1_3()
    association = network.client.connection._association
    assert association is not None
    deliveries: Deliveries = association._deliveries
    deliveries.send(KeyUpdate(2), network.now)
    network.drain()
    network.run(1)
    assert network.server.terminated.alert is A.ILLEGAL_PARAMETER
    assert network.server.terminated.reason == "unknown KeyUpdateRequest"


def test_message_numbers_that_are_used_up_end_it() -> None:
    network = connected_1_3()
    network.server.connection._channel._next_message_seq = 1 << 16
    network.server.connection.update_keys(network.now)
    network.drain()
    assert network.server.terminated.reason == "message_seq used up"


def test_there_is_none_in_1_2_and_none_before_the_handshake() -> None:
    only = {"versions": (DTLS_1_2,)}
    network = connected(client_configuration(**only), server_configuration(**only))
    with pytest.raises(UsageError, match=r"DTLS 1\.2"):
        network.client.connection.update_keys(network.now)
    assert network.client.connection.is_connected
    fresh = Network(client_configuration(), server_configuration())
    with pytest.raises(UsageError, match="not connected"):
        fresh.client.connection.update_keys(fresh.now)
