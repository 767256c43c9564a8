"""How a DTLS association begins: whose ClientHello it is, what is chosen, and what is proven.

`select` runs before anything is authenticated; so it only chooses, and nothing is given until the
handshake is complete and `is_proven`.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from halfkey import dtls
from halfkey.dtls.faults import Counters
from halfkey.ekt.messages import EKTCipher
from halfkey.key_distributor.association import Association, AssociationState, AssociationTable
from halfkey.key_distributor.conference import Conference, Participant
from halfkey.key_distributor.guarding import ENDING, CoreFault, GuardedConnection, place_of
from halfkey.key_distributor.policy import Policy, Suite, choose_suite
from halfkey.key_distributor.registry import Registry
from halfkey.key_distributor.tunnels import Tunnels
from halfkey.profiles import SRTPProtectionProfile
from halfkey.tunnel import MediaKeys

T = TypeVar("T")

Bar = Callable[[Participant], str | None]


class Attempts:
    """How many handshakes have begun for each participant lately.

    Args:
        limit: how many may, in one period.
        period: in seconds; it begins with a participant's first handshake.
        unrationed: how many may in all, before anybody is held to the limit.
    """

    def __init__(self, limit: int, period: float, unrationed: int = 0) -> None:
        self._limit = limit
        self._period = period
        self._unrationed = unrationed
        self._begun: OrderedDict[bytes, tuple[float, int]] = OrderedDict()
        self._all = 0

    def __len__(self) -> int:
        return len(self._begun)

    def admit(self, participant: bytes, now: float, *, is_scarce: bool = False) -> bool:
        """Counts one more; False if that would be too many.

        Args:
            participant: whose it claims to be.
            now: monotonic seconds.
            is_scarce: whether the limit holds however few have begun in all.
        """
        while self._begun and next(iter(self._begun.values()))[0] <= now - self._period:
            _, (_, forgotten) = self._begun.popitem(last=False)
            self._all -= forgotten
        since, count = self._begun.get(participant, (now, 0))
        if count >= self._limit and (is_scarce or self._all >= self._unrationed):
            return False
        self._begun[participant] = since, count + 1
        self._all += 1
        return True


class Handshakes:
    """Makes the server's end of associations.

    Args:
        policy: the profiles, and how long a handshake may last.
        certificate: ours.
        registry: who is admitted.
        table: the associations.
        tunnels: where they come from.
        random: the source of DTLS's randomness.
        noise: told of what DTLS drops.
        bar: why somebody who was admitted may not come in any more, a short fixed name; None for
            whoever may.
    """

    def __init__(
        self,
        policy: Policy,
        certificate: dtls.Certificate,
        registry: Registry,
        table: AssociationTable,
        tunnels: Tunnels,
        random: Callable[[int], bytes],
        noise: Counters,
        bar: Bar,
    ) -> None:
        self.bar = bar
        self._policy = policy
        self._certificate = certificate
        self._registry = registry
        self._table = table
        self._tunnels = tunnels
        self._noise = noise
        # One for all: to make one costs as much as to answer a stray ClientHello may.
        self._configuration = dtls.Configuration(
            role=dtls.Role.SERVER,
            select=_as_core(self._select),
            foresee=_as_core(self._foresee),
            versions=policy.dtls_versions,
            groups=policy.dtls_groups,
            cookie_secrets=dtls.CookieSecrets(random=random),
            handshake_timeout=policy.handshake_age,
            random=random,
        )
        self._receiving: Association | None = None
        self._attempts = Attempts(
            policy.handshakes_per_participant, policy.handshake_age, policy.handshakes_unrationed
        )

    def connection(self, association: Association) -> GuardedConnection:
        """Our end of an association that begins."""
        # A cookie is good for one association of one Media Distributor.
        peer = association.media_distributor + association.id.bytes
        return GuardedConnection(dtls.Connection(self._configuration, peer, self._noise))

    def receive(self, association: Association, datagram: bytes, now: float) -> None:
        """Has an association take a datagram, and no other way: `_select` asks whose it is."""
        self._receiving = association
        association.connection.receive_datagram(datagram, now)
        self._receiving = None

    def _foresee(
        self, client_hello: dtls.ClientHelloSummary
    ) -> tuple[tuple[SRTPProtectionProfile, ...], tuple[EKTCipher, ...]] | None:
        """What `_select` would choose; looks, and changes nothing."""
        association = self._receiving
        session_id = client_hello.external_session_id
        participant = self._registry.by_external_session_id(session_id or b"")
        if participant is None or association is None:
            return None
        suite = self._choose(association, participant.conference, client_hello)
        return None if isinstance(suite, str) else ((suite.profile,), (suite.cipher,))

    def _select(
        self, client_hello: dtls.ClientHelloSummary
    ) -> dtls.ServerParameters | dtls.AlertDescription:
        """Finds whose ClientHello it is, and what its conference speaks; or refuses."""
        association = self._receiving
        if association is None:
            return dtls.AlertDescription.INTERNAL_ERROR
        session_id = client_hello.external_session_id
        participant = self._registry.by_external_session_id(session_id or b"")
        if participant is None:
            association.refusal = "unknown_tls_id" if session_id else "no_external_session_id"
            return dtls.AlertDescription.ACCESS_DENIED
        bar = self.bar(participant)
        if bar is not None:
            association.refusal = bar
            return dtls.AlertDescription.ACCESS_DENIED
        allowed = participant.conference.policy.media_distributors
        if allowed is not None and association.media_distributor not in allowed:
            association.refusal = "media_distributor_not_allowed"
            return dtls.AlertDescription.ACCESS_DENIED
        if not self._table.may_handshake(association):
            association.refusal = "too_many_handshakes"
            return dtls.AlertDescription.INTERNAL_ERROR
        suite = self._choose(association, participant.conference, client_hello)
        if isinstance(suite, str):
            association.refusal = suite
            return dtls.AlertDescription.HANDSHAKE_FAILURE
        # Last, so that only what costs a signature is counted.
        who, is_scarce = participant.own_tls_id.encode(), self._table.is_scarce(association)
        if not self._attempts.admit(who, association.began_at, is_scarce=is_scarce):
            association.refusal = "too_many_attempts"
            return dtls.AlertDescription.INTERNAL_ERROR
        association.participant, association.suite = participant, suite
        self._table.change(association, AssociationState.EXPECT_FINISHED)
        return dtls.ServerParameters(
            certificate=self._certificate,
            srtp_profiles=(suite.profile,),
            ekt_ciphers=(suite.cipher,),
            external_session_id=participant.own_tls_id.encode(),
            external_id_hash=participant.own_external_id_hash,
            peer_fingerprints=(participant.fingerprint,),
            peer_external_id_hash=participant.external_id_hash,
        )

    def _choose(
        self,
        association: Association,
        conference: Conference,
        client_hello: dtls.ClientHelloSummary,
    ) -> Suite | str:
        tunnel = self._tunnels.get(association.tunnel)
        wanted, ciphers = self._policy.profiles, client_hello.ekt_ciphers
        if conference.suite is not None:
            wanted = (conference.suite.profile,)
            ciphers = tuple(one for one in ciphers if one == conference.suite.cipher)
        of_media_distributor = (tunnel.profiles if tunnel else None) or ()
        return choose_suite(wanted, client_hello.srtp_profiles, of_media_distributor, ciphers)


def _as_core(
    choose: Callable[[dtls.ClientHelloSummary], T],
) -> Callable[[dtls.ClientHelloSummary], T]:
    """Tells a fault of the core, which the engine calls, from one of the engine."""

    def chosen(client_hello: dtls.ClientHelloSummary) -> T:
        try:
            return choose(client_hello)
        except ENDING:
            raise
        except BaseException as fault:
            raise CoreFault(f"choosing for a ClientHello raised {place_of(fault)}") from fault

    return chosen


def is_proven(participant: Participant, policy: Policy, event: dtls.HandshakeCompleted) -> bool:
    """The engine has checked all proofs; keys hang on them, so they are checked where they do."""
    id_hash = participant.external_id_hash
    is_identified = id_hash is None or hmac.compare_digest(
        id_hash, event.peer_external_id_hash or b""
    )
    is_of_session = hmac.compare_digest(
        participant.tls_id.encode(), event.peer_external_session_id or b""
    )
    is_certified = participant.fingerprint.matches(event.peer_certificate)
    is_spoken = event.version in policy.dtls_versions and event.group in policy.dtls_groups
    return is_identified and is_of_session and is_certified and is_spoken


def media_keys(association_id: UUID, event: dtls.HandshakeCompleted) -> MediaKeys:
    """The outer halves, and never more (RFC 9185 section 5.4)."""
    outer = event.keying_material.outer()
    return MediaKeys(
        association_id,
        event.srtp_profile,
        b"",
        outer.client_write_key,
        outer.server_write_key,
        outer.client_write_salt,
        outer.server_write_salt,
    )
