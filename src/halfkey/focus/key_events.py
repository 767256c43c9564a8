"""Following the Key Distributor's events: its statements, carried on verbatim, and who is out."""

from __future__ import annotations

from halfkey.event_stream import ServerSentEvent
from halfkey.focus.broadcast import Broadcast
from halfkey.focus.clients import KeyDistributorClient
from halfkey.focus.core import Conferences, ParticipantState
from halfkey.focus.following import follow
from halfkey.focus.removal import Removals

_OURS = "focus"
"""Who said so of removals that were asked for here, or by another Focus."""


class KeyEvents:
    """Carries vouched rosters to Endpoints, and takes out whom the Key Distributor took out."""

    def __init__(
        self,
        conferences: Conferences,
        broadcast: Broadcast,
        removals: Removals,
        client: KeyDistributorClient,
    ) -> None:
        self._conferences = conferences
        self._broadcast = broadcast
        self._removals = removals
        self._client = client

    async def run(self) -> None:
        """Follows the events, again and again, for as long as it isn't cancelled."""
        await follow(self._client, self.receive, self._conferences.expect_statements)

    def receive(self, event: ServerSentEvent) -> None:
        """Takes one event; those that mean nothing here are passed over."""
        conference = event.data.get("conference")
        if not isinstance(conference, str):
            return
        if event.name == "roster":
            statement, change = event.data.get("statement"), event.data.get("change")
            if isinstance(statement, str):
                change = change if isinstance(change, str) else None
                self._conferences.vouched(conference, statement, change)
                self._broadcast.drain()
        elif event.name == "removed" and event.data.get("by") != _OURS:
            identifier = event.data.get("participant")
            if isinstance(identifier, str):
                self._take_out(conference, identifier)

    def _take_out(self, conference: str, identifier: str) -> None:
        participant = self._conferences.by_id(conference, identifier)
        if participant is None:
            return
        if participant.state is ParticipantState.JOINING:
            participant.put_out = True  # whoever has it join undoes that
        else:
            self._removals.schedule(participant)
