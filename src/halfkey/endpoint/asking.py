"""Asking the Focus to be taken in, for as long as we have to wait.

Each time with a fresh offer: an identity assertion is good once, and for a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from halfkey.backoff import Backoff
from halfkey.endpoint.client import FocusClient, FocusError, MustWaitError, Participation
from halfkey.endpoint.events import Waiting
from halfkey.errors import HalfkeyError
from halfkey.sdp import Offer

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0


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

    async def ask(self, make_offer: Callable[[], Offer]) -> Participation:
        """Asks until we are taken in; whoever waits bears with a Focus that is away meanwhile.

        Args:
            make_offer: makes a fresh one; the participation answers to the last.

        Raises:
            FocusError: we may not come in, or it failed before we had to wait.
            NotLetInError: nobody let us in.
            TimeoutError: no answer came.
        """
        try:
            async with asyncio.timeout(self._waiting_timeout) as waiting:
                return await self._ask_on(make_offer)
        except TimeoutError:
            if waiting.expired():
                raise NotLetInError("nobody let us in") from None
            raise

    async def _ask_on(self, make_offer: Callable[[], Offer]) -> Participation:
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        is_waiting = False
        while True:
            try:
                async with asyncio.timeout(self._patience):
                    return await self._client.join(make_offer().text)
            except MustWaitError as fault:
                if not is_waiting:
                    self._tell(Waiting(asyncio.get_running_loop().time()))
                is_waiting = True
                backoff.reset()
                pause = fault.retry_after
            except (FocusError, TimeoutError) as fault:
                if not is_waiting or not _may_pass(fault):
                    raise
                pause = backoff.next_pause()
            await asyncio.sleep(pause)


def _may_pass(fault: FocusError | TimeoutError) -> bool:
    """Whether it says nothing of us: no answer, or a fault of theirs."""
    if isinstance(fault, TimeoutError) or fault.status is None:
        return True
    return fault.status >= HTTPStatus.INTERNAL_SERVER_ERROR
