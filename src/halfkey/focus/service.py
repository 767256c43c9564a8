"""The Focus as a service: options, sockets, and the tasks that run until it is stopped."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from yarl import URL

from halfkey.errors import ConfigurationError
from halfkey.focus.broadcast import Broadcast
from halfkey.focus.clients import KeyDistributorClient, MediaDistributorClient
from halfkey.focus.core import Conferences, Limits
from halfkey.focus.joining import Joining
from halfkey.focus.media_events import MediaEvents
from halfkey.focus.removal import Removals
from halfkey.focus.signalling import Signalling
from halfkey.tls import client_context, server_context

_SHUTDOWN_TIMEOUT = 2.0

Address = tuple[str, int]
Ready = Callable[[dict[str, Address]], None]


@dataclass(frozen=True)
class FocusOptions:
    """What a Focus is started with.

    Attributes:
        host: the address to listen on.
        port: the port to listen on; 0 lets the system choose.
        certificate: PEM, shown to Endpoints.
        key: PEM, its private key.
        key_distributor_url: of the admission API, ``https://host:port``.
        media_distributor_url: of the control API, ``https://host:port``.
        client_certificate: PEM, shown to both Distributors.
        client_key: PEM, its private key.
        key_distributor_trust: PEM bundle, the Key Distributors that are believed.
        media_distributor_trust: PEM bundle, the Media Distributors that are believed.
        limits: what to bear.
    """

    host: str
    port: int
    certificate: Path
    key: Path
    key_distributor_url: str
    media_distributor_url: str
    client_certificate: Path
    client_key: Path
    key_distributor_trust: Path
    media_distributor_trust: Path
    limits: Limits = field(default_factory=Limits)


async def run(options: FocusOptions, on_ready: Ready) -> None:
    """Runs a Focus until it is cancelled.

    Conferences outlive it: their media and keys are the Distributors' business.

    Args:
        options: what to start it with.
        on_ready: called with ``{"focus": (host, port)}`` once it listens. The Distributors need not
            be up by then; until they are, joins are answered with 503.

    Raises:
        ConfigurationError: a file is wrong, or the port can't be had.
    """
    own = server_context(options.certificate, options.key)
    key_distributor_url = _checked("Key Distributor", options.key_distributor_url)
    media_distributor_url = _checked("Media Distributor", options.media_distributor_url)
    pair = options.client_certificate, options.client_key
    key_distributor_tls = client_context(options.key_distributor_trust, *pair)
    media_distributor_tls = client_context(options.media_distributor_trust, *pair)
    async with AsyncExitStack() as stack:
        key_distributor = await stack.enter_async_context(
            KeyDistributorClient("the Key Distributor", key_distributor_url, key_distributor_tls)
        )
        media_distributor = await stack.enter_async_context(
            MediaDistributorClient(
                "the Media Distributor", media_distributor_url, media_distributor_tls
            )
        )
        await _serve(options, own, key_distributor, media_distributor, on_ready)


def _checked(name: str, url: str) -> str:
    """The URL, if it is one that a client can use."""
    try:
        parsed = URL(url)
        usable = parsed.scheme == "https" and parsed.host is not None and parsed.port is not None
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(f"{url!r} is no URL of a {name}; give https://host:port")
    return url


async def _serve(
    options: FocusOptions,
    tls: ssl.SSLContext,
    key_distributor: KeyDistributorClient,
    media_distributor: MediaDistributorClient,
    on_ready: Ready,
) -> None:
    conferences = Conferences(options.limits)
    broadcast = Broadcast(conferences)
    removals = Removals(conferences, broadcast, (key_distributor, media_distributor))
    joining = Joining(conferences, broadcast, key_distributor, media_distributor, removals)
    media_events = MediaEvents(conferences, broadcast, removals, media_distributor)
    signalling = Signalling(conferences, broadcast, joining, removals)
    # No access log: the path of a participation is what gives the right to end it.
    runner = web.AppRunner(
        signalling.application(), access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT
    )
    await runner.setup()
    try:
        await _listen(runner, options, tls)
        on_ready({"focus": _address(runner)})
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(removals.run())
            tasks.create_task(media_events.run())
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, options: FocusOptions, tls: ssl.SSLContext) -> None:
    site = web.TCPSite(runner, options.host, options.port, ssl_context=tls)
    try:
        await site.start()
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"the Focus can't listen on {options.host}:{options.port}: {_reason(error)}; "
            "give an address of this machine and a port that is free"
        ) from None


def _reason(error: OSError | OverflowError) -> str:
    """What the system says, without asyncio's additions."""
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return " ".join(str(error).split())


def _address(runner: web.AppRunner) -> Address:
    host, port = runner.addresses[0][:2]
    return str(host), int(port)
