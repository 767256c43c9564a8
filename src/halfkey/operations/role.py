"""One role as its operator sees it: its figures, whether it is ready, and its drain.

A drain has three steps. Nobody new is taken, and the role says that it isn't ready. What is in
progress has until a deadline to finish. Then the role does its last act, and ends.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from halfkey.operations.journal import Journal

DRAIN_SECONDS = 5.0
"""How long what is in progress may take to finish."""

RETRY_AFTER = 5
"""Seconds after which who is turned away may ask again: another instance is up by then."""

DRAINING = "draining: nobody new is taken"
STARTING = "starting"

_POLL_SECONDS = 0.05
_UNKNOWN = ("other", "unknown")


def _nothing() -> None:
    pass


def turned_away() -> web.Response:
    """The answer to who comes during a drain, as the APIs between roles have it."""
    headers = {"Retry-After": str(RETRY_AFTER), "Cache-Control": "no-store"}
    return web.json_response({"error": DRAINING}, status=503, headers=headers)


@dataclass(frozen=True, slots=True)
class Running:
    """What a service gives once its parts are there.

    Attributes:
        statistics: its counters and figures of the moment.
        faults: why it is of no use now, each a fixed short text; empty if it is ready.
        unfinished: how much is in progress that a drain waits for.
        last_act: called at the end of a drain, before sockets close.
        streams: what it forwards, stream by stream, as JSON and without anybody's name; None where
            a role forwards nothing.
    """

    statistics: Callable[[], Mapping[str, Any]]
    faults: Callable[[], Sequence[str]] = tuple
    unfinished: Callable[[], int] = int
    last_act: Callable[[], None] = _nothing
    streams: Callable[[], Mapping[str, Any]] | None = None


class Operated:
    """Between a role and its operator.

    Attributes:
        journal: the log of what happens to it.
        requests: answered requests of its API, by method, route and status.
        is_listening: whether the role has said that it listens.
        is_draining: whether nobody new is taken any more.
    """

    def __init__(self) -> None:
        self._running: Running | None = None
        self.journal = Journal()
        self._in_flight = 0
        self.requests: Counter[tuple[str, str, str]] = Counter()
        self.is_listening = False
        self.is_draining = False

    def watch(self, running: Running) -> None:
        """Takes what the service gives."""
        self._running = running

    def statistics(self) -> Mapping[str, Any]:
        """The role's figures; none before it runs."""
        return {} if self._running is None else self._running.statistics()

    def streams(self) -> Mapping[str, Any] | None:
        """What the role forwards; None before it runs, and where it forwards nothing."""
        running = self._running
        return None if running is None or running.streams is None else running.streams()

    def faults(self) -> list[str]:
        """Why the role isn't ready; empty if it is."""
        if self._running is None or not self.is_listening:
            return [STARTING]
        own = list(self._running.faults())
        return [DRAINING, *own] if self.is_draining else own

    def unfinished(self) -> int:
        """How much is in progress."""
        return self._in_flight + (0 if self._running is None else self._running.unfinished())

    async def drain(self, seconds: float) -> bool:
        """Takes nobody new, waits for what is in progress, and does the last act.

        Args:
            seconds: how long to wait at most.

        Returns:
            Whether all of it finished.
        """
        self.is_draining = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        # What is waited for is in engines, which tell nobody when it is over.
        while self.unfinished() and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        is_finished = not self.unfinished()
        if self._running is not None:
            self._running.last_act()
        return is_finished

    def middleware(
        self,
        brings_in: Callable[[web.Request], bool],
        turned_away: Callable[[], web.Response] = turned_away,
    ) -> Middleware:
        """What counts requests, and turns away during a drain who would come in.

        It has to be the outermost one, to see the statuses that others make of exceptions.

        Args:
            brings_in: whether a request would bring in somebody new.
            turned_away: makes the answer to one during a drain, with status 503.
        """

        @web.middleware
        async def watched(request: web.Request, handler: Handler) -> web.StreamResponse:
            joins = brings_in(request)
            if joins and self.is_draining:
                response: web.StreamResponse = turned_away()
            else:
                self._in_flight += joins
                try:
                    response = await handler(request)
                finally:
                    self._in_flight -= joins
            status = str(response.status)
            self.requests[(*_route(request), status)] += 1
            if joins:
                self.journal.tell("join answered", status=status)
            return response

        return watched


def _route(request: web.Request) -> tuple[str, str]:
    """Method and pattern of the path: the peer chooses neither, only among those that are."""
    resource = request.match_info.route.resource
    return _UNKNOWN if resource is None else (request.method, resource.canonical)
