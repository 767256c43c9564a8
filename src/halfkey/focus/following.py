"""Following the events of a Distributor, for ever."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from halfkey.backoff import Backoff
from halfkey.event_stream import ServerSentEvent
from halfkey.focus.clients import Client, Unavailable

_LOGGER = logging.getLogger(__name__)

FIRST_DELAY = 0.25
"""Seconds before the events are asked for again; they double up to `LONGEST_DELAY`."""

LONGEST_DELAY = 3.0
"""Short, since Endpoints learn from these events that a Distributor has restarted."""


def _nothing() -> None:
    pass


async def follow(
    client: Client,
    receive: Callable[[ServerSentEvent], None],
    before: Callable[[], None] = _nothing,
) -> None:
    """Follows the events, again and again, for as long as it isn't cancelled.

    Args:
        client: whose events.
        receive: takes each.
        before: called each time before they are asked for.
    """
    backoff = Backoff(FIRST_DELAY, LONGEST_DELAY)
    while True:
        started = asyncio.get_running_loop().time()
        before()
        try:
            async with contextlib.aclosing(client.events()) as events:
                async for event in events:
                    receive(event)
        except Unavailable as fault:
            if backoff.is_fresh:
                _LOGGER.warning("%s; trying again", fault)
        # One that was followed for a while is likely to be back soon.
        if asyncio.get_running_loop().time() - started > LONGEST_DELAY:
            backoff.reset()
        await asyncio.sleep(backoff.next_pause())
