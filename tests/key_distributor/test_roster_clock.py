"""Rosters stay in order when the Key Distributor's clock is set back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from halfkey.key_distributor.roster_clock import RosterClock
from halfkey.key_distributor.statements import Statements
from halfkey.key_distributor.store import Store
from halfkey.vouching.authority import Authority, Trust
from halfkey.vouching.refusal import VouchRefused
from halfkey.vouching.statements import Statements as Received
from tests.key_distributor.test_statements import Vouching, authority

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


@pytest.mark.parametrize("set_back", [0.0, HOUR, -HOUR])
def test_a_run_is_later_than_the_run_before(set_back: float) -> None:
    kept: list[int] = []
    first = RosterClock(lambda: 10_000.0, None, kept.append).issue(0.0)
    again = RosterClock(lambda: 10_000.0 - set_back, kept[-1])
    assert first < again.issue(500.0) <= max(first + 1, 10_000 - set_back)


def roster(authority: Authority, instance: str, unix: float, store: Store) -> str:
    """What a run states whose clock stands."""
    published: list[str] = []
    vouching = Vouching(authority)
    statements = Statements(
        vouching.world.core,
        authority,
        instance,
        lambda: unix,
        lambda conference, text: published.append(text),
        RosterClock(lambda: unix, store.roster_time(), store.note_roster_time),
    )
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
