"""The Focus as a service: options, sockets, and the tasks that run until it is stopped."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from yarl import URL

from halfkey.errors import ConfigurationError
from halfkey.focus.broadcast import Broadcast
from halfkey.focus.clients import KeyDistributorClient, MediaDistributorClient
from halfkey.focus.core import Conferences, Limits
from halfkey.focus.joining import Joining
from halfkey.focus.key_events import KeyEvents
from halfkey.focus.media_events import MediaEvents
from halfkey.focus.problems import unavailable
from halfkey.focus.reachability import Reachability
from halfkey.focus.removal import Removals
from halfkey.focus.signalling import Signalling
from halfkey.focus.state import State
from halfkey.operations.role import Operated, Running
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
        state: a folder for what survives a restart; None to forget who is in.
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
    state: Path | None = None
    limits: Limits = field(default_factory=Limits)

    def check(self) -> None:
        """Raises `ConfigurationError`, in one line, for what can't be followed."""
        if self.state is not None and not self.state.is_dir():
            raise ConfigurationError(f"{self.state}: no such folder; make it for the state")
        _checked("Key Distributor", self.key_distributor_url)
        _checked("Media Distributor", self.media_distributor_url)


async def run(options: FocusOptions, on_ready: Ready, operated: Operated | None = None) -> None:
    """Runs a Focus until it is cancelled.

    Conferences outlive it: their media and keys are the Distributors' business.

    Args:
        options: what to start it with.
        on_ready: called with ``{"focus": (host, port)}`` once it listens. The Distributors need not
            be up by then; until they are, joins are answered with 503.
        operated: what its operator sees it through.

    Raises:
        ConfigurationError: a file is wrong, or the port can't be had.
    """
    options.check()
    own = server_context(options.certificate, options.key)
    pair = options.client_certificate, options.client_key
    key_distributor_tls = client_context(options.key_distributor_trust, *pair)
    media_distributor_tls = client_context(options.media_distributor_trust, *pair)
    async with AsyncExitStack() as stack:
        key_distributor = await stack.enter_async_context(
            KeyDistributorClient(
                "the Key Distributor", options.key_distributor_url, key_distributor_tls
            )
        )
        media_distributor = await stack.enter_async_context(
            MediaDistributorClient(
                "the Media Distributor", options.media_distributor_url, media_distributor_tls
            )
        )
        distributors = key_distributor, media_distributor
        state = State(options.state)
        stack.callback(state.close)
        await _serve(options, own, distributors, state, on_ready, operated)


def _checked(name: str, url: str) -> None:
    """Raises `ConfigurationError` for a URL that no client can use."""
    try:
        parsed = URL(url)
        usable = parsed.scheme == "https" and parsed.host is not None and parsed.port is not None
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(f"{url!r} is no URL of a {name}; give https://host:port")


async def _serve(
    options: FocusOptions,
    tls: ssl.SSLContext,
    distributors: tuple[KeyDistributorClient, MediaDistributorClient],
    state: State,
    on_ready: Ready,
    operated: Operated | None,
) -> None:
    key_distributor, media_distributor = distributors
    conferences = Conferences(options.limits, changed=state.save)
    broadcast = Broadcast(conferences)
    removals = Removals(conferences, broadcast, distributors)
    joining = Joining(conferences, broadcast, key_distributor, media_distributor, removals)
    media_events = MediaEvents(conferences, broadcast, removals, media_distributor)
    key_events = KeyEvents(conferences, broadcast, removals, key_distributor)
    signalling = Signalling(conferences, broadcast, joining, removals)
    application = signalling.application()
    reachability = Reachability({"kd": key_distributor, "md": media_distributor})
    if operated is not None:
        _show(operated, conferences, broadcast, reachability, application)
    for participant in state.participants():
        conferences.restore(participant)
        if participant.answer is None:
            removals.schedule(participant)
    async with serving(
        application,
        "listening address",
        (options.host, options.port),
        tls,
        patience=_SHUTDOWN_SECONDS,
    ) as address:
        on_ready({"focus": address})
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(removals.run())
            tasks.create_task(key_events.run())
            tasks.create_task(media_events.run())
            if operated is not None:
                tasks.create_task(reachability.run())


def _show(
    operated: Operated,
    conferences: Conferences,
    broadcast: Broadcast,
    reachability: Reachability,
    application: web.Application,
) -> None:
    """Shows the operator the figures, and keeps who is new away during a drain."""

    def statistics() -> dict[str, Any]:
        return {
            **conferences.statistics(),
            "followers": broadcast.count(),
            "reachable": reachability.by_name(),
        }

    def turned_away() -> web.Response:
        return unavailable("this Focus is about to end; ask again").response()

    def is_new(request: web.Request) -> bool:
        return request.method == "POST"

    application.middlewares.insert(0, operated.middleware(is_new, turned_away))
    operated.watch(Running(statistics, reachability.faults))
