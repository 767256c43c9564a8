"""Those who follow events over HTTP: each has a bounded queue, and who is too slow is cut off."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from aiohttp import web

from halfkey.event_stream import COMMENT, CONTENT_TYPE, ServerSentEvent
from halfkey.json_api import fault

MAXIMUM_FOLLOWERS = 64
QUEUE_LENGTH = 4096
"""Events that may wait for one reader: the rekey of a conference of a thousand makes two thousand
within a moment."""

_BATCH = 64 * 1024
"""Bytes from which on no further event is put to others to be written with them."""

KEEP_ALIVE_SECONDS = 10.0
"""Without an event for that long, a comment tells a dead peer from a quiet stream."""


class Follower:
    """One reader of events.

    Args:
        limit: how many events may wait for it.
        cut_off: ends its connection at once.
    """

    def __init__(self, limit: int, cut_off: Callable[[], None]) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(limit)
        self._cut_off = cut_off
        self._is_closed = False

    def put(self, encoded: bytes) -> None:
        """Queues an event; a reader that let its queue fill is cut off instead."""
        if self._is_closed:
            return
        try:
            self._queue.put_nowait(encoded)
        except asyncio.QueueFull:
            self.close()
            # Its writer waits for a peer that doesn't read, so only this ends it.
            self._cut_off()

    def close(self) -> None:
        """Lets `get` return None from now on."""
        self._is_closed = True
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def get(self) -> bytes | None:
        """The next events, encoded; None when it is over.

        What waits goes out together: a rekey tells of each participant, and to write a thousand
        times would cost more than the rekey.
        """
        batch, size = [], 0
        while size == 0 or (size < _BATCH and not self._queue.empty()):
            event = await self._queue.get()
            if event is None:
                return None
            batch.append(event)
            size += len(event)
        return b"".join(batch)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answers a request with the events until they are over or the reader is gone."""
        response = web.StreamResponse(
            headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
        )
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            while (encoded := await self._next()) is not None:
                await response.write(encoded)
        return response

    async def _next(self) -> bytes | None:
        try:
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                return await self.get()
        except TimeoutError:
            return COMMENT


def cutting_off(request: web.Request) -> Callable[[], None]:
    """What ends a request's connection at once.

    Raises:
        ConnectionResetError: it is gone already.
    """
    if request.transport is None:
        raise ConnectionResetError
    return request.transport.abort


class Followers:
    """Hands every event to everybody who follows."""

    def __init__(self) -> None:
        self._followers: set[Follower] = set()

    def publish(self, name: str, data: dict[str, Any]) -> None:
        """Gives everybody an event."""
        encoded = ServerSentEvent(name, data).encode()
        for follower in self._followers:
            follower.put(encoded)

    def close(self) -> None:
        """Lets everybody go."""
        for follower in self._followers:
            follower.close()

    async def follow(
        self, request: web.Request, first: ServerSentEvent | None = None
    ) -> web.StreamResponse:
        """Answers a request with all events from now on.

        Args:
            request: it.
            first: the state that they change, for this reader alone.
        """
        if len(self._followers) >= MAXIMUM_FOLLOWERS:
            return fault(503, "too many follow the events already")
        follower = Follower(QUEUE_LENGTH, cutting_off(request))
        # Said at once, so that the reader knows from when on it misses nothing.
        follower.put(b": following\n\n" if first is None else first.encode())
        self._followers.add(follower)
        try:
            return await follower.answer(request)
        finally:
            self._followers.discard(follower)
