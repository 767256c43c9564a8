"""Following the Media Distributor's events: who is gone, and who is seen in which slot.

Each time it begins with all participants there. Who was present here before we asked, and isn't
among them, was lost: the Media Distributor restarted, or took it out while nobody followed.
"""

from __future__ import annotations

from halfkey.event_stream import ServerSentEvent
from halfkey.focus.broadcast import Broadcast
from halfkey.focus.clients import MediaDistributorClient
from halfkey.focus.core import Conferences, Participant
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
        self._expected: list[Participant] = []

    async def run(self) -> None:
        """Follows the events, again and again, for as long as it isn't cancelled."""
        await follow(self._client, self.receive, self._expect)

    def _expect(self) -> None:
        # Who joins from now on may be allocated after the list was made.
        self._expected = self._conferences.everybody_present()

    def receive(self, event: ServerSentEvent) -> None:
        """Takes one event; those that mean nothing here are passed over."""
        if event.name == "participants":
            self._reconcile(event.data.get("participants"))
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

    def _reconcile(self, listed: object) -> None:
        """Takes out who isn't there any more; a list that can't be read says nothing of anybody."""
        expected, self._expected = self._expected, []
        if not isinstance(listed, list):
            return
        present = {tuple(map(str, one)) for one in listed if isinstance(one, list)}
        for participant in expected:
            if (participant.conference, participant.id) not in present:
                self._removals.schedule(participant)
