"""kill -9 on each server in turn, in the middle of a conference of real processes and sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from halfkey.endpoint import Endpoint, Reassociated, Rejoined, Terminated
from tests.e2e.processes import Processes, running_processes
from tests.e2e.system import everyone_has, frames
from tests.endpoint.stage import Listener
from tests.endpoint.waiting import until

PATIENCE = 60.0


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[Processes]:
    async with running_processes(tmp_path, focus_state=False) as made:
        yield made


async def three(processes: Processes) -> tuple[list[tuple[int, Endpoint]], list[Listener]]:
    """A conference that is under way."""
    everybody = list(enumerate(processes.endpoint(index) for index in range(3)))
    listeners = [Listener(endpoint) for _, endpoint in everybody]
    await asyncio.gather(*(endpoint.join() for _, endpoint in everybody))
    await until(lambda: everyone_has(everybody, 10), PATIENCE)
    return everybody, listeners


async def goes_on(everybody: list[tuple[int, Endpoint]], count: int = 15) -> None:
    """Waits until everybody has decoded so many more frames of each other one."""
    before = {
        (index, other): frames(endpoint, f"P{other}")
        for index, endpoint in everybody
        for other, _ in everybody
        if other != index
    }
    present = dict(everybody)
    await until(
        lambda: all(
            frames(present[index], f"P{other}") >= seen + count
            for (index, other), seen in before.items()
        ),
        PATIENCE,
    )


async def test_a_key_distributor_that_is_killed_stops_no_media(processes: Processes) -> None:
    everybody, listeners = await three(processes)
    spi = everybody[0][1].statistics().ekt_spi
    await processes.kd.kill()
    await goes_on(everybody)  # with the keys in place, while nobody could give others
    await processes.kd.start()
    for listener in listeners:
        await until(lambda listener=listener: listener.of(Reassociated), PATIENCE)
    spis = {endpoint.statistics().ekt_spi for _, endpoint in everybody}
    assert len(spis) == 1
    assert spi not in spis
    await goes_on(everybody)
    for listener in listeners:
        assert listener.of(Rejoined) == []
    late = processes.endpoint(3)
    await late.join()
    await goes_on([*everybody, (3, late)])
    for listener in listeners:
        assert listener.of(Terminated) == []


async def test_a_media_distributor_that_is_killed_is_rejoined(processes: Processes) -> None:
    everybody, listeners = await three(processes)
    ssrcs = [endpoint.ssrcs for _, endpoint in everybody]
    await processes.md.kill()
    await processes.md.start()
    for listener in listeners:
        await until(lambda listener=listener: listener.of(Rejoined), PATIENCE)
    assert [endpoint.ssrcs for _, endpoint in everybody] == ssrcs
    late = processes.endpoint(3)
    await late.join()
    await goes_on([*everybody, (3, late)])
    for listener in listeners:
        assert listener.of(Terminated) == []
