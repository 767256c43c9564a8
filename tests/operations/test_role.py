"""Readiness, drains and bounded labels, without a role around them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from halfkey.operations.metrics import MAXIMUM_LABEL_VALUES, OTHER, Metrics
from halfkey.operations.role import DRAINING, STARTING, Operated, Running


def operated(**what: Any) -> Operated:
    role = Operated()
    role.watch(Running(**{"statistics": dict, **what}))
    role.is_listening = True
    return role


def test_ready_only_once_it_runs_and_listens() -> None:
    role = Operated()
    assert role.faults() == [STARTING]
    role.watch(Running(dict))
    assert role.faults() == [STARTING]
    role.is_listening = True
    assert role.faults() == []


async def test_a_drain_waits_for_what_is_in_progress() -> None:
    left, acts = [1], list[str]()
    role = operated(unfinished=lambda: len(left), last_act=lambda: acts.append("last"))
    drain = asyncio.create_task(role.drain(60))
    await asyncio.sleep(0.1)
    assert not drain.done()
    assert role.faults() == [DRAINING]
    assert acts == []
    left.clear()
    assert await drain
    assert acts == ["last"]


async def test_a_drain_ends_at_its_deadline() -> None:
    acts = list[str]()
    role = operated(unfinished=lambda: 1, last_act=lambda: acts.append("last"))
    assert not await role.drain(0.05)
    assert acts == ["last"]


@pytest.mark.parametrize("reasons", [3, MAXIMUM_LABEL_VALUES, 10 * MAXIMUM_LABEL_VALUES])
def test_labels_have_a_bound(reasons: int) -> None:
    refused = {f'reason {number}\n"': 1 for number in range(reasons)}
    role = operated(statistics=lambda: {"refused": refused})
    exposition = Metrics("kd", role, {"own": 0.0}).exposition().decode()
    (family,) = (
        family
        for family in text_string_to_metric_families(exposition)
        if family.name == "halfkey_kd_associations_refused"
    )
    assert sum(sample.value for sample in family.samples) == reasons
    assert len(family.samples) == min(reasons, MAXIMUM_LABEL_VALUES + 1)
    has_other = any(sample.labels["reason"] == OTHER for sample in family.samples)
    assert has_other is (reasons > MAXIMUM_LABEL_VALUES)


def test_each_role_has_a_registry_of_its_own() -> None:
    """Two in one process don't meet, and nothing gets in that others registered."""
    texts = [Metrics(name, operated(), {"own": 0.0}).exposition().decode() for name in ("kd", "md")]
    names = [{family.name for family in text_string_to_metric_families(text)} for text in texts]
    assert names[0]
    assert not names[0] & names[1]
    assert all(name.startswith("halfkey_kd_") for name in names[0])
