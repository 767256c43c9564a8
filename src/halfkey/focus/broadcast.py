"""Everybody who follows a conference's events: bounded queues, and slow readers dropped."""

from __future__ import annotations

from collections.abc import Callable

from halfkey.event_stream import ServerSentEvent
from halfkey.focus.core import Conferences
from halfkey.focus.problems import unavailable
from halfkey.followers import Follower


class Broadcast:
    """Hands the events of `Conferences` to those who follow them."""

    def __init__(self, conferences: Conferences) -> None:
        self._conferences = conferences
        self._followers: dict[str, set[Follower]] = {}

    def add(self, conference: str, cut_off: Callable[[], None]) -> Follower:
        """Adds a reader, whose first events are the roster as it is, ours and the vouched one.

        Raises:
            Problem: there are too many.
        """
        limits = self._conferences.limits
        followers = self._followers.get(conference, set())
        if not followers and len(self._followers) >= limits.conferences:
            raise unavailable("too many conferences are followed")
        if len(followers) >= limits.subscribers:
            raise unavailable("too many follow this conference")
        follower = Follower(limits.queued_events, cut_off)
        self._followers.setdefault(conference, set()).add(follower)
        follower.put(ServerSentEvent("roster", self._conferences.roster(conference)).encode())
        statement = self._conferences.statement(conference)
        if statement is not None:
            follower.put(ServerSentEvent("vouched-roster", statement).encode())
        return follower

    def remove(self, conference: str, follower: Follower) -> None:
        """Forgets a reader."""
        followers = self._followers.get(conference, set())
        followers.discard(follower)
        if not followers:
            self._followers.pop(conference, None)

    def count(self) -> int:
        """How many readers there are."""
        return sum(len(followers) for followers in self._followers.values())

    def drain(self) -> None:
        """Hands out all that `Conferences` has to tell; call it after each change."""
        while (event := self._conferences.next_event()) is not None:
            encoded = ServerSentEvent(event.name, event.data).encode()
            for follower in self._followers.get(event.conference, ()):
                follower.put(encoded)

    def close(self) -> None:
        """Ends every stream."""
        for followers in self._followers.values():
            for follower in followers:
                follower.close()
