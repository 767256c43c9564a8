"""What is tried after a loss, in which order, how often, and when it is given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from halfkey.endpoint import recovery
from halfkey.endpoint.client import FocusError
from halfkey.endpoint.core import (
    AssociationRenewed,
    AssociationTerminated,
    EKTKeyMissed,
    RenewalFailed,
)
from halfkey.endpoint.events import (
    Event,
    Reassociated,
    Reassociating,
    Rejoined,
    Rejoining,
    Terminated,
)
from halfkey.endpoint.recovery import Recovery, RejoinRefusedError
from halfkey.endpoint.transport import ConsentLost
from tests.endpoint.waiting import until


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that a test can wait for; their order stays."""
    monkeypatch.setattr(recovery, "LONGEST_CHANCE", 0.001)
    for name in ("HANDSHAKE", "JOIN"):
        monkeypatch.setattr(recovery, f"_FIRST_{name}_PAUSE", 0.01)
        monkeypatch.setattr(recovery, f"_LONGEST_{name}_PAUSE", 0.05)
    monkeypatch.setattr(recovery, "_FIRST_SPACING", 0.1)


class Story:
    """A recovery whose attempts end as they are told to; the last outcome goes on."""

    def __init__(
        self,
        handshakes: list[RenewalFailed | AssociationRenewed | None],
        joins: list[Exception | None] | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.handshakes, self.joins = handshakes, joins or [None]
        self.log: list[str] = []
        self.events: list[Event] = []
        self.recovery = Recovery(self._reassociate, self._rejoin, self.events.append)

    def _reassociate(self) -> bool:
        self.log.append("handshake")
        outcome = self.handshakes.pop(0) if len(self.handshakes) > 1 else self.handshakes[0]
        if outcome is not None:
            self.loop.call_soon(self.recovery.receive, outcome)
        return True

    async def _rejoin(self) -> tuple[int, ...]:
        self.log.append("join")
        outcome = self.joins.pop(0) if len(self.joins) > 1 else self.joins[0]
        if outcome is not None:
            raise outcome
        return (5,)

    def kinds(self) -> list[type[Event]]:
        return [type(event) for event in self.events]

    @asynccontextmanager
    async def told(self) -> AsyncIterator[Story]:
        task = self.loop.create_task(self.recovery.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


DONE, FAILED = AssociationRenewed(7.0), RenewalFailed("handshake timed out", 7.0)
REFUSED = RenewalFailed("handshake timed out", 7.0, is_refused=True)


async def test_handshakes_are_tried_until_one_works() -> None:
    async with Story([FAILED, FAILED, FAILED, DONE]).told() as story:
        story.recovery.keys_lost("for a test")
        story.recovery.receive(EKTKeyMissed(1, 1.0))  # which is the same loss
        await until(lambda: Reassociated in story.kinds())
        assert story.log == ["handshake"] * 4
        assert story.kinds() == [Reassociating, Reassociated]
        assert story.events[0].reason == "for a test"  # type: ignore[union-attr]


async def test_one_that_never_ends_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "HANDSHAKE_PATIENCE", 0.05)
    async with Story([None, DONE]).told() as story:
        story.recovery.receive(AssociationTerminated("alert from the peer", 1.0))
        await until(lambda: Reassociated in story.kinds())
        assert story.log == ["handshake"] * 2


async def test_handshakes_that_cure_nothing_are_spaced_ever_wider() -> None:
    story = Story([DONE])
    assert story.recovery._spacing_pause() == 0.0
    story.recovery._renewed_at = latest = story.loop.time() + 1000.0  # so that no time passes
    pauses = [round(story.recovery._spacing_pause() - 1000.0, 1) for _ in range(12)]
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == 60.0
    story.recovery._renewed_at = latest - 1100.0
    assert story.recovery._spacing_pause() == 0.0
    story.recovery._renewed_at = latest
    assert round(story.recovery._spacing_pause() - 1000.0, 1) == 0.1


async def test_who_is_not_admitted_any_more_joins_again() -> None:
    async with Story([FAILED, REFUSED, FAILED, REFUSED, REFUSED]).told() as story:
        story.recovery.keys_lost("for a test")
        await until(lambda: Rejoined in story.kinds())
        assert story.log == [*["handshake"] * 5, "join"]  # one refusal alone says nothing


async def test_a_lost_place_comes_before_lost_keys() -> None:
    async with Story([None], [FocusError("down"), TimeoutError(), None]).told() as story:
        story.recovery.keys_lost("for a test")
        await until(lambda: story.log == ["handshake"])
        story.recovery.receive(ConsentLost(1.0))
        await until(lambda: Rejoined in story.kinds())
        assert story.log == ["handshake", "join", "join", "join"]
        assert story.kinds() == [Reassociating, Rejoining, Rejoined]
        assert story.events[-1].ssrcs == (5,)  # type: ignore[union-attr]


async def test_who_is_told_no_stays_out() -> None:
    joins: list[Exception | None] = [FocusError("busy", 503), RejoinRefusedError("not admitted")]
    async with Story([None], joins).told() as story:
        story.recovery.place_lost("for a test")
        await until(lambda: Terminated in story.kinds())
        story.recovery.place_lost("again")
        story.recovery.keys_lost("again")
        await asyncio.sleep(0.1)
        assert story.log == ["join", "join"]
        assert story.kinds() == [Rejoining, Terminated]


async def test_whom_the_key_distributor_put_out_does_not_come_back() -> None:
    async with Story([None]).told() as story:
        story.recovery.receive(AssociationTerminated("closed by the peer", 1.0, True))
        await until(lambda: story.log == ["handshake"])
        story.recovery.place_lost("the Focus says that we left")
        await until(lambda: Terminated in story.kinds())
        await asyncio.sleep(0.05)
        assert story.log == ["handshake"]


async def test_whom_it_took_back_may_lose_its_place_later() -> None:
    async with Story([DONE]).told() as story:
        story.recovery.receive(AssociationTerminated("closed by the peer", 1.0, True))
        await until(lambda: Reassociated in story.kinds())
        story.recovery.place_lost("the Focus says that we left")
        await until(lambda: Rejoined in story.kinds())
        assert Terminated not in story.kinds()
