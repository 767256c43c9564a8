"""Those who follow a role's events over HTTP: bounded queues, and slow readers let go."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

MAXIMUM_FOLLOWERS = 64
QUEUE_LENGTH = 1024
KEEP_ALIVE_SECONDS = 10.0

EventQueue = asyncio.Queue[bytes | None]


class Followers:
    """Hands every event to everybody who follows, as server-sent events."""

    def __init__(self) -> None:
        self._queues: set[EventQueue] = set()

    def publish(self, name: str, data: dict[str, Any]) -> None:
        """Gives everybody an event; who let a whole queue fill up is let go instead."""
        encoded = f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
        for queue in list(self._queues):
            if queue.full():
                self._let_go(queue)
            else:
                queue.put_nowait(encoded)

    def close(self) -> None:
        """Lets everybody go."""
        for queue in list(self._queues):
            self._let_go(queue)

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Answers a request with all events from now on; a comment when there are none."""
        if len(self._queues) >= MAXIMUM_FOLLOWERS:
            return web.json_response({"error": "too many follow the events already"}, status=503)
        queue: EventQueue = asyncio.Queue(QUEUE_LENGTH)
        self._queues.add(queue)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        try:
            await response.prepare(request)
            await response.write(b": following\n\n")
            while (encoded := await _next(queue)) is not None:
                await response.write(encoded)
        except ConnectionError:
            pass  # the follower has gone
        finally:
            self._queues.discard(queue)
        return response

    def _let_go(self, queue: EventQueue) -> None:
        self._queues.discard(queue)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)


async def _next(queue: EventQueue) -> bytes | None:
    """The next event; a comment, which tells a dead peer from a quiet stream, if none comes."""
    try:
        return await asyncio.wait_for(queue.get(), KEEP_ALIVE_SECONDS)
    except TimeoutError:
        return b":\n\n"
