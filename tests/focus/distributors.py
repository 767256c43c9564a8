"""A Key Distributor and a Media Distributor that can be told to misbehave, over real HTTPS.

They keep a log of what they were asked, in order, in a list that they share; `faults` make one
answer with a status, with junk, or not at all; `hold` keeps answers back.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from halfkey.focus.core import Limits
from halfkey.focus.service import FocusOptions, run
from halfkey.pki import make_certificate
from halfkey.tls import client_context, server_context
from tests.sdp.samples import KD_FINGERPRINT

PARTICIPANT = "/conferences/{conference}/participants/{participant}"

Responder = Callable[[web.Request], web.StreamResponse]


class Distributor:
    """What both have in common."""

    name = ""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.bodies: list[dict[str, Any]] = []
        self.participants: set[tuple[str, str]] = set()
        self.faults: dict[str, Responder] = {}
        self.changed = asyncio.Condition()
        self.hold = asyncio.Event()
        self.hold.set()
        self.url = ""
        self.followers: list[web.StreamResponse] = []
        self._runner: web.AppRunner | None = None
        self._port = 0

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_put(PARTICIPANT, self._put)
        application.router.add_delete(PARTICIPANT, self._delete)
        application.router.add_get("/events", self._events)
        return application

    async def start(self, credentials: Path) -> None:
        """Listens with its own certificate, for the Focus's alone; again at the same port."""
        own = (credentials / f"{self.name}.crt", credentials / f"{self.name}.key")
        tls = server_context(*own, credentials / "focus-client.crt")
        self._runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=tls).start()
        self._port = self._runner.addresses[0][1]
        self.url = f"https://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def answer(self) -> dict[str, Any]:
        raise NotImplementedError

    async def _put(self, request: web.Request) -> web.StreamResponse:
        key = (request.match_info["conference"], request.match_info["participant"])
        self.bodies.append(await request.json())
        await self._note(f"{self.name} PUT", key)
        await self.hold.wait()
        if "PUT" in self.faults:
            return self.faults["PUT"](request)
        self.participants.add(key)
        return web.json_response(self.answer(), status=201)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        key = (request.match_info["conference"], request.match_info["participant"])
        await self._note(f"{self.name} DELETE", key)
        if "DELETE" in self.faults:
            return self.faults["DELETE"](request)
        if key not in self.participants:
            return web.json_response({"error": "no such participant"}, status=404)
        self.participants.discard(key)
        await self._note(f"{self.name} removed", key)
        return web.Response(status=204)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": following\n\n")
        async with self.changed:
            self.followers.append(response)
            self.changed.notify_all()
        try:
            await asyncio.Event().wait()
        finally:
            self.followers.remove(response)
        return response

    async def tell(self, name: str, data: object) -> None:
        """Sends an event to the Focus, once it follows."""
        await self.until(lambda: bool(self.followers))
        await self.followers[-1].write(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())

    async def _note(self, what: str, _: tuple[str, str]) -> None:
        async with self.changed:
            self.log.append(what)
            self.changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until something that was asked makes the condition hold."""
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(condition)


class KeyDistributor(Distributor):
    """Admits whoever the Focus names."""

    name = "kd"

    def answer(self) -> dict[str, Any]:
        return {
            "fingerprint": KD_FINGERPRINT,
            "tls_id": "KDKDKDKDKDKDKDKDKDKDKDKD",
            "assertion": None,
            "setup": "passive",
        }


class MediaDistributor(Distributor):
    """Allocates for whoever the Focus names, and tells what it is told to tell."""

    name = "md"

    def __init__(self, log: list[str]) -> None:
        super().__init__(log)
        self.allocations = 0

    def answer(self) -> dict[str, Any]:
        self.allocations += 1
        return {
            "ice_ufrag": f"MdUf{self.allocations}",
            "ice_pwd": "uzjYhagZgasd88fgpdd777",
            "candidates": [{"address": "127.0.0.1", "port": 40000}],
        }


@dataclass
class Stage:
    """A Focus between its two Distributors, and a client as an Endpoint has one."""

    options: FocusOptions
    kd: KeyDistributor
    md: MediaDistributor
    url: str = ""
    log: list[str] = field(default_factory=list)
    session: aiohttp.ClientSession = field(init=False)

    async def join(
        self, offer: str | bytes, conference: str = "plenary", **headers: str
    ) -> aiohttp.ClientResponse:
        response = await self.session.post(
            f"{self.url}/conferences/{conference}/participants",
            data=offer.encode() if isinstance(offer, str) else offer,
            headers={"Content-Type": "application/sdp", **headers},
        )
        await response.read()
        return response


def make_credentials(directory: Path) -> None:
    """A certificate for each role, and one that nobody believes."""
    for name in ("kd", "md", "focus", "focus-client", "stranger"):
        make_certificate(directory, name)


def options_for(directory: Path, kd_url: str, md_url: str, limits: Limits) -> FocusOptions:
    return FocusOptions(
        host="127.0.0.1",
        port=0,
        certificate=directory / "focus.crt",
        key=directory / "focus.key",
        key_distributor_url=kd_url,
        media_distributor_url=md_url,
        client_certificate=directory / "focus-client.crt",
        client_key=directory / "focus-client.key",
        key_distributor_trust=directory / "kd.crt",
        media_distributor_trust=directory / "md.crt",
        limits=limits,
    )


@asynccontextmanager
async def running(options: FocusOptions) -> AsyncIterator[str]:
    """A Focus that runs; gives its URL."""
    ready: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run(options, lambda addresses: ready.set_result(addresses["focus"])))
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    host, port = ready.result()
    try:
        yield f"https://{host}:{port}"
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def staged(directory: Path, limits: Limits | None = None) -> AsyncIterator[Stage]:
    """Everything up and connected."""
    log: list[str] = []
    kd, md = KeyDistributor(log), MediaDistributor(log)
    await kd.start(directory)
    await md.start(directory)
    options = options_for(directory, kd.url, md.url, limits or Limits())
    stage = Stage(options, kd, md, log=log)
    connector = aiohttp.TCPConnector(ssl=client_context(directory / "focus.crt"), limit=0)
    async with running(options) as url, aiohttp.ClientSession(connector=connector) as session:
        stage.url, stage.session = url, session
        await md.until(lambda: bool(md.followers))
        try:
            yield stage
        finally:
            await kd.stop()
            await md.stop()
