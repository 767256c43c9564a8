"""The Focus client against a Focus that misbehaves, over real HTTPS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from halfkey.endpoint.client import FocusClient, FocusError, Participation
from halfkey.errors import CodecError, ConfigurationError
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


@pytest.mark.parametrize(
    "location",
    ["", "https://elsewhere.example/x", "//elsewhere.example/x", "https://[::1/x"],
)
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


def in_pieces(status: int, *pieces: str) -> Handler:
    """Answers with a body that comes in as many TLS records as there are pieces."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Location": "/x"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece.encode())
            await asyncio.sleep(0.05)
        return response

    return handler


async def test_an_answer_in_pieces_is_read_whole(credentials: Path) -> None:
    async with focus(credentials, in_pieces(201, "an", "sw", "er")) as client:
        assert (await client.join("offer")).answer == b"answer"
    async with focus(
        credentials, in_pieces(503, '{"detail": "the con', 'ference is full"}')
    ) as client:
        with pytest.raises(FocusError, match="the conference is full"):
            await client.join("offer")


async def test_an_answer_that_never_ends_is_refused(credentials: Path) -> None:
    async with focus(credentials, respond(201, "x" * 256 * 1024, Location="/x")) as client:
        assert len((await client.join("offer")).answer) == 256 * 1024
    for status, said in ((201, "no usable answer: the answer has more than"), (503, "status 503")):
        handler = respond(status, "x" * (256 * 1024 + 1), Location="/x")
        async with focus(credentials, handler) as client:
            with pytest.raises(FocusError, match=said):
                await client.join("offer")


async def test_a_url_that_nobody_can_be_asked_at_is_refused(credentials: Path) -> None:
    for url in ("https://a..b:1", "https://[::1:1", "https://h:99999", "https://:1", "http://h:1"):
        with pytest.raises(ConfigurationError, match="must look like https://host:port") as caught:
            FocusClient(url, "c", credentials / "focus.crt")
        assert "\n" not in str(caught.value)
    for url in ("https://[::1]:1", "https://b\u00fccher.example"):
        await FocusClient(url, "c", credentials / "focus.crt").close()


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
