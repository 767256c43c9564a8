"""Taking participants out: the Key Distributor first, so that the rekey comes first.

A removal is never given up: while a Distributor can't be reached, the participant keeps its place
here, and with it a bound on how much can wait.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from halfkey.backoff import Backoff
from halfkey.focus.broadcast import Broadcast
from halfkey.focus.clients import Client, Unavailable
from halfkey.focus.core import Conferences, Participant

FIRST_DELAY = 0.5
"""Seconds before a removal that failed is tried again; they double up to `LONGEST_DELAY`."""

LONGEST_DELAY = 30.0


@dataclass(frozen=True)
class _Removal:
    """What is still to be done: the clients, in order, that have not confirmed."""

    participant: Participant
    waiting: tuple[Client, ...]


class Removals:
    """Removes participants at both Distributors, and keeps trying.

    Args:
        conferences: where they are.
        broadcast: told that they left.
        clients: the Key Distributor's and then the Media Distributor's.
    """

    def __init__(
        self, conferences: Conferences, broadcast: Broadcast, clients: tuple[Client, ...]
    ) -> None:
        self._conferences = conferences
        self._broadcast = broadcast
        self._clients = clients
        self._waiting: dict[Participant, _Removal] = {}
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[bool]] = set()

    async def remove(
        self, participant: Participant, owed: tuple[Client, ...] | None = None
    ) -> bool:
        """Removes a participant, if nobody else does already; what fails is tried again later.

        Args:
            participant: which.
            owed: the clients that may know of it, in order; all by default.

        Returns:
            Whether all of them have confirmed by now.
        """
        if not self._start(participant):
            return False
        removal = _Removal(participant, self._clients if owed is None else owed)
        try:
            removal = await self._attempt(removal)
        finally:
            # On cancellation too: what may not have been said must be said again.
            self._settle(removal)
        return not removal.waiting

    def schedule(self, participant: Participant) -> None:
        """Removes a participant in the background, if nobody else does already."""
        task = asyncio.create_task(self.remove(participant))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self) -> None:
        """Tries again what failed, for as long as it isn't cancelled."""
        backoff = Backoff(FIRST_DELAY, LONGEST_DELAY)
        while True:
            await self._wake.wait()
            await asyncio.sleep(backoff.next_pause())
            if await self._round():
                backoff.reset()

    async def _round(self) -> bool:
        """Tries each once, up to the first that fails; returns whether none did."""
        self._wake.clear()
        for removal in list(self._waiting.values()):
            left = await self._attempt(removal)
            # What failed goes to the end, so that it holds up nobody.
            del self._waiting[removal.participant]
            self._settle(left)
            if left.waiting:
                return False
        return True

    def _start(self, participant: Participant) -> bool:
        started = self._conferences.start_removal(participant)
        self._broadcast.drain()
        return started

    @staticmethod
    async def _attempt(removal: _Removal) -> _Removal:
        """Asks each Distributor once; one that fails doesn't keep the other from being asked."""
        waiting: list[Client] = []
        participant = removal.participant
        for client in removal.waiting:
            try:
                await client.remove(participant.conference, participant.id)
            except Unavailable:
                waiting.append(client)
        return _Removal(participant, tuple(waiting))

    def _settle(self, removal: _Removal) -> None:
        if removal.waiting:
            self._waiting[removal.participant] = removal
            self._wake.set()
        else:
            self._conferences.finish_removal(removal.participant)
