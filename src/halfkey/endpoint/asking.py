"""Asking the Focus to be taken in, for as long as we have to wait.

Each time with a fresh offer: an identity assertion is good once, and for a minute. An offer whose
answer was lost on its way may have taken us in: then our own SSRCs are taken, and we choose others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from halfkey.backoff import Backoff
from halfkey.endpoint.client import FocusClient, FocusError, MustWaitError, Participation
from halfkey.endpoint.events import Waiting
from halfkey.errors import HalfkeyError
from halfkey.sdp import Offer

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0

CONFLICTS_BORNE = 3
"""Offers in a row whose SSRCs are taken, until that is no chance any more."""


class NotLetInError(HalfkeyError):
    """We waited for as long as we wanted to."""


class Asking:
    """Asks one Focus.

    Args:
        client: speaks with it.
        patience: seconds for one answer.
        waiting_timeout: seconds to wait to be let in.
        tell: called once if we have to wait.
    """

    def __init__(
        self,
        client: FocusClient,
        patience: float,
        waiting_timeout: float,
        tell: Callable[[Waiting], None],
    ) -> None:
        self._client = client
        self._patience = patience
        self._waiting_timeout = waiting_timeout
        self._tell = tell
        self._is_waiting = False

    async def ask(
        self, make_offer: Callable[[], Awaitable[Offer]], renew: Callable[[], Awaitable[None]]
    ) -> Participation:
        """Asks until we are taken in; whoever waits bears with a Focus that is away meanwhile.

        Args:
            make_offer: makes a fresh one; the participation answers to the last.
            renew: has later offers be of other SSRCs.

        Raises:
            FocusError: we may not come in, or it failed before we had to wait.
            NotLetInError: we were in the waiting room, and nobody let us in.
            TimeoutError: no answer came; the message says so.
        """
        self._is_waiting = False
        try:
            async with asyncio.timeout(self._waiting_timeout) as waiting:
                return await self._ask_on(make_offer, renew)
        except TimeoutError:
            patience = self._waiting_timeout if waiting.expired() else self._patience
            if self._is_waiting:
                raise NotLetInError(f"nobody let us in within {patience:g} s") from None
            raise TimeoutError(f"no answer of the Focus within {patience:g} s") from None

    async def _ask_on(
        self, make_offer: Callable[[], Awaitable[Offer]], renew: Callable[[], Awaitable[None]]
    ) -> Participation:
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        conflicts = 0
        while True:
            offer = await make_offer()  # with a login, maybe, that takes its time
            try:
                async with asyncio.timeout(self._patience):
                    return await self._client.join(offer.text)
            except MustWaitError as fault:
                if not self._is_waiting:
                    self._tell(Waiting(asyncio.get_running_loop().time()))
                self._is_waiting, conflicts = True, 0
                backoff.reset()
                pause = fault.retry_after
            except (FocusError, TimeoutError) as fault:
                if _is_conflict(fault) and conflicts < CONFLICTS_BORNE:
                    conflicts += 1
                    await renew()
                elif not self._is_waiting or not _may_pass(fault):
                    raise
                pause = backoff.next_pause()
            await asyncio.sleep(pause)


def _is_conflict(fault: FocusError | TimeoutError) -> bool:
    """Whether an SSRC of the offer is taken."""
    return isinstance(fault, FocusError) and fault.status == HTTPStatus.CONFLICT


def _may_pass(fault: FocusError | TimeoutError) -> bool:
    """Whether it says nothing of us: no answer, or a fault of theirs."""
    if isinstance(fault, TimeoutError) or fault.status is None:
        return True
    return fault.status >= HTTPStatus.INTERNAL_SERVER_ERROR
