"""A Key Distributor whose disk is full, and what it shows of a rekey."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operations.system import System, eventually, faults, figure, samples


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with System(tmp_path) as system:
        yield system


def test_a_state_that_cannot_be_written(system: System) -> None:
    key_distributor = system.start("kd")
    place = system.metrics("kd")
    assert faults(place) == []
    process, file_size = key_distributor.process.pid, resource.RLIMIT_FSIZE
    before = resource.prlimit(process, file_size)
    resource.prlimit(process, file_size, (1, before[1]))  # as a full disk
    eventually(lambda: faults(place) == ["the state can't be written"])
    assert figure(place, "halfkey_kd_ready") == 0
    resource.prlimit(process, file_size, before)
    eventually(lambda: faults(place) == [])


def test_a_rekey_is_timed_and_told(system: System) -> None:
    system.start_all()
    system.join("Alice")
    leaver = system.join("Bob")
    place, name = system.metrics("kd"), "halfkey_kd_rekey_seconds_count"
    leaver.signal()
    assert leaver.wait() == 0
    eventually(lambda: name in samples(place) and figure(place, name, reason="left") == 1)
    (line,) = (x for x in system.log("kd") if x["message"] == "rekeyed" and x["reason"] == "left")
    assert line["participants"] == 1
    seconds = figure(place, "halfkey_kd_rekey_seconds_sum", reason="left")
    assert line["ms"] == pytest.approx(1000 * seconds)
