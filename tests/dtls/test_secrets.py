"""After the end nothing secret is left where we can reach it, and nothing shows one before."""

from __future__ import annotations

import gc

import pytest

from halfkey.dtls import AlertDescription
from halfkey.dtls.flight import FlightMessage
from halfkey.dtls.fragments import Message
from halfkey.dtls.messages.framing import Fragment
from halfkey.dtls.record import RecordNumber
from halfkey.dtls.record_layer import OpenedRecord
from halfkey.dtls.registries import AlertLevel
from halfkey.ekt.messages import EKTKey
from tests.dtls.helpers import (
    Network,
    Side,
    client_configuration,
    connected,
    seeded,
    server_configuration,
)


def master_secret(side: Side) -> bytearray:
    association = side.connection._association
    assert association is not None
    return association._schedule._master_secret


def test_the_master_secret_is_wiped_on_close() -> None:
    network = connected()
    ours, theirs = master_secret(network.client), master_secret(network.server)
    assert ours == theirs
    assert ours != bytearray(48)
    network.client.connection.close(network.now)
    assert ours == bytearray(48)
    network.drain()
    network.run(1)
    assert theirs == bytearray(48)


def test_the_master_secret_is_wiped_on_a_fatal_alert() -> None:
    network = connected()
    network.server.connection._channel.send_alert(AlertLevel.FATAL, AlertDescription.INTERNAL_ERROR)
    secret = master_secret(network.client)
    network.drain()
    network.run(1)
    assert secret == bytearray(48)


def test_a_handshake_that_fails_leaves_no_secret() -> None:
    network = paused_before_finished()
    handshake = network.client.connection._handshake
    assert handshake is not None
    schedule = handshake._schedule
    assert schedule is not None
    secret = schedule._master_secret
    assert secret != bytearray(48)
    network.client.connection.close(network.now)
    assert secret == bytearray(48)


def paused_before_finished() -> Network:
    network = Network(
        client_configuration(),
        server_configuration(),
        lambda index, sender, datagram: [] if index >= 4 else [(0.01, datagram)],
    )
    return network.start().run(0.1)


def test_the_private_exchange_key_does_not_outlive_its_use() -> None:
    network = paused_before_finished()
    handshake = network.client.connection._handshake
    assert handshake is not None
    assert handshake._key_exchange is None


NUMBER = RecordNumber(1, 5)


@pytest.mark.parametrize(
    "thing",
    [
        OpenedRecord(22, NUMBER, b"a secret"),
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
    secrets = [bytes(master_secret(network.client)), key_encryption_key]
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
