"""The core around the real packet path: joining, carrying DTLS, keys, slots, and leaving."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest

from halfkey.media_distributor import core
from halfkey.media_distributor.core import (
    CONNECT_TIMEOUT,
    PRESENCE_TIMEOUT,
    AllocationRefusedError,
)
from halfkey.media_distributor.events import (
    ParticipantConnected,
    ParticipantDisconnected,
    ParticipantKeyed,
    SlotChanged,
)
from halfkey.profiles import DOUBLE_128, DOUBLE_256, SRTPProtectionProfile
from halfkey.tunnel.messages import EndpointDisconnect, TunneledDtls
from tests.media_distributor.media import Group
from tests.media_distributor.stage import Member, Stage, binding_request, on_stage, wait

SERVER_HELLO = bytes([22, 254, 253]) + bytes(40)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with on_stage() as stage:
        yield stage


def members(
    stage: Stage, count: int, profile: SRTPProtectionProfile = DOUBLE_128, slots: int = 2
) -> list[Member]:
    group = Group(profile)
    return [Member(stage, number, group, slots=slots) for number in range(1, count + 1)]


@pytest.mark.parametrize("profile", [DOUBLE_128, DOUBLE_256])
def test_who_joins_is_forwarded_to_the_others(stage: Stage, profile: SRTPProtectionProfile) -> None:
    alice, bob = members(stage, 2, profile)
    for member in (alice, bob):
        member.join()
    for event in (ParticipantConnected, ParticipantKeyed):
        assert stage.of(event) == [event("c", "P1"), event("c", "P2")]
    assert {(change.receiver, change.ssrc) for change in stage.of(SlotChanged)} == {
        ("P1", bob.audio),
        ("P1", bob.video),
        ("P2", alice.audio),
        ("P2", alice.video),
    }
    for sender, receiver in ((alice, bob), (bob, alice)):
        sender.send(sender.protect(sender.audio, 1, b"hello"))
        assert receiver.opened().endswith(b"hello")


def test_dtls_is_carried_both_ways_under_an_association_of_its_own(stage: Stage) -> None:
    """RFC 9185 section 5.3: a version 4 UUID, which stays for the association's life."""
    alice, bob = members(stage, 2)
    ids = []
    for member in (alice, bob):
        member.allocate()
        member.check()
        ids.append(member.dtls())
        assert member.dtls(b"\x16another flight") == ids[-1]
    assert len(set(ids)) == 2
    assert {(one.version, one.variant) for one in ids} == {(4, "specified in RFC 4122")}
    stage.receive(TunneledDtls(ids[1], SERVER_HELLO))
    assert bob.receive(lambda data: data[0] == 22) == SERVER_HELLO
    stage.receive(TunneledDtls(uuid4(), SERVER_HELLO))
    assert stage.core.drops() == {"unknown_association": 1}


def test_dtls_that_can_not_be_carried_is_dropped(stage: Stage) -> None:
    (alice,) = members(stage, 1)
    alice.allocate()
    alice.check()
    stage.core.receive_datagram(bytes([22]) * 20, ("192.0.2.1", 9), stage.now)
    stage.core.receive_datagram(bytes([22]) * 65518, alice.address, stage.now)
    stage.core.receive_datagram(b"GET / HTTP/1.1", alice.address, stage.now)
    stage.settle()
    assert stage.tunnel == []
    reasons = ("unknown_address", "dtls_too_long", "unknown_protocol")
    assert stage.core.drops() == dict.fromkeys(reasons, 1)
    stage.core.receive_datagram(bytes([22]) * 65517, alice.address, stage.now)
    stage.settle()
    assert len(stage.tunnel) == 1


def test_a_check_without_the_password_leads_nowhere(stage: Stage) -> None:
    (alice,) = members(stage, 1)
    credentials = alice.allocate()
    alice.send(binding_request(replace(credentials, ice_pwd="x" * 24)))
    stage.wait_for_drop("stun_authentication")
    assert stage.events == []
    alice.check()
    assert stage.of(ParticipantConnected) == [ParticipantConnected("c", "P1")]


def test_who_is_not_nominated_has_no_address_yet(stage: Stage) -> None:
    (alice,) = members(stage, 1)
    alice.allocate()
    alice.check(nominate=False)
    alice.send(bytes([22]) * 20)
    stage.wait_for_drop("unknown_address")
    alice.check()
    alice.dtls()


def test_an_address_belongs_to_one_participant(stage: Stage) -> None:
    alice, bob = members(stage, 2)
    alice.join()
    credentials = bob.allocate()
    stage.core.receive_datagram(binding_request(credentials), alice.address, stage.now)
    assert stage.core.drops() == {"address_in_use": 1}
    bob.join()
    alice.send(alice.protect(alice.audio, 1, b"still mine"))
    assert bob.opened().endswith(b"still mine")


def test_media_follow_a_participant_to_its_new_address(stage: Stage) -> None:
    """RFC 8445 section 8.1.1: a later nomination replaces the pair."""
    alice, bob = members(stage, 2)
    alice.join()
    association = bob.join()
    old, bob.socket = bob.socket, Member(stage, 3, bob.group).socket
    bob.check()
    assert len(stage.of(ParticipantConnected)) == 2
    assert bob.dtls(b"\x16sent from there") == association
    alice.send(alice.protect(alice.audio, 1, b"over there"))
    assert bob.opened().endswith(b"over there")
    old.sendto(bytes([22]) * 20, stage.switch.local_address)
    stage.wait_for_drop("unknown_address")
    old.close()


def test_a_restart_of_ice_changes_credentials_and_nothing_else(stage: Stage) -> None:
    alice, bob = members(stage, 2)
    association = alice.join()
    bob.join()
    old = alice.credentials
    assert alice.allocate() != old
    assert old is not None
    alice.send(binding_request(old))
    stage.wait_for_drop("stun_unknown_username")
    alice.check()
    assert alice.dtls() == association
    alice.send(alice.protect(alice.audio, 1, b"as before"))
    assert bob.opened().endswith(b"as before")


def test_what_can_not_be_allocated_is_refused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = members(stage, 2)
    alice.allocate()
    wish = alice.allocation()
    for change in (
        {"sources": ()},
        {"slots": wish.slots[:1]},
        {"extensions": {}},
        {"payload_types": {}},
    ):
        with pytest.raises(AllocationRefusedError, match="can't be changed"):
            stage.core.allocate(alice.key, replace(wish, **change), stage.now)
    twice = replace(bob.allocation(), sources=bob.allocation().sources[:1] * 2)
    for refused in (wish, twice):
        with pytest.raises(AllocationRefusedError, match=r"SSRC \d+ is taken"):
            stage.core.allocate(bob.key, refused, stage.now)
    stage.core.allocate(("another", "P1"), wish, stage.now)
    monkeypatch.setattr(core, "MAXIMUM_PARTICIPANTS", 2)
    with pytest.raises(AllocationRefusedError, match="full"):
        bob.allocate()
    assert stage.core.remove(alice.key)
    bob.allocate()
    assert stage.switch.statistics()["forwarder_participants"] == 2


def test_a_source_waits_until_a_slot_is_free(stage: Stage) -> None:
    alice, bob, carol = members(stage, 3, slots=1)
    for member in (alice, bob, carol):
        member.join()
    shown = [change.ssrc for change in stage.of(SlotChanged) if change.receiver == "P3"]
    assert shown == [alice.audio, alice.video]
    stage.core.remove(alice.key)
    stage.settle()
    shown = [change.ssrc for change in stage.of(SlotChanged) if change.receiver == "P3"]
    assert shown[2:] == [None, None, bob.audio, bob.video]
    bob.send(bob.protect(bob.video, 1, b"at last"))
    assert carol.opened().endswith(b"at last")


def test_conferences_do_not_hear_each_other(stage: Stage) -> None:
    group = Group()
    alice, bob = Member(stage, 1, group), Member(stage, 2, group)
    eve = Member(stage, 3, group, conference="another")
    for member in (alice, bob, eve):
        member.join()
    assert {change.conference for change in stage.of(SlotChanged)} == {"c"}
    alice.send(alice.protect(alice.audio, 1))
    bob.opened()
    assert stage.switch.statistics()["forwarded_packets"] == 1


def test_who_leaves_is_out_and_the_key_distributor_learns_of_it(stage: Stage) -> None:
    """RFC 9185 section 5.3: EndpointDisconnect with the association's identifier."""
    alice, bob = members(stage, 2)
    association = alice.join()
    bob.join()
    alice.send(alice.protect(alice.audio, 1))
    bob.opened()
    assert stage.core.remove(alice.key)
    assert not stage.core.remove(alice.key)
    stage.settle()
    assert stage.tunnel == [EndpointDisconnect(association)]
    assert stage.of(ParticipantDisconnected) == [ParticipantDisconnected("c", "P1", "left")]
    assert [change.receiver for change in stage.events if getattr(change, "ssrc", 1) is None] == [
        "P2",
        "P2",
    ]
    alice.send(alice.protect(alice.audio, 2))
    stage.wait_for_drop("unknown_address")
    bob.send(bob.protect(bob.audio, 1))
    wait(lambda: stage.switch.statistics()["sources"][bob.audio]["received"] == 1)
    assert stage.switch.statistics()["forwarded_packets"] == 1
    stage.receive(alice.media_keys(association))
    assert stage.core.drops() == {"unknown_association": 1}
    assert stage.core.statistics() == {"conferences": 1, "participants": 1, "associations": 1}
    stage.core.remove(bob.key)
    assert stage.core.statistics() == {"conferences": 0, "participants": 0, "associations": 0}
    assert stage.switch.statistics()["forwarder_participants"] == 0


def test_who_is_not_seen_any_more_is_out(stage: Stage) -> None:
    """Checks keep a participant; DTLS, which anybody could send, doesn't (RFC 7675)."""
    alice, bob = members(stage, 2)
    association = alice.join()
    bob.join()
    stage.advance(PRESENCE_TIMEOUT - 0.1)
    bob.check(nominate=False)
    assert alice.dtls() == association
    stage.advance(0.1)
    assert stage.of(ParticipantDisconnected) == [ParticipantDisconnected("c", "P1", "timeout")]
    assert stage.tunnel == [EndpointDisconnect(association)]
    stage.advance(PRESENCE_TIMEOUT)
    assert stage.of(ParticipantDisconnected)[1:] == [ParticipantDisconnected("c", "P2", "timeout")]
    assert stage.core.next_timer() is None


def test_who_never_comes_is_out_later(stage: Stage) -> None:
    (alice,) = members(stage, 1)
    alice.allocate()
    stage.advance(CONNECT_TIMEOUT - 0.1)
    assert stage.events == []
    stage.advance(0.1)
    assert stage.events == [ParticipantDisconnected("c", "P1", "never_connected")]
    assert stage.tunnel == []
    assert stage.core.statistics()["participants"] == 0


def test_the_key_distributor_ends_an_association(stage: Stage) -> None:
    """The keys go at once; another handshake is another association, and works."""
    alice, bob = members(stage, 2)
    association = alice.join()
    bob.join()
    stage.receive(EndpointDisconnect(association))
    assert stage.of(ParticipantDisconnected) == [
        ParticipantDisconnected("c", "P1", "key_distributor")
    ]
    alice.send(alice.protect(alice.audio, 1))
    stage.wait_for_drop("no_keys")
    bob.send(bob.protect(bob.audio, 1))
    stage.wait_for_drop("receiver_not_ready")
    again = Member(stage, 1, alice.group)
    again.socket.close()
    again.socket, again.credentials = alice.socket, alice.credentials
    renewed = again.dtls()
    assert renewed != association
    stage.receive(again.media_keys(renewed))
    again.send(again.protect(again.audio, 2, b"back"))
    assert bob.opened().endswith(b"back")


def test_keys_are_never_set_twice(stage: Stage) -> None:
    """An index that begins anew under the same key would repeat nonces."""
    alice, bob = members(stage, 2)
    association = alice.join()
    bob.join()
    stage.receive(alice.media_keys(association))
    assert stage.core.drops() == {"repeated_media_keys": 1}
    stage.receive(EndpointDisconnect(association))
    renewed = alice.dtls()
    stage.receive(alice.media_keys(renewed))
    assert stage.core.drops() == {"repeated_media_keys": 2}
    assert len(stage.of(ParticipantKeyed)) == 2
    other = replace(alice.media_keys(renewed), client_write_SRTP_master_key=bytes(16))
    stage.receive(other)
    assert len(stage.of(ParticipantKeyed)) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"protection_profile": 7},
        {"protection_profile": 0xFFFF},
        {"mki": b"1"},
        {"client_write_SRTP_master_key": bytes(15)},
        {"server_write_SRTP_master_key": bytes(32)},
        {"server_write_SRTP_master_salt": bytes(14)},
    ],
)
def test_keys_of_no_use_are_not_used(stage: Stage, change: dict[str, object]) -> None:
    """Plain profiles are refused too: what we named in SupportedProfiles are the double ones."""
    (alice,) = members(stage, 1)
    alice.allocate()
    alice.check()
    keys = alice.media_keys(alice.dtls())
    stage.receive(replace(keys, **change))  # type: ignore[arg-type]
    assert stage.core.drops() == {"unusable_media_keys": 1}
    assert stage.of(ParticipantKeyed) == []
    stage.receive(keys)
    assert stage.of(ParticipantKeyed) == [ParticipantKeyed("c", "P1")]


def test_established_associations_outlive_the_tunnel(stage: Stage) -> None:
    """A handshake under way doesn't: its next datagram begins another association."""
    alice, bob, carol = members(stage, 3)
    association = alice.join()
    bob.join()
    carol.allocate()
    carol.check()
    given_up = carol.dtls()
    stage.core.tunnel_connected(False)
    alice.send(alice.protect(alice.audio, 1, b"goes on"))
    assert bob.opened().endswith(b"goes on")
    carol.send(bytes([22]) * 20)
    stage.pump()
    assert stage.core.drops() == {"no_tunnel": 1}
    stage.core.remove(bob.key)
    stage.settle()
    assert stage.tunnel == []
    stage.core.tunnel_connected(True)
    stage.settle()
    assert [type(message) for message in stage.tunnel] == [EndpointDisconnect]
    assert alice.dtls() == association
    assert carol.dtls() != given_up
