"""The Focus as a service: options, sockets, and the tasks that run until it is stopped."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from yarl import URL

from halfkey.errors import ConfigurationError
from halfkey.focus.broadcast import Broadcast
from halfkey.focus.clients import KeyDistributorClient, MediaDistributorClient
from halfkey.focus.core import Conferences, Limits
from halfkey.focus.joining import Joining
from halfkey.focus.media_events import MediaEvents
from halfkey.focus.removal import Removals
from halfkey.focus.signalling import Signalling
from halfkey.serving import Ready, serving
from halfkey.tls import client_context, server_context

_SHUTDOWN_SECONDS = 2.0
"""Longer than others': an Endpoint that joins waits for both Distributors."""


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
    async with serving(
        signalling.application(),
        "listening address",
        (options.host, options.port),
        tls,
        patience=_SHUTDOWN_SECONDS,
    ) as address:
        on_ready({"focus": address})
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(removals.run())
            tasks.create_task(media_events.run())
