"""Rekeying: when, for whom, and when it counts as done (RFC 8870 sections 4.5 and 6)."""

from __future__ import annotations

import pytest

from halfkey import dtls
from halfkey.key_distributor.core import REQUESTED_SPACING
from halfkey.key_distributor.events import Disassociated, Rekeyed
from halfkey.key_distributor.keying import JOIN_SPACING
from halfkey.key_distributor.policy import ConferencePolicy, Policy
from halfkey.tunnel import EndpointDisconnect
from tests.key_distributor.world import Endpoint, World, reconnect

Trio = tuple[World, Endpoint, Endpoint, Endpoint]


@pytest.fixture
def trio() -> Trio:
    """Alice, Bob and Carol in one conference."""
    world = World(Policy(ttl=1000))
    md = world.media_distributor()
    alice, bob, carol = (world.join(md, name) for name in ("alice", "bob", "carol"))
    return world, alice, bob, carol


def assert_rekeyed_without(gone: Endpoint, *rest: Endpoint) -> None:
    """Everybody else has one new key, fresh in all its parts; the one who is gone has not."""
    assert len(gone.spis) == 1
    old, (new, *others) = gone.ekt_keys[0], [one.ekt_keys[-1] for one in rest]
    assert all(one == new for one in others)
    assert all(len(one.spis) == 2 for one in rest)
    assert new.ekt_spi != old.ekt_spi
    assert new.ekt_key_value != old.ekt_key_value
    assert new.srtp_master_salt != old.srtp_master_salt


def test_removal_ends_the_association_and_rekeys_the_rest_at_once(trio: Trio) -> None:
    world, alice, bob, carol = trio
    assert world.core.remove("c", "carol", world.now)
    world.pump()
    assert_rekeyed_without(carol, alice, bob)
    assert carol.terminated is not None
    assert carol.terminated.alert is dtls.AlertDescription.CLOSE_NOTIFY
    assert carol.was_disconnected
    assert world.of(Disassociated) == [Disassociated("c", "carol", carol.association_id, "left")]
    assert world.of(Rekeyed) == [Rekeyed("c", alice.spis[-1], "left", 0.0, 2)]
    assert not world.core.remove("c", "carol", world.now)


def test_who_was_removed_is_refused_from_then_on(trio: Trio) -> None:
    world, _, _, carol = trio
    world.core.remove("c", "carol", world.now)
    world.pump()
    again = reconnect(world, carol)
    assert again.ekt_keys == []
    assert again.media_keys == []
    assert again.was_disconnected
    assert world.core.snapshot()["refused"] == {"unknown_tls_id": 1}


def test_removal_during_the_handshake_gives_no_keys(trio: Trio) -> None:
    world, alice, *_ = trio
    dave = world.endpoint(alice.media_distributor, "dave")
    world.lost = lambda endpoint, direction, datagram: (  # nothing but ClientHellos arrives
        endpoint is dave and direction == "up" and datagram[13] != 1
    )
    dave.connection.start(world.now)
    world.pump()
    assert world.core.snapshot()["half_open_now"] == 1
    world.core.remove("c", "dave", world.now)
    world.lost = lambda endpoint, direction, datagram: False
    world.advance(10)
    assert dave.ekt_keys == []
    assert dave.media_keys == []
    assert world.core.snapshot()["rekeys"] == 0  # it never held a key


def test_an_endpoint_that_says_close_notify_has_left(trio: Trio) -> None:
    world, alice, bob, carol = trio
    carol.connection.close(world.now)
    world.pump()
    assert_rekeyed_without(carol, alice, bob)
    assert carol.was_disconnected
    assert world.of(Rekeyed)[0] == Rekeyed("c", alice.spis[-1], "left", 0.0, 2)


def test_an_endpoint_disconnect_rekeys_and_is_not_answered(trio: Trio) -> None:
    world, alice, bob, carol = trio
    md = carol.media_distributor
    md.end.send_endpoint_disconnect(carol.association_id)
    world.pump()
    assert_rekeyed_without(carol, alice, bob)
    assert EndpointDisconnect(carol.association_id) not in md.log
    assert world.of(Rekeyed)[0] == Rekeyed("c", alice.spis[-1], "disconnected", 0.0, 2)


def test_who_was_disconnected_may_come_back_and_gets_the_current_key(trio: Trio) -> None:
    world, alice, _bob, carol = trio
    carol.media_distributor.end.send_endpoint_disconnect(carol.association_id)
    world.pump()
    again = reconnect(world, carol)
    assert again.spis == [alice.spis[-1]]
    world.core.remove("c", "carol", world.now)
    world.pump()
    assert len(set(alice.spis)) == 3  # it held a key once more


def test_removing_who_holds_no_key_rekeys_nobody(trio: Trio) -> None:
    world, alice, bob, carol = trio
    world.endpoint(alice.media_distributor, "dave")
    carol.media_distributor.end.send_endpoint_disconnect(carol.association_id)
    world.pump()
    assert world.core.remove("c", "dave", world.now)
    assert world.core.remove("c", "carol", world.now)
    world.pump()
    assert len(alice.spis) == len(bob.spis) == 2


def test_the_figure_is_the_time_to_the_last_acknowledgement(trio: Trio) -> None:
    world, alice, bob, _ = trio
    losses = 2

    def lost(endpoint: Endpoint, direction: str, datagram: bytes) -> bool:
        nonlocal losses
        if endpoint is bob and direction == "down" and losses:
            losses -= 1
            return True
        return False

    world.lost = lost
    world.core.remove("c", "carol", world.now)
    world.pump()
    assert world.of(Rekeyed) == []
    assert len(alice.spis) == 2  # one slow Endpoint holds up nobody
    world.advance(5)
    (rekeyed,) = world.of(Rekeyed)
    assert isinstance(rekeyed, Rekeyed)
    assert rekeyed.ms == pytest.approx(1200.0)  # 400 ms, then 800 (RFC 9147 section 5.8.2)
    assert rekeyed.participants == 2


def test_a_rekey_waits_no_more_for_who_is_gone(trio: Trio) -> None:
    world, alice, bob, _ = trio
    world.lost = lambda endpoint, direction, datagram: endpoint is bob
    world.core.remove("c", "carol", world.now)
    world.pump()
    bob.media_distributor.end.send_endpoint_disconnect(bob.association_id)
    world.pump()
    reasons = [(event.reason, event.participants) for event in world.of(Rekeyed)]
    assert reasons == [("left", 1), ("disconnected", 1)]
    assert len(alice.spis) == 3


def test_an_endpoint_that_never_acknowledges_is_given_up_and_the_rest_rekeyed(trio: Trio) -> None:
    world, alice, bob, carol = trio
    world.lost = lambda endpoint, direction, datagram: endpoint is carol
    assert world.core.rekey("c", world.now + 2)
    world.advance(60)
    ended = [event for event in world.of(Disassociated) if event.participant == "carol"]
    assert [event.reason for event in ended] == ["disconnected"]
    assert carol.was_disconnected
    assert len(carol.spis) == 1
    assert alice.spis == bob.spis
    assert len(alice.spis) == 3


def test_a_slow_endpoint_skips_what_is_outdated(trio: Trio) -> None:
    """At most one EKTKey is under way to each; nothing queues up behind it."""
    world, alice, _bob, carol = trio
    world.lost = lambda endpoint, direction, datagram: endpoint is carol
    for _ in range(5):
        world.now += REQUESTED_SPACING
        assert world.core.rekey("c", world.now)
        world.pump()
    world.lost = lambda endpoint, direction, datagram: False
    world.advance(10)
    assert len(alice.spis) == 6
    assert carol.spis == [alice.spis[0], alice.spis[1], alice.spis[5]]
    assert [event.spi for event in world.of(Rekeyed)] == alice.spis[1:]


def test_who_leaves_without_the_current_key_causes_no_rekey(trio: Trio) -> None:
    world, alice, _bob, carol = trio
    world.lost = lambda endpoint, direction, datagram: endpoint is carol
    for _ in range(2):  # the second never goes out to Carol: the first is under way
        world.now += REQUESTED_SPACING
        world.core.rekey("c", world.now)
        world.pump()
    assert len(alice.spis) == 3
    world.core.remove("c", "carol", world.now)
    world.pump()
    assert len(alice.spis) == 3
    assert [event.participants for event in world.of(Rekeyed)] == [2, 2]


def test_who_is_still_handshaking_gets_the_new_key_only(trio: Trio) -> None:
    world, alice, _bob, _ = trio
    world.lost = lambda endpoint, direction, datagram: (
        endpoint.name == "dave" and direction == "up" and datagram[13] != 1
    )
    dave = world.join(alice.media_distributor, "dave")
    world.core.remove("c", "carol", world.now)
    world.pump()
    world.lost = lambda endpoint, direction, datagram: False
    world.advance(10)
    assert len(alice.spis) == 2
    assert dave.spis == [alice.spis[1]]


def test_the_timer_rekeys(trio: Trio) -> None:
    world = World(Policy(rekey_interval=30.0))
    md = world.media_distributor()
    alice, bob = world.join(md, "alice"), world.join(md, "bob")
    world.advance(29.9)
    assert len(alice.spis) == 1
    world.advance(60.2)
    assert len(alice.spis) == 4
    assert alice.spis == bob.spis
    assert len(set(alice.spis)) == 4
    assert {event.reason for event in world.of(Rekeyed)} == {"timer"}


def test_a_leave_starts_the_timer_anew() -> None:
    world = World(Policy(rekey_interval=30.0))
    md = world.media_distributor()
    alice, _ = world.join(md, "alice"), world.join(md, "bob")
    world.advance(20)
    world.core.remove("c", "bob", world.now)
    world.pump()
    world.advance(20)
    assert len(alice.spis) == 2
    world.advance(11)
    assert len(alice.spis) == 3


def test_no_key_is_used_beyond_its_ttl() -> None:
    """RFC 8870 section 5.2.2: each is replaced while the one before it still lives."""
    world = World(Policy(ttl=100))
    alice = world.join(world.media_distributor(), "alice")
    world.advance(1000)
    assert len(alice.spis) > 10
    for key, at, following in zip(
        alice.ekt_keys, alice.received_at, alice.received_at[1:], strict=False
    ):
        assert at + key.ekt_ttl >= following
    assert {event.reason for event in world.of(Rekeyed)} == {"ttl"}


def test_a_late_participant_is_told_the_ttl_that_is_left() -> None:
    world = World(Policy(ttl=100))
    md = world.media_distributor()
    alice = world.join(md, "alice")
    world.advance(50)
    bob = world.join(md, "bob")
    assert alice.spis == bob.spis
    assert (alice.ekt_keys[0].ekt_ttl, bob.ekt_keys[0].ekt_ttl) == (100, 50)


def test_requests_that_come_fast_are_served_as_one(trio: Trio) -> None:
    world, alice, *_ = trio
    world.advance(5)
    for _ in range(100):
        assert world.core.rekey("c", world.now)
    world.pump()
    assert len(alice.spis) == 2
    world.advance(REQUESTED_SPACING)
    assert len(alice.spis) == 3
    world.advance(5)
    assert len(alice.spis) == 3
    assert not world.core.rekey("unknown", world.now)


def test_a_conference_without_anybody_associated_has_no_key() -> None:
    world = World()
    md = world.media_distributor()
    alice = world.join(md, "alice")
    md.end.send_endpoint_disconnect(alice.association_id)
    world.pump()
    assert world.core._registry.conferences["c"].current is None
    assert world.core.next_timer() == world.now + Policy().admission_age
    assert world.core.snapshot()["rekeys"] == 0
    again = reconnect(world, alice)
    assert again.ekt_keys[0].ekt_key_value != alice.ekt_keys[0].ekt_key_value
    assert again.spis != alice.spis


def test_a_conference_that_ended_leaves_nothing_behind() -> None:
    world = World()
    md = world.media_distributor()
    for name in ("alice", "bob"):
        world.join(md, name)
    for name in ("alice", "bob"):
        world.core.remove("c", name, world.now)
        world.pump()
    figures = world.core.snapshot()
    assert figures["conferences_now"] == figures["participants_now"] == 0
    assert figures["associations_now"] == 0
    assert world.core.next_timer() is None


def test_without_a_free_spi_nobody_keeps_a_key(trio: Trio) -> None:
    """Two live parameter sets under one SPI would be worse than an end."""
    world, alice, bob, _carol = trio
    conference = world.core._registry.conferences["c"]
    conference._live = set(range(1 << 16))
    world.core.remove("c", "carol", world.now)
    world.pump()
    for endpoint in (alice, bob):
        assert len(endpoint.spis) == 1
        assert endpoint.terminated is not None
        assert endpoint.was_disconnected
    assert conference.current is None
    assert world.core.snapshot()["ended"] == {"left": 1, "spi_exhausted": 2}


def test_an_eviction_is_told_as_one(trio: Trio) -> None:
    world, alice, bob, carol = trio
    assert world.core.remove("c", "carol", world.now, "evicted")
    world.pump()
    assert_rekeyed_without(carol, alice, bob)
    assert world.of(Disassociated) == [Disassociated("c", "carol", carol.association_id, "evicted")]
    assert world.of(Rekeyed) == [Rekeyed("c", alice.spis[-1], "evicted", 0.0, 2)]


# Rekeying on join


def test_who_joins_never_holds_the_key_from_before() -> None:
    world = World(conference_policy=ConferencePolicy(rekey_on_join=True))
    md = world.media_distributor()
    alice = world.join(md, "alice")
    (first,) = alice.spis
    bob = world.join(md, "bob")
    world.advance(JOIN_SPACING)
    assert alice.spis == [first, bob.spis[0]]
    assert first not in bob.spis
    assert [event.reason for event in world.of(Rekeyed) if isinstance(event, Rekeyed)] == ["joined"]


def test_without_that_policy_who_joins_shares_the_key(trio: Trio) -> None:
    world, alice, bob, _ = trio
    assert alice.spis == bob.spis
    assert world.of(Rekeyed) == []


def test_joins_that_come_fast_share_a_rekey() -> None:
    world = World(conference_policy=ConferencePolicy(rekey_on_join=True))
    md = world.media_distributor()
    alice = world.join(md, "alice")
    others = [world.join(md, f"p{number}") for number in range(5)]
    world.advance(JOIN_SPACING)
    assert len(alice.spis) == 2
    assert all(other.spis == alice.spis[1:] for other in others)
    late = world.join(md, "late")
    assert late.spis == []
    world.advance(JOIN_SPACING)
    assert late.spis == alice.spis[2:]
    assert len(alice.spis) == 3
