"""Rosters stay in order when the Key Distributor's clock is set back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from halfkey import dtls
from halfkey.dtls import Fingerprint
from halfkey.key_distributor.roster_clock import RosterClock
from halfkey.key_distributor.statements import Statements
from halfkey.key_distributor.store import Store
from halfkey.vouching.answer import AnswerVouch, DTLSIdentity, ExpectedAnswer
from halfkey.vouching.authority import Authority, Trust
from halfkey.vouching.refusal import VouchRefused
from halfkey.vouching.statements import STALE_AFTER
from halfkey.vouching.statements import Statements as Received
from tests.key_distributor.test_statements import Vouching, authority, identity

__all__ = ["authority"]  # the fixture

HOUR = 3600
UNIX = time.time()


def test_it_follows_a_clock_that_is_right() -> None:
    unix = [1000.5]
    kept: list[int] = []
    clock = RosterClock(lambda: unix[0], None, kept.append)
    assert clock.issue(0.0) == 1000
    assert clock.issue(0.2) == 1000
    unix[0] = 1010.0
    assert clock.issue(9.5) == 1010
    assert kept == [1000, 1010]


def test_it_goes_on_when_the_clock_is_set_back() -> None:
    unix = [10_000.0]
    clock = RosterClock(lambda: unix[0])
    assert clock.issue(0.0) == 10_000
    unix[0] -= HOUR
    assert clock.issue(10.0) == 10_010
    unix[0] = 10_030.0  # and has been set right
    assert clock.issue(20.0) == 10_030


def test_it_does_not_run_away_where_now_is_some_time_ago() -> None:
    """An admission takes its time from where it is dated to where its answer is."""
    unix = [10_000.0]
    clock = RosterClock(lambda: unix[0])
    issued = []
    for passed in range(1000):
        unix[0] = 10_000.0 + passed
        issued.append(clock.issue(passed - (1.5 if passed % 2 else 0.0)))
    assert issued == sorted(issued)
    assert issued[-1] - unix[0] <= 2


@pytest.mark.parametrize("set_back", [0.0, HOUR, -HOUR])
def test_a_run_is_later_than_the_run_before(set_back: float) -> None:
    kept: list[int] = []
    first = RosterClock(lambda: 10_000.0, None, kept.append).issue(0.0)
    again = RosterClock(lambda: 10_000.0 - set_back, kept[-1])
    assert first < again.issue(500.0) <= max(first + 1, 10_000 - set_back)


def stating(
    vouching: Vouching, published: list[str], instance: str, unix: float, store: Store
) -> Statements:
    """Those of a run whose clock stands."""
    return Statements(
        vouching.world.core,
        vouching.authority,
        instance,
        lambda: unix,
        lambda conference, text, change: published.append(text),
        RosterClock(lambda: unix, store.roster_time(), store.note_roster_time),
    )


def roster(authority: Authority, instance: str, unix: float, store: Store) -> str:
    """What such a run states."""
    published: list[str] = []
    vouching = Vouching(authority)
    statements = stating(vouching, published, instance, unix, store)
    vouching.join("alice")
    for event in vouching.world.events:
        statements.on_event(event, vouching.world.now)
    statements.handle_timer(vouching.world.now)
    return published[-1]


def test_an_endpoint_takes_rosters_of_a_run_whose_clock_was_set_back(
    tmp_path: Path, authority: Authority
) -> None:
    received = Received(Trust(authority.ca_sha256), "c", int(UNIX), UNIX)
    store = Store(tmp_path / "kd.sqlite")
    assert received.receive(roster(authority, "instance-of-run-one", UNIX, store), UNIX)
    store.close()
    # Without the time that was kept they are refused, until the clock has caught up.
    forgetful = roster(authority, "instance-of-run-two", UNIX - 120, Store(None))
    with pytest.raises(VouchRefused) as caught:
        received.receive(forgetful, UNIX + 5)
    assert caught.value.reason == "instance"
    store = Store(tmp_path / "kd.sqlite")
    assert received.receive(roster(authority, "instance-of-run-three", UNIX - 120, store), UNIX + 5)
    store.close()


def test_a_newcomer_holds_rosters_to_their_age_after_a_clock_was_set_back(
    tmp_path: Path, authority: Authority
) -> None:
    """The answer tells the time by which rosters go on, and is believed by that of the system."""
    store = Store(tmp_path / "kd.sqlite")
    store.note_roster_time(int(UNIX) + HOUR)
    vouching, published = Vouching(authority), list[str]()
    statements = stating(vouching, published, "instance-of-run-two", UNIX, store)
    certificate, who, tls_id = dtls.Certificate.generate("bob"), identity("bob"), "t" * 24
    now = vouching.world.now
    admission = vouching.world.core.admit(
        "c", "bob", certificate.fingerprint(), tls_id, who, statements.answer, now=now
    )
    assert admission.assertion is not None
    expected = ExpectedAnswer(
        "c",
        DTLSIdentity(certificate.fingerprint(), tls_id),
        who.nonce,
        DTLSIdentity(Fingerprint.parse(admission.fingerprint), admission.tls_id),
    )
    trust = Trust(authority.ca_sha256)
    answer = AnswerVouch.verify(admission.assertion, trust, expected, UNIX)
    vouching.join("alice")
    for event in vouching.world.events:
        statements.on_event(event, now)
    statements.handle_timer(now)
    received = Received(trust, "c", answer.admitted_at, UNIX)
    delayed = received.receive(published[-1], UNIX + 20)
    assert delayed is not None
    assert received.stale_at is not None
    assert received.stale_at <= UNIX + STALE_AFTER + 1  # times of issue are in whole seconds
    assert [entry.joined_at for entry in delayed.entries] == [delayed.issued_at]
    store.close()
