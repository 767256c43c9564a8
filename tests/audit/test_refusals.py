"""A flood of refusals: bounded on the disk, complete in the counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.audit.log import AuditLog
from halfkey.audit.records import Admitted, Record, RefusalsCounted, Refused
from halfkey.audit.refusals import INTERVAL, TOLD_PER_INTERVAL, Refusals
from tests.audit.helpers import KEY, records_of


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def tally(records: list[Record | None]) -> tuple[int, int]:
    """How many refusals were told one by one, and how many were counted."""
    told = sum(isinstance(one, Refused) for one in records)
    counts = [one.counts for one in records if isinstance(one, RefusalsCounted)]
    return told, sum(number for pairs in counts for _, number in pairs)


def test_a_flood_is_told_in_part_and_counted_in_whole(tmp_path: Path) -> None:
    clock = Clock()
    log = AuditLog.open(tmp_path, KEY, clock=clock)
    for number in range(10_000):
        log.append(Refused("expired" if number % 2 else "replayed", "weekly", f"p{number}"))
    log.close()
    records = records_of(tmp_path)
    assert len(records) == TOLD_PER_INTERVAL + 1
    assert tally(records) == (TOLD_PER_INTERVAL, 10_000 - TOLD_PER_INTERVAL)
    last = records[-1]
    assert isinstance(last, RefusalsCounted)
    assert [reason for reason, _ in last.counts] == ["expired", "replayed"]


def test_the_control_other_records_are_all_told(tmp_path: Path) -> None:
    log = AuditLog.open(tmp_path, KEY)
    for number in range(200):
        log.append(Admitted("weekly", f"p{number}"))
    log.close()
    assert len(records_of(tmp_path)) == 200


def test_the_next_interval_begins_with_the_counts_of_the_last(tmp_path: Path) -> None:
    clock = Clock()
    log = AuditLog.open(tmp_path, KEY, clock=clock)
    for _ in range(TOLD_PER_INTERVAL + 5):
        log.append(Refused("expired"))
    clock.now += INTERVAL
    log.append_durably(Refused("expired"))
    counted, told = records_of(tmp_path)[-2:]
    assert counted == RefusalsCounted("1970-01-12T13:46:40.000Z", (("expired", 5),))
    assert told == Refused("expired")
    log.close()


@pytest.mark.parametrize("reasons", [64, 65, 5000])
def test_reasons_that_a_peer_could_invent_are_bounded(reasons: int) -> None:
    refusals = Refusals()
    refused = [Refused(f"reason-{number}") for number in range(reasons)]
    told = [refusals.admit(one, 0.0) for one in refused]
    counted = refusals.take()
    assert counted is not None
    assert len(counted.counts) <= 64
    assert sum(number for _, number in counted.counts) == reasons - sum(told)


@given(st.lists(st.floats(-200, 200), max_size=200))
def test_no_refusal_is_lost(steps: list[float]) -> None:
    """Whatever the clock does, also backwards."""
    refusals, now, told, counted = Refusals(), 0.0, 0, 0
    for step in steps:
        now += step
        if (due := refusals.take_due(now)) is not None:
            counted += sum(number for _, number in due.counts)
        told += refusals.admit(Refused("expired"), now)
    rest = refusals.take()
    counted += sum(number for _, number in rest.counts) if rest else 0
    assert told + counted == len(steps)
