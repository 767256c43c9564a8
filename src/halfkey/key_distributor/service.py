"""The Key Distributor as a service: tunnels over TLS, admission over HTTPS, one event loop."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from halfkey.dtls import Certificate
from halfkey.errors import ConfigurationError
from halfkey.identity.invite import InviteVerifier
from halfkey.identity.verifier import Verifiers
from halfkey.key_distributor.admission import AdmissionAPI
from halfkey.key_distributor.core import KeyDistributor
from halfkey.key_distributor.driver import Driver, TunnelProtocol
from halfkey.key_distributor.events import Event
from halfkey.key_distributor.gatekeeper import Gatekeeper
from halfkey.key_distributor.options import KeyDistributorOptions
from halfkey.key_distributor.persistence import Persistence
from halfkey.key_distributor.store import Store
from halfkey.pki import make_certificate
from halfkey.serving import Address, Ready, dialling, listening, serving
from halfkey.tls import client_context, server_context

STATE_FILE = "kd.sqlite"
"""In the state folder: see `halfkey.key_distributor.store`."""

DTLS_NAME = "dtls"
"""In the state folder: the certificate and key of the DTLS associations."""


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
    options.check()
    async with AsyncExitStack() as stack:
        store = Store(None if options.state is None else options.state / STATE_FILE)
        stack.callback(store.close)
        core = KeyDistributor(options.policy, _certificate(options.state), policy_of=store.policy)
        persistence = Persistence(core, store)
        persistence.restore()

        def publish(event: Event) -> None:
            persistence.on_event(event)
            admission.publish(event)
            on_event(event)

        driver = Driver(core, publish)
        stack.callback(driver.close)
        gatekeeper = Gatekeeper(
            core,
            store,
            Verifiers([InviteVerifier(store.invite_by_thumbprint)]),
            None,
            believe_focus=options.believe_focus,
            clock=time.time,
        )
        admission = AdmissionAPI(driver, gatekeeper)
        addresses = {"admission": await _serve_admission(options, admission, stack)}
        await _serve_tunnels(options, driver, addresses, stack)
        yield addresses


def _certificate(state: Path | None) -> Certificate:
    """Our end of all associations; kept, since Endpoints hold us to it also after a restart."""
    if state is None:
        return Certificate.generate(DTLS_NAME)
    paths = state / f"{DTLS_NAME}.crt", state / f"{DTLS_NAME}.key"
    if not all(path.exists() for path in paths):
        make_certificate(state, DTLS_NAME)
    try:
        return Certificate.from_pem(*(path.read_bytes() for path in paths))
    except OSError as fault:
        raise ConfigurationError(
            f"{fault.filename}: can't be read ({fault.strerror}); make it readable, or remove it "
            "to have another made"
        ) from None


async def _serve_tunnels(
    options: KeyDistributorOptions,
    driver: Driver,
    addresses: dict[str, Address],
    stack: AsyncExitStack,
) -> None:
    own = options.certificate, options.key
    tunnel = partial(TunnelProtocol, driver)
    if options.tunnel is not None:
        tls = server_context(*own, options.trusted_media_distributors)
        addresses["tunnel"] = await stack.enter_async_context(
            listening(tunnel, "tunnel address", options.tunnel, tls)
        )
    for target in options.dial:
        tls = client_context(options.trusted_media_distributors, *own)
        await stack.enter_async_context(dialling(tunnel, target, tls))


async def _serve_admission(
    options: KeyDistributorOptions, api: AdmissionAPI, stack: AsyncExitStack
) -> Address:
    tls = server_context(options.certificate, options.key, options.trusted_focuses)
    address = await stack.enter_async_context(
        serving(api.application(), "admission address", options.admission, tls)
    )
    stack.callback(api.close)
    return address
