"""Following the Media Distributor's events: who is gone, and who is seen in which slot."""

from __future__ import annotations

from halfkey.event_stream import ServerSentEvent
from halfkey.focus.broadcast import Broadcast
from halfkey.focus.clients import MediaDistributorClient
from halfkey.focus.core import Conferences
from halfkey.focus.following import follow
from halfkey.focus.removal import Removals


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
        await follow(self._client, self.receive)

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
