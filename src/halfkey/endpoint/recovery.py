"""How an Endpoint gets back what a restart took: its keys, or its place.

    the Key Distributor restarted          another handshake on the same path, again and again, with
                                           pauses; media goes on under the keys in use
    the Media Distributor restarted,       another participation, with a fresh offer, until it
    or forgot us, or the path is dead      works or we are told no

One thing is done at a time, and a participation before a handshake, which it includes. Many
Endpoints see the same restart at the same moment: so each waits a little by chance.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

from halfkey.backoff import Backoff
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
from halfkey.endpoint.transport import ConsentLost
from halfkey.errors import HalfkeyError

LONGEST_CHANCE = 0.3
"""Seconds before anything is begun, at the most."""

HANDSHAKE_PATIENCE = 10.0
"""Seconds from another handshake's beginning to an EKTKey, until it is taken to have failed."""

REFUSALS_BELIEVED = 2
"""Handshakes in a row that were refused until we take it that we aren't admitted any more: nothing
authenticates a refusal, but then whoever makes it up could as well drop every packet."""

_FIRST_HANDSHAKE_PAUSE, _LONGEST_HANDSHAKE_PAUSE = 0.5, 8.0
_FIRST_JOIN_PAUSE, _LONGEST_JOIN_PAUSE = 0.5, 15.0
_FIRST_SPACING, _LONGEST_SPACING = 2.0, 60.0

_CHANCE = secrets.SystemRandom()

Trigger = AssociationTerminated | AssociationRenewed | RenewalFailed | EKTKeyMissed | ConsentLost
"""What the transport tells that concerns recovery."""


class RejoinRefusedError(HalfkeyError):
    """We may not come back; the message is one line that says why."""


class Recovery:
    """Recovers, in a task that `run` is, whatever the calls below say is lost.

    Args:
        reassociate: begins another handshake; False where that can't be now.
        rejoin: tries once to get another participation; gives the SSRCs. `RejoinRefusedError` from
            it ends recovery, any other `HalfkeyError` or TimeoutError is a failure that may pass.
        tell: gets the events.
    """

    def __init__(
        self,
        reassociate: Callable[[], bool],
        rejoin: Callable[[], Awaitable[tuple[int, ...]]],
        tell: Callable[[Event], None],
    ) -> None:
        self._begin = reassociate
        self._try_to_join = rejoin
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._keys_lost: str | None = None
        self._place_lost: str | None = None
        self._outcome: AssociationRenewed | RenewalFailed | None = None
        self._is_put_out = False
        self._is_over = False
        self._spacing = Backoff(_FIRST_SPACING, _LONGEST_SPACING)
        self._renewed_at = float("-inf")

    # What is lost

    def keys_lost(self, reason: str) -> None:
        """Another handshake is needed."""
        self._keys_lost = self._keys_lost or reason
        self._changed.set()

    def place_lost(self, reason: str) -> None:
        """Another participation is needed; whom the Key Distributor put out doesn't try."""
        if self._is_put_out:
            self._give_up("the Key Distributor ended our participation")
        else:
            self._place_lost = self._place_lost or reason
            self._changed.set()

    def receive(self, event: Trigger) -> None:
        """Takes what the transport tells."""
        if isinstance(event, AssociationRenewed | RenewalFailed):
            self._outcome = event
            self._changed.set()
        elif isinstance(event, EKTKeyMissed):
            self.keys_lost("an EKTKey that others have never came")
        elif isinstance(event, AssociationTerminated):
            self._is_put_out = self._is_put_out or event.closed_by_peer
            self.keys_lost(f"the association ended: {event.reason}")
        else:
            self.place_lost("the Media Distributor doesn't answer any more")

    # Recovering

    async def run(self) -> None:
        """Recovers until there is no hope, or it is cancelled."""
        while not self._is_over:
            if self._place_lost is not None:
                await self._rejoin(self._place_lost)
            elif self._keys_lost is not None:
                await self._reassociate(self._keys_lost)
            else:
                self._changed.clear()
                await self._changed.wait()

    async def _reassociate(self, reason: str) -> None:
        started = self._loop.time()
        self._tell(Reassociating(reason, started))
        await self._pause(self._spacing_pause() + _CHANCE.uniform(0, LONGEST_CHANCE))
        backoff = Backoff(_FIRST_HANDSHAKE_PAUSE, _LONGEST_HANDSHAKE_PAUSE)
        refusals = 0
        while not self._is_interrupted():
            outcome = await self._shake_hands()
            if isinstance(outcome, AssociationRenewed):
                self._keys_lost, self._is_put_out, self._renewed_at = None, False, outcome.at
                self._tell(Reassociated(outcome.at, outcome.at - started))
                return
            refusals = refusals + 1 if outcome is not None and outcome.is_refused else 0
            if refusals >= REFUSALS_BELIEVED:
                self.place_lost("the Key Distributor doesn't know us any more")
                return
            await self._pause(backoff.next_pause() * _CHANCE.uniform(0.5, 1.5))

    def _spacing_pause(self) -> float:
        """Seconds to wait, so that what handshakes don't cure doesn't cause one after another."""
        quiet = self._loop.time() - self._renewed_at
        if quiet > _LONGEST_SPACING:
            self._spacing.reset()
            return 0.0
        return max(0.0, self._spacing.next_pause() - quiet)

    async def _shake_hands(self) -> AssociationRenewed | RenewalFailed | None:
        """One more handshake; None where it never came to an end, or couldn't begin."""
        self._outcome = None
        if not self._begin():
            return None
        deadline = self._loop.time() + HANDSHAKE_PATIENCE
        while not self._has_ended() and await self._change(deadline):
            pass
        return self._outcome

    def _has_ended(self) -> bool:
        return self._outcome is not None or self._is_interrupted()

    async def _rejoin(self, reason: str) -> None:
        started = self._loop.time()
        self._tell(Rejoining(reason, started))
        await asyncio.sleep(_CHANCE.uniform(0, LONGEST_CHANCE))
        backoff = Backoff(_FIRST_JOIN_PAUSE, _LONGEST_JOIN_PAUSE)
        while not self._is_over:
            self._place_lost = None  # what is said from now on is of the next participation
            try:
                ssrcs = await self._try_to_join()
            except RejoinRefusedError as fault:
                return self._give_up(str(fault))
            except (HalfkeyError, TimeoutError):
                await asyncio.sleep(backoff.next_pause() * _CHANCE.uniform(0.5, 1.5))
                continue
            self._keys_lost, self._is_put_out = None, False
            now = self._loop.time()
            self._tell(Rejoined(now, now - started, ssrcs))
            return None
        return None

    def _give_up(self, reason: str) -> None:
        if not self._is_over:
            self._is_over = True
            self._tell(Terminated(reason, self._loop.time()))
            self._changed.set()

    async def _pause(self, seconds: float) -> None:
        """Waits so long, or until the place is lost as well."""
        deadline = self._loop.time() + seconds
        while not self._is_interrupted() and await self._change(deadline):
            pass

    def _is_interrupted(self) -> bool:
        """Whether another handshake would be of no use any more."""
        return self._place_lost is not None or self._is_over

    async def _change(self, deadline: float) -> bool:
        """Waits for something to be said; False if that took too long."""
        self._changed.clear()
        try:
            async with asyncio.timeout_at(deadline):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True
