"""The Key Distributor as a service: tunnels over TLS, admission over HTTPS, one event loop."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from halfkey.dtls import Certificate
from halfkey.errors import ConfigurationError
from halfkey.key_distributor.admission import AdmissionAPI
from halfkey.key_distributor.core import KeyDistributor
from halfkey.key_distributor.driver import Driver, TunnelProtocol
from halfkey.key_distributor.events import Event
from halfkey.key_distributor.policy import Policy
from halfkey.serving import Address, Ready, dialling, listening, serving
from halfkey.tls import client_context, server_context


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


@asynccontextmanager
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
    own = options.certificate, options.key
    async with AsyncExitStack() as stack:

        def publish(event: Event) -> None:
            admission.publish(event)
            on_event(event)

        core = KeyDistributor(options.policy, Certificate.generate("halfkey-kd"))
        driver = Driver(core, publish)
        stack.callback(driver.close)
        admission = AdmissionAPI(driver)
        addresses = {"admission": await _serve_admission(options, admission, stack)}
        tunnel = partial(TunnelProtocol, driver)
        if options.tunnel is not None:
            tls = server_context(*own, options.trusted_media_distributors)
            addresses["tunnel"] = await stack.enter_async_context(
                listening(tunnel, "tunnel address", options.tunnel, tls)
            )
        for target in options.dial:
            tls = client_context(options.trusted_media_distributors, *own)
            await stack.enter_async_context(dialling(tunnel, target, tls))
        yield addresses


async def _serve_admission(
    options: KeyDistributorOptions, api: AdmissionAPI, stack: AsyncExitStack
) -> Address:
    tls = server_context(options.certificate, options.key, options.trusted_focuses)
    address = await stack.enter_async_context(
        serving(api.application(), "admission address", options.admission, tls)
    )
    stack.callback(api.close)
    return address
