"""Those who follow the events: each has a bounded queue, and is let go when it doesn't keep up."""

from __future__ import annotations

import asyncio

from halfkey.key_distributor.events import Event

MAXIMUM_FOLLOWERS = 32
QUEUE_LENGTH = 1024

EventQueue = asyncio.Queue[Event | None]
"""None says that no more will come."""


class Followers:
    """All followers."""

    def __init__(self) -> None:
        self._queues: set[EventQueue] = set()

    def add(self) -> EventQueue | None:
        """A queue for a new follower; None if there are too many."""
        if len(self._queues) >= MAXIMUM_FOLLOWERS:
            return None
        queue: EventQueue = asyncio.Queue(QUEUE_LENGTH)
        self._queues.add(queue)
        return queue

    def remove(self, queue: EventQueue) -> None:
        """Forgets a follower, who may have been let go already."""
        self._queues.discard(queue)

    def publish(self, event: Event) -> None:
        """Gives everybody an event."""
        for queue in list(self._queues):
            if queue.full():
                self._let_go(queue)
            else:
                queue.put_nowait(event)

    def close(self) -> None:
        """Lets everybody go."""
        for queue in list(self._queues):
            self._let_go(queue)

    def _let_go(self, queue: EventQueue) -> None:
        self._queues.discard(queue)
        if queue.full():
            queue.get_nowait()
        queue.put_nowait(None)
