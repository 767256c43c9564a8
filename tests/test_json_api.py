"""Every fault of a request is one line of JSON, with the status that its kind calls for."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Middleware

from halfkey.errors import CodecError, HalfkeyError
from halfkey.json_api import answer_faults, fault


class RefusedError(HalfkeyError):
    """What a core might raise."""

    def __init__(self, line: str, status: int = 0) -> None:
        super().__init__(line)
        self.status = status


class Unknown(web.HTTPException):
    """One that aiohttp's own handlers might raise."""

    status_code = 418


FAULTS = {
    "malformed": CodecError("tls_id: give a string"),
    "refused": RefusedError("it is there already", 423),
    "of aiohttp": Unknown(reason="short and stout"),
}


async def ask(middleware: Middleware, what: str, method: str = "GET") -> tuple[int, object]:
    """What a server answers whose handler raises, or doesn't."""

    async def handle(_: web.Request) -> web.Response:
        if what in FAULTS:
            raise FAULTS[what]
        return fault(404, "no such participant") if what == "gone" else web.json_response("fine")

    application = web.Application(middlewares=[middleware])
    application.router.add_get("/", handle)
    async with (
        TestServer(application) as server,
        ClientSession() as session,
        session.request(method, server.make_url("/")) as response,
    ):
        assert response.content_type == "application/json"
        return response.status, await response.json()


@pytest.mark.parametrize(
    ("what", "status", "line"),
    [
        ("malformed", 400, "tls_id: give a string"),
        ("refused", 409, "it is there already"),
        ("of aiohttp", 418, "short and stout"),
        ("gone", 404, "no such participant"),
    ],
)
async def test_faults_by_their_kind(what: str, status: int, line: str) -> None:
    assert await ask(answer_faults(RefusedError), what) == (status, {"error": line})


async def test_a_refusal_may_choose_its_status() -> None:
    chosen = answer_faults(RefusedError, lambda refused: refused.status)
    assert await ask(chosen, "refused") == (423, {"error": "it is there already"})


async def test_what_the_router_refuses_is_json_too() -> None:
    answer = await ask(answer_faults(RefusedError), "nothing", "PUT")
    assert answer == (405, {"error": "Method Not Allowed"})


async def test_an_answer_passes_as_it_is() -> None:
    assert await ask(answer_faults(RefusedError), "nothing") == (200, "fine")
