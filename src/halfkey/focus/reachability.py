"""Whether the Focus could have somebody in: both Distributors have to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from halfkey.focus.clients import Client, Refused, Unavailable

INTERVAL_SECONDS = 5.0
"""From one question to the next. A Distributor that fails is of no use from then on."""


class Reachability:
    """Asks each Distributor, again and again, whether it is there.

    Args:
        clients: whom to ask, by a short name.
    """

    def __init__(self, clients: Mapping[str, Client]) -> None:
        self._clients = clients
        self._is_up = dict.fromkeys(clients, False)

    def by_name(self) -> dict[str, bool]:
        """Who answered the last question."""
        return dict(self._is_up)

    def faults(self) -> list[str]:
        """A line for each who didn't."""
        return [
            f"{self._clients[name].name} can't be reached or refuses us"
            for name, is_up in self._is_up.items()
            if not is_up
        ]

    async def run(self) -> None:
        """Asks for as long as it isn't cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name in self._clients:
                tasks.create_task(self._keep_asking(name))

    async def _keep_asking(self, name: str) -> None:
        while True:
            try:
                await self._clients[name].probe()
                self._is_up[name] = True
            except (Unavailable, Refused):
                self._is_up[name] = False
            await asyncio.sleep(INTERVAL_SECONDS)
