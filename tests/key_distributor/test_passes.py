"""Who was let in, or was in, and needn't wait: for how long, and what ends it."""

from __future__ import annotations

import pytest

from halfkey.key_distributor.credentials import AdmissionRecord
from halfkey.key_distributor.gatekeeper import HOST
from halfkey.key_distributor.passes import MAXIMUM_PASSES, Passes
from halfkey.key_distributor.policy import ConferencePolicy, Policy
from halfkey.key_distributor.registry import AdmissionRefused
from tests.key_distributor.test_gatekeeper import AGE, Gate, Person


@pytest.fixture
def closed() -> Gate:
    gate = Gate()
    gate.store.set_policy("board", ConferencePolicy(waiting_room=True))
    return gate


@pytest.fixture
def alice(closed: Gate) -> Person:
    return closed.invite(Person())


@pytest.mark.parametrize("reason", ["left", "replaced", "absent"])
def test_who_was_let_in_comes_back_without_waiting(
    closed: Gate, alice: Person, reason: str
) -> None:
    """With another certificate, as after a restart of its Media Distributor; others wait still."""
    closed.let_in(alice)
    closed.admit(alice.request("p1"))
    closed.now += 10 * AGE
    closed.remove("p1", reason)
    closed.now += AGE - 1
    assert closed.admit(alice.request("p2", closed.now)).is_new
    assert closed.must_wait(closed.invite(Person("Bob")))


@pytest.mark.parametrize("later", [AGE, 10 * AGE])
def test_who_is_in_need_not_wait(closed: Gate, alice: Person, later: float) -> None:
    """Its old admission may stand when its Endpoint joins anew, however long ago it was let in."""
    closed.let_in(alice)
    closed.admit(alice.request("p1"))
    closed.now += later
    assert closed.admit(alice.request("p2", closed.now)).is_new
    assert [one.id for one in closed.core.devices("board", "invite:id-Alice")] == ["p2"]


def test_who_was_in_before_a_restart_need_not_wait_after_it(closed: Gate, alice: Person) -> None:
    """Who was let in is forgotten; the admission is restored, and ends."""
    after = Gate(store=closed.store)
    closed.let_in(alice)
    closed.admit(alice.request("p1"))
    admitted = closed.core.find("board", "p1")
    assert admitted is not None
    after.core.restore(
        AdmissionRecord(
            "board",
            "p1",
            admitted.fingerprint,
            admitted.tls_id,
            admitted.own_tls_id,
            admitted.identity,
            admitted.own_assertion,
        ),
        None,
        0.0,
    )
    after.remove("p1")
    assert not after.must_wait(alice)


def test_a_failed_admission_uses_nothing_up() -> None:
    gate = Gate(policy=Policy(participants=1))
    alice = gate.invite(Person())
    gate.admit(gate.invite(Person("Hedda", role=HOST)).request("p1"))
    gate.store.set_policy("board", ConferencePolicy(waiting_room=True))
    gate.let_in(alice)
    for participant in ("p2", "p3"):
        with pytest.raises(AdmissionRefused, match="full"):
            gate.admit(alice.request(participant))
    gate.remove("p1")
    assert gate.admit(alice.request("p4")).is_new


@pytest.mark.parametrize("is_in", [True, False])
@pytest.mark.parametrize("reason", ["evicted", "revoked"])
def test_who_is_put_out_waits_again(closed: Gate, alice: Person, reason: str, is_in: bool) -> None:
    closed.let_in(alice)
    if is_in:
        closed.admit(alice.request("p1"))
    closed.gatekeeper.forget_waiting("board", "invite:id-Alice")
    if is_in:
        closed.remove("p1", reason)
    assert closed.must_wait(alice)


def test_putting_out_undoes_an_end_that_was_told_before(closed: Gate, alice: Person) -> None:
    """Of two devices one leaves, and the other is put out."""
    bob = closed.invite(Person("Bob", devices=2))
    for person in (alice, bob):
        closed.let_in(person)
        closed.admit(person.request(f"{person.name}-1"))
        closed.admit(person.request(f"{person.name}-2"))
    closed.remove("Bob-1")
    closed.remove("Bob-2", "evicted")
    assert closed.must_wait(bob)
    assert not closed.must_wait(alice)


def test_who_is_turned_away_was_let_in_no_longer(closed: Gate, alice: Person) -> None:
    closed.let_in(alice)
    closed.now += AGE
    assert closed.must_wait(alice)
    (key,) = closed.gatekeeper.waiting("board")
    assert closed.gatekeeper.reject("board", key)
    closed.store.readmit("board", "invite:id-Alice")
    assert closed.must_wait(alice)


def test_being_let_in_is_forgotten_in_time(closed: Gate, alice: Person) -> None:
    closed.let_in(alice)
    closed.now += AGE - 1
    closed.admit(alice.request("p1", closed.now))
    closed.now += AGE
    closed.remove("p1")
    closed.now += AGE
    assert closed.must_wait(alice)


def test_who_was_let_in_elsewhere_waits_here(closed: Gate, alice: Person) -> None:
    other = closed.invite(Person("Other", conference="other"))
    closed.store.set_policy("other", ConferencePolicy(waiting_room=True))
    closed.let_in(alice)
    assert closed.must_wait(other)
    assert not closed.must_wait(alice)


def test_who_is_remembered_is_bounded(closed: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the oldest waits again; what is past is dropped."""
    assert Policy().participants <= MAXIMUM_PASSES
    monkeypatch.setattr("halfkey.key_distributor.passes.MAXIMUM_PASSES", 3)
    people = [closed.invite(Person(f"Person-{number}")) for number in range(4)]
    for person in people:
        closed.let_in(person)
    assert [closed.must_wait(person) for person in people] == [True, False, False, False]


def test_passes_are_dropped_when_they_are_past() -> None:
    now = 0.0
    passes = Passes(lambda: now, AGE)
    for number in range(2 * MAXIMUM_PASSES):
        passes.give("board", str(number))
    assert len(passes) == MAXIMUM_PASSES
    now = AGE / 2
    passes.give("other", "alice")
    now = AGE
    passes.give("third", "bob")
    assert len(passes) == 2
    passes.take("other", "alice")
    passes.take("other", "nobody")
    assert (len(passes), passes.has("third", "bob")) == (1, True)
