"""Joining: who gets which keys, and who gets none."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from halfkey import dtls
from halfkey.ekt.messages import EKTCipher
from halfkey.key_distributor.events import (
    Admitted,
    Associated,
    EKTKeyAcknowledged,
    Refused,
    event_as_dict,
)
from halfkey.key_distributor.policy import Policy
from halfkey.profiles import DOUBLE_128, DOUBLE_256, SRTPProtectionProfile
from halfkey.tunnel import EndpointDisconnect, MediaKeys, TunneledDtls
from tests.key_distributor.world import Endpoint, World, reconnect


def assert_refused(world: World, endpoint: Endpoint, reason: str) -> None:
    """No keys to anybody, both sides told, and counted."""
    assert world.core.snapshot()["refused"] == {reason: 1}
    assert Refused(reason) in world.events
    assert endpoint.ekt_keys == []
    assert endpoint.media_keys == []
    assert endpoint.was_disconnected
    assert world.core.snapshot()["associations"] == 0
    assert world.core.snapshot()["half_open_now"] == 0


def test_the_media_distributor_gets_the_outer_halves_and_nothing_more() -> None:
    world = World()
    md = world.media_distributor()
    alice = world.join(md, "alice")
    (keys,) = alice.media_keys
    own = alice.completed.keying_material
    assert keys.protection_profile == DOUBLE_128
    assert keys.mki == b""
    assert (keys.client_write_SRTP_master_key, keys.client_write_SRTP_master_salt) == (
        own.client_write_key[16:],
        own.client_write_salt[12:],
    )
    assert (keys.server_write_SRTP_master_key, keys.server_write_SRTP_master_salt) == (
        own.server_write_key[16:],
        own.server_write_salt[12:],
    )
    seen = b"".join(one.encode() for one in md.log if not hasattr(one, "reason"))
    secret = (own.client_write_key[:16], own.server_write_key[:16], alice.ekt_keys[0].ekt_key_value)
    assert own.client_write_key[16:] in seen  # the search does find what is there
    assert not any(one in seen for one in secret)


def test_media_keys_come_before_the_ekt_key() -> None:
    """RFC 9185 section 5.4: immediately after the handshake."""
    world = World()
    md = world.media_distributor()
    world.lost = lambda endpoint, direction, datagram: direction == "up" and bool(endpoint.ekt_keys)
    alice = world.join(md, "alice")
    assert alice.spis
    at = md.log.index(alice.media_keys[0])
    assert len([one for one in md.log[at:] if isinstance(one, TunneledDtls)]) >= 2
    assert world.of(Associated) == [Associated("c", "alice", alice.association_id, 9)]
    assert world.of(EKTKeyAcknowledged) == []


def test_all_of_a_conference_share_one_ekt_key_and_acknowledge_it() -> None:
    world = World()
    md = world.media_distributor()
    everybody = [world.join(md, name) for name in ("alice", "bob", "carol")]
    (spi,) = {one.spis[0] for one in everybody}
    assert len({one.ekt_keys[0].ekt_key_value for one in everybody}) == 1
    assert len({one.ekt_keys[0].srtp_master_salt for one in everybody}) == 1
    assert len(everybody[0].ekt_keys[0].ekt_key_value) == 16
    assert len({one.media_keys[0].client_write_SRTP_master_key for one in everybody}) == 3
    assert world.of(EKTKeyAcknowledged) == [
        EKTKeyAcknowledged("c", one.name, spi) for one in everybody
    ]
    assert world.core.snapshot()["ekt_keys_issued"] == 3


def test_another_conference_has_another_key() -> None:
    world = World()
    md = world.media_distributor()
    alice, bob = world.join(md, "alice", "c1"), world.join(md, "bob", "c2")
    assert alice.ekt_keys[0].ekt_key_value != bob.ekt_keys[0].ekt_key_value


def test_a_256_bit_conference_has_a_256_bit_ekt_key() -> None:
    """RFC 8870 section 6: the EKT cipher is as strong as the SRTP cipher."""
    world = World(Policy(profiles=(DOUBLE_256, DOUBLE_128)))
    alice = world.join(world.media_distributor(), "alice")
    assert alice.completed.srtp_profile is DOUBLE_256
    assert alice.completed.ekt_cipher is EKTCipher.AESKW256
    assert len(alice.ekt_keys[0].ekt_key_value) == 32
    assert len(alice.media_keys[0].client_write_SRTP_master_key) == 32


def test_the_profile_is_one_that_the_media_distributor_has() -> None:
    world = World()
    alice = world.join(world.media_distributor(profiles=(10, 7)), "alice")
    assert alice.completed.srtp_profile is DOUBLE_256


def test_the_first_participant_fixes_the_profile_of_the_conference() -> None:
    world = World()
    md = world.media_distributor()
    world.join(md, "alice", srtp_profiles=(DOUBLE_256,))
    assert world.join(md, "bob").completed.srtp_profile is DOUBLE_256
    carol = world.join(md, "carol", srtp_profiles=(DOUBLE_128,))
    assert carol.ekt_keys == []
    assert world.core.snapshot()["refused"] == {"no_common_profile": 1}


def test_of_two_first_participants_at_once_one_decides() -> None:
    world = World()
    md = world.media_distributor()
    alice = world.endpoint(md, "alice", srtp_profiles=(DOUBLE_128,))
    bob = world.endpoint(md, "bob", srtp_profiles=(DOUBLE_256,))
    alice.connection.start(world.now)
    bob.connection.start(world.now)
    world.pump()
    assert sorted([len(alice.ekt_keys), len(bob.ekt_keys)]) == [0, 1]
    assert world.core.snapshot()["refused"] == {"profile_conflict": 1}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"external_session_id": b"not what was admitted."}, "unknown_tls_id"),
        ({"external_session_id": None}, "no_external_session_id"),
        ({"admit_certificate": dtls.Certificate.generate("other")}, "fingerprint_mismatch"),
        ({"ekt_ciphers": ()}, "no_ekt_cipher"),
        (
            {"srtp_profiles": (DOUBLE_256,), "ekt_ciphers": (EKTCipher.AESKW128,)},
            "no_ekt_cipher",
        ),
        (
            {"srtp_profiles": (SRTPProtectionProfile.AEAD_AES_128_GCM,)},
            "no_common_profile",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_any_key(
    changes: dict[str, object], reason: str
) -> None:
    """The positive control is every other test here: the same Endpoint without `changes`."""
    world = World()
    mallory = world.join(world.media_distributor(), "mallory", **changes)
    assert_refused(world, mallory, reason)


def test_a_media_distributor_without_a_double_profile_gets_no_keys() -> None:
    world = World()
    alice = world.join(world.media_distributor(profiles=(7, 8)), "alice")
    assert_refused(world, alice, "no_common_profile")


def test_an_endpoint_that_was_told_another_tls_id_leaves() -> None:
    """RFC 9185 section 5.1: the Endpoint checks the Key Distributor's external_session_id."""
    world = World()
    alice = world.join(
        world.media_distributor(), "alice", peer_external_session_id=b"something else, 20+"
    )
    assert alice.terminated is not None
    assert alice.ekt_keys == []
    world.advance(40)
    assert world.core.snapshot()["half_open_now"] == 0
    assert world.core.snapshot()["associations"] == 0


def test_one_participants_proofs_do_not_open_anothers_door() -> None:
    """Bob's certificate with Alice's tls-id is neither Alice nor Bob."""
    world = World()
    md = world.media_distributor()
    alice, bob = world.endpoint(md, "alice"), world.endpoint(md, "bob")
    mixed = world.endpoint(
        md,
        "mallory",
        certificate=bob.certificate,
        external_session_id=alice.connection._configuration.external_session_id,
        peer_external_session_id=None,  # Mallory doesn't mind whom it talks to
    )
    mixed.connection.start(world.now)
    world.pump()
    assert_refused(world, mixed, "fingerprint_mismatch")


def test_a_lost_refusal_leaves_no_state_behind() -> None:
    world = World()
    world.lost = lambda endpoint, direction, datagram: direction == "down" and datagram[0] == 21
    mallory = world.join(
        world.media_distributor(), "mallory", external_session_id=b"not what was admitted."
    )
    world.advance(60)
    assert_refused(world, mallory, "unknown_tls_id")
    assert world.core.snapshot()["dropped"]["ended_association"] > 0


def test_joining_survives_the_loss_of_any_single_datagram() -> None:
    for unlucky in range(12):
        world = World()
        seen = iter(range(1000))
        world.lost = lambda endpoint, direction, datagram, seen=seen, unlucky=unlucky: (
            next(seen) == unlucky
        )
        alice = world.join(world.media_distributor(), "alice")
        world.advance(5)
        assert len(set(alice.spis)) == 1, unlucky
        assert len(alice.media_keys) == 1
        assert len(world.of(EKTKeyAcknowledged)) == 1


def test_the_same_participant_again_replaces_its_association_without_a_rekey() -> None:
    world = World()
    md = world.media_distributor()
    alice, bob = world.join(md, "alice"), world.join(md, "bob")
    again = reconnect(world, alice)
    assert again.spis == bob.spis
    assert again.media_keys[0] != alice.media_keys[0]
    assert alice.was_disconnected
    assert not again.was_disconnected
    assert world.core.snapshot()["rekeys"] == 0
    assert world.core.snapshot()["associations_now"] == 2


def test_many_associations_share_one_tunnel() -> None:
    world = World()
    md = world.media_distributor()
    everybody = [world.endpoint(md, f"p{number}") for number in range(25)]
    for one in everybody:
        one.connection.start(world.now)
    world.pump()
    assert len({one.spis[0] for one in everybody}) == 1
    assert len({one.media_keys[0].server_write_SRTP_master_key for one in everybody}) == 25


def test_events_and_statistics_hold_no_secret() -> None:
    world = World()
    md = world.media_distributor()
    alice, bob = world.join(md, "alice"), world.join(md, "bob")
    world.core.remove("c", "bob", world.now)
    world.pump()
    text = json.dumps([event_as_dict(event) for event in world.events])
    text += json.dumps(world.core.snapshot()) + repr(world.events) + repr(md.log)
    for key in alice.ekt_keys + bob.ekt_keys:
        assert key.ekt_key_value.hex() not in text
        assert repr(key.ekt_key_value)[2:-1] not in text
    for keys in (one for one in md.log if isinstance(one, MediaKeys)):
        assert repr(keys.client_write_SRTP_master_key)[2:-1] not in text
    assert Admitted("c", "alice") in world.events


def test_another_media_distributor_cannot_end_or_enter_an_association() -> None:
    """Association ids are names within one Media Distributor, not capabilities."""
    world = World()
    good, evil = world.media_distributor(b"good"), world.media_distributor(b"evil")
    alice = world.join(good, "alice")
    evil.end.send_endpoint_disconnect(alice.association_id)
    evil.end.send_tunneled_dtls(alice.association_id, b"\x16" * 40)
    world.pump()
    assert world.core.snapshot()["associations_now"] == 1
    dropped = world.core.snapshot()["dropped"]
    assert dropped == {"unknown_association": 1, "ended_association": 1}
    assert world.core.rekey("c", world.now + 2)
    world.pump()
    assert len(alice.spis) == 2
    assert not [one for one in evil.log if isinstance(one, TunneledDtls)]


def test_a_disconnect_of_an_unknown_association_is_counted() -> None:
    world = World()
    md = world.media_distributor()
    md.end.send_endpoint_disconnect(uuid4())
    world.pump()
    assert world.core.snapshot()["dropped"] == {"unknown_association": 1}
    assert EndpointDisconnect not in {type(one) for one in md.log}
