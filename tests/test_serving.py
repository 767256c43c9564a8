"""Serving, listening and dialling, over real sockets and real TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession, web

from halfkey.errors import ConfigurationError
from halfkey.peering import Peer
from halfkey.pki import make_certificate
from halfkey.serving import Connection, dialling, listening, serving
from halfkey.tls import client_context, server_context
from tests.endpoint.waiting import until

TIMEOUT = 10
ANY = ("127.0.0.1", 0)
PEER = Peer("the peer", "--our-bundle", "--its-bundle", "--dial")

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
        listening(Greeting, "its address", address, tls, PEER),
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
        super().data_received(data)
        if self.heard is not None:
            self.heard.put_nowait(data)
        self.close()

    def flush(self) -> None:
        if self._transport is not None and not self._is_paused:
            self._transport.write(b"hello")


async def test_what_ended_is_dialled_again(
    pairs: tuple[Pair, Pair], caplog: pytest.LogCaptureFixture
) -> None:
    """Each connection ends once it has heard the other side, which is no refusal."""
    server, client = pairs
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    own = server_context(*server, client[0])
    async with listening(Greeting, "its address", ANY, own, PEER) as address:
        dialler = partial(Greeting, heard)
        async with dialling(dialler, address, client_context(server[0], *client), PEER):
            for _ in range(2):
                assert await asyncio.wait_for(heard.get(), TIMEOUT) == b"hello"
    assert not caplog.messages


class Silent(Connection):
    """Says nothing, and waits for the other side to end it."""

    def flush(self) -> None:
        pass


def told(caplog: pytest.LogCaptureFixture, contains: str) -> list[str]:
    return [line for line in caplog.messages if contains in line]


async def until_told(caplog: pytest.LogCaptureFixture, *contains: str) -> None:
    await until(lambda: all(told(caplog, text) for text in contains), TIMEOUT)


async def test_a_stranger_who_dials_is_told_of_on_both_sides_once(
    pairs: tuple[Pair, Pair], caplog: pytest.LogCaptureFixture
) -> None:
    server, client = pairs
    stranger = client_context(server[0], *server)
    failures: asyncio.Queue[bytes] = asyncio.Queue()

    class Counted(Silent):
        def connection_lost(self, fault: Exception | None) -> None:
            failures.put_nowait(b"")
            super().connection_lost(fault)

    own = server_context(*server, client[0])
    async with (
        listening(Silent, "its address", ANY, own, PEER) as address,
        dialling(Counted, address, stranger, PEER),
    ):
        for _ in range(3):
            await asyncio.wait_for(failures.get(), TIMEOUT)
        await until_told(caplog, "isn't believed", "--its-bundle")
    shown = told(caplog, "isn't believed")
    assert len(shown) == 1
    assert shown[0].startswith("the peer at 127.0.0.1:")
    assert shown[0].endswith("look at --our-bundle")
    (learnt,) = told(caplog, "--its-bundle")
    assert learnt.startswith(f"the peer at 127.0.0.1:{address[1]} ")


async def test_a_server_that_is_not_believed_is_told_of_on_both_sides(
    pairs: tuple[Pair, Pair], caplog: pytest.LogCaptureFixture
) -> None:
    server, client = pairs
    own = server_context(*server, client[0])
    async with listening(Silent, "its address", ANY, own, PEER) as address:
        place = f"the peer at 127.0.0.1:{address[1]} "
        async with dialling(Silent, address, client_context(client[0], *client), PEER):
            await until_told(caplog, place)
    (line,) = told(caplog, place)
    assert "shows a certificate that isn't believed (" in line
    assert line.endswith("look at --our-bundle")


async def test_a_host_that_is_not_there_is_told_of(
    pairs: tuple[Pair, Pair], caplog: pytest.LogCaptureFixture
) -> None:
    tls = client_context(pairs[0][0], *pairs[1])
    with socket.create_server(ANY) as free:
        closed = free.getsockname()
    for target, why in ((closed, "Connection refused"), (("host.invalid", 7), "ame")):
        async with dialling(Silent, target, tls, PEER):
            await until_told(caplog, f"the peer at {target[0]}:{target[1]} can't be reached (")
        (line,) = told(caplog, f"{target[0]}:{target[1]}")
        assert why in line
        assert line.endswith("look at --dial")


async def test_a_host_that_cannot_be_is_refused_at_start(pairs: tuple[Pair, Pair]) -> None:
    tls = client_context(pairs[0][0], *pairs[1])
    with pytest.raises(ConfigurationError, match=r"^--dial 'a\.\.b:1': no host"):
        async with dialling(Silent, ("a..b", 1), tls, PEER):
            pass


async def test_who_gets_through_after_faults_is_no_longer_warned_of(
    pairs: tuple[Pair, Pair], caplog: pytest.LogCaptureFixture
) -> None:
    """And what fails after that is news."""
    server, client = pairs
    own = server_context(*server, client[0])
    known, stranger = client_context(server[0], *client), client_context(server[0], *server)
    async with listening(Greeting, "its address", ANY, own, PEER) as address:

        async def knock(tls: ssl.SSLContext) -> bytes:
            reader, writer = await asyncio.open_connection(*address, ssl=tls)
            try:
                return await asyncio.wait_for(reader.read(5), TIMEOUT)
            except OSError:
                return b""
            finally:
                writer.close()

        for _ in range(3):
            assert await knock(stranger) == b""
        await until_told(caplog, "isn't believed")
        assert len(told(caplog, "isn't believed")) == 1
        assert await knock(known) == b"hello"
        assert await knock(stranger) == b""
        await until(lambda: len(told(caplog, "isn't believed")) == 2, TIMEOUT)


async def test_who_only_knocks_is_not_told_of(
    pairs: tuple[Pair, Pair], caplog: pytest.LogCaptureFixture
) -> None:
    server, client = pairs
    own = server_context(*server, client[0])
    async with listening(Greeting, "its address", ANY, own, PEER) as address:
        for words in (b"", b"GET / HTTP/1.1\r\n\r\n"):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(words)
            writer.write_eof()
            with suppress(OSError):
                await asyncio.wait_for(reader.read(), TIMEOUT)
            writer.close()
        await until_told(caplog, "speaks no TLS 1.3")
    assert len(caplog.messages) == 1


async def test_both_sides_find_out_when_the_other_machine_is_gone(pairs: tuple[Pair, Pair]) -> None:
    server, client = pairs
    made: asyncio.Queue[socket.socket] = asyncio.Queue()

    class Shown(Silent):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            made.put_nowait(transport.get_extra_info("socket"))

    own, dialler = server_context(*server, client[0]), client_context(server[0], *client)
    async with (
        listening(Shown, "its address", ANY, own, PEER) as address,
        dialling(Shown, address, dialler, PEER),
    ):
        for _ in range(2):
            connection = await asyncio.wait_for(made.get(), TIMEOUT)
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 25_000
