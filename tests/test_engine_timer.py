"""A driver's timer goes off once for what it was armed with last, and never once closed.

No pause is measured: another timer of the loop, armed later for later, says when to look.
"""

from __future__ import annotations

import asyncio

from halfkey.engine_timer import EngineTimer


async def after(at: float) -> None:
    """Waits until the loop has called everything that was due at a time."""
    passed = asyncio.Event()
    asyncio.get_running_loop().call_at(at, passed.set)
    await passed.wait()


async def test_it_goes_off_once_for_what_was_armed_last() -> None:
    now = asyncio.get_running_loop().time()
    calls: list[str] = []
    timer = EngineTimer(lambda: calls.append("due"))
    timer.arm(now + 0.01)
    timer.arm(now + 0.02)
    await after(now + 0.03)
    assert calls == ["due"]
    timer.arm(now + 0.04)
    await after(now + 0.05)
    assert calls == ["due", "due"]


async def test_what_is_past_is_due_at_once_and_none_is_never() -> None:
    now = asyncio.get_running_loop().time()
    calls: list[str] = []
    timer, disarmed = (
        EngineTimer(lambda: calls.append("due")),
        EngineTimer(lambda: calls.append("disarmed")),
    )
    timer.arm(now - 5)
    disarmed.arm(now - 5)
    disarmed.arm(None)
    assert calls == []
    await after(now + 0.01)
    assert calls == ["due"]


async def test_it_may_be_armed_anew_when_it_goes_off() -> None:
    now = asyncio.get_running_loop().time()
    calls: list[str] = []
    thrice = asyncio.Event()

    def due() -> None:
        calls.append("due")
        if len(calls) == 3:
            thrice.set()
        else:
            timer.arm(now)

    timer = EngineTimer(due)
    timer.arm(now)
    await asyncio.wait_for(thrice.wait(), 10)
    await after(asyncio.get_running_loop().time() + 0.01)
    assert calls == ["due"] * 3


async def test_nothing_is_called_once_it_is_closed() -> None:
    now = asyncio.get_running_loop().time()
    calls: list[str] = []
    closed, control = (
        EngineTimer(lambda: calls.append("closed")),
        EngineTimer(lambda: calls.append("control")),
    )
    closed.arm(now + 0.01)
    control.arm(now + 0.01)
    closed.close()
    closed.arm(now + 0.01)
    await after(now + 0.02)
    assert calls == ["control"]
