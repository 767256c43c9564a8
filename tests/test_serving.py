"""Serving, listening and dialling, over real sockets and real TLS."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession, web

from halfkey.errors import ConfigurationError
from halfkey.pki import make_certificate
from halfkey.serving import Connection, dialling, listening, serving
from halfkey.tls import client_context, server_context

TIMEOUT = 10
ANY = ("127.0.0.1", 0)

Pair = tuple[Path, Path]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pair, Pair]:
    """The server's certificate and key, and the client's."""
    folder = tmp_path_factory.mktemp("serving")
    return make_certificate(folder, "server"), make_certificate(folder, "client")


def greeting() -> web.Application:
    async def greet(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    application = web.Application()
    application.router.add_get("/", greet)
    return application


async def test_https_for_whom_the_bundle_names(pairs: tuple[Pair, Pair]) -> None:
    server, client = pairs
    tls = server_context(*server, client[0])
    async with serving(greeting(), "address", ANY, tls) as (host, port), ClientSession() as session:
        url = f"https://{host}:{port}/"
        with pytest.raises((ClientError, OSError)):
            await session.get(url, ssl=client_context(server[0]))
        known = client_context(server[0], *client)
        assert await (await session.get(url, ssl=known)).text() == "hello"


async def test_plain_http_until_the_context_ends() -> None:
    async with ClientSession() as session:
        async with serving(greeting(), "address", ANY, None) as (host, port):
            assert await (await session.get(f"http://{host}:{port}/")).text() == "hello"
        with pytest.raises((ClientError, OSError)):
            await session.get(f"http://{host}:{port}/")


async def test_who_is_being_answered_when_it_ends_has_time() -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        began.set()
        await may_end.wait()
        return web.Response(text="late")

    async def on_shutdown(_: web.Application) -> None:
        may_end.set()

    application = web.Application()
    application.router.add_get("/", answer)
    application.on_shutdown.append(on_shutdown)
    async with ClientSession() as session:
        async with serving(application, "address", ANY, None, patience=TIMEOUT) as (host, port):
            asking = asyncio.create_task(session.get(f"http://{host}:{port}/"))
            await asyncio.wait_for(began.wait(), TIMEOUT)
        assert await (await asyncio.wait_for(asking, TIMEOUT)).text() == "late"


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("127.0.0.1", 70000, "port"),
        ("192.0.2.1", 0, "Cannot assign requested address"),
        ("host.invalid", 0, "ame"),
        ("a" * 64, 0, "label"),
    ],
)
async def test_an_address_that_cannot_be_had_is_one_line(
    pairs: tuple[Pair, Pair], host: str, port: int, reason: str
) -> None:
    for line in await refusals((host, port), pairs[0]):
        assert line.startswith(f"its address {host}:{port}: ")
        assert line.endswith("; choose another host or port")
        assert reason in line
        assert "\n" not in line


async def test_a_port_in_use_is_one_line_and_is_had_once_it_is_free(
    pairs: tuple[Pair, Pair],
) -> None:
    with socket.create_server(ANY) as taken:
        address = taken.getsockname()
        expected = (
            f"its address {address[0]}:{address[1]}: Address already in use; "
            "choose another host or port"
        )
        assert await refusals(address, pairs[0]) == [expected, expected]
    async with serving(greeting(), "its address", address, None) as bound:
        assert bound == address


async def refusals(address: tuple[str, int], pair: Pair) -> list[str]:
    """What serving and listening at an address say when they can't."""
    tls = server_context(*pair)
    lines = []
    for context in (
        serving(greeting(), "its address", address, tls),
        listening(Greeting, "its address", address, tls),
    ):
        with pytest.raises(ConfigurationError) as caught:
            async with context:
                pass
        lines.append(str(caught.value))
    return lines


class Greeting(Connection):
    """Says hello to who connects, and hears what is said."""

    def __init__(self, heard: asyncio.Queue[bytes] | None = None) -> None:
        super().__init__()
        self.heard = heard

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self.heard is not None:
            self.heard.put_nowait(data)
        self.close()

    def flush(self) -> None:
        if self._transport is not None and not self._is_paused:
            self._transport.write(b"hello")


async def test_what_ended_is_dialled_again(pairs: tuple[Pair, Pair]) -> None:
    """Each connection ends once it has heard the other side."""
    server, client = pairs
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    own = server_context(*server, client[0])
    async with listening(Greeting, "its address", ANY, own) as address:
        dialler = partial(Greeting, heard)
        async with dialling(dialler, address, client_context(server[0], *client)):
            for _ in range(2):
                assert await asyncio.wait_for(heard.get(), TIMEOUT) == b"hello"
