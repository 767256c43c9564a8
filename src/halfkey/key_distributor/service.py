"""The Key Distributor as a service: tunnels over TLS, admission over HTTPS, one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from halfkey.dtls import Certificate
from halfkey.errors import ConfigurationError
from halfkey.key_distributor.admission import AdmissionAPI
from halfkey.key_distributor.core import KeyDistributor
from halfkey.key_distributor.driver import Driver, TunnelProtocol
from halfkey.key_distributor.events import Event
from halfkey.key_distributor.policy import Policy
from halfkey.tls import client_context, server_context

TLS_HANDSHAKE_SECONDS = 10.0
FIRST_REDIAL_SECONDS, LAST_REDIAL_SECONDS = 0.25, 15.0
_SHUTDOWN_SECONDS = 1.0

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class KeyDistributorOptions:
    """How to run a Key Distributor.

    Attributes:
        certificate: PEM, for the tunnels and the admission API.
        key: PEM, its private key.
        trusted_media_distributors: PEM bundle: who may have tunnels.
        trusted_focuses: PEM bundle: who may use the admission API.
        tunnel: the address to wait at for Media Distributors; None not to; port 0 for any.
        dial: the addresses of Media Distributors to dial.
        admission: the address of the admission API; port 0 for any.
        policy: what is granted.
    """

    certificate: Path
    key: Path
    trusted_media_distributors: Path
    trusted_focuses: Path
    tunnel: Address | None = ("127.0.0.1", 0)
    dial: tuple[Address, ...] = ()
    admission: Address = ("127.0.0.1", 0)
    policy: Policy = field(default_factory=Policy)


Ready = Callable[[dict[str, Address]], None]


def _ignore(_: Event) -> None:
    pass


async def run(
    options: KeyDistributorOptions, on_ready: Ready, on_event: Callable[[Event], None] = _ignore
) -> None:
    """Runs a Key Distributor until cancelled.

    Args:
        options: see there.
        on_ready: called once with the bound addresses, ``"tunnel"`` and ``"admission"``.
        on_event: called with every event.

    Raises:
        ConfigurationError: an option can't be followed.
    """
    _forbid_core_dumps()
    async with serve(options, on_event) as addresses:
        on_ready(addresses)
        await asyncio.Event().wait()


def _forbid_core_dumps() -> None:
    """A core file of this process would hold every key."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


@contextlib.asynccontextmanager
async def serve(
    options: KeyDistributorOptions, on_event: Callable[[Event], None] = _ignore
) -> AsyncIterator[dict[str, Address]]:
    """A running Key Distributor as a context; gives the bound addresses.

    Raises:
        ConfigurationError: an option can't be followed.
    """
    options.policy.check()
    if options.tunnel is None and not options.dial:
        raise ConfigurationError("no way to a Media Distributor: listen for tunnels, or dial one")
    async with contextlib.AsyncExitStack() as stack:

        def publish(event: Event) -> None:
            admission.publish(event)
            on_event(event)

        core = KeyDistributor(options.policy, Certificate.generate("halfkey-kd"))
        driver = Driver(core, publish)
        stack.callback(driver.close)
        admission = AdmissionAPI(driver)
        addresses = {"admission": await _serve_admission(options, admission, stack)}
        if options.tunnel is not None:
            addresses["tunnel"] = await _listen(options, options.tunnel, driver, stack)
        for target in options.dial:
            await stack.enter_async_context(_dialling(options, target, driver))
        yield addresses


async def _serve_admission(
    options: KeyDistributorOptions, api: AdmissionAPI, stack: contextlib.AsyncExitStack
) -> Address:
    context = server_context(options.certificate, options.key, options.trusted_focuses)
    runner = web.AppRunner(
        api.application(),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    stack.callback(api.close)
    host, port = options.admission
    with _binding("admission address", options.admission):
        await web.TCPSite(runner, host, port, ssl_context=context).start()
    bound: Address = runner.addresses[0][:2]
    return bound


async def _listen(
    options: KeyDistributorOptions,
    address: Address,
    driver: Driver,
    stack: contextlib.AsyncExitStack,
) -> Address:
    context = server_context(options.certificate, options.key, options.trusted_media_distributors)
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
    except (OSError, OverflowError) as fault:
        problem = os.strerror(fault.errno) if isinstance(fault, OSError) and fault.errno else fault
        raise ConfigurationError(
            f"{what} {address[0]}:{address[1]}: {problem}; choose another host or port"
        ) from None


@contextlib.asynccontextmanager
async def _dialling(
    options: KeyDistributorOptions, target: Address, driver: Driver
) -> AsyncIterator[None]:
    """Keeps a tunnel to a Media Distributor that waits for us."""
    context = client_context(options.trusted_media_distributors, options.certificate, options.key)
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
