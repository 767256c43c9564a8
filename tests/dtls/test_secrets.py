"""After the end nothing secret is left where we can reach it, and nothing shows one before."""

from __future__ import annotations

import gc

import pytest

from halfkey.dtls import AlertDescription
from halfkey.dtls.client_1_2 import ClientHandshake12
from halfkey.dtls.crypto.aead import Opened
from halfkey.dtls.crypto.aead_1_3 import TrafficOpeningKey
from halfkey.dtls.crypto.key_schedule import KeySchedule
from halfkey.dtls.crypto.key_schedule_1_3 import Exporter, HandshakeSecrets
from halfkey.dtls.flight import FlightMessage
from halfkey.dtls.fragments import Message
from halfkey.dtls.messages.framing import Fragment
from halfkey.dtls.offer import Offer
from halfkey.dtls.record import RecordNumber
from halfkey.dtls.record_layer import OpenedRecord
from halfkey.dtls.registries import AlertLevel
from halfkey.dtls.server_1_3 import ServerHandshake13
from halfkey.ekt.messages import EKTKey
from tests.dtls.helpers import (
    Network,
    Side,
    client_configuration,
    connected,
    ekt_key,
    of_each_version,
    only_1_2,
    only_1_3,
    seeded,
    server_configuration,
)

pytestmark = of_each_version


def secrets_of(side: Side) -> list[bytearray]:
    """All that a connected side could derive something from."""
    association = side.connection._association
    assert association is not None
    exporter = association._outcome.exporter
    if isinstance(exporter, KeySchedule):
        return [exporter._master_secret]
    assert isinstance(exporter, Exporter)
    traffic = association._traffic
    assert traffic is not None
    return [exporter._secret, traffic.sending._secret, traffic.receiving._secret]


def are_wiped(secrets: list[bytearray]) -> bool:
    return bool(secrets) and all(secret == bytes(len(secret)) for secret in secrets)


def test_the_secrets_are_wiped_on_close() -> None:
    network = connected()
    ours, theirs = secrets_of(network.client), secrets_of(network.server)
    assert sorted(ours) == sorted(theirs)
    assert not any(are_wiped([secret]) for secret in ours)
    network.client.connection.close(network.now)
    assert are_wiped(ours)
    network.drain()
    network.run(1)
    assert are_wiped(theirs)


def test_the_secrets_are_wiped_on_a_fatal_alert() -> None:
    network = connected()
    network.server.connection._channel.send_alert(AlertLevel.FATAL, AlertDescription.INTERNAL_ERROR)
    secrets = secrets_of(network.client)
    network.drain()
    network.run(1)
    assert are_wiped(secrets)


@only_1_3
def test_a_key_update_forgets_what_it_goes_on_from() -> None:
    network = connected()
    before = [secrets_of(side)[1:] for side in (network.client, network.server)]
    epochs = dict(network.client.connection._channel.reader._epochs)
    network.client.connection.update_keys(network.now, request_peer=True)
    network.drain()
    network.run(1)
    assert all(are_wiped(secrets) for secrets in before)
    # The handshake's keys go, too, once the new epoch is in use.
    network.server.connection.send_ekt_key(ekt_key(), network.now)
    network.drain()
    network.run(1)
    assert set(epochs) == {2, 3}
    key = epochs[2].key
    assert isinstance(key, TrafficOpeningKey)
    assert key._iv == bytearray(12)


def stopped(after: int) -> Network:
    """A handshake of which so many datagrams arrive."""
    network = Network(
        client_configuration(),
        server_configuration(),
        lambda index, sender, datagram: [] if index >= after else [(0.01, datagram)],
    )
    return network.start().run(0.09)


@only_1_2
def test_a_handshake_that_fails_leaves_no_secret() -> None:
    network = stopped(4)
    handshake = network.client.connection._handshake
    assert isinstance(handshake, ClientHandshake12)
    assert handshake._key_exchange is None  # it doesn't outlive its use
    assert handshake._schedule is not None
    secret = handshake._schedule._master_secret
    assert not are_wiped([secret])
    network.client.connection.close(network.now)
    assert are_wiped([secret])


@only_1_3
def test_a_handshake_of_1_3_that_fails_leaves_no_secret() -> None:
    network = Network(client_configuration(), server_configuration(peer_fingerprints=None))
    network.start().run(0.09)
    server = network.server.connection
    handshake = server._handshake
    assert isinstance(handshake, ServerHandshake13)
    early, late = handshake._secrets, handshake._application
    assert early is not None
    assert late is not None
    secrets = [
        one._secret for one in (early.client, early.server, late.client, late.server, late.exporter)
    ]
    assert not any(are_wiped([secret]) for secret in secrets)
    assert are_wiped([early._master_secret])  # it has served
    server.close(network.now)
    assert are_wiped(secrets)


@only_1_3
def test_a_client_forgets_its_private_keys() -> None:
    client = stopped(1).client.connection
    offer = client._handshake
    assert isinstance(offer, Offer)
    assert offer._offered.key_exchanges
    client.close(1000.0)
    assert not offer._offered.key_exchanges


@only_1_3
def test_the_handshakes_secrets_are_wiped_when_it_is_complete() -> None:
    network = connected()
    for side in (network.client, network.server):
        association = side.connection._association
        assert association is not None
        schedule = association._outcome.finished.schedule
        assert isinstance(schedule, HandshakeSecrets)
        assert are_wiped([schedule.client._secret, schedule.server._secret])


NUMBER = RecordNumber(1, 5)


@pytest.mark.parametrize(
    "thing",
    [
        OpenedRecord(22, NUMBER, b"a secret"),
        Opened(22, 5, b"a secret"),
        Message(26, 3, b"a secret", 1, (NUMBER,)),
        FlightMessage(26, 3, b"a secret", 1),
        Fragment(26, 8, 3, 0, b"a secret"),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_what_may_carry_an_ekt_key_shows_its_length_only(thing: object) -> None:
    assert "a secret" not in repr(thing)
    assert repr(thing).startswith(f"{type(thing).__name__}(")


def test_no_engine_object_shows_a_secret() -> None:
    network = connected()
    key_encryption_key = seeded("ekt_key")(16)
    ekt_key = EKTKey(key_encryption_key, bytes(12), 7, 3600)
    network.server.connection.send_ekt_key(ekt_key, network.now)
    secrets = [*map(bytes, secrets_of(network.client)), key_encryption_key]
    material = network.client.completed.keying_material
    secrets += [material.client_write_key, material.server_write_key]
    shown = [
        repr(thing)
        for thing in gc.get_objects()
        if str(type(thing).__module__).startswith("halfkey.dtls") and not isinstance(thing, type)
    ]
    assert shown
    for secret in secrets:
        for text in shown:
            assert repr(secret)[2:-1] not in text
            assert secret.hex() not in text
