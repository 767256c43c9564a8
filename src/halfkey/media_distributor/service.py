"""The Media Distributor as a service: a media socket, a tunnel, a control API, one event loop."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from halfkey._media import MAX_WORKERS, Switch
from halfkey.errors import ConfigurationError
from halfkey.media_distributor.advertising import advertised_host
from halfkey.media_distributor.control import ControlAPI
from halfkey.media_distributor.driver import Driver, TunnelProtocol
from halfkey.media_distributor.events import Event
from halfkey.media_distributor.path import lacks
from halfkey.operations.role import Operated, Running
from halfkey.peering import Peer
from halfkey.serving import Address, Ready, binding, dialling, listening, serving
from halfkey.tls import client_context, server_context

_logger = logging.getLogger(__name__)

RETRANSMISSION_CACHE = 64
"""MiB: what 220 video sources take."""

MAXIMUM_CACHE = 1 << 16
"""MiB."""

LISTED_PARTICIPANTS = 512
"""The most that an operator is shown one by one: those with the most packets."""

DEFAULT_WORKERS = 8
"""The most that are taken without being asked for: each keeps what all participants negotiated, and
beyond this it is the network that has to be measured first."""


def default_workers() -> int:
    """One for each core that this process may use, within bounds."""
    return min(len(os.sched_getaffinity(0)), DEFAULT_WORKERS)


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
        workers: threads that forward, one for each core by default and `MAX_WORKERS` at most.
        retransmission_cache: MiB of memory for what video sources sent last, from which packets
            that receivers lost are sent again; 0 for none, else one for each worker or more.
        capture_bytes: how many payload bytes to keep of each SSRC, as they are without the outer
            layer: still encrypted end to end. For demonstrations.
        keep_forwarding_after_disconnect: acts as a hostile Media Distributor, for demonstrations
            and tests only.
        direct: takes hop keys through the control API, for load tests: then it has no Key
            Distributor, and is to be reached from this machine alone.
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
    workers: int = field(default_factory=default_workers)
    retransmission_cache: int = RETRANSMISSION_CACHE
    capture_bytes: int = 0
    keep_forwarding_after_disconnect: bool = False
    direct: bool = False

    def check(self) -> None:
        """Raises `ConfigurationError`, in one line, for what can't be followed."""
        if self.direct:
            self._check_direct()
        elif self.dial is None and self.tunnel is None:
            raise ConfigurationError("no way to a Key Distributor: dial one, or listen for one")
        if not 1 <= self.workers <= MAX_WORKERS:
            raise ConfigurationError(
                f"--workers {self.workers}: give a number from 1 to {MAX_WORKERS}"
            )
        if self.retransmission_cache != 0 and not (
            self.workers <= self.retransmission_cache <= MAXIMUM_CACHE
        ):
            raise ConfigurationError(
                f"--retransmission-cache {self.retransmission_cache}: give 0 for none, or MiB from "
                f"{self.workers} (one for each worker) to {MAXIMUM_CACHE}"
            )
        with suppress(ValueError):  # a host name, whose address is known when it is bound
            advertised_host(self.media[0], self.advertise)

    def _check_direct(self) -> None:
        """Whoever hands over hop keys reads the hop: nobody's real conference may be there."""
        if self.dial is not None or self.tunnel is not None:
            raise ConfigurationError(
                "--direct is for load tests, without a Key Distributor: "
                "leave out --key-distributor and --tunnel-listen, or --direct"
            )
        for option, (host, _) in (("media", self.media), ("control", self.control)):
            if host not in ("127.0.0.1", "::1"):
                raise ConfigurationError(
                    f"--{option}-listen {host}: with --direct give 127.0.0.1 or ::1"
                )


KEY_DISTRIBUTOR = Peer(
    "the Key Distributor",
    bundle="--trust-key-distributors",
    its_bundle="--trust-media-distributors",
    option="--key-distributor",
)


def _ignore(_: Event) -> None:
    pass


async def run(
    options: MediaDistributorOptions,
    on_ready: Ready,
    on_event: Callable[[Event], None] = _ignore,
    operated: Operated | None = None,
) -> None:
    """Runs a Media Distributor until cancelled.

    Args:
        options: see there.
        on_ready: called once with the bound addresses: ``"media"``, ``"control"`` and, where it
            waits for one, ``"tunnel"``.
        on_event: called with every event.
        operated: what its operator sees it through.

    Raises:
        ConfigurationError: an option can't be followed.
        HalfkeyError: a worker of the media path has ended by itself.
    """
    async with _running(options, on_event, operated) as (addresses, driver):
        on_ready(addresses)
        await driver.failed


@asynccontextmanager
async def serve(
    options: MediaDistributorOptions,
    on_event: Callable[[Event], None] = _ignore,
    operated: Operated | None = None,
) -> AsyncIterator[dict[str, Address]]:
    """A running Media Distributor as a context; gives the bound addresses.

    Raises:
        ConfigurationError: an option can't be followed.
        HalfkeyError: a worker of the media path has ended by itself; when the context ends.
    """
    async with _running(options, on_event, operated) as (addresses, driver):
        yield addresses
        if driver.failed.done():
            driver.failed.result()


@asynccontextmanager
async def _running(
    options: MediaDistributorOptions,
    on_event: Callable[[Event], None],
    operated: Operated | None,
) -> AsyncIterator[tuple[dict[str, Address], Driver]]:
    options.check()
    own = options.certificate, options.key
    control_tls = server_context(*own, options.trusted_focuses)
    async with AsyncExitStack() as stack:

        def publish(event: Event) -> None:
            control.publish(event)
            on_event(event)

        with binding("media address", options.media):
            switch = Switch(
                *options.media,
                capture_bytes=options.capture_bytes,
                workers=options.workers,
                retransmission_cache=options.retransmission_cache << 20,
            )
        for line in lacks(switch.granted):
            _logger.warning(line)
        driver = Driver(switch, options.keep_forwarding_after_disconnect, publish)
        stack.callback(driver.close)
        advertised = advertised_host(driver.media_address[0], options.advertise)
        control = ControlAPI(driver, advertised, options.direct)
        application = control.application()
        if operated is not None:
            _show(operated, driver, application)
        addresses = {
            "media": driver.media_address,
            "control": await stack.enter_async_context(
                serving(application, "control address", options.control, control_tls)
            ),
        }
        stack.callback(control.close)
        tunnel = partial(TunnelProtocol, driver)
        if options.tunnel is not None:
            tls = server_context(*own, options.trusted_key_distributors)
            addresses["tunnel"] = await stack.enter_async_context(
                listening(tunnel, "tunnel address", options.tunnel, tls, KEY_DISTRIBUTOR)
            )
        if options.dial is not None:
            tls = client_context(options.trusted_key_distributors, *own)
            await stack.enter_async_context(dialling(tunnel, options.dial, tls, KEY_DISTRIBUTOR))
        yield addresses, driver


def _show(operated: Operated, driver: Driver, application: web.Application) -> None:
    """Shows the operator the figures, and keeps who is new away during a drain."""

    def is_new(request: web.Request) -> bool:
        names = request.match_info
        key = names.get("conference", ""), names.get("participant", "")
        return request.method == "PUT" and not driver.core.has(key)

    def faults() -> list[str]:
        return [] if driver.core.is_tunnel_connected else ["no tunnel to a Key Distributor"]

    def last_act() -> None:
        driver.core.disconnect_everybody()
        driver.settle()

    def unfinished() -> int:
        return driver.core.statistics()["participants"]

    application.middlewares.insert(0, operated.middleware(is_new))
    figures, streams = partial(_figures, driver), partial(_streams, driver)
    operated.watch(Running(figures, faults, unfinished, last_act, streams))


def _figures(driver: Driver) -> dict[str, Any]:
    """The statistics, with what they have of each source summed up."""
    statistics = driver.statistics()
    sources = statistics["sources"].values()
    lost = sum(source["lost"] for source in sources)
    return {**statistics, "sources_now": len(sources), "sources_lost": lost}


def _streams(driver: Driver) -> dict[str, Any]:
    """The busiest participants with their streams, and what all of them share."""

    def packets(participant: dict[str, Any]) -> int:
        count: int = participant["received_packets"] + participant["sent_packets"]
        return count

    participants = sorted(driver.participants(), key=packets, reverse=True)
    statistics = driver.statistics()
    del statistics["sources"]
    return {
        "statistics": statistics,
        "participants": participants[:LISTED_PARTICIPANTS],
        "participants_left_out": max(len(participants) - LISTED_PARTICIPANTS, 0),
    }
