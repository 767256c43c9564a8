"""Who is let in: assertions verified, used once, held against invites and policies.

The Focus carries offers and assertions and is believed in nothing: whom an assertion names and what
it binds is held against the very offer that it came in. Who is refused here never gets a key.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from halfkey.dtls import Fingerprint
from halfkey.errors import CodecError
from halfkey.identity.claims import AssertionRefused, Binding, Person
from halfkey.identity.verifier import Verifiers
from halfkey.key_distributor.conference import Participant
from halfkey.key_distributor.core import KeyDistributor
from halfkey.key_distributor.credentials import VerifiedIdentity
from halfkey.key_distributor.registry import Admission, AdmissionRefused
from halfkey.key_distributor.store import Store
from halfkey.sdp import Offer, read_offer

HOST = "host"
"""The role that no waiting room holds up."""

WAITING_SECONDS = 60.0
"""For how long somebody in a waiting room is remembered who doesn't ask again."""

MAXIMUM_WAITING = 1024
"""In all waiting rooms; whoever asked longest ago gives way."""

Vouch = Callable[[Participant, str], str]
"""Makes our own a=identity value, of a participant and our certificate's fingerprint."""


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """What the Focus asks for.

    Attributes:
        conference: its name.
        participant: the id within the conference, as the Focus chose it.
        fingerprint: of the Endpoint's certificate, as the Focus read it.
        tls_id: the Endpoint's, likewise.
        offer: the SDP offer verbatim; None where there is no assertion.
        assertion: the a=identity value verbatim; None for none.
    """

    conference: str
    participant: str
    fingerprint: Fingerprint
    tls_id: str
    offer: str | None = field(default=None, repr=False)
    assertion: str | None = field(default=None, repr=False)


class MustWait(Exception):  # noqa: N818 (an outcome)
    """The participant is in the waiting room; it may ask again with the same assertion."""


@dataclass(slots=True)
class Waiting:
    """Somebody in a waiting room.

    Attributes:
        conference: which conference's.
        identity: who it is, verified.
        binding: what its assertion binds, verified; it is let in with this and nothing else.
        since: when it came, Unix time in seconds.
        asked_at: when it asked last.
        is_let_in: whether an operator has let it in.
        is_rejected: whether an operator has turned it away.
    """

    conference: str
    identity: VerifiedIdentity
    binding: Binding
    since: float
    asked_at: float
    is_let_in: bool = False
    is_rejected: bool = False


class Gatekeeper:
    """Decides on admissions.

    Args:
        core: where participants are admitted.
        store: invites, policies, and the assertions that were used.
        verifiers: of assertions.
        vouch: makes our own assertion; None for none.
        believe_focus: whether the Focus's word is enough where there is no assertion.
        clock: Unix time, seconds.
    """

    def __init__(
        self,
        core: KeyDistributor,
        store: Store,
        verifiers: Verifiers,
        vouch: Vouch | None,
        *,
        believe_focus: bool,
        clock: Callable[[], float],
    ) -> None:
        self._core = core
        self._store = store
        self._verifiers = verifiers
        self._vouch = vouch
        self._believe_focus = believe_focus
        self._clock = clock
        self._waiting: OrderedDict[str, Waiting] = OrderedDict()

    def admit(self, request: AdmissionRequest, now: float) -> Admission:
        """Admits a participant; the same again gives the same answer.

        A person with more devices than the invite allows loses the one that came first: so who
        was cut off may come back at once, and a link that leaked shows.

        Args:
            request: what the Focus asks for.
            now: monotonic seconds.

        Raises:
            AdmissionRefused: it may not join; the message is one line.
            AssertionRefused: likewise.
            MustWait: an operator has to let it in first.
        """
        identity = self._identify(request)
        self._check_company(request.conference, identity)
        admission = self._core.admit(
            request.conference,
            request.participant,
            request.fingerprint,
            request.tls_id,
            identity,
            None if identity is None else self._vouch,
            now=now,
        )
        if identity is not None:
            self._replace(request.conference, identity.person, now)
        return admission

    # The waiting room

    def waiting(self, conference: str) -> dict[str, Waiting]:
        """Who waits to be let into a conference, by the id to answer with."""
        self._forget_waiting()
        return {
            key: one
            for key, one in self._waiting.items()
            if one.conference == conference and not one.is_let_in and not one.is_rejected
        }

    def let_in(self, conference: str, key: str) -> bool:
        """Lets somebody in who waits; False if nobody of that id does."""
        found = self.waiting(conference).get(key)
        if found is not None:
            found.is_let_in = True
        return found is not None

    def reject(self, conference: str, key: str) -> bool:
        """Turns somebody away who waits; False if nobody of that id does."""
        found = self.waiting(conference).get(key)
        if found is not None:
            found.is_rejected = True
        return found is not None

    # Inside

    def _identify(self, request: AdmissionRequest) -> VerifiedIdentity | None:
        if request.assertion is None:
            if self._believe_focus:
                return None
            raise AdmissionRefused(
                "an identity assertion is needed; join with a link", reason="no_assertion"
            )
        standing = self._core.find(request.conference, request.participant)
        if standing is not None and _is_by(standing.identity, request.assertion):
            # The same again, since the Focus didn't hear our answer: it was used then.
            return standing.identity
        binding = _binding(request)
        key = hashlib.sha256(request.assertion.encode()).hexdigest()[:16]
        waiting = self._waiting.get(key)
        if waiting is not None and _is_the_same(waiting, request.assertion, binding):
            identity = waiting.identity
            self._check_invite(identity.person)
        else:
            # Also where only the offer is another: then the assertion doesn't bind it.
            identity = self._verify(request.assertion, binding)
        now = self._clock()
        if self._store.excluded(request.conference, identity.person.identity, now) is not None:
            raise AdmissionRefused("you were put out of this conference", reason="evicted")
        self._check_ssrcs(request.conference, identity)
        self._hold(key, identity, binding)
        return identity

    def _check_invite(self, person: Person) -> None:
        """Refuses who has waited, if the invite was revoked meanwhile."""
        if (
            person.kind == "invite"
            and self._store.invite_by_thumbprint(person.key_thumbprint) is None
        ):
            raise AssertionRefused("key")

    def _check_company(self, conference: str, identity: VerifiedIdentity | None) -> None:
        """Keeps those whom only the Focus names from those who joined by link.

        The vouched roster names nobody without an identity: such a one would listen unseen.
        """
        place = self._core.conference(conference)
        others = () if place is None else place.participants.values()
        if any((one.identity is None) != (identity is None) for one in others):
            raise AdmissionRefused(
                "the conference is by link for everybody or for nobody; join as the others have",
                reason="mixed",
            )

    def _verify(self, value: str, binding: Binding) -> VerifiedIdentity:
        """Verifies an assertion, and sees to it that it is used once."""
        now = self._clock()
        person, claims = self._verifiers.verify(value, binding, now)
        until = claims.replayable_until
        if not self._store.use_nonce(person.key_thumbprint, claims.nonce, until, now):
            raise AdmissionRefused(
                "the identity assertion was used before; make a fresh one", reason="replayed"
            )
        return VerifiedIdentity(person, claims.ssrcs, claims.nonce, value)

    def _check_ssrcs(self, conference: str, identity: VerifiedIdentity) -> None:
        """Lets nobody declare another's SSRC: by it everybody tells who is who."""
        place = self._core.conference(conference)
        for other in place.participants.values() if place is not None else ():
            if other.identity is None or other.identity.person.identity == identity.person.identity:
                continue
            taken = set(other.identity.ssrcs) & set(identity.ssrcs)
            if taken:
                raise AdmissionRefused(
                    f"SSRC {min(taken)} is taken; choose another", reason="ssrc_taken"
                )

    def _replace(self, conference: str, person: Person, now: float) -> None:
        """Takes out the devices of a person beyond what is allowed, the oldest first."""
        invite = self._store.invite_by_thumbprint(person.key_thumbprint)
        allowed = 1 if invite is None else invite.devices
        devices = self._core.devices(conference, person.identity)
        for device in devices[: max(0, len(devices) - allowed)]:
            self._core.remove(conference, device.id, now, "replaced")

    def _hold(self, key: str, identity: VerifiedIdentity, binding: Binding) -> None:
        """Lets pass whoever needn't wait, or has waited.

        Raises:
            MustWait: not yet.
            AdmissionRefused: an operator said no.
        """
        self._forget_waiting()
        waiting = self._waiting.get(key)
        conference = binding.conference
        is_open = not self._store.policy(conference).waiting_room or identity.person.role == HOST
        if is_open or (waiting is not None and waiting.is_let_in):
            self._waiting.pop(key, None)
            return
        now = self._clock()
        if waiting is None:
            waiting = Waiting(conference, identity, binding, since=now, asked_at=now)
            self._waiting[key] = waiting
            if len(self._waiting) > MAXIMUM_WAITING:
                self._waiting.popitem(last=False)
        if waiting.is_rejected:
            raise AdmissionRefused("the host did not let you in", reason="rejected")
        waiting.asked_at = now
        self._waiting.move_to_end(key)
        raise MustWait

    def _forget_waiting(self) -> None:
        oldest = self._clock() - WAITING_SECONDS
        for key in [key for key, one in self._waiting.items() if one.asked_at < oldest]:
            del self._waiting[key]


def _is_by(identity: VerifiedIdentity | None, assertion: str) -> bool:
    """Whether an identity was verified by that very assertion."""
    return identity is not None and identity.assertion == assertion


def _is_the_same(waiting: Waiting, assertion: str, binding: Binding) -> bool:
    """Whether somebody who waits asks again, with the very offer that was verified."""
    return _is_by(waiting.identity, assertion) and waiting.binding == binding


def _binding(request: AdmissionRequest) -> Binding:
    """What the assertion must bind: what the offer has, whatever the Focus says of it."""
    offer = _offer(request)
    transport = offer.transport
    binding = Binding(
        request.conference,
        Fingerprint.parse(transport.fingerprint),
        transport.tls_id,
        tuple(source.ssrc for source in offer.sources),
    )
    if (binding.fingerprint, binding.tls_id) != (request.fingerprint, request.tls_id):
        raise AdmissionRefused(
            "fingerprint and tls_id are not the offer's", malformed=True, reason="offer_differs"
        )
    if offer.identity != request.assertion:
        raise AdmissionRefused(
            "the assertion is not the offer's", malformed=True, reason="offer_differs"
        )
    return binding


def _offer(request: AdmissionRequest) -> Offer:
    if request.offer is None:
        raise AdmissionRefused(
            "an assertion needs the offer that it came with", malformed=True, reason="no_offer"
        )
    try:
        return read_offer(request.offer)
    except CodecError as fault:
        raise AdmissionRefused(
            f"the offer can't be used: {fault}", malformed=True, reason="malformed_offer"
        ) from None
