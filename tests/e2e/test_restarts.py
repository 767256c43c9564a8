"""kill -9 on each server in turn, in the middle of a conference of real processes and sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from halfkey.endpoint import Endpoint, JoinFailedError, Reassociated, Rejoined, Terminated
from halfkey.endpoint.core import SendingStopped
from halfkey.endpoint.events import Reassociating, Rejoining, TrackRemoved
from halfkey.vouching.standing import PersonLeft, StatementRefused
from tests.e2e.processes import Processes, running_processes
from tests.e2e.system import everyone_has
from tests.endpoint.stage import Listener
from tests.endpoint.waiting import until

PATIENCE = 60.0

FELT = (
    Reassociating,
    Rejoining,
    Rejoined,
    SendingStopped,
    StatementRefused,
    Terminated,
    TrackRemoved,
    PersonLeft,
)
"""What tells that something is amiss."""


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[Processes]:
    async with running_processes(tmp_path) as made:
        yield made


async def three(processes: Processes) -> tuple[list[tuple[int, Endpoint]], list[Listener]]:
    """A conference that is under way."""
    everybody = list(enumerate(processes.endpoint(index) for index in range(3)))
    listeners = [Listener(endpoint) for _, endpoint in everybody]
    await asyncio.gather(*(endpoint.join() for _, endpoint in everybody))
    await until(lambda: everyone_has(everybody, 10), PATIENCE)
    return everybody, listeners


def understood(receiver: Endpoint, sender: Endpoint) -> int:
    """The fewest frames that were decoded of anything that the sender sends now."""
    decoded = {stream.ssrc: stream.frames for stream in receiver.statistics().streams}
    return min(decoded.get(ssrc, 0) for ssrc in sender.ssrcs)


async def goes_on(everybody: list[tuple[int, Endpoint]], count: int = 15) -> None:
    """Waits until everybody has decoded so many more frames of each other one."""
    pairs = [
        (receiver, sender)
        for number, receiver in everybody
        for other, sender in everybody
        if other != number
    ]
    before = [understood(*pair) for pair in pairs]
    await until(
        lambda: all(
            understood(*pair) >= seen + count for pair, seen in zip(pairs, before, strict=True)
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

    def spis() -> set[int | None]:
        return {endpoint.statistics().ekt_spi for _, endpoint in everybody}

    await until(lambda: len(spis()) == 1, PATIENCE)  # another one may be on its way to some
    assert spi not in spis()
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


async def test_a_focus_that_is_killed_is_missed_by_joiners_alone(processes: Processes) -> None:
    everybody, listeners = await three(processes)
    told = [len(listener.events) for listener in listeners]
    await processes.focus.kill()
    await goes_on(everybody)
    with pytest.raises(JoinFailedError, match="can't be reached"):
        await processes.endpoint(4).join()
    await processes.focus.start()
    await goes_on(everybody)
    since = [one.events[count:] for one, count in zip(listeners, told, strict=True)]
    # A key may come into use, or a first roster be verified, that was on its way.
    assert [event for events in since for event in events if isinstance(event, FELT)] == [], since
    late = processes.endpoint(3)
    await late.join()
    await goes_on([*everybody, (3, late)])
    await late.leave()  # and what was begun before the restart can be ended after it
    await everybody[2][1].leave()
    await until(lambda: len(listeners[0].of(PersonLeft)) == 2, PATIENCE)
    await goes_on(everybody[:2])


async def test_a_focus_that_remembers_nobody_is_rejoined(tmp_path: Path) -> None:
    async with running_processes(tmp_path, focus_state=False) as processes:
        everybody, listeners = await three(processes)
        await processes.focus.kill()
        await processes.focus.start()
        for listener in listeners:
            await until(lambda listener=listener: listener.of(Rejoined), PATIENCE)
        await goes_on(everybody)
