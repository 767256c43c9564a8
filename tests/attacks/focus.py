"""A malicious Focus: a real one, with a man in the middle on both of its sides.

    Endpoints --- front --- the real Focus --- back --- Key Distributor

The front shows Endpoints the certificate that their links name. The back shows the Key Distributor
the client certificate that it trusts. Whatever passes can be read, kept, changed and withheld.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from halfkey.event_stream import CONTENT_TYPE, ServerSentEvent, read_events
from halfkey.focus.service import FocusOptions
from halfkey.focus.service import run as run_focus
from halfkey.pki import make_certificate
from halfkey.serving import serving
from halfkey.tls import client_context, server_context
from tests.endpoint.waiting import until

_TIMEOUT = aiohttp.ClientTimeout(total=None)
_LENGTH = 1 << 20


def _same(text: str) -> str:
    return text


def _untouched(body: dict[str, Any]) -> None:
    pass


def _as_it_came(event: ServerSentEvent) -> Iterable[ServerSentEvent]:
    return (event,)


@dataclass
class Mischief:
    """What is done to that which passes; by default nothing.

    Attributes:
        path: changes where an offer is sent to.
        offer: changes an offer before the Focus reads it.
        admission: changes, in place, what the Key Distributor is asked for.
        admitted: changes, in place, what the Key Distributor answers.
        answer: changes the SDP answer that the Endpoint gets.
        event: turns an event for an Endpoint into any number of others.
        keeps_leaves: nobody is told that somebody left, the Key Distributor neither.
        waits: the Key Distributor isn't asked, and everybody told to wait.
        delay: seconds for which each answer is held back.
    """

    path: Callable[[str], str] = _same
    offer: Callable[[str], str] = _same
    admission: Callable[[dict[str, Any]], None] = _untouched
    admitted: Callable[[dict[str, Any]], None] = _untouched
    answer: Callable[[str], str] = _same
    event: Callable[[ServerSentEvent], Iterable[ServerSentEvent]] = _as_it_came
    keeps_leaves: bool = False
    waits: bool = False
    delay: float = 0.0


@dataclass
class MaliciousFocus:
    """It, running, and what it has seen.

    Attributes:
        mischief: what it does; may be replaced at any time.
        url: where Endpoints find it.
        offers: as Endpoints sent them.
        answers: as the real Focus made them.
        admitted: what the Key Distributor answered.
        statements: the vouched rosters that the Key Distributor sent, and when, Unix time.
        injected: for each Endpoint that follows the events, a queue to put more into.
    """

    mischief: Mischief = field(default_factory=Mischief)
    url: str = ""
    offers: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    admitted: list[dict[str, Any]] = field(default_factory=list)
    statements: list[tuple[str, float]] = field(default_factory=list)
    injected: set[asyncio.Queue[ServerSentEvent]] = field(default_factory=set)

    def inject(self, event: ServerSentEvent) -> None:
        """Sends an event to every Endpoint that follows."""
        for queue in self.injected:
            queue.put_nowait(event)


class Front:
    """Between Endpoints and the real Focus."""

    def __init__(self, focus: MaliciousFocus, target: str, session: aiohttp.ClientSession) -> None:
        self._focus, self._target, self._session = focus, target, session

    def application(self) -> web.Application:
        application = web.Application(client_max_size=_LENGTH)
        application.router.add_get("/conferences/{conference}/events", self._events)
        application.router.add_route("*", "/{path:.*}", self._pass_on)
        return application

    async def _pass_on(self, request: web.Request) -> web.Response:
        focus, body, path = self._focus, await request.read(), request.path
        if request.method == "DELETE" and focus.mischief.keeps_leaves:
            return web.Response(status=HTTPStatus.NO_CONTENT)
        if request.method == "POST":
            path = focus.mischief.path(path)
            focus.offers.append(body.decode())
            body = focus.mischief.offer(body.decode()).encode()
        headers = {"Content-Type": request.headers.get("Content-Type", "")} if body else {}
        async with self._session.request(
            request.method, self._target + path, data=body, headers=headers
        ) as response:
            content = await response.read()
        if request.method == "POST" and response.status == HTTPStatus.CREATED:
            focus.answers.append(content.decode())
            content = focus.mischief.answer(content.decode()).encode()
        await asyncio.sleep(focus.mischief.delay)
        passed = ("Location", "Content-Type", "Retry-After", "ETag")
        kept = {name: response.headers[name] for name in passed if name in response.headers}
        return web.Response(status=response.status, body=content, headers=kept)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE})
        await stream.prepare(request)
        queue: asyncio.Queue[ServerSentEvent] = asyncio.Queue()
        self._focus.injected.add(queue)
        following = asyncio.create_task(self._follow(request.path, queue))
        try:
            while True:
                await stream.write((await queue.get()).encode())
        finally:
            self._focus.injected.discard(queue)
            following.cancel()

    async def _follow(self, path: str, queue: asyncio.Queue[ServerSentEvent]) -> None:
        async with self._session.get(self._target + path, timeout=_TIMEOUT) as response:
            async for event in read_events(response.content.iter_any()):
                for changed in self._focus.mischief.event(event):
                    queue.put_nowait(changed)


class Back:
    """Between the real Focus and the Key Distributor."""

    def __init__(self, focus: MaliciousFocus, target: str, session: aiohttp.ClientSession) -> None:
        self._focus, self._target, self._session = focus, target, session

    def application(self) -> web.Application:
        application = web.Application(client_max_size=_LENGTH)
        application.router.add_get("/events", self._events)
        application.router.add_route("*", "/{path:.*}", self._pass_on)
        return application

    async def _pass_on(self, request: web.Request) -> web.Response:
        focus, body = self._focus, await request.read()
        asked = json.loads(body) if body else None
        if request.method == "DELETE" and focus.mischief.keeps_leaves:
            return web.Response(status=HTTPStatus.NO_CONTENT)
        if request.method == "PUT" and asked is not None:
            if focus.mischief.waits:
                return web.json_response({"waiting": True}, status=HTTPStatus.ACCEPTED)
            focus.mischief.admission(asked)
        async with self._session.request(
            request.method, self._target + request.path, json=asked
        ) as response:
            content = await response.read()
        if request.method == "PUT" and response.status in (HTTPStatus.OK, HTTPStatus.CREATED):
            answered = json.loads(content)
            focus.admitted.append(dict(answered))
            focus.mischief.admitted(answered)
            content = json.dumps(answered).encode()
        return web.Response(status=response.status, body=content, content_type="application/json")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE})
        await stream.prepare(request)
        async with self._session.get(self._target + "/events", timeout=_TIMEOUT) as response:
            async for event in read_events(response.content.iter_any()):
                if event.name == "roster":
                    self._focus.statements.append((event.data["statement"], time.time()))
                await stream.write(event.encode())
        return stream


@asynccontextmanager
async def malicious_focus(
    folder: Path, key_distributor: str, media_distributor: str
) -> AsyncIterator[MaliciousFocus]:
    """Runs one.

    Args:
        folder: has the certificates of a system; gets two more.
        key_distributor: the URL of the admission API.
        media_distributor: the URL of the control API.
    """
    focus = MaliciousFocus()
    for name in ("inner", "back"):
        make_certificate(folder, name)
    own = folder / "focus.crt", folder / "focus.key"
    async with AsyncExitStack() as stack:
        to_kd = await _session(stack, folder / "kd.crt", *own)
        to_inner = await _session(stack, folder / "inner.crt")
        back = await _serve(stack, Back(focus, key_distributor, to_kd), folder, "back")
        inner = await stack.enter_async_context(_inner(folder, back, media_distributor))
        focus.url = await _serve(stack, Front(focus, inner, to_inner), folder, "focus")
        yield focus


async def _session(stack: AsyncExitStack, trust: Path, *own: Path) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(ssl=client_context(trust, *own))
    return await stack.enter_async_context(aiohttp.ClientSession(connector=connector))


async def _serve(stack: AsyncExitStack, side: Front | Back, folder: Path, name: str) -> str:
    tls = server_context(folder / f"{name}.crt", folder / f"{name}.key")
    application, address = side.application(), ("127.0.0.1", 0)
    host, port = await stack.enter_async_context(
        serving(application, name, address, tls, patience=0.1)
    )
    return f"https://{host}:{port}"


@asynccontextmanager
async def _inner(folder: Path, key_distributor: str, media_distributor: str) -> AsyncIterator[str]:
    ready: list[dict[str, tuple[str, int]]] = []
    options = FocusOptions(
        host="127.0.0.1",
        port=0,
        certificate=folder / "inner.crt",
        key=folder / "inner.key",
        key_distributor_url=key_distributor,
        media_distributor_url=media_distributor,
        client_certificate=folder / "focus.crt",
        client_key=folder / "focus.key",
        key_distributor_trust=folder / "back.crt",
        media_distributor_trust=folder / "md.crt",
    )
    task = asyncio.create_task(run_focus(options, ready.append))
    await until(lambda: ready or task.done())
    if task.done():
        task.result()
    host, port = ready[0]["focus"]
    try:
        yield f"https://{host}:{port}"
    finally:
        task.cancel()
        await asyncio.wait({task})
