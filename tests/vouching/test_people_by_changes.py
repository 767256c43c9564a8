"""The Endpoint's engine by changes of the roster: what a Focus can leave out, repeat or mix."""

from __future__ import annotations

from dataclasses import replace

import pytest

from halfkey.vouching.authority import Trust
from halfkey.vouching.people import SPI_GRACE, People
from halfkey.vouching.roster import ROSTER_INTERVAL
from halfkey.vouching.standing import PersonJoined, PersonLeft
from halfkey.vouching.statements import STALE_AFTER
from tests.vouching.world import CONFERENCE, KeyDistributor, World, authority, member


def test_changes_do_what_whole_statements_do() -> None:
    world = World().verified()
    world.key_distributor.admit(member(9))
    world.people.receive_assertion("p009", member(9).own.assertion, world.now)
    world.tell_change()
    assert world.events() == [PersonJoined(member(9).entry, None)]
    del world.key_distributor.entries["p002"]
    world.tell_change()
    assert world.events() == [PersonLeft(member(2).entry)]
    for _ in range(100):
        world.wait(ROSTER_INTERVAL)
        world.tell_change()
        assert world.people.reason is None
    assert world.events() == []
    assert world.people.refusals == {}
    world.key_distributor.spi = 8
    world.tell_change()
    world.wait(SPI_GRACE)
    assert world.people.reason == "spi"


def test_a_change_kept_back_makes_those_behind_it_worthless() -> None:
    world = World().verified()
    del world.key_distributor.entries["p002"]
    kept_back = world.key_distributor.change(world.now)
    for _ in range(int(STALE_AFTER / ROSTER_INTERVAL)):
        world.wait(ROSTER_INTERVAL)
        world.tell_change()
    assert world.people.refusals == {"base": 3}
    assert world.people.reason == "stale"
    assert world.people.is_behind
    assert world.people.person("p002") is not None
    # A whole one mends it; and then the one that was kept back is old.
    world.people.receive_roster("nothing.of.that", world.now)
    assert world.people.is_behind
    world.tell()
    assert not world.people.is_behind
    assert world.people.reason is None
    assert world.people.person("p002") is None
    world.people.receive_change(kept_back, world.now)
    assert world.people.refusals == {"base": 3, "malformed": 1, "version": 1}


def test_a_change_comes_once() -> None:
    world = World().verified()
    text = world.tell_change()
    world.wait(1)
    world.people.receive_change(text, world.now)
    assert world.people.refusals == {"version": 1}
    assert not world.people.is_behind  # nothing is missing, so nothing is to be read anew
    assert world.people.next_timer() == int(world.now - 1) + STALE_AFTER


def test_who_came_by_changes_may_get_the_whole() -> None:
    """As by following a Focus again; another one of that version was never stated."""
    world = World().verified()
    world.tell_change()
    stated = world.key_distributor.stated
    assert stated is not None
    world.people.receive_roster(stated.sign(authority()), world.now)
    assert world.people.refusals == {}
    other = replace(stated, entries=stated.entries[:-1])
    world.people.receive_roster(other.sign(authority()), world.now)
    assert world.people.refusals == {"version": 1}
    world.tell_change()
    assert world.people.reason is None


def test_without_a_roster_a_change_is_nothing() -> None:
    world = World()
    world.key_distributor.statement(world.now)
    world.people.ekt_key(7, world.now)
    world.tell_change()
    assert world.people.refusals == {"base": 1}
    assert world.people.reason == "no_statement"
    world.tell()
    assert world.people.reason is None


def test_a_change_of_one_of_before_our_admission_counts() -> None:
    world = World()
    world.people.ekt_key(7, world.now)
    world.people.receive_roster(world.key_distributor.statement(world.now - 1), world.now)
    assert world.people.reason == "no_statement"
    world.people.receive_change(world.key_distributor.change(world.now - 1), world.now)
    assert world.people.reason == "no_statement"
    world.tell_change()
    assert world.people.reason is None
    assert world.people.refusals == {}


def test_so_does_one_of_what_an_earlier_admission_had() -> None:
    world = World().verified()
    before = world.people
    trust, own = Trust(authority().ca_sha256), world.members[0].own
    world.wait(1)
    world.people = People(trust, own, int(world.now), world.now, before.stated)
    world.people.ekt_key(7, world.now)
    assert world.people.reason == "no_statement"
    assert world.people.people() == ()
    world.tell_change()
    assert world.people.reason is None
    assert world.people.refusals == {}


@pytest.mark.parametrize("instance", ["instance-number-1", "instance-number-2"])
def test_changes_of_another_run_or_conference_are_refused(instance: str) -> None:
    world = World().verified()
    conference = CONFERENCE if instance != world.key_distributor.instance else "board-2"
    other = KeyDistributor(instance, conference=conference)
    other.admit(*world.members)
    other.statement(world.now + 1)
    world.people.receive_change(other.change(world.now + 1), world.now)
    reason = "conference" if conference != CONFERENCE else "base"
    assert world.people.refusals == {reason: 1}
    assert world.people.reason is None
