"""Who is let in: assertions verified, used once, held against invites and policies.

The Focus carries offers and assertions and is believed in nothing: whom an assertion names and what
it binds is held against the very offer that it came in. Who is refused here never gets a key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from halfkey.dtls import Fingerprint
from halfkey.errors import CodecError
from halfkey.identity.claims import Binding, Person
from halfkey.identity.verifier import Verifiers
from halfkey.key_distributor.bars import EVICTED, REJECTED, Bars
from halfkey.key_distributor.conference import Participant
from halfkey.key_distributor.core import KeyDistributor
from halfkey.key_distributor.credentials import VerifiedIdentity
from halfkey.key_distributor.events import Event, Removed
from halfkey.key_distributor.passes import Passes
from halfkey.key_distributor.registry import Admission, AdmissionRefused
from halfkey.key_distributor.store import Exclusion, Store
from halfkey.key_distributor.waiting_rooms import Waiting, WaitingRoomFull, WaitingRooms
from halfkey.sdp import Offer, read_offer

HOST = "host"
"""The role that no waiting room holds up."""

REJECTED_SECONDS = 3600
"""For how long a device that was turned away stays out, unless that is lifted."""

_WITHOUT_FAULT = ("left", "replaced", "absent")
"""Reasons of `Removed` after which somebody may come back without waiting."""

_BARRED = {
    EVICTED: "you were put out of this conference",
    REJECTED: "the host did not let you in",
}

Vouch = Callable[[Participant, str], str]
"""Makes our own a=identity value, of a participant and our certificate's fingerprint."""

Outcome = Admission | AdmissionRefused
Do = Callable[[Callable[[], Outcome]], Outcome]
"""Has the core do all of something or nothing; see `Driver.do`."""


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
    """The participant is in the waiting room; it may ask again with a fresh assertion.

    Attributes:
        person: who it is, verified.
        is_new: whether it didn't wait before.
    """

    def __init__(self, person: Person, is_new: bool) -> None:
        super().__init__()
        self.person = person
        self.is_new = is_new


class Gatekeeper:
    """Decides on admissions.

    Args:
        core: where participants are admitted.
        store: invites, policies, and the assertions that were used.
        verifiers: of assertions.
        vouch: makes our own assertion; None for none.
        believe_focus: whether the Focus's word is enough where there is no assertion.
        clock: Unix time, seconds.
        admission_age: `Policy.admission_age`; for as long somebody needn't wait who was let in, or
            whose admission ended. An Endpoint comes back by its admission or with another
            certificate, and its person can't tell the two apart.
        by_identity: conferences that the configuration has people join by identity.
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
        admission_age: float,
        by_identity: Collection[str] = (),
    ) -> None:
        self._core = core
        self._store = store
        self._verifiers = verifiers
        self._vouch = vouch
        self._believe_focus = believe_focus
        self._clock = clock
        self._bars = Bars(store, clock)
        self._rooms = WaitingRooms(clock)
        self._passes = Passes(clock, admission_age)
        self._by_identity = by_identity

    def admit(
        self, request: AdmissionRequest, now: float, do: Do = lambda step: step()
    ) -> Admission:
        """Admits a participant; the same again gives the same answer.

        A person with more devices than the invite allows loses the one that came first: so who
        was cut off may come back at once, and a link that leaked shows.

        Args:
            request: what the Focus asks for.
            now: monotonic seconds.
            do: what has the core change. What an Endpoint wrote is read and judged before, so that
                a fault there ends nothing but this request.

        Raises:
            AdmissionRefused: it may not join; the message is one line.
            AssertionRefused: likewise.
            MustWait: an operator has to let it in first.
        """
        identity = self._identify(request)
        self._check_company(request.conference, identity)
        allowed = 1 if identity is None else self._devices_allowed(identity.person)
        outcome = do(lambda: self._enter(request, identity, allowed, now))
        if isinstance(outcome, AdmissionRefused):
            raise outcome
        return outcome

    # The waiting room

    def waiting(self, conference: str) -> dict[str, Waiting]:
        """Who waits to be let into a conference, by the id to answer with."""
        return self._rooms.waiting(conference)

    def let_in(self, conference: str, key: str) -> bool:
        """Lets somebody in who waits, when it asks again; False if nobody of that id waits.

        It holds for the person: an attempt that fails doesn't use it up.
        """
        found = self._rooms.waiting(conference).get(key)
        if found is None:
            return False
        self._passes.give(conference, found.person.identity)
        self._rooms.forget(conference, found.person.identity)
        return True

    def reject(self, conference: str, key: str) -> bool:
        """Turns somebody away; False if nobody of that id waits.

        It holds for the devices with which it waits, for `REJECTED_SECONDS`.
        """
        found = self._rooms.waiting(conference).get(key)
        if found is None:
            return False
        person, now = found.person, self._clock()
        until = int(now) + REJECTED_SECONDS
        for device in found.devices:
            exclusion = Exclusion(person.identity, person.name, REJECTED, until, device)
            self._store.exclude(conference, exclusion, now)
        self._rooms.forget(conference, person.identity)
        return True

    def forget_waiting(self, conference: str, identity: str) -> None:
        """Has somebody wait no longer who can't be let in any more, and was let in no longer."""
        self._rooms.forget(conference, identity)
        self._passes.take(conference, identity)

    def on_event(self, event: Event) -> None:
        """Notes an event: from when on somebody is out who may come back."""
        if not isinstance(event, Removed) or event.identity is None:
            return
        if event.reason not in _WITHOUT_FAULT:
            self.forget_waiting(event.conference, event.identity)
        elif self._store.policy(event.conference).waiting_room:
            self._passes.give(event.conference, event.identity)

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
        identity = self._verify(request.assertion, _binding(request))
        bar = self._bars.of(request.conference, identity.person, request.fingerprint)
        if bar is not None:
            raise AdmissionRefused(_BARRED.get(bar, "the invite is no good any more"), reason=bar)
        self._check_ssrcs(request.conference, identity)
        self._hold(request.conference, identity.person, request.fingerprint)
        return identity

    def _enter(
        self, request: AdmissionRequest, identity: VerifiedIdentity | None, allowed: int, now: float
    ) -> Outcome:
        """Has the core admit somebody who may join, and take out whom that one replaces.

        A refusal is given and not raised: it is no fault, and what was done before it holds.
        """
        if identity is not None:
            self._end_the_same(request, identity, now)
        vouch = None if identity is None else self._vouch
        names = request.conference, request.participant
        try:
            admission = self._core.admit(
                *names, request.fingerprint, request.tls_id, identity, vouch, now=now
            )
        except AdmissionRefused as refused:
            return refused
        except CodecError as malformed:
            # What we would vouch for can't be said: nobody has come in.
            return AdmissionRefused(str(malformed), malformed=True)
        if identity is not None:
            self._replace(request.conference, identity.person, allowed, now)
        return admission

    def _end_the_same(
        self, request: AdmissionRequest, identity: VerifiedIdentity, now: float
    ) -> None:
        """Ends the admission of an Endpoint that asks anew, since its answer never came."""
        for one in self._core.devices(request.conference, identity.person.identity):
            same = one.tls_id == request.tls_id and one.fingerprint == request.fingerprint
            if same and one.id != request.participant:
                self._core.remove(request.conference, one.id, now, "replaced")

    def _check_company(self, conference: str, identity: VerifiedIdentity | None) -> None:
        """Keeps those whom only the Focus names from those who join by link.

        The vouched roster names nobody without an identity: such a one would listen unseen. And
        where people are invited, a stranger who comes first must not keep them out.
        """
        if identity is None and self._is_by_identity(conference):
            raise AdmissionRefused("people join this conference by link", reason="mixed")
        place = self._core.conference(conference)
        others = () if place is None else place.participants.values()
        if any((one.identity is None) != (identity is None) for one in others):
            raise AdmissionRefused(
                "the conference is by link for everybody or for nobody; join as the others have",
                reason="mixed",
            )

    def _is_by_identity(self, conference: str) -> bool:
        now, invites = self._clock(), self._store.invites(conference)
        invited = not all(invite.has_expired(now) for invite in invites)
        return invited or conference in self._by_identity

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

    def _devices_allowed(self, person: Person) -> int:
        invite = self._store.invite_by_thumbprint(person.key_thumbprint)
        return 1 if invite is None else invite.devices

    def _replace(self, conference: str, person: Person, allowed: int, now: float) -> None:
        """Takes out the devices of a person beyond what is allowed, the oldest first."""
        devices = self._core.devices(conference, person.identity)
        for device in devices[: max(0, len(devices) - allowed)]:
            self._core.remove(conference, device.id, now, "replaced")

    def _hold(self, conference: str, person: Person, device: Fingerprint) -> None:
        """Lets pass whoever needn't wait: who is in, or was, or was let in.

        Raises:
            MustWait: not yet.
            AdmissionRefused: the room is full.
        """
        is_open = not self._store.policy(conference).waiting_room or person.role == HOST
        if is_open or self._is_known(conference, person.identity):
            self._rooms.forget(conference, person.identity)
            return
        try:
            is_new = self._rooms.ask(conference, person, device)
        except WaitingRoomFull:
            raise AdmissionRefused(
                "the waiting room is full; try again later", reason="waiting_room_full"
            ) from None
        raise MustWait(person, is_new)

    def _is_known(self, conference: str, identity: str) -> bool:
        has_pass = self._passes.has(conference, identity)
        return has_pass or bool(self._core.devices(conference, identity))


def _is_by(identity: VerifiedIdentity | None, assertion: str) -> bool:
    """Whether an identity was verified by that very assertion."""
    return identity is not None and identity.assertion == assertion


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
