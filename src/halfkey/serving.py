"""What every service does with sockets: listen, serve HTTPS, dial and dial again, stop."""

from __future__ import annotations

import asyncio
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

from aiohttp import web

from halfkey.backoff import Backoff
from halfkey.errors import ConfigurationError
from halfkey.hosts import is_host
from halfkey.peering import FaultTeller, Peer, reason

TLS_HANDSHAKE_SECONDS = 10.0
FIRST_REDIAL_SECONDS, LAST_REDIAL_SECONDS = 0.25, 15.0

SHUTDOWN_SECONDS = 1.0
"""How long requests that are being answered may go on when their server stops."""

_PROBE_AFTER_SECONDS, _PROBE_EVERY_SECONDS, _PROBES = 10, 5, 3
"""RFC 9185 has no keepalive: TCP's own finds out that the other machine is gone."""

Address = tuple[str, int]
"""A host and a port; for one to listen at, port 0 lets the system choose."""

_AT_ONCE_SECONDS = 2.0
"""A connection that ends before may have been refused, although its handshake was complete."""

_BACKLOG = 100
_SECONDS_WITHOUT_ACCEPTING = 1.0
"""What to wait when the system has no descriptor left for another connection."""

Ready = Callable[[dict[str, Address]], None]
"""Takes the bound addresses of a service by their names, once all of them listen."""


class Connection(asyncio.Protocol, ABC):
    """One connection, whichever side dialled; what there is to write waits for a slow peer.

    Attributes:
        ended: done when the connection is gone, with the fault if it wasn't closed.
        was_heard: whether the peer said anything: then it believes our certificate.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._is_paused = False
        self.was_heard = False
        self.ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is established."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            _probe(transport)

    def data_received(self, _: bytes) -> None:
        """The peer said something."""
        self.was_heard = True

    def pause_writing(self) -> None:
        """The peer reads too slowly: what is to be sent waits in an engine, which bounds it."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._is_paused = False
        self.flush()

    def connection_lost(self, fault: Exception | None) -> None:
        """The connection is gone."""
        if not self.ended.done():
            self.ended.set_result(fault)

    @abstractmethod
    def flush(self) -> None:
        """Writes what waits, unless the peer reads too slowly."""

    def close(self) -> None:
        """Closes the connection."""
        if self._transport is not None:
            self._transport.close()


def _probe(transport: asyncio.Transport) -> None:
    """Has TCP give a connection up whose other end doesn't answer any more."""
    connection = transport.get_extra_info("socket")
    if connection is None:
        return
    tcp = socket.IPPROTO_TCP
    patience = _PROBE_AFTER_SECONDS + _PROBE_EVERY_SECONDS * _PROBES
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(tcp, socket.TCP_KEEPIDLE, _PROBE_AFTER_SECONDS)
    connection.setsockopt(tcp, socket.TCP_KEEPINTVL, _PROBE_EVERY_SECONDS)
    connection.setsockopt(tcp, socket.TCP_KEEPCNT, _PROBES)
    connection.setsockopt(tcp, socket.TCP_USER_TIMEOUT, 1000 * patience)


@contextmanager
def binding(what: str, address: Address) -> Iterator[None]:
    """Turns what the system says of an address into one line.

    Args:
        what: what it is for, such as ``"tunnel address"``.
        address: which.

    Raises:
        ConfigurationError: what is within failed, so nobody can listen there.
    """
    try:
        yield
    except (OSError, OverflowError, ValueError) as fault:
        raise ConfigurationError(
            f"{what} {address[0]}:{address[1]}: {reason(fault)}; choose another host or port"
        ) from None


@asynccontextmanager
async def serving(
    application: web.Application,
    what: str,
    address: Address,
    tls: ssl.SSLContext | None,
    *,
    patience: float = SHUTDOWN_SECONDS,
) -> AsyncIterator[Address]:
    """Serves an application for as long as the context is open; gives the bound address.

    At the end nobody new is taken, the application's ``on_shutdown`` runs, and then who is being
    answered has `patience` left. Nothing is logged of requests: paths may be secrets.

    Args:
        application: to serve.
        what: what the address is for, such as ``"admission address"``.
        address: to listen at.
        tls: our certificate, and whose is asked for; None serves plain HTTP.
        patience: seconds.

    Raises:
        ConfigurationError: nobody can listen there.
    """
    runner = web.AppRunner(
        application, access_log=None, handle_signals=False, shutdown_timeout=patience
    )
    await runner.setup()
    try:
        with binding(what, address):
            await web.TCPSite(runner, *address, ssl_context=tls).start()
        host, port = runner.addresses[0][:2]
        yield str(host), int(port)
    finally:
        await runner.cleanup()


@asynccontextmanager
async def listening(
    protocol: Callable[[], asyncio.Protocol],
    what: str,
    address: Address,
    tls: ssl.SSLContext,
    peer: Peer,
) -> AsyncIterator[Address]:
    """Takes TLS connections for as long as the context is open; gives the bound address.

    Connections that were taken are not ended with it: that is their protocols' business.

    Args:
        protocol: makes one for each connection.
        what: what the address is for, such as ``"tunnel address"``.
        address: to listen at.
        tls: our certificate, and whose is asked for.
        peer: who is expected, for what is said of faults.

    Raises:
        ConfigurationError: nobody can listen there.
    """
    with binding(what, address):
        sockets = await _listen(address)
    acceptor = _Acceptor(protocol, tls, FaultTeller(peer))
    async with AsyncExitStack() as stack:
        for one in sockets:
            stack.callback(one.close)
            await stack.enter_async_context(_running(acceptor.accept(one)))
        stack.callback(acceptor.close)
        bound: Address = sockets[0].getsockname()[:2]
        yield bound


async def _listen(address: Address) -> list[socket.socket]:
    """Sockets for all that a host stands for; asyncio knows how to choose and to bind them."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, *address, start_serving=False)
    sockets = [one.dup() for one in server.sockets]
    server.close()
    for one in sockets:
        one.setblocking(False)
        one.listen(_BACKLOG)
    return sockets


class _Acceptor:
    """Shakes hands with who connects, and knows what became of it, which asyncio's server hides.

    Args:
        protocol: makes one for each connection.
        tls: our certificate, and whose is asked for.
        teller: told of faults.
    """

    def __init__(
        self, protocol: Callable[[], asyncio.Protocol], tls: ssl.SSLContext, teller: FaultTeller
    ) -> None:
        self._protocol = protocol
        self._tls = tls
        self._teller = teller
        self._handshakes: set[asyncio.Task[None]] = set()

    async def accept(self, listener: socket.socket) -> None:
        """Takes connections, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, origin = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(_SECONDS_WITHOUT_ACCEPTING)
                continue
            task = asyncio.create_task(self._shake_hands(connection, origin[:2]))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    def close(self) -> None:
        """Gives up handshakes that are under way."""
        for task in self._handshakes:
            task.cancel()

    async def _shake_hands(self, connection: socket.socket, origin: Address) -> None:
        try:
            connection.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol,
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=TLS_HANDSHAKE_SECONDS,
            )
        except OSError as fault:
            self._teller.refused(origin, fault)
        else:
            self._teller.succeeded()


@asynccontextmanager
async def _running(coroutine: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs something beside the context, and ends it with it."""
    task = asyncio.create_task(coroutine)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def dialling(
    protocol: Callable[[], Connection], target: Address, tls: ssl.SSLContext, peer: Peer
) -> AsyncIterator[None]:
    """Keeps a TLS connection to `target` for as long as the context is open.

    Args:
        protocol: makes one for each connection.
        target: whom to dial.
        tls: whom to believe, and the certificate to show.
        peer: who that is, for what is said of faults.

    Raises:
        ConfigurationError: no host can have that name.
    """
    host, port = target
    if not is_host(host):
        raise ConfigurationError(
            f"{peer.option} {f'{host}:{port}'!r}: no host can have that name; give another"
        )
    async with _running(_keep_dialling(protocol, target, tls, FaultTeller(peer))):
        yield


async def _keep_dialling(
    protocol: Callable[[], Connection],
    target: Address,
    tls: ssl.SSLContext,
    teller: FaultTeller,
) -> None:
    """Dials, and dials again with growing pauses; a connection that lived resets them."""
    backoff = Backoff(FIRST_REDIAL_SECONDS, LAST_REDIAL_SECONDS)
    loop = asyncio.get_running_loop()
    while True:
        dialled_at = loop.time()
        try:
            _, connection = await loop.create_connection(
                protocol,
                *target,
                ssl=tls,
                server_hostname=target[0],
                ssl_handshake_timeout=TLS_HANDSHAKE_SECONDS,
            )
        except (OSError, ValueError) as fault:
            teller.failed(target, fault)
        else:
            await _follow(connection, target, teller)
        if loop.time() - dialled_at > LAST_REDIAL_SECONDS:
            backoff.reset()
        await asyncio.sleep(backoff.next_pause())


async def _follow(connection: Connection, target: Address, teller: FaultTeller) -> None:
    """Waits for the end of a connection that was dialled."""
    done, _ = await asyncio.wait({connection.ended}, timeout=_AT_ONCE_SECONDS)
    if done and not connection.was_heard:
        teller.ended(target, connection.ended.result())
    else:
        teller.succeeded()
        await connection.ended
