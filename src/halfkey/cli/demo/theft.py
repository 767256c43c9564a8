"""Stealing the media server: its memory is searched for every secret of the run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from halfkey.cli.children import Message
from halfkey.cli.demo.memory import search
from halfkey.cli.demo.report import TheftFacts

END_TO_END = frozenset({"kek", "e2e_master", "e2e_session"})
"""The kinds of secret that the Media Distributor must never hold."""

HOP = frozenset({"hop_master", "hop_session"})
"""The kinds that it does hold: the control."""


@dataclass(slots=True)
class Secrets:
    """What the Endpoints disclosed to the demo, by kind."""

    by_kind: dict[str, set[bytes]] = field(default_factory=dict, repr=False)

    def add(self, message: Message) -> None:
        """Takes one disclosure of an Endpoint."""
        self.by_kind.setdefault(message["kind"], set()).add(bytes.fromhex(message["hex"]))

    def of(self, kinds: frozenset[str]) -> set[bytes]:
        """All secrets of these kinds."""
        return set[bytes]().union(*(self.by_kind.get(kind, set()) for kind in kinds))


async def steal(media_distributor: int, endpoint: int, secrets: Secrets) -> TheftFacts:
    """Searches the Media Distributor, and an Endpoint as a control.

    Args:
        media_distributor: its process id.
        endpoint: the process id of an Endpoint that is in the conference.
        secrets: what to look for.

    Raises:
        MemoryUnreadableError: a process's memory can't be read.
    """
    forbidden, hop, keks = secrets.of(END_TO_END), secrets.of(HOP), secrets.of(frozenset({"kek"}))
    in_distributor = await asyncio.to_thread(search, media_distributor, forbidden | hop)
    in_endpoint = await asyncio.to_thread(search, endpoint, keks)
    return TheftFacts(
        secrets_searched=len(forbidden),
        secrets_found=len(in_distributor.found & forbidden),
        searched_bytes=in_distributor.searched_bytes,
        control_searched=len(hop),
        control_found=len(in_distributor.found & hop),
        kek_found_in_endpoint=bool(in_endpoint.found),
    )
