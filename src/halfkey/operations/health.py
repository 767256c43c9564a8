"""The operator's address of a role: plain HTTP, for a network that operators have to themselves.

GET /metrics   for Prometheus
GET /healthz   200 as long as the process turns its event loop
GET /streams   what a Media Distributor forwards, stream by stream: JSON; nobody is named
GET /readyz    200 if the role is of use, else 503; the body says why not
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from halfkey import __version__
from halfkey.json_api import fault
from halfkey.operations.metrics import Metrics
from halfkey.operations.role import Operated
from halfkey.serving import Address, serving


class Health:
    """The handlers; `application` gives them to aiohttp.

    Args:
        role: ``"kd"``, ``"md"`` or ``"focus"``.
        operated: what is asked whether it is ready.
        metrics: what `/metrics` shows.
    """

    def __init__(self, role: str, operated: Operated, metrics: Metrics) -> None:
        self._role = role
        self._operated = operated
        self._metrics = metrics

    def application(self) -> web.Application:
        """The web application."""
        application = web.Application()
        application.router.add_get("/metrics", self._exposition)
        application.router.add_get("/healthz", self._alive)
        application.router.add_get("/readyz", self._ready)
        application.router.add_get("/streams", self._streams)
        return application

    async def _exposition(self, _: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=self._metrics.exposition(), headers=headers)

    async def _alive(self, _: web.Request) -> web.Response:
        return web.json_response({"role": self._role, "version": __version__})

    async def _streams(self, _: web.Request) -> web.Response:
        streams = self._operated.streams()
        if streams is None:
            return fault(404, "nothing is forwarded here")
        return web.json_response(streams)

    async def _ready(self, _: web.Request) -> web.Response:
        faults = self._operated.faults()
        body = {
            "role": self._role,
            "version": __version__,
            "ready": not faults,
            "draining": self._operated.is_draining,
            "faults": faults,
        }
        return web.json_response(body, status=503 if faults else 200)


@asynccontextmanager
async def showing(
    role: str, operated: Operated, metrics: Metrics, address: Address | None
) -> AsyncIterator[dict[str, Address]]:
    """Serves the operator's address for as long as the context is open, if there is one.

    Gives the bound address under ``"metrics"``.

    Raises:
        ConfigurationError: nobody can listen there.
    """
    if address is None:
        yield {}
        return
    application = Health(role, operated, metrics).application()
    async with serving(application, "metrics address", address, None) as bound:
        yield {"metrics": bound}
