"""What every service does with sockets: listen, serve HTTPS, dial and dial again, stop."""

from __future__ import annotations

import asyncio
import os
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from aiohttp import web

from halfkey.backoff import Backoff
from halfkey.errors import ConfigurationError

TLS_HANDSHAKE_SECONDS = 10.0
FIRST_REDIAL_SECONDS, LAST_REDIAL_SECONDS = 0.25, 15.0

SHUTDOWN_SECONDS = 1.0
"""How long requests that are being answered may go on when their server stops."""

Address = tuple[str, int]
"""A host and a port; for one to listen at, port 0 lets the system choose."""

Ready = Callable[[dict[str, Address]], None]
"""Takes the bound addresses of a service by their names, once all of them listen."""


class Connection(asyncio.Protocol, ABC):
    """One connection, whichever side dialled; what there is to write waits for a slow peer.

    Attributes:
        ended: done when the connection is gone.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._is_paused = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is established."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def pause_writing(self) -> None:
        """The peer reads too slowly: what is to be sent waits in an engine, which bounds it."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._is_paused = False
        self.flush()

    def connection_lost(self, _: Exception | None) -> None:
        """The connection is gone."""
        if not self.ended.done():
            self.ended.set_result(None)

    @abstractmethod
    def flush(self) -> None:
        """Writes what waits, unless the peer reads too slowly."""

    def close(self) -> None:
        """Closes the connection."""
        if self._transport is not None:
            self._transport.close()


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
            f"{what} {address[0]}:{address[1]}: {_reason(fault)}; choose another host or port"
        ) from None


def _reason(fault: Exception) -> str:
    """What the system says, in one line and without asyncio's additions."""
    if isinstance(fault, OSError) and fault.errno is not None:
        # The numbers of resolvers are negative, and strerror doesn't know them.
        return os.strerror(fault.errno) if fault.errno > 0 else str(fault.strerror)
    return " ".join(str(fault).split()).rstrip(".")


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
    protocol: Callable[[], asyncio.Protocol], what: str, address: Address, tls: ssl.SSLContext
) -> AsyncIterator[Address]:
    """Takes TLS connections for as long as the context is open; gives the bound address.

    Connections that were taken are not ended with it: that is their protocols' business.

    Args:
        protocol: makes one for each connection.
        what: what the address is for, such as ``"tunnel address"``.
        address: to listen at.
        tls: our certificate, and whose is asked for.

    Raises:
        ConfigurationError: nobody can listen there.
    """
    with binding(what, address):
        server = await asyncio.get_running_loop().create_server(
            protocol, *address, ssl=tls, ssl_handshake_timeout=TLS_HANDSHAKE_SECONDS
        )
    try:
        bound: Address = server.sockets[0].getsockname()[:2]
        yield bound
    finally:
        server.close()


@asynccontextmanager
async def dialling(
    protocol: Callable[[], Connection], target: Address, tls: ssl.SSLContext
) -> AsyncIterator[None]:
    """Keeps a TLS connection to `target` for as long as the context is open.

    Args:
        protocol: makes one for each connection.
        target: whom to dial.
        tls: whom to believe, and the certificate to show.
    """
    task = asyncio.create_task(_keep_dialling(protocol, target, tls))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _keep_dialling(
    protocol: Callable[[], Connection], target: Address, tls: ssl.SSLContext
) -> None:
    """Dials, and dials again with growing pauses; a connection that lived resets them."""
    backoff = Backoff(FIRST_REDIAL_SECONDS, LAST_REDIAL_SECONDS)
    loop = asyncio.get_running_loop()
    while True:
        dialled_at = loop.time()
        with suppress(OSError):
            _, connection = await loop.create_connection(
                protocol,
                *target,
                ssl=tls,
                server_hostname=target[0],
                ssl_handshake_timeout=TLS_HANDSHAKE_SECONDS,
            )
            await connection.ended
        if loop.time() - dialled_at > LAST_REDIAL_SECONDS:
            backoff.reset()
        await asyncio.sleep(backoff.next_pause())
