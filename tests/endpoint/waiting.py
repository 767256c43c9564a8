"""Waiting for something to come true, with a limit that only a fault reaches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Returns once the condition holds.

    Raises:
        TimeoutError: it never came to hold.
    """
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (what is awaited has no event of its own)
            await asyncio.sleep(0.01)
