"""Everybody who follows a conference's events: bounded queues, and slow readers dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from halfkey.event_stream import ServerSentEvent
from halfkey.focus.core import Conferences
from halfkey.focus.problems import unavailable


class Subscriber:
    """One reader of one conference's events.

    Args:
        limit: how many events may wait for it.
        cut_off: ends its connection at once.
    """

    def __init__(self, limit: int, cut_off: Callable[[], None]) -> None:
        self._queue: asyncio.Queue[ServerSentEvent | None] = asyncio.Queue(limit)
        self._cut_off = cut_off
        self.closed = False

    def put(self, event: ServerSentEvent) -> None:
        """Queues an event; a reader that let its queue fill is cut off instead."""
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self.close()
            self._cut_off()

    def close(self) -> None:
        """Lets `get` return None from now on."""
        self.closed = True
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def get(self) -> ServerSentEvent | None:
        """The next event, or None when it is over."""
        return await self._queue.get()


class Broadcast:
    """Hands the events of `Conferences` to those who follow them."""

    def __init__(self, conferences: Conferences) -> None:
        self._conferences = conferences
        self._subscribers: dict[str, set[Subscriber]] = {}

    def subscribe(self, conference: str, cut_off: Callable[[], None]) -> Subscriber:
        """Adds a reader, whose first event is the roster as it is.

        Raises:
            Problem: there are too many.
        """
        limits = self._conferences.limits
        followers = self._subscribers.get(conference, set())
        if not followers and len(self._subscribers) >= limits.conferences:
            raise unavailable("too many conferences are followed")
        if len(followers) >= limits.subscribers:
            raise unavailable("too many follow this conference")
        subscriber = Subscriber(limits.queued_events, cut_off)
        self._subscribers.setdefault(conference, set()).add(subscriber)
        subscriber.put(ServerSentEvent("roster", self._conferences.roster(conference)))
        return subscriber

    def unsubscribe(self, conference: str, subscriber: Subscriber) -> None:
        """Forgets a reader."""
        followers = self._subscribers.get(conference, set())
        followers.discard(subscriber)
        if not followers:
            self._subscribers.pop(conference, None)

    def drain(self) -> None:
        """Hands out all that `Conferences` has to tell; call it after each change."""
        while (event := self._conferences.next_event()) is not None:
            message = ServerSentEvent(event.name, event.data)
            for subscriber in self._subscribers.get(event.conference, ()):
                if not subscriber.closed:
                    subscriber.put(message)

    def close(self) -> None:
        """Ends every stream."""
        for followers in self._subscribers.values():
            for subscriber in followers:
                subscriber.close()
