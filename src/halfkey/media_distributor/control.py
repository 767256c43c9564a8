"""The control API: how the Focus gets participants in and out. JSON over HTTPS.

    PUT    /conferences/{conference}/participants/{participant}   201, 200 to restart ICE
    DELETE /conferences/{conference}/participants/{participant}   204, 404
    GET    /statistics                                            counters
    GET    /captured                                              payload bytes, if they are kept
    GET    /events                                                server-sent events: first all
                                                                  participants, then what changes

and, where hop keys are handed over for a load test (see `MediaDistributorOptions.direct`):

    PUT    /direct/{conference}/{participant}                     204

The caller shows a client certificate; TLS has judged it before anything comes here.
"""

from __future__ import annotations

import base64

from aiohttp import web

from halfkey.event_stream import ServerSentEvent
from halfkey.followers import Followers
from halfkey.json_api import answer_faults, fault
from halfkey.media_distributor.core import AllocationRefusedError
from halfkey.media_distributor.direct import read_direct_admission
from halfkey.media_distributor.driver import Driver
from halfkey.media_distributor.events import Event, as_dict
from halfkey.media_distributor.request import read_allocation

MAXIMUM_BODY = 64 * 1024

_PARTICIPANT = "/conferences/{conference}/participants/{participant}"
_DIRECT = "/direct/{conference}/{participant}"


class ControlAPI:
    """The handlers; `application` gives them to aiohttp.

    Args:
        driver: runs the core.
        advertised: the host that goes into ICE candidates.
        direct: whether hop keys are taken from the caller, for load tests.
    """

    def __init__(self, driver: Driver, advertised: str, direct: bool = False) -> None:
        self._driver = driver
        self._direct = direct
        self._advertised = advertised
        self._followers = Followers()

    def application(self) -> web.Application:
        """The web application."""
        application = web.Application(
            middlewares=[answer_faults(AllocationRefusedError)], client_max_size=MAXIMUM_BODY
        )
        application.add_routes(
            [
                web.put(_PARTICIPANT, self._allocate),
                web.delete(_PARTICIPANT, self._remove),
                web.get("/statistics", self._statistics),
                web.get("/captured", self._captured),
                web.get("/events", self._events),
            ]
        )
        if self._direct:
            application.add_routes([web.put(_DIRECT, self._admit_directly)])
        return application

    def publish(self, event: Event) -> None:
        """Tells everybody who follows."""
        self._followers.publish(event.name, as_dict(event))

    def close(self) -> None:
        """Lets everybody go who follows."""
        self._followers.close()

    async def _allocate(self, request: web.Request) -> web.Response:
        allocation = read_allocation(await request.read())
        names, driver = request.match_info, self._driver
        key = names["conference"], names["participant"]
        status = 200 if driver.core.has(key) else 201
        credentials = driver.core.allocate(key, allocation, driver.now)
        driver.settle()
        _, port = driver.media_address
        answer = {
            "ice_ufrag": credentials.ice_ufrag,
            "ice_pwd": credentials.ice_pwd,
            "candidates": [{"address": self._advertised, "port": port}],
        }
        return web.json_response(answer, status=status)

    async def _admit_directly(self, request: web.Request) -> web.Response:
        admission = read_direct_admission(await request.read())
        names, driver = request.match_info, self._driver
        key = names["conference"], names["participant"]
        driver.core.admit_directly(
            key, admission.allocation, admission.address, admission.keys, driver.now
        )
        driver.settle()
        return web.Response(status=204)

    async def _remove(self, request: web.Request) -> web.Response:
        names = request.match_info
        was_there = self._driver.core.remove((names["conference"], names["participant"]))
        self._driver.settle()
        return web.Response(status=204) if was_there else fault(404, "no such participant")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        # Who follows again sees by this whom we lost, and whom a restart made us forget.
        present = {"participants": [list(key) for key in self._driver.core.participants()]}
        return await self._followers.follow(request, ServerSentEvent("participants", present))

    async def _statistics(self, _: web.Request) -> web.Response:
        return web.json_response(self._driver.statistics())

    async def _captured(self, _: web.Request) -> web.Response:
        captured = self._driver.captured()
        return web.json_response(
            {str(ssrc): base64.b64encode(data).decode() for ssrc, data in captured.items()}
        )
