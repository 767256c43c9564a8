"""Following the Media Distributor's events: who is gone, and who is seen in which slot."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from halfkey.backoff import Backoff
from halfkey.event_stream import ServerSentEvent
from halfkey.focus.broadcast import Broadcast
from halfkey.focus.clients import MediaDistributorClient, Unavailable
from halfkey.focus.core import Conferences
from halfkey.focus.removal import Removals

_LOGGER = logging.getLogger(__name__)

FIRST_DELAY = 0.25
"""Seconds before the events are asked for again; they double up to `LONGEST_DELAY`."""

LONGEST_DELAY = 10.0


class MediaEvents:
    """Keeps the roster in step with what the Media Distributor sees."""

    def __init__(
        self,
        conferences: Conferences,
        broadcast: Broadcast,
        removals: Removals,
        client: MediaDistributorClient,
    ) -> None:
        self._conferences = conferences
        self._broadcast = broadcast
        self._removals = removals
        self._client = client

    async def run(self) -> None:
        """Follows the events, again and again, for as long as it isn't cancelled."""
        backoff = Backoff(FIRST_DELAY, LONGEST_DELAY)
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await self._follow()
            except Unavailable as fault:
                if backoff.is_fresh:
                    _LOGGER.warning("%s; trying again", fault)
            # One that was followed for a while is likely to be back soon.
            if asyncio.get_running_loop().time() - started > LONGEST_DELAY:
                backoff.reset()
            await asyncio.sleep(backoff.next_pause())

    async def _follow(self) -> None:
        """Follows the events once."""
        async with contextlib.aclosing(self._client.events()) as events:
            async for event in events:
                self.receive(event)

    def receive(self, event: ServerSentEvent) -> None:
        """Takes one event; those that mean nothing here are passed over."""
        conference = event.data.get("conference")
        if not isinstance(conference, str):
            return
        if event.name == "participant-disconnected":
            identifier = event.data.get("participant")
            participant = (
                self._conferences.by_id(conference, identifier)
                if isinstance(identifier, str)
                else None
            )
            if participant is not None and participant.answer is not None:
                self._removals.schedule(participant)
        elif event.name == "slot":
            told = {name: event.data.get(name) for name in ("receiver", "mid", "ssrc")}
            self._conferences.slot(conference, told)
            self._broadcast.drain()
