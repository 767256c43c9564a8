"""What has changed in a roster: the step leads to the next, and from one roster only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halfkey.errors import CodecError
from halfkey.vouching.authority import Trust
from halfkey.vouching.change import TYPE, RosterChange
from halfkey.vouching.roster import MAXIMUM_ENTRIES, RosterVouch
from tests.identity.helpers import parts
from tests.vouching.test_roster import roster
from tests.vouching.world import authority, member, refuses, valid_now


def verify(text: str) -> RosterChange:
    return RosterChange.verify(text, Trust(authority().ca_sha256), valid_now())


def later(before: RosterVouch, **changes: Any) -> RosterVouch:
    return replace(before, version=before.version + 1, **changes)


numbers = st.sets(st.integers(1, 8))


@settings(max_examples=60, deadline=None)
@given(numbers, numbers, numbers, st.none() | st.integers(0, 65535))
def test_the_step_leads_to_the_next(
    were: set[int], are: set[int], renamed: set[int], spi: int | None
) -> None:
    before = roster(*were)
    found = [
        replace(member(number).entry, name="Another") if number in renamed else member(number).entry
        for number in are
    ]
    after = later(before, spi=spi, entries=RosterVouch.ordered(found))
    change = verify(RosterChange.between(before, after).sign(authority()))
    assert change.follow(before) == after
    assert len(change.roster.entries) == len(are - were | are & renamed)


def test_a_heartbeat_has_no_entry_and_a_change_has_one() -> None:
    before = roster(1, 2, 3)
    assert RosterChange.between(before, later(before)).roster.entries == ()
    renamed = replace(member(2).entry, name="Somebody")
    after = later(before, entries=RosterVouch.ordered([member(1).entry, renamed]))
    change = RosterChange.between(before, after)
    assert (change.gone, change.roster.entries) == ((member(3).entry.id,), (renamed,))
    assert len(change.sign(authority())) < len(after.sign(authority()))


def test_it_is_small_whatever_the_roster_is() -> None:
    found = (replace(member(1).entry, id=f"{number:04}") for number in range(500))
    before = replace(roster(), entries=tuple(found))
    step = RosterChange.between(before, later(before, entries=before.entries[1:]))
    assert len(step.sign(authority())) < len(before.sign(authority())) / 100


@pytest.mark.parametrize(
    "other",
    [
        {"version": 2},
        {"instance": "instance-number-2"},
        {"conference": "another"},
        {"entries": roster(1, 2).entries},  # who goes isn't there
    ],
)
def test_it_leads_from_no_other_roster(other: dict[str, Any]) -> None:
    before = roster(1, 2, 3)
    change = RosterChange.between(before, later(before, entries=roster(1, 2).entries))
    assert change.follow(before).entries == roster(1, 2).entries
    with refuses("base"):
        change.follow(replace(before, **other))


def test_nobody_comes_in_beyond_the_longest_roster() -> None:
    many = [replace(member(1).entry, id=f"{number:04}") for number in range(MAXIMUM_ENTRIES)]
    before = replace(roster(), entries=tuple(many))
    change = RosterChange.between(roster(), later(roster(), entries=roster(1).entries))
    with refuses("malformed"):
        change.follow(before)


@pytest.mark.parametrize(
    "change",
    [
        lambda payload: payload | {"more": 1},
        lambda payload: payload | {"base": 0},
        lambda payload: payload | {"base": payload["version"]},
        lambda payload: payload | {"base": "1"},
        lambda payload: payload | {"gone": "p003"},
        lambda payload: payload | {"gone": [3]},
        lambda payload: payload | {"gone": ["p003", "p003"]},
        lambda payload: payload | {"gone": ["p004", "p003"]},
        lambda payload: payload | {"gone": ["p002"]},
        lambda payload: payload | {"gone": [""]},
        lambda payload: payload | {"gone": [f"{number:04}" for number in range(1001)]},
        lambda payload: payload | {"entries": payload["entries"] * 2},
        lambda payload: payload | {"spi": 65536},
    ],
)
def test_also_what_is_signed_must_follow_the_format(
    change: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    step = RosterChange.between(roster(1, 3), later(roster(1, 3), entries=roster(1, 2).entries))
    _, payload = parts(step.sign(authority()))
    assert verify(authority().sign(TYPE, payload)) == step
    with refuses("malformed"):
        verify(authority().sign(TYPE, change(payload)))


def test_it_is_no_roster_and_a_roster_is_none() -> None:
    step = RosterChange.between(roster(1), later(roster(1)))
    with refuses("type"):
        RosterVouch.verify(step.sign(authority()), Trust(authority().ca_sha256), valid_now())
    with refuses("type"):
        verify(roster(1).sign(authority()))
    with pytest.raises(CodecError):
        RosterChange.between(later(roster(1)), roster(1))
