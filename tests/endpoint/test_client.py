"""The Focus client against a Focus that misbehaves, over real HTTPS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from halfkey.endpoint.client import FocusClient, FocusError, Participation
from halfkey.errors import CodecError
from halfkey.event_stream import MAXIMUM_EVENT
from halfkey.tls import server_context

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def focus(credentials: Path, handler: Handler) -> AsyncIterator[FocusClient]:
    """A server that answers everything with `handler`, and a client of it."""
    application = web.Application()
    application.router.add_route("*", "/{anything:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    tls = server_context(credentials / "focus.crt", credentials / "focus.key")
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    client = FocusClient(url, "a b/c", credentials / "focus.crt")
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()


def respond(status: int = 201, text: str = "", **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    return handler


async def test_the_conference_s_name_is_quoted(credentials: Path) -> None:
    paths = []

    async def handler(request: web.Request) -> web.Response:
        paths.append(request.raw_path)
        return web.Response(status=201, text="answer", headers={"Location": "/where/it/is"})

    async with focus(credentials, handler) as client:
        participation = await client.join("offer")
        assert participation.answer == b"answer"
        assert participation.url.endswith("/where/it/is")
        assert "where" not in repr(participation)
        await client.leave(participation)
    assert paths == ["/conferences/a%20b%2Fc/participants", "/where/it/is"]


@pytest.mark.parametrize("location", ["", "https://elsewhere.example/x", "//elsewhere.example/x"])
async def test_a_location_elsewhere_is_refused(credentials: Path, location: str) -> None:
    async with focus(credentials, respond(Location=location)) as client:
        with pytest.raises(FocusError, match="no usable Location"):
            await client.join("offer")


async def test_redirects_are_not_followed(credentials: Path) -> None:
    handler = respond(307, Location="https://elsewhere.example/")
    async with focus(credentials, handler) as client:
        with pytest.raises(FocusError, match="status 307"):
            await client.join("offer")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"detail": "the conference is full"}', "the conference is full"),
        ('{"detail": "two\\nlines and \\u001b[31mcolour"}', r"two lines and \[31mcolour"),
        ('{"detail": 5}', "status 503"),
        ('["detail"]', "status 503"),
        ("<html>", "status 503"),
        ("", "status 503"),
    ],
)
async def test_a_refusal_is_one_plain_line(credentials: Path, body: str, said: str) -> None:
    async with focus(credentials, respond(503, body)) as client:
        with pytest.raises(FocusError, match=rf"^the Focus refused: {said}$"):
            await client.join("offer")


async def test_leaving_what_is_over_is_fine_and_a_failure_is_told(credentials: Path) -> None:
    async with focus(credentials, respond(404)) as client:
        await client.leave(Participation(b"", client._conference))
    async with focus(credentials, respond(500)) as client:
        with pytest.raises(FocusError, match="status 500"):
            await client.leave(Participation(b"", client._conference))


@pytest.mark.parametrize(
    "stream", ["event: joined\ndata: {\n\n", "data: " + "x" * (MAXIMUM_EVENT + 1000)]
)
async def test_a_malformed_event_stream_is_told_apart(credentials: Path, stream: str) -> None:
    async with focus(credentials, respond(200, stream)) as client:
        with pytest.raises(CodecError):
            async for _ in client.events():
                pass


async def test_events_come_in_order_until_the_stream_ends(credentials: Path) -> None:
    stream = (
        ': hello\n\nevent: roster\ndata: {"participants": []}\n\nevent: left\ndata: {"id": "x"}\n\n'
    )
    async with focus(credentials, respond(200, stream)) as client:
        events = [(event.name, event.data) async for event in client.events()]
    assert events == [("roster", {"participants": []}), ("left", {"id": "x"})]
