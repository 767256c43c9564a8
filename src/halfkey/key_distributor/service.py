"""The Key Distributor as a service: tunnels over TLS, admission over HTTPS, one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from halfkey.audit.keys import load_key, make_key
from halfkey.audit.log import AuditLog
from halfkey.dtls import Certificate
from halfkey.engine_timer import EngineTimer
from halfkey.errors import ConfigurationError
from halfkey.identity.invite import InviteVerifier
from halfkey.identity.jwks import FetchedKeys
from halfkey.identity.oidc import OIDCVerifier
from halfkey.identity.verifier import Verifier, Verifiers
from halfkey.key_distributor.administration import AdministrationAPI
from halfkey.key_distributor.admission import AdmissionAPI
from halfkey.key_distributor.auditing import Auditing
from halfkey.key_distributor.bars import Bars
from halfkey.key_distributor.core import KeyDistributor
from halfkey.key_distributor.driver import Driver, TunnelProtocol
from halfkey.key_distributor.events import Event
from halfkey.key_distributor.gatekeeper import Gatekeeper
from halfkey.key_distributor.identities import Identities
from halfkey.key_distributor.operating import show
from halfkey.key_distributor.options import KeyDistributorOptions
from halfkey.key_distributor.persistence import Persistence
from halfkey.key_distributor.places import (
    ADMINISTRATION_SOCKET,
    AUDIT_FOLDER,
    AUDIT_KEY,
    DTLS_NAME,
    STATE_FILE,
)
from halfkey.key_distributor.roster_clock import RosterClock
from halfkey.key_distributor.statements import Statements
from halfkey.key_distributor.store import Store, StoreUnavailable
from halfkey.local_serving import serving_locally
from halfkey.operations.role import Operated
from halfkey.peering import Peer
from halfkey.pki import make_certificate
from halfkey.serving import Address, Ready, dialling, listening, serving
from halfkey.tls import client_context, server_context
from halfkey.vouching.authority import Authority

_INSTANCE_BYTES = 16


MEDIA_DISTRIBUTOR = Peer(
    "the Media Distributor",
    bundle="--trust-media-distributors",
    its_bundle="--trust-key-distributors",
    option="--dial",
)


def _ignore(_: Event) -> None:
    pass


async def run(
    options: KeyDistributorOptions,
    on_ready: Ready,
    on_event: Callable[[Event], None] = _ignore,
    operated: Operated | None = None,
) -> None:
    """Runs a Key Distributor until cancelled.

    Args:
        options: see there.
        on_ready: called once with the bound addresses, ``"tunnel"`` and ``"admission"``.
        on_event: called with every event.
        operated: what its operator sees it through.

    Raises:
        ConfigurationError: an option can't be followed.
        AuditUnavailable: the audit log can't be written any more; no key left since.
    """
    _forbid_core_dumps()
    async with serve(options, on_event, operated) as running:
        on_ready(running.addresses)
        await running.driver.failed


def _forbid_core_dumps() -> None:
    """A core file of this process would hold every key."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


class RunningKeyDistributor:
    """The parts of a Key Distributor, wired; they live as long as the stack.

    Attributes:
        addresses: where it listens, by name.
        core: decides.
        driver: runs the core.
        gatekeeper: decides on admissions.
        store: what survives a restart.
        auditing: writes the audit log; None without a state folder.
        issuer_keys: of the OpenID providers that are believed.
        authority: what it vouches with; None for nothing.
        administration: what the operator asks; None without a state folder.

    Args:
        options: checked.
        on_event: called with every event.
        stack: closes what was opened.
    """

    def __init__(
        self,
        options: KeyDistributorOptions,
        on_event: Callable[[Event], None],
        stack: AsyncExitStack,
    ) -> None:
        instance = secrets.token_urlsafe(_INSTANCE_BYTES)
        self.addresses: dict[str, Address] = {}
        self._on_event = on_event
        state = options.state
        self.store = Store(None if state is None else state / STATE_FILE)
        stack.callback(self.store.close)
        self.auditing = None if state is None else _auditing(state, instance, options, stack)
        certificate = _certificate(state)
        bars = Bars(self.store, time.time)
        self.core = KeyDistributor(
            options.policy, certificate, policy_of=self.store.policy, bar=bars.of_participant
        )
        self._persistence = Persistence(self.core, self.store)
        self._persistence.restore(asyncio.get_running_loop().time())
        self._statements: Statements | None = None
        self._statements_timer = EngineTimer(self._state)
        self.authority: Authority | None = None
        self.administration: AdministrationAPI | None = None
        if options.vouching is not None:
            self.authority = Authority.load(*options.vouching, time.time())
            clock = RosterClock(time.time, self.store.roster_time(), self._keep_roster_time)
            self._statements = Statements(
                self.core, self.authority, instance, time.time, self._publish_roster, clock
            )
        self.driver = Driver(self.core, self._handle, self._commit, self._state)
        stack.callback(self._statements_timer.close)
        stack.callback(self.driver.close)
        path = options.identities
        identities = Identities() if path is None else Identities.read(path)
        self.gatekeeper = Gatekeeper(
            self.core,
            self.store,
            self._verifiers(identities),
            None if self._statements is None else self._statements.answer,
            believe_focus=options.believe_focus,
            clock=time.time,
            admission_age=options.policy.admission_age,
            by_identity=identities.conferences,
        )
        auditing = self.auditing
        self.admission = AdmissionAPI(
            self.driver,
            self.gatekeeper,
            self.issuer_keys.prepare,
            None if auditing is None else auditing.refused,
            None if auditing is None else auditing.waits,
            self._repeat,
        )

    def _verifiers(self, identities: Identities) -> Verifiers:
        """Of the kinds of assertion that are configured; invites always are."""
        self.issuer_keys = FetchedKeys(issuer.issuer for issuer in identities.issuers)
        verifiers: list[Verifier] = [InviteVerifier(self.store.invite_by_thumbprint)]
        if identities.issuers:
            verifiers.append(OIDCVerifier(identities.issuers, self.issuer_keys))
        if identities.passports is not None:
            verifiers.append(identities.passports)
        return Verifiers(verifiers)

    def _handle(self, event: Event) -> None:
        if self.auditing is not None:
            self.auditing.on_event(event)
        self._persistence.on_event(event)
        self.gatekeeper.on_event(event)
        if self._statements is not None:
            self._statements.on_event(event, self.driver.now)
        if self.administration is not None:
            self.administration.on_event(event)
        self.admission.publish(event)
        self._on_event(event)

    def _commit(self) -> None:
        if self.auditing is not None:
            self.auditing.commit()

    def _state(self) -> None:
        """Signs the rosters that are due."""
        if self._statements is not None:
            self._statements.handle_timer(self.driver.now)
            self._statements_timer.arm(self._statements.next_timer())

    def _repeat(self) -> None:
        if self._statements is not None:
            self._statements.repeat(self.driver.now)
            self._state()

    def _keep_roster_time(self, second: int) -> None:
        # Rosters go on where that fails: they say who is there, and nobody new gets in.
        with contextlib.suppress(StoreUnavailable):
            self.store.note_roster_time(second)

    def _publish_roster(self, conference: str, statement: str, change: str | None) -> None:
        self.admission.publish_roster(conference, statement, change)


@asynccontextmanager
async def serve(
    options: KeyDistributorOptions,
    on_event: Callable[[Event], None] = _ignore,
    operated: Operated | None = None,
) -> AsyncIterator[RunningKeyDistributor]:
    """A running Key Distributor as a context.

    Raises:
        ConfigurationError: an option can't be followed.
    """
    options.check()
    async with AsyncExitStack() as stack:
        running = RunningKeyDistributor(options, on_event, stack)
        await stack.enter_async_context(running.issuer_keys)
        await _serve_admission(options, running, operated, stack)
        await _serve_administration(options, running, stack)
        await _serve_tunnels(options, running, stack)
        yield running


def _auditing(
    state: Path, instance: str, options: KeyDistributorOptions, stack: AsyncExitStack
) -> Auditing:
    """The audit log of the state folder; the first start makes its key."""
    path = state / AUDIT_KEY
    key = load_key(path) if path.exists() else make_key(path)
    auditing = Auditing(AuditLog.open(state / AUDIT_FOLDER, key), instance)
    stack.callback(auditing.close)
    auditing.start(repr(options))
    return auditing


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


async def _serve_admission(
    options: KeyDistributorOptions,
    running: RunningKeyDistributor,
    operated: Operated | None,
    stack: AsyncExitStack,
) -> None:
    tls = server_context(options.certificate, options.key, options.trusted_focuses)
    application = running.admission.application()
    if operated is not None:
        show(operated, running.driver, running.store, application)
    running.addresses["admission"] = await stack.enter_async_context(
        serving(application, "admission address", options.admission, tls)
    )
    stack.callback(running.admission.close)


async def _serve_administration(
    options: KeyDistributorOptions, running: RunningKeyDistributor, stack: AsyncExitStack
) -> None:
    """For the operator, who is whoever may open the socket in the state folder."""
    if options.state is None or running.auditing is None:
        return
    authority = None if running.authority is None else running.authority.ca_sha256
    running.administration = AdministrationAPI(
        running.driver, running.gatekeeper, running.store, running.auditing, authority, time.time
    )
    application = running.administration.application()
    path = options.state / ADMINISTRATION_SOCKET
    await stack.enter_async_context(serving_locally(application, "administration socket", path))


async def _serve_tunnels(
    options: KeyDistributorOptions, running: RunningKeyDistributor, stack: AsyncExitStack
) -> None:
    own = options.certificate, options.key
    tunnel = partial(TunnelProtocol, running.driver)
    if options.tunnel is not None:
        tls = server_context(*own, options.trusted_media_distributors)
        running.addresses["tunnel"] = await stack.enter_async_context(
            listening(tunnel, "tunnel address", options.tunnel, tls, MEDIA_DISTRIBUTOR)
        )
    for target in options.dial:
        tls = client_context(options.trusted_media_distributors, *own)
        await stack.enter_async_context(dialling(tunnel, target, tls, MEDIA_DISTRIBUTOR))
