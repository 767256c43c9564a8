"""What an association must show besides its certificate: the assertion, and the right way in."""

from __future__ import annotations

import base64

import pytest

from halfkey.dtls import AlertDescription
from halfkey.identity.claims import Person
from halfkey.key_distributor.credentials import VerifiedIdentity
from halfkey.key_distributor.policy import ConferencePolicy
from halfkey.sdp.identity import external_id_hash
from tests.key_distributor.world import OWN_ASSERTION, World

ASSERTION = base64.b64encode(b"an assertion of Alice's").decode()
ANOTHER = base64.b64encode(b"an assertion of Mallory's").decode()
ALICE = VerifiedIdentity(
    Person("invite:1", "Alice", "participant", "invite", "thumbprint"), (1, 2), "nonce", ASSERTION
)


def test_both_assertions_are_bound_to_the_handshake() -> None:
    world = World()
    alice = world.join(
        world.media_distributor(),
        "alice",
        identity=ALICE,
        external_id_hash=external_id_hash(ASSERTION),
        peer_external_id_hash=external_id_hash(OWN_ASSERTION),
    )
    assert len(alice.ekt_keys) == 1
    assert alice.completed.peer_external_id_hash == external_id_hash(OWN_ASSERTION)


@pytest.mark.parametrize("id_hash", [b"", external_id_hash(ANOTHER)])
def test_another_assertion_or_none_gets_no_key(id_hash: bytes) -> None:
    world = World()
    alice = world.join(world.media_distributor(), "alice", identity=ALICE, external_id_hash=id_hash)
    assert alice.ekt_keys == []
    assert alice.media_keys == []
    assert alice.was_disconnected


def test_an_endpoint_notices_another_assertion_of_the_key_distributor() -> None:
    world = World()
    alice = world.join(
        world.media_distributor(),
        "alice",
        identity=ALICE,
        external_id_hash=external_id_hash(ASSERTION),
        peer_external_id_hash=external_id_hash(ANOTHER),
    )
    assert alice.ekt_keys == []
    assert alice.terminated is not None
    assert alice.terminated.alert is AlertDescription.ILLEGAL_PARAMETER


def test_only_allowed_media_distributors_serve_a_conference() -> None:
    world = World(conference_policy=ConferencePolicy(media_distributors=frozenset({b"right"})))
    alice = world.join(world.media_distributor(b"right"), "alice")
    bob = world.join(world.media_distributor(b"wrong"), "bob")
    assert len(alice.ekt_keys) == 1
    assert bob.ekt_keys == []
    assert bob.media_keys == []
    assert world.core.snapshot()["refused"] == {"media_distributor_not_allowed": 1}
