"""The Media Distributor as a service: a media socket, a tunnel, a control API, one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from halfkey._media import Switch
from halfkey.errors import ConfigurationError
from halfkey.media_distributor.advertising import advertised_host
from halfkey.media_distributor.control import ControlAPI
from halfkey.media_distributor.driver import Driver, TunnelProtocol
from halfkey.media_distributor.events import Event
from halfkey.tls import client_context, server_context

TLS_HANDSHAKE_SECONDS = 10.0
FIRST_REDIAL_SECONDS, LAST_REDIAL_SECONDS = 0.25, 15.0
_SHUTDOWN_SECONDS = 1.0

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class MediaDistributorOptions:
    """How to run a Media Distributor.

    Attributes:
        certificate: PEM, for the tunnel and the control API.
        key: PEM, its private key.
        trusted_key_distributors: PEM bundle: whom to have a tunnel with.
        trusted_focuses: PEM bundle: who may use the control API.
        media: the UDP address for STUN, DTLS, SRTP and SRTCP; port 0 for any.
        advertise: the IP address that Endpoints reach the media address at, for ICE candidates;
            None if it is the same. Needed where media is bound to 0.0.0.0 or ::.
        control: the address of the control API; port 0 for any.
        dial: the address of the Key Distributor's tunnel; None to wait for it instead.
        tunnel: the address to wait at for a Key Distributor that dials; None not to.
        capture_bytes: how many payload bytes to keep of each SSRC, as they are without the outer
            layer: still encrypted end to end. For demonstrations.
        keep_forwarding_after_disconnect: acts as a hostile Media Distributor, for demonstrations
            and tests only.
    """

    certificate: Path
    key: Path
    trusted_key_distributors: Path
    trusted_focuses: Path
    media: Address = ("127.0.0.1", 0)
    advertise: str | None = None
    control: Address = ("127.0.0.1", 0)
    dial: Address | None = None
    tunnel: Address | None = None
    capture_bytes: int = 0
    keep_forwarding_after_disconnect: bool = False


Ready = Callable[[dict[str, Address]], None]


def _ignore(_: Event) -> None:
    pass


async def run(
    options: MediaDistributorOptions, on_ready: Ready, on_event: Callable[[Event], None] = _ignore
) -> None:
    """Runs a Media Distributor until cancelled.

    Args:
        options: see there.
        on_ready: called once with the bound addresses: ``"media"``, ``"control"`` and, where it
            waits for one, ``"tunnel"``.
        on_event: called with every event.

    Raises:
        ConfigurationError: an option can't be followed.
    """
    async with serve(options, on_event) as addresses:
        on_ready(addresses)
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def serve(
    options: MediaDistributorOptions, on_event: Callable[[Event], None] = _ignore
) -> AsyncIterator[dict[str, Address]]:
    """A running Media Distributor as a context; gives the bound addresses.

    Raises:
        ConfigurationError: an option can't be followed.
    """
    if options.dial is None and options.tunnel is None:
        raise ConfigurationError("no way to a Key Distributor: dial one, or listen for one")
    control_tls = server_context(options.certificate, options.key, options.trusted_focuses)
    async with contextlib.AsyncExitStack() as stack:

        def publish(event: Event) -> None:
            control.publish(event)
            on_event(event)

        with _binding("media address", options.media):
            switch = Switch(*options.media, capture_bytes=options.capture_bytes)
        driver = Driver(switch, options.keep_forwarding_after_disconnect, publish)
        stack.callback(driver.close)
        advertised = advertised_host(driver.media_address[0], options.advertise)
        control = ControlAPI(driver, advertised)
        addresses = {
            "media": driver.media_address,
            "control": await _serve_control(options.control, control_tls, control, stack),
        }
        if options.tunnel is not None:
            addresses["tunnel"] = await _listen(options, options.tunnel, driver, stack)
        if options.dial is not None:
            context = client_context(
                options.trusted_key_distributors, options.certificate, options.key
            )
            await stack.enter_async_context(_dialling(options.dial, context, driver))
        yield addresses


async def _serve_control(
    address: Address, context: ssl.SSLContext, api: ControlAPI, stack: contextlib.AsyncExitStack
) -> Address:
    runner = web.AppRunner(
        api.application(), access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    stack.callback(api.close)
    with _binding("control address", address):
        await web.TCPSite(runner, *address, ssl_context=context).start()
    bound: Address = runner.addresses[0][:2]
    return bound


async def _listen(
    options: MediaDistributorOptions,
    address: Address,
    driver: Driver,
    stack: contextlib.AsyncExitStack,
) -> Address:
    context = server_context(options.certificate, options.key, options.trusted_key_distributors)
    with _binding("tunnel address", address):
        server = await asyncio.get_running_loop().create_server(
            lambda: TunnelProtocol(driver),
            *address,
            ssl=context,
            ssl_handshake_timeout=TLS_HANDSHAKE_SECONDS,
        )
    stack.callback(server.close)
    bound: Address = server.sockets[0].getsockname()[:2]
    return bound


@contextlib.contextmanager
def _binding(what: str, address: Address) -> Iterator[None]:
    """Turns what the system says of an address into one line."""
    try:
        yield
    except (OSError, OverflowError, ValueError) as fault:
        problem = os.strerror(fault.errno) if isinstance(fault, OSError) and fault.errno else fault
        raise ConfigurationError(
            f"{what} {address[0]}:{address[1]}: {problem}; choose another host or port"
        ) from None


@contextlib.asynccontextmanager
async def _dialling(
    target: Address, context: ssl.SSLContext, driver: Driver
) -> AsyncIterator[None]:
    """Keeps a tunnel to a Key Distributor that waits for us."""
    task = asyncio.create_task(_keep_dialling(target, context, driver))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _keep_dialling(target: Address, context: ssl.SSLContext, driver: Driver) -> None:
    """Dials, and dials again with growing pauses; a tunnel that lived resets them."""
    pause = FIRST_REDIAL_SECONDS
    loop = asyncio.get_running_loop()
    while True:
        dialled_at = loop.time()
        with contextlib.suppress(OSError):
            _, protocol = await loop.create_connection(
                lambda: TunnelProtocol(driver),
                *target,
                ssl=context,
                server_hostname=target[0],
                ssl_handshake_timeout=TLS_HANDSHAKE_SECONDS,
            )
            await protocol.ended
        if loop.time() - dialled_at > LAST_REDIAL_SECONDS:
            pause = FIRST_REDIAL_SECONDS
        await asyncio.sleep(pause)
        pause = min(2 * pause, LAST_REDIAL_SECONDS)
