"""Endpoints, Media Distributors and a Key Distributor core on virtual time.

Everything is the real thing but sockets and clocks: `dtls.Connection` clients, both tunnel ends,
and the core between them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from halfkey import dtls
from halfkey.ekt.messages import EKTCipher, EKTKey
from halfkey.key_distributor.core import KeyDistributor
from halfkey.key_distributor.credentials import VerifiedIdentity
from halfkey.key_distributor.events import Event
from halfkey.key_distributor.handshakes import Bar
from halfkey.key_distributor.policy import ConferencePolicy, Policy
from halfkey.profiles import DOUBLE_128, DOUBLE_256
from halfkey.tunnel import (
    EndpointDisconnect,
    MediaDistributorTunnel,
    MediaKeys,
    Message,
    TunneledDtls,
    TunnelTerminated,
)

KD_CERTIFICATE = dtls.Certificate.generate("kd")
START = 1000.0

OWN_ASSERTION = base64.b64encode(b"what the Key Distributor says of itself").decode()

Lost = Callable[["Endpoint", str, bytes], bool]
"""By the Endpoint, "up" or "down", and the datagram: whether it is lost."""


@dataclass(eq=False)
class Endpoint:
    """An Endpoint: a DTLS client behind a Media Distributor."""

    name: str
    media_distributor: MediaDistributor
    connection: dtls.Connection
    certificate: dtls.Certificate
    association_id: UUID = field(default_factory=uuid4)
    events: list[dtls.Event] = field(default_factory=list)
    ekt_keys: list[EKTKey] = field(default_factory=list)
    received_at: list[float] = field(default_factory=list)

    @property
    def spis(self) -> list[int]:
        return [key.ekt_spi for key in self.ekt_keys]

    @property
    def completed(self) -> dtls.HandshakeCompleted:
        (event,) = (one for one in self.events if isinstance(one, dtls.HandshakeCompleted))
        return event

    @property
    def terminated(self) -> dtls.ConnectionTerminated | None:
        ended = [one for one in self.events if isinstance(one, dtls.ConnectionTerminated)]
        return ended[0] if ended else None

    @property
    def media_keys(self) -> list[MediaKeys]:
        """What its Media Distributor was given for it."""
        log = self.media_distributor.log
        return [
            one
            for one in log
            if isinstance(one, MediaKeys) and one.association_id == self.association_id
        ]

    @property
    def was_disconnected(self) -> bool:
        return EndpointDisconnect(self.association_id) in self.media_distributor.log


@dataclass(eq=False)
class MediaDistributor:
    """A Media Distributor with one tunnel at a time."""

    identity: bytes
    profiles: tuple[int, ...]
    end: MediaDistributorTunnel
    tunnel_id: int
    log: list[Message | TunnelTerminated] = field(default_factory=list)


class World:
    """One Key Distributor and whatever is added to it.

    Args:
        policy: of the Key Distributor.
        conference_policy: of every conference.
        bar: of the Key Distributor.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        conference_policy: ConferencePolicy | None = None,
        bar: Bar = lambda participant: None,
    ) -> None:
        self.core = KeyDistributor(
            policy or Policy(),
            KD_CERTIFICATE,
            policy_of=lambda name: conference_policy or ConferencePolicy(),
            bar=bar,
        )
        self.now = START
        self.events: list[Event] = []
        self.endpoints: list[Endpoint] = []
        self.lost: Lost = lambda endpoint, direction, datagram: False
        self._media_distributors: list[MediaDistributor] = []

    def media_distributor(
        self, identity: bytes = b"md", profiles: tuple[int, ...] = (9, 10)
    ) -> MediaDistributor:
        """A Media Distributor that has just dialled."""
        end = MediaDistributorTunnel(profiles)
        media_distributor = MediaDistributor(
            identity, profiles, end, self.core.open_tunnel(identity)
        )
        self._media_distributors.append(media_distributor)
        self.pump()
        return media_distributor

    def lose_tunnel(self, media_distributor: MediaDistributor) -> None:
        self.core.close_tunnel(media_distributor.tunnel_id, self.now)
        media_distributor.tunnel_id = -1
        self.pump()

    def dial_again(self, media_distributor: MediaDistributor) -> None:
        media_distributor.end = MediaDistributorTunnel(media_distributor.profiles)
        media_distributor.tunnel_id = self.core.open_tunnel(media_distributor.identity)
        self.pump()

    def endpoint(
        self,
        media_distributor: MediaDistributor,
        name: str,
        conference: str = "c",
        **changes: object,
    ) -> Endpoint:
        """An admitted Endpoint that hasn't sent anything yet.

        Args:
            media_distributor: what it sends to.
            name: its participant id.
            conference: where it is admitted.
            changes: to its DTLS configuration; ``admit_certificate`` and ``admit_tls_id`` change
                what the Key Distributor is told instead; ``certificate`` may be given; so may
                the ``identity`` that it is admitted with.
        """
        certificate = changes.pop("certificate", None) or dtls.Certificate.generate(name)
        assert isinstance(certificate, dtls.Certificate)
        admitted = changes.pop("admit_certificate", certificate)
        assert isinstance(admitted, dtls.Certificate)
        tls_id = f"{conference}-{name}-".ljust(24, "x")
        identity = changes.pop("identity", None)
        assert isinstance(identity, VerifiedIdentity | None)
        admission = self.core.admit(
            conference,
            name,
            admitted.fingerprint(),
            tls_id,
            identity,
            None if identity is None else lambda admitted, fingerprint: OWN_ASSERTION,
            now=self.now,
        )
        settings: dict[str, object] = {
            "role": dtls.Role.CLIENT,
            "certificate": certificate,
            "srtp_profiles": (DOUBLE_128, DOUBLE_256),
            "ekt_ciphers": (EKTCipher.AESKW128, EKTCipher.AESKW256),
            "external_session_id": tls_id.encode(),
            "peer_fingerprints": (dtls.Fingerprint.parse(admission.fingerprint),),
            "peer_external_session_id": admission.tls_id.encode(),
        }
        configuration = dtls.Configuration(**{**settings, **changes})  # type: ignore[arg-type]
        connection = dtls.Connection(configuration, b"md")
        endpoint = Endpoint(name, media_distributor, connection, certificate)
        self.endpoints.append(endpoint)
        return endpoint

    def join(
        self,
        media_distributor: MediaDistributor,
        name: str,
        conference: str = "c",
        **changes: object,
    ) -> Endpoint:
        """An Endpoint that has been admitted and has tried its handshake."""
        endpoint = self.endpoint(media_distributor, name, conference, **changes)
        endpoint.connection.start(self.now)
        self.pump()
        return endpoint

    def of(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def pump(self) -> None:
        """Moves bytes until none move."""
        while self._pump_endpoints() | self._pump_tunnels():
            pass

    def advance(self, seconds: float) -> None:
        """Lets time pass, serving every timer when it is due."""
        end = self.now + seconds
        while True:
            timers = [self.core.next_timer()]
            timers += [endpoint.connection.next_timer() for endpoint in self.endpoints]
            next_timer = min((at for at in timers if at is not None), default=None)
            if next_timer is None or next_timer > end:
                self.now = end
                return
            self.now = max(self.now, next_timer)
            self.core.handle_timer(self.now)
            for endpoint in self.endpoints:
                endpoint.connection.handle_timer(self.now)
            self.pump()

    def _pump_endpoints(self) -> bool:
        moved = False
        for endpoint in self.endpoints:
            while (event := endpoint.connection.next_event()) is not None:
                endpoint.events.append(event)
                if isinstance(event, dtls.EKTKeyReceived):
                    endpoint.ekt_keys.append(event.ekt_key)
                    endpoint.received_at.append(self.now)
            for datagram in endpoint.connection.datagrams_to_send():
                moved = True
                if not self.lost(endpoint, "up", datagram):
                    end = endpoint.media_distributor.end
                    end.send_tunneled_dtls(endpoint.association_id, datagram)
        return moved

    def _pump_tunnels(self) -> bool:
        moved = False
        for one in self._media_distributors:
            data = one.end.data_to_send()
            if data:
                moved = True
                self.core.receive_data(one.tunnel_id, data, self.now)
        for tunnel_id in self.core.tunnels_to_send():
            data = self.core.data_to_send(tunnel_id)
            for one in self._media_distributors:
                if one.tunnel_id == tunnel_id and data:
                    moved = True
                    one.end.receive_data(data, self.now)
                    self._deliver(one)
        while (event := self.core.next_event()) is not None:
            self.events.append(event)
        return moved

    def _deliver(self, media_distributor: MediaDistributor) -> None:
        while (message := media_distributor.end.next_event()) is not None:
            media_distributor.log.append(message)
            if not isinstance(message, TunneledDtls):
                continue
            for endpoint in self.endpoints:
                if (endpoint.association_id, endpoint.media_distributor) == (
                    message.association_id,
                    media_distributor,
                ) and not self.lost(endpoint, "down", message.dtls_message):
                    endpoint.connection.receive_datagram(message.dtls_message, self.now)


def reconnect(world: World, endpoint: Endpoint) -> Endpoint:
    """The same participant again, in a new association with the same proofs."""
    connection = dtls.Connection(endpoint.connection._configuration, b"md")
    again = Endpoint(endpoint.name, endpoint.media_distributor, connection, endpoint.certificate)
    world.endpoints.append(again)
    connection.start(world.now)
    world.pump()
    return again
