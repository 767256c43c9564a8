"""The Endpoint's engine against a Focus that does what it likes, on virtual time.

Every attack ends in a reason that people can see, and the same without the attack is verified.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from halfkey.dtls.fingerprint import Fingerprint
from halfkey.identity.claims import Claims
from halfkey.identity.invite import InviteSecret
from halfkey.vouching.authority import Trust
from halfkey.vouching.code import conference_code
from halfkey.vouching.people import SPI_GRACE, Own, People
from halfkey.vouching.refusal import Refusal
from halfkey.vouching.roster import ROSTER_INTERVAL
from halfkey.vouching.standing import (
    KeyDistributorRestarted,
    PersonChanged,
    PersonJoined,
    PersonLeft,
    RosterStateChanged,
    StatementRefused,
)
from halfkey.vouching.statements import STALE_AFTER
from tests.vouching.world import CONFERENCE, KeyDistributor, World, authority, member, valid_now


def test_everybody_is_verified_when_statement_keys_and_assertions_agree() -> None:
    world = World()
    assert world.people.reason == "no_statement"
    world.tell()
    assert world.people.reason == "no_key"
    world.people.ekt_key(7, world.now)
    assert world.people.reason is None
    assert world.reasons() == {
        "p001": None,  # ourselves: our own assertion is known
        "p002": "assertion_missing",
        "p003": "assertion_missing",
    }
    world.people.receive_assertion("p002", member(2).own.assertion, world.now)
    standing = world.people.person_of(4)
    assert standing is not None
    assert standing.is_verified
    assert standing.entry == member(2).entry
    assert world.people.person("p003").reason == "assertion_missing"  # type: ignore[union-attr]
    joined = [member(number).entry for number in (1, 2, 3)]
    assert world.events() == [
        PersonJoined(joined[0], None),
        PersonJoined(joined[1], "assertion_missing"),
        PersonJoined(joined[2], "assertion_missing"),
        RosterStateChanged("no_key"),
        RosterStateChanged(None),
        PersonChanged(joined[1], None),
    ]


def test_order_of_arrival_does_not_matter() -> None:
    world = World()
    for one in world.members:
        world.people.receive_assertion(one.own.participant, one.own.assertion, world.now)
    world.people.ekt_key(7, world.now)
    world.tell()
    assert world.people.reason is None
    assert set(world.reasons().values()) == {None}


def test_heartbeats_keep_it_verified_and_tell_nothing() -> None:
    world = World().verified()
    for _ in range(100):
        world.wait(ROSTER_INTERVAL)
        world.tell()
        assert world.people.reason is None
    assert world.events() == []
    assert world.people.refusals == {}


def test_joins_and_leaves_between_heartbeats_are_told() -> None:
    world = World().verified()
    world.key_distributor.admit(member(9))
    world.people.receive_assertion("p009", member(9).own.assertion, world.now)
    world.tell()
    assert world.events() == [PersonJoined(member(9).entry, None)]
    del world.key_distributor.entries["p002"]
    world.tell()
    assert world.events() == [PersonLeft(member(2).entry)]
    assert world.people.person_of(4) is None
    renamed = replace(member(3).entry, name="Somebody")
    world.key_distributor.entries["p003"] = renamed
    world.tell()
    assert world.events() == [PersonChanged(renamed, None)]


# Withholding


def test_withheld_statements_make_the_roster_stale() -> None:
    world = World().verified()
    world.wait(STALE_AFTER - 0.001)
    assert world.people.reason is None
    world.wait(0.001)
    assert world.people.reason == "stale"
    assert set(world.reasons().values()) == {"stale"}
    assert world.people.code() is None
    assert world.people.next_timer() is None
    world.tell()
    assert world.people.reason is None
    assert world.events() == [RosterStateChanged("stale"), RosterStateChanged(None)]


def test_repeating_the_newest_keeps_nothing_fresh() -> None:
    world = World().verified()
    text = world.tell()
    for _ in range(int(STALE_AFTER)):
        world.wait(1)
        world.people.receive_roster(text, world.now)
    assert world.people.reason == "stale"
    assert world.people.refusals == {}


def test_a_stream_that_falls_behind_becomes_stale() -> None:
    """Each statement is new to us, but comes later and later."""
    world = World().verified()
    held = []
    for _ in range(12):
        world.wait(ROSTER_INTERVAL)
        held.append(world.key_distributor.statement(world.now))
        if len(held) > 3:
            world.people.receive_roster(held.pop(0), world.now)
    assert world.people.reason == "stale"
    for text in held:
        world.people.receive_roster(text, world.now)
    assert world.people.reason is None


def test_a_held_answer_buys_no_time_once_a_statement_comes_at_once() -> None:
    world = World()
    late = world.now + 20
    world.people = People(Trust(authority().ca_sha256), world.members[0].own, int(world.now), late)
    world.people.ekt_key(7, late)
    world.now = late
    world.tell()
    world.wait(STALE_AFTER - 0.001)
    assert world.people.reason is None
    world.wait(0.001)
    assert world.people.reason == "stale"


def test_another_clock_than_ours_is_no_fault() -> None:
    for ahead in (-3600, 3600):
        world = World()
        admitted = int(world.now) + ahead
        world.people = People(
            Trust(authority().ca_sha256), world.members[0].own, admitted, world.now
        )
        world.people.ekt_key(7, world.now)
        world.people.receive_roster(world.key_distributor.statement(admitted), world.now)
        assert world.people.reason is None
        world.wait(STALE_AFTER)
        assert world.people.reason == "stale"


def test_a_dropped_leave_shows_by_the_rekey_that_it_brings() -> None:
    world = World().verified()
    del world.key_distributor.entries["p002"]
    world.key_distributor.spi = 8
    withheld = world.key_distributor.statement(world.now)
    world.people.ekt_key(8, world.now)  # by DTLS, past the Focus
    assert world.people.code() is None
    world.wait(SPI_GRACE - 0.001)
    assert world.people.reason is None
    world.wait(0.001)
    assert world.people.reason == "spi"
    world.people.receive_roster(withheld, world.now)
    assert world.people.reason is None
    assert world.people.person("p002") is None


def test_a_rekey_within_the_grace_tells_nothing() -> None:
    for statement_first in (True, False):
        world = World().verified()
        world.key_distributor.spi = 8
        steps = [world.tell, lambda world=world: world.people.ekt_key(8, world.now)]
        steps[not statement_first]()
        world.wait(SPI_GRACE / 2)
        steps[statement_first]()
        world.wait(SPI_GRACE * 2)
        assert world.people.reason is None
        assert world.events() == []


def test_a_statement_of_other_keys_is_no_start() -> None:
    """Nobody is verified for a grace period by keys that were never the statement's."""
    world = World()
    world.people.ekt_key(8, world.now)
    world.tell()
    assert world.people.reason == "spi"
    assert world.people.next_timer() == world.now + STALE_AFTER


def test_a_withheld_or_foreign_assertion_is_visible() -> None:
    world = World()
    world.people.ekt_key(7, world.now)
    world.tell()
    world.people.receive_assertion("p003", member(2).own.assertion, world.now)
    world.people.receive_assertion("p002", member(3).own.assertion, world.now)
    assert world.reasons() == {
        "p001": None,
        "p002": "assertion_wrong",
        "p003": "assertion_wrong",
    }
    world.people.receive_assertion("p002", member(2).own.assertion, world.now)
    assert world.reasons()["p002"] is None


def test_an_assertion_that_was_verified_is_not_pushed_out() -> None:
    world = World().verified()
    for rubbish in ("", "x", member(3).own.assertion, "A" * 100_000):
        world.people.receive_assertion("p002", rubbish, world.now)
    world.tell()
    assert world.reasons()["p002"] is None
    assert world.people.refusals == {"too_large": 1}


@pytest.mark.parametrize("change", ["ssrcs", "fingerprint", "tls_id", "key_thumbprint", "kind"])
def test_an_assertion_must_prove_what_the_entry_says(change: str) -> None:
    """Even where its hash is right: the participant's own signature counts for itself."""
    values = {
        "ssrcs": (4,),
        "fingerprint": Fingerprint.of(b"another"),
        "tls_id": "tls-id-of-somebody-else",
        "key_thumbprint": member(3).entry.key_thumbprint,
        "kind": "passport",
    }
    world = World().verified()
    old = world.key_distributor.entries["p002"]
    world.key_distributor.entries["p002"] = replace(old, **{change: values[change]})  # type: ignore[arg-type]
    world.people.receive_assertion("p002", member(2).own.assertion, world.now)
    world.tell()
    assert world.reasons()["p002"] == "assertion_wrong"
    world.key_distributor.entries["p002"] = old
    world.tell()
    assert world.reasons()["p002"] is None


# Replaying


def test_an_old_statement_does_not_come_back() -> None:
    world = World()
    before = world.key_distributor.statement(world.now)
    world.verified()
    world.people.receive_roster(before, world.now)
    assert world.people.refusals == {"version": 1}
    assert world.events() == [StatementRefused("version")]
    assert world.people.reason is None


def test_not_even_when_its_spi_comes_back() -> None:
    world = World().verified()
    world.wait(1)
    old = world.tell()
    for spi in (8, 7):
        world.wait(1)
        world.key_distributor.spi = spi
        world.key_distributor.entries.pop("p002", None)
        world.people.ekt_key(spi, world.now)
        world.tell()
    assert world.people.reason is None
    world.people.receive_roster(old, world.now)
    assert world.people.refusals == {"version": 1}
    assert world.people.person("p002") is None


def test_an_honest_statement_of_before_our_admission_is_passed_over() -> None:
    world = World()
    old = world.key_distributor.statement(world.now - 1)
    world.people.ekt_key(7, world.now)
    world.people.receive_roster(old, world.now)
    assert world.people.reason == "no_statement"
    assert world.people.people() == ()
    assert world.people.refusals == {}
    assert world.events() == []
    world.tell()
    assert world.people.reason is None


@pytest.mark.parametrize(
    ("instance", "reason"), [("instance-number-1", "version"), ("instance-number-0", "instance")]
)
def test_it_is_a_replay_once_a_newer_one_was_taken(instance: str, reason: Refusal) -> None:
    world = World()
    before = world.key_distributor.restart(instance, 7).statement(world.now - 1)
    world.verified()
    world.people.receive_roster(before, world.now)
    assert world.people.refusals == {reason: 1}
    assert world.events() == [StatementRefused(reason)]
    assert world.people.reason is None


def test_conferences_are_not_mixed() -> None:
    world = World().verified()
    other = KeyDistributor(conference="board-2", version=100, spi=7)
    other.admit(*world.members, member(9))
    world.people.receive_roster(other.statement(world.now), world.now)
    assert world.people.refusals == {"conference": 1}
    assert world.people.person("p009") is None
    world.key_distributor.admit(member(9, "board-2"))
    assert CONFERENCE != "board-2"
    world.people.receive_assertion("p009", member(9, "board-2").own.assertion, world.now)
    world.tell()
    assert world.reasons()["p009"] == "assertion_wrong"


# A Key Distributor that restarts


def test_a_restart_is_believed_with_our_own_association_only() -> None:
    world = World().verified()
    world.wait(1)
    world.key_distributor = world.key_distributor.restart("instance-number-2", None)
    world.tell()
    assert world.people.reason == "restarted"
    assert world.people.next_timer() == int(world.now) + STALE_AFTER
    world.key_distributor.spi = 300
    world.tell()
    assert world.people.reason == "restarted"
    world.people.ekt_key(300, world.now)
    assert world.people.reason is None
    assert world.events() == [
        KeyDistributorRestarted("instance-number-2"),
        RosterStateChanged("restarted"),
        RosterStateChanged(None),
    ]


def test_our_association_may_be_the_first_to_know() -> None:
    world = World().verified()
    world.wait(1)
    world.people.ekt_key(300, world.now)
    world.wait(SPI_GRACE)
    assert world.people.reason == "spi"
    world.key_distributor = world.key_distributor.restart("instance-number-2", 300)
    world.tell()
    assert world.people.reason is None


def test_an_instance_that_ended_never_comes_back() -> None:
    world = World().verified()
    old = world.key_distributor
    world.wait(1)
    withheld = old.statement(world.now)
    world.wait(1)
    world.key_distributor = old.restart("instance-number-2", 300)
    world.people.ekt_key(300, world.now)
    world.tell()
    for text in (withheld, old.statement(world.now), old.statement(world.now + 60)):
        world.people.receive_roster(text, world.now)
    assert world.people.refusals == {"instance": 3}
    assert world.people.reason is None
    # Nor one that we never saw, from before the one that we know.
    unseen = old.restart("instance-number-x", 7).statement(world.now - 1)
    world.people.receive_roster(unseen, world.now)
    assert world.people.refusals == {"instance": 4}
    # The control: a later one is another restart.
    world.people.receive_roster(
        old.restart("instance-number-3", 7).statement(world.now + 1), world.now + 1
    )
    assert world.people.reason == "restarted"


# The plain roster


def test_ghosts_and_other_names_in_the_plain_roster_are_told_apart() -> None:
    world = World().verified()
    people = world.people
    assert people.judge_claim("p002", "Person 2", [4, 5]) is None
    assert people.judge_claim("p002", "Person 2", []) is None
    assert people.judge_claim("ghost", "Person 2", [4]) == "not_vouched"
    assert people.judge_claim("p002", "Person 3", [4]) == "name_differs"
    assert people.judge_claim("p002", "Person 2", [4, 6]) == "ssrcs_differ"
    assert people.person_of(99) is None
    assert people.person("ghost") is None


# Ourselves


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": Fingerprint.of(b"a man in the middle")},
        {"tls_id": "tls-id-of-a-man-in-the-middle"},
        {"ssrcs": (2,)},
        {"assertion_sha256": bytes(32)},
    ],
)
def test_we_must_be_in_it_as_we_are(change: dict[str, object]) -> None:
    world = World().verified()
    own = world.key_distributor.entries["p001"]
    world.key_distributor.entries["p001"] = replace(own, **change)  # type: ignore[arg-type]
    world.tell()
    assert world.people.reason == "own_entry_differs"
    del world.key_distributor.entries["p001"]
    world.tell()
    assert world.people.reason == "own_entry_missing"
    world.key_distributor.entries["p001"] = own
    world.tell()
    assert world.people.reason is None


# Others


def test_who_takes_an_ssrc_of_somebody_else_makes_both_visible() -> None:
    world = World().verified()
    taken = replace(member(9).entry, ssrcs=(4, 18))
    world.key_distributor.entries["p009"] = taken
    world.tell()
    assert world.reasons() == {
        "p001": None,
        "p002": "ssrc_shared",
        "p003": None,
        "p009": "assertion_missing",
    }
    del world.key_distributor.entries["p009"]
    world.tell()
    assert world.reasons()["p002"] is None


def test_another_person_under_the_same_id_has_left_and_joined() -> None:
    world = World().verified()
    other = replace(member(9).entry, id="p002")
    world.key_distributor.entries["p002"] = other
    world.tell()
    assert world.events() == [
        PersonLeft(member(2).entry),
        PersonJoined(other, "assertion_missing"),
    ]
    world.people.receive_assertion("p002", member(9).own.assertion, world.now)
    assert world.reasons()["p002"] is None


def test_the_code_is_everybodys() -> None:
    world = World().verified()
    entries = [one.entry for one in world.members]
    assert world.people.code() == conference_code(authority().ca_sha256, entries, 7)
    other = World()
    other.people = People(
        Trust(authority().ca_sha256), other.members[1].own, int(valid_now()), valid_now()
    )
    other.verified()
    assert other.people.code() == world.people.code()


def test_own_assertion_stays_out_of_reprs() -> None:
    own = member(1).own
    assert own.assertion not in repr(own)
    assert Own(own.participant, own.binding, own.assertion) == own


# Floods


def test_a_flood_is_counted_told_once_and_leaves_nothing_behind() -> None:
    world = World().verified()
    newest = world.tell()
    for number in range(300):
        world.people.receive_roster(f"rubbish {number}", world.now)
        world.people.receive_roster(newest + "A", world.now)
        world.people.receive_assertion(f"ghost {number}", "A" * 24_000, world.now)
    assert sum(world.people.refusals.values()) == 600
    assert len(world.events()) <= 2
    assert world.people.reason is None
    assert world.people._proofs.held * 24_000 <= 4 * 1024 * 1024
    for number in range(3000):
        world.people.receive_assertion(f"ghost {number}", "A", world.now)
    assert world.people._proofs.held <= 1000
    world.people.receive_assertion("g" * 1000, "A", world.now)
    assert len(world.people.people()) == 3


def test_a_flood_under_one_name_pushes_nobody_out() -> None:
    world = World().verified()
    world.people.receive_assertion("p009", member(9).own.assertion, world.now)
    for number in range(300):
        world.people.receive_assertion("ghost", f"{number}" + "A" * 24_000, world.now)
    world.key_distributor.admit(member(9))
    world.tell()
    assert world.reasons()["p009"] is None


def test_who_left_is_forgotten() -> None:
    world = World().verified()
    entry = world.key_distributor.entries.pop("p002")
    world.people.receive_assertion("p002", "held, as it may be for the next entry", world.now)
    assert world.people._proofs.held == 1
    world.tell()
    assert world.people._proofs.held == 0
    world.key_distributor.entries["p002"] = entry
    world.tell()
    assert world.reasons()["p002"] == "assertion_missing"


def test_another_assertion_of_the_same_person_is_not_the_one_admitted() -> None:
    """A true proof of the same values, which the Key Distributor has not seen."""
    secret = InviteSecret(bytes([2]) * 16, CONFERENCE)
    claims = Claims.of(member(2).own.binding, "participant", int(valid_now()), "another-nonce-here")
    world = World()
    world.people.ekt_key(7, world.now)
    world.tell()
    world.people.receive_assertion("p002", str(secret.sign(claims)), world.now)
    assert world.reasons()["p002"] == "assertion_wrong"
    world.people.receive_assertion("p002", member(2).own.assertion, world.now)
    assert world.reasons()["p002"] is None
