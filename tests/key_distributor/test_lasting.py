"""How long an admission lasts: not longer than what it is for."""

from __future__ import annotations

from typing import Literal

import pytest

from halfkey.identity.claims import Person as Named
from halfkey.identity.invite import Invite
from halfkey.key_distributor.bars import Bars
from halfkey.key_distributor.credentials import AdmissionRecord, VerifiedIdentity
from halfkey.key_distributor.events import Disassociated, Rekeyed, Removed
from halfkey.key_distributor.persistence import Persistence
from halfkey.key_distributor.policy import Policy
from halfkey.key_distributor.store import Exclusion, Store
from halfkey.sdp.identity import external_id_hash
from tests.key_distributor.test_core import assert_refused
from tests.key_distributor.test_gatekeeper import Person
from tests.key_distributor.world import Endpoint, World, reconnect

AGE = Policy().admission_age


def test_an_admission_that_nobody_uses_ends() -> None:
    world = World()
    md = world.media_distributor()
    alice, bob = world.endpoint(md, "alice"), world.endpoint(md, "bob")
    world.advance(AGE - 1)
    alice.connection.start(world.now)
    world.pump()
    assert alice.spis  # in time
    world.advance(1)
    assert world.of(Removed) == [Removed("c", "bob", "absent")]
    bob.connection.start(world.now)
    world.pump()
    assert bob.spis == []
    assert world.core.snapshot()["refused"] == {"unknown_tls_id": 1}
    world.advance(2 * AGE)
    assert world.core.find("c", "alice") is not None  # for as long as it is there


def test_who_was_cut_off_may_come_back_for_a_while() -> None:
    world = World()
    md = world.media_distributor()
    alice = world.join(md, "alice")
    world.join(md, "bob")
    for wait, comes_back in ((AGE - 1, True), (AGE, False)):
        md.end.send_endpoint_disconnect(alice.association_id)
        world.pump()
        world.advance(wait)
        alice = reconnect(world, alice)
        assert bool(alice.spis) is comes_back
    assert world.of(Removed) == [Removed("c", "alice", "absent")]
    assert world.core.snapshot()["refused"] == {"unknown_tls_id": 1}


def test_nobody_is_absent_who_has_no_way_here() -> None:
    """Without the tunnel media goes on, and nobody can shake hands: neither is an end."""
    world = World()
    md, other = world.media_distributor(b"md"), world.media_distributor(b"other")
    alice, bob = world.join(md, "alice"), world.join(other, "bob")
    world.lose_tunnel(md)
    other.end.send_endpoint_disconnect(bob.association_id)
    world.pump()
    world.advance(5 * AGE)
    assert world.of(Removed) == [Removed("c", "bob", "absent")]
    world.dial_again(md)
    assert reconnect(world, alice).spis
    # What was restored comes by any Media Distributor; here there is none.
    participant = world.core.find("c", "alice")
    assert participant is not None
    record = AdmissionRecord("c", "a", participant.fingerprint, "t" * 24, "u" * 24, None, None)
    alone = World()
    alone.core.restore(record, None, alone.now)
    alone.advance(5 * AGE)
    assert alone.core.find("c", "a") is not None
    alone.media_distributor()
    alone.advance(2 * AGE)
    assert alone.core.find("c", "a") is None


def test_nor_after_a_restart_where_another_media_distributor_has_one() -> None:
    store, before = Store(None), World()
    persistence = Persistence(before.core, store)
    md, other = before.media_distributor(b"md"), before.media_distributor(b"other")
    alice, bob = before.join(md, "alice"), before.join(other, "bob")
    before.endpoint(md, "carol")  # hasn't come yet, so by whichever
    before.pump()
    for event in before.events:
        persistence.on_event(event)
    world = World()
    Persistence(world.core, store).restore(world.now)
    world.media_distributor(b"other")
    world.advance(5 * AGE)
    assert world.core.find("c", "alice") is not None
    assert {one.participant for one in world.of(Removed) if isinstance(one, Removed)} == {
        "bob",
        "carol",
    }
    alice.media_distributor = world.media_distributor(b"md")
    assert reconnect(world, alice).spis
    assert bob.spis


def test_a_close_notify_ends_the_admission() -> None:
    """Whether or not a Focus says so: who left can't shake hands again."""
    world = World()
    md = world.media_distributor()
    alice, bob = world.join(md, "alice"), world.join(md, "bob")
    bob.connection.close(world.now)
    world.pump()
    assert world.of(Removed) == [Removed("c", "bob", "left", None)]
    assert [event.reason for event in world.of(Rekeyed) if isinstance(event, Rekeyed)] == ["left"]
    again = reconnect(world, bob)
    assert again.spis == []
    assert world.core.snapshot()["refused"] == {"unknown_tls_id": 1}
    assert len(alice.spis) == 2


def test_a_close_notify_of_the_last_one_ends_the_conference() -> None:
    world = World()
    alice = world.join(world.media_distributor(), "alice")
    alice.connection.close(world.now)
    world.pump()
    assert world.core.conference_names() == []
    assert world.core.next_timer() is None


def test_another_handshake_is_no_leave() -> None:
    """The association that it takes the place of is closed by us, and says nothing any more."""
    world = World()
    alice = world.join(world.media_distributor(), "alice")
    again = reconnect(world, alice)
    alice.connection.close(world.now)
    world.pump()
    world.advance(2 * AGE)
    assert world.core.find("c", "alice") is not None
    assert [one.reason for one in world.of(Disassociated) if isinstance(one, Disassociated)] == [
        "replaced"
    ]
    assert again.spis


def test_what_was_restored_has_as_long_to_come_back() -> None:
    before = World()
    alice = before.join(before.media_distributor(), "alice")
    participant = before.core.find("c", "alice")
    assert participant is not None
    record = AdmissionRecord(
        "c",
        "alice",
        participant.fingerprint,
        participant.tls_id,
        participant.own_tls_id,
        None,
        None,
    )
    for wait, comes_back in ((AGE - 1, True), (AGE, False)):
        world = World()
        alice.media_distributor = world.media_distributor()
        world.core.restore(record, alice.spis[-1], world.now)
        world.advance(wait)
        again = reconnect(world, alice)
        assert bool(again.spis) is comes_back


# What has changed since the admission


class Invited:
    """A world whose Key Distributor asks a real store at each handshake."""

    def __init__(self) -> None:
        self.unix = 1_790_000_000.0
        self.store = Store(None)
        self.world = World(bar=Bars(self.store, lambda: self.unix).of_participant)
        self.md = self.world.media_distributor()

    def admit(self, name: str, expires_at: int | None = None) -> Endpoint:
        person = Person(name, expires_at=expires_at)
        invite = person.invite()
        self.store.add_invite(invite)
        assertion = person.request(name, self.unix).assertion
        assert assertion is not None
        named = Named(invite.identity, name, person.role, "invite", invite.thumbprint)
        return self.world.endpoint(
            self.md,
            name,
            person.conference,
            identity=VerifiedIdentity(named, (1,), "n" * 22, assertion),
            external_id_hash=external_id_hash(assertion),
        )

    def shake_hands(self, endpoint: Endpoint) -> Endpoint:
        endpoint.connection.start(self.world.now)
        self.world.pump()
        return endpoint


def test_an_invite_that_was_revoked_after_the_admission() -> None:
    there = Invited()
    alice, bob = there.admit("alice"), there.admit("bob")
    there.store.revoke_invite("id-alice")
    assert_refused(there.world, there.shake_hands(alice), "invite_revoked")
    assert there.shake_hands(bob).spis  # whose invite stands


def test_an_invite_that_was_revoked_while_hands_are_shaken() -> None:
    there = Invited()
    alice = there.admit("alice")
    there.world.lost = lambda endpoint, direction, datagram: (
        direction == "up" and there.world.core.snapshot()["half_open_now"] == 1
    )
    there.shake_hands(alice)  # up to where its second flight is lost
    there.store.revoke_invite("id-alice")
    there.world.lost = lambda endpoint, direction, datagram: False
    there.world.advance(5.0)
    assert_refused(there.world, alice, "invite_revoked")


def test_an_invite_that_expired_after_the_admission() -> None:
    there = Invited()
    alice = there.admit("alice", expires_at=int(there.unix) + 60)
    there.unix += 60
    assert_refused(there.world, there.shake_hands(alice), "invite_expired")


def test_expiry_bounds_coming_in_and_not_being_in() -> None:
    """Who is in gets the keys of rekeys, and may not begin another association."""
    there = Invited()
    alice = there.shake_hands(there.admit("alice", expires_at=int(there.unix) + 60))
    there.unix += 60
    there.world.advance(2.0)
    there.world.core.rekey("board", there.world.now)
    there.world.pump()
    assert len(alice.spis) == 2
    again = reconnect(there.world, alice)
    assert again.spis == []
    assert there.world.core.snapshot()["refused"] == {"invite_expired": 1}
    assert there.world.core.snapshot()["associations_now"] == 1


def test_somebody_who_was_put_out_meanwhile() -> None:
    there = Invited()
    alice = there.admit("alice")
    exclusion = Exclusion("invite:id-alice", "alice", "evicted")
    there.store.exclude("board", exclusion, there.unix)
    assert_refused(there.world, there.shake_hands(alice), "evicted")


@pytest.mark.parametrize(
    ("identity", "kind"),
    [("tel:+4930123", "passport"), ("oidc:https://id.example#1", "oidc"), ("invite:i", "invite")],
)
def test_somebody_of_any_kind_stays_out(
    identity: str, kind: Literal["passport", "oidc", "invite"]
) -> None:
    store = Store(None)
    mallory = Named(identity, "Mallory", "participant", kind, "k" * 43)
    store.add_invite(Invite("i", "board", "Mallory", "participant", "k" * 43))
    bars = Bars(store, lambda: 1000.0)
    assert bars.of("board", mallory) is None
    store.exclude("board", Exclusion(identity, "Mallory", "evicted"), 1000.0)
    assert bars.of("board", mallory) == "evicted"
    assert bars.of("other", mallory) is None


def test_another_device_that_was_turned_away_puts_nobody_out() -> None:
    there = Invited()
    alice = there.admit("alice")
    exclusion = Exclusion("invite:id-alice", "alice", "rejected", int(there.unix) + 60)
    there.store.exclude("board", exclusion, there.unix)
    assert there.shake_hands(alice).spis
