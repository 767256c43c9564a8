"""Who is let in, by real assertions in real offers; and every way in which a Focus may lie."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field, replace

import pytest

from halfkey import dtls
from halfkey.dtls import Fingerprint
from halfkey.errors import CodecError
from halfkey.identity.claims import MAXIMUM_AGE, AssertionRefused, Binding, Claims
from halfkey.identity.invite import Invite, InviteSecret, InviteVerifier
from halfkey.identity.verifier import Verifiers
from halfkey.key_distributor.conference import Participant
from halfkey.key_distributor.core import KeyDistributor
from halfkey.key_distributor.gatekeeper import (
    HOST,
    REJECTED_SECONDS,
    AdmissionRequest,
    Gatekeeper,
    MustWait,
)
from halfkey.key_distributor.policy import ConferencePolicy, Policy
from halfkey.key_distributor.registry import Admission, AdmissionRefused
from halfkey.key_distributor.store import Exclusion, Store
from halfkey.key_distributor.waiting_rooms import (
    MAXIMUM_DEVICES,
    MAXIMUM_WAITING,
    WAITING_SECONDS,
)
from halfkey.sdp import build_offer
from halfkey.sdp.transport import Transport

KD_CERTIFICATE = dtls.Certificate.generate("kd")
NOW = 1_790_000_000.0
AGE = Policy().admission_age


@dataclass
class Person:
    """Somebody with an invite, who makes a fresh certificate for each attempt."""

    name: str = "Alice"
    role: str = "participant"
    conference: str = "board"
    devices: int = 1
    expires_at: int | None = None
    secret: InviteSecret = field(init=False)

    def __post_init__(self) -> None:
        self.secret = InviteSecret.make(self.conference)

    def invite(self) -> Invite:
        return Invite(
            f"id-{self.name}",
            self.conference,
            self.name,
            self.role,
            self.secret.thumbprint,
            self.expires_at,
            self.devices,
        )

    def request(
        self,
        participant: str,
        at: float = NOW,
        ssrc: int | None = None,
        device: Fingerprint | None = None,
    ) -> AdmissionRequest:
        fingerprint = device or Fingerprint.of(os.urandom(16))
        tls_id = os.urandom(15).hex()
        ssrc = int.from_bytes(os.urandom(4), "big") if ssrc is None else ssrc
        binding = Binding(self.conference, fingerprint, tls_id, (ssrc,))
        assertion = str(self.secret.sign(Claims.of(binding, self.role, int(at))))
        offer = build_offer(
            session_id=1,
            transport=Transport(str(fingerprint), tls_id, "ufrag", "p" * 24),
            sources=[("audio", ssrc)],
            audio_slots=1,
            video_slots=0,
            cname="cname",
            identity=assertion,
        )
        return AdmissionRequest(
            self.conference, participant, fingerprint, tls_id, offer.text, assertion
        )


class Gate:
    """A gatekeeper with a real core, a real store, and a clock to be set."""

    def __init__(
        self,
        *,
        believe_focus: bool = False,
        policy: Policy | None = None,
        store: Store | None = None,
        now: float = NOW,
        by_identity: Collection[str] = (),
    ) -> None:
        self.now = now
        self.store = store or Store(None)
        self.core = KeyDistributor(policy or Policy(), KD_CERTIFICATE, policy_of=self.store.policy)
        self.gatekeeper = Gatekeeper(
            self.core,
            self.store,
            Verifiers([InviteVerifier(self.store.invite_by_thumbprint)]),
            lambda participant, fingerprint: f"{participant.id} {fingerprint}",
            believe_focus=believe_focus,
            clock=lambda: self.now,
            admission_age=AGE,
            by_identity=by_identity,
        )

    def invite(self, person: Person) -> Person:
        self.store.add_invite(person.invite())
        return person

    def admit(self, request: AdmissionRequest) -> Admission:
        admission = self.gatekeeper.admit(request, self.now - NOW)
        self.tell()
        return admission

    def remove(self, participant: str, reason: str = "left") -> None:
        assert self.core.remove("board", participant, self.now - NOW, reason)
        self.tell()

    def tell(self) -> None:
        """Tells what happened, as the service does."""
        while (event := self.core.next_event()) is not None:
            self.gatekeeper.on_event(event)

    def let_in(self, person: Person) -> None:
        """Somebody asks, has to wait, and an operator lets it in."""
        with pytest.raises(MustWait):
            self.admit(person.request("asks", self.now))
        waiting = self.gatekeeper.waiting("board")
        (key,) = (key for key, one in waiting.items() if one.person.name == person.name)
        assert self.gatekeeper.let_in("board", key)

    def must_wait(self, person: Person) -> bool:
        """Whether somebody who asks has to wait."""
        try:
            self.admit(person.request(f"again-{person.name}", self.now))
        except MustWait:
            return True
        return False


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def alice(gate: Gate) -> Person:
    return gate.invite(Person())


def test_who_is_invited_is_admitted_and_answered(gate: Gate, alice: Person) -> None:
    request = alice.request("p1")
    admission = gate.admit(request)
    assert admission.is_new
    assert admission.assertion == f"p1 {KD_CERTIFICATE.fingerprint()}"
    admitted = gate.core.find("board", "p1")
    assert admitted is not None
    assert admitted.identity is not None
    assert admitted.identity.person.name == "Alice"
    assert admitted.identity.assertion == request.assertion
    assert admitted.fingerprint == request.fingerprint


def test_nobody_is_admitted_for_whom_we_cannot_vouch(gate: Gate, alice: Person) -> None:
    """A vouching key that fails once: nothing is left, and the next attempt succeeds."""

    def fail(participant: Participant, fingerprint: str) -> str:
        raise ValueError("no signature")

    vouch, gate.gatekeeper._vouch = gate.gatekeeper._vouch, fail
    request = alice.request("p1")
    with pytest.raises(ValueError, match="no signature"):
        gate.admit(request)
    assert gate.core.conference("board") is None
    assert gate.core.snapshot()["participants_now"] == 0
    assert gate.core.next_event() is None

    # What can't be said of somebody is a fault of the request alone.
    def too_long(participant: Participant, fingerprint: str) -> str:
        raise CodecError("a name has 1 to 128 printable characters")

    gate.gatekeeper._vouch = too_long
    with pytest.raises(AdmissionRefused, match="printable") as refused:
        gate.admit(alice.request("p1"))
    assert refused.value.malformed
    assert gate.core.conference("board") is None
    gate.gatekeeper._vouch = vouch
    assert gate.admit(alice.request("p1")).assertion is not None


def test_the_same_request_again_gives_the_same_answer(gate: Gate, alice: Person) -> None:
    request = alice.request("p1")
    first = gate.admit(request)
    gate.now += 10 * MAXIMUM_AGE  # the Focus may have been away for long
    assert gate.admit(request) == replace(first, is_new=False)


def test_an_assertion_is_good_once(gate: Gate, alice: Person) -> None:
    request = alice.request("p1")
    gate.admit(request)
    with pytest.raises(AdmissionRefused, match="used before"):
        gate.admit(replace(request, participant="p2"))
    gate.core.remove("board", "p1", 0.0)
    with pytest.raises(AdmissionRefused, match="used before"):
        gate.admit(request)
    assert gate.admit(alice.request("p2")).is_new


def test_an_old_assertion_is_refused(gate: Gate, alice: Person) -> None:
    request = alice.request("p1")
    gate.now += 2 * MAXIMUM_AGE
    with pytest.raises(AssertionRefused) as caught:
        gate.admit(request)
    assert caught.value.reason == "expired"
    assert gate.core.find("board", "p1") is None


def test_who_is_not_invited_is_refused(gate: Gate, alice: Person) -> None:
    with pytest.raises(AssertionRefused) as caught:
        gate.admit(Person("Mallory").request("p1"))
    assert caught.value.reason == "key"
    assert gate.admit(alice.request("p1")).is_new


def test_a_revoked_invite_is_refused(gate: Gate, alice: Person) -> None:
    gate.admit(alice.request("p1"))
    gate.store.revoke_invite("id-Alice")
    with pytest.raises(AssertionRefused) as caught:
        gate.admit(alice.request("p2"))
    assert caught.value.reason == "key"


def test_an_expired_invite_is_refused(gate: Gate) -> None:
    bob = gate.invite(Person("Bob", expires_at=int(NOW) + 100))
    gate.admit(bob.request("p1"))
    gate.now += 100
    with pytest.raises(AssertionRefused) as caught:
        gate.admit(bob.request("p2", gate.now))
    assert caught.value.reason == "expired"


def test_who_was_put_out_stays_out(gate: Gate, alice: Person) -> None:
    gate.admit(alice.request("p1"))
    gate.store.exclude("board", Exclusion("invite:id-Alice", "Alice", "evicted"), gate.now)
    with pytest.raises(AdmissionRefused, match="put out") as caught:
        gate.admit(alice.request("p2"))
    assert caught.value.reason == "evicted"
    gate.store.readmit("board", "invite:id-Alice")
    assert gate.admit(alice.request("p3")).is_new


# What a Focus may try


def test_no_assertion_no_admission(gate: Gate, alice: Person) -> None:
    request = replace(alice.request("p1"), assertion=None)
    with pytest.raises(AdmissionRefused, match="join with a link"):
        gate.admit(request)
    # The switch for closed networks, so that it is known to be what refuses here.
    assert Gate(believe_focus=True).admit(request).assertion is None


def test_where_the_focus_is_believed_an_assertion_is_still_verified() -> None:
    gate = Gate(believe_focus=True)
    with pytest.raises(AssertionRefused):
        gate.admit(Person("Mallory").request("p1"))


def test_nobody_whom_only_the_focus_names_is_among_people_with_links() -> None:
    """The vouched roster would not name it."""
    gate = Gate(believe_focus=True)
    alice = gate.invite(Person(expires_at=int(NOW) + 60))
    gate.admit(alice.request("p1"))
    gate.now += 60  # being in goes on
    ghost = replace(alice.request("p2"), assertion=None)
    with pytest.raises(AdmissionRefused, match="by link for everybody or for nobody"):
        gate.admit(ghost)
    gate.core.remove("board", "p1", 0.0)
    gate.admit(ghost)
    bob = gate.invite(Person("Bob"))
    with pytest.raises(AdmissionRefused, match="by link for everybody or for nobody"):
        gate.admit(bob.request("p3", gate.now))


def test_a_stranger_who_comes_first_keeps_nobody_out_who_is_invited() -> None:
    gate = Gate(believe_focus=True, by_identity={"named"})
    alice = gate.invite(Person())
    for conference in ("board", "named"):
        ghost = replace(alice.request("p1"), conference=conference, assertion=None)
        with pytest.raises(AdmissionRefused, match="join this conference by link") as caught:
            gate.admit(ghost)
        assert caught.value.reason == "mixed"
    assert gate.admit(alice.request("p2")).is_new
    other = replace(alice.request("p1"), conference="other", assertion=None)
    assert gate.admit(other).is_new


def test_another_fingerprint_than_the_offers(gate: Gate, alice: Person) -> None:
    swapped = replace(alice.request("p1"), fingerprint=Fingerprint.of(b"the Focus's own"))
    with pytest.raises(AdmissionRefused, match="not the offer's"):
        gate.admit(swapped)


def test_another_tls_id_than_the_offers(gate: Gate, alice: Person) -> None:
    with pytest.raises(AdmissionRefused, match="not the offer's"):
        gate.admit(replace(alice.request("p1"), tls_id="z" * 30))


def test_an_offer_with_the_focuss_own_certificate(gate: Gate, alice: Person) -> None:
    request = alice.request("p1")
    own = Fingerprint.of(b"the Focus's own")
    assert request.offer is not None
    offer = request.offer.replace(str(request.fingerprint), str(own))
    with pytest.raises(AssertionRefused) as caught:
        gate.admit(replace(request, offer=offer, fingerprint=own))
    assert caught.value.reason == "fingerprint"


def test_an_offer_with_more_sources(gate: Gate, alice: Person) -> None:
    request = alice.request("p1")
    assert request.offer is not None
    ssrc = next(line for line in request.offer.splitlines() if line.startswith("a=ssrc:"))
    other = request.offer.replace(ssrc.split(":")[1].split(" ")[0], "77")
    with pytest.raises(AssertionRefused) as caught:
        gate.admit(replace(request, offer=other))
    assert caught.value.reason == "ssrcs"


def test_somebody_elses_assertion(gate: Gate, alice: Person) -> None:
    bob = gate.invite(Person("Bob"))
    request, others = alice.request("p1"), bob.request("p2")
    with pytest.raises(AdmissionRefused, match="not the offer's"):
        gate.admit(replace(request, assertion=others.assertion))


def test_another_conference(gate: Gate, alice: Person) -> None:
    with pytest.raises(AssertionRefused) as caught:
        gate.admit(replace(alice.request("p1"), conference="other"))
    assert caught.value.reason == "conference"


@pytest.mark.parametrize("offer", [None, "", "v=0\r\n"])
def test_an_assertion_without_a_usable_offer(gate: Gate, alice: Person, offer: str | None) -> None:
    with pytest.raises(AdmissionRefused) as caught:
        gate.admit(replace(alice.request("p1"), offer=offer))
    assert caught.value.malformed


def test_nobody_declares_anothers_ssrc(gate: Gate, alice: Person) -> None:
    bob = gate.invite(Person("Bob"))
    gate.admit(alice.request("p1", ssrc=77))
    with pytest.raises(AdmissionRefused, match="SSRC 77 is taken"):
        gate.admit(bob.request("p2", ssrc=77))
    gate.admit(bob.request("p2", ssrc=78))
    gate.admit(alice.request("p3", ssrc=77))  # who comes again may keep it


# Devices


def test_one_device_takes_the_place_of_the_other(gate: Gate, alice: Person) -> None:
    gate.admit(alice.request("p1"))
    gate.admit(alice.request("p2"))
    assert gate.core.find("board", "p1") is None
    assert gate.core.find("board", "p2") is not None


def test_as_many_devices_as_the_invite_allows(gate: Gate) -> None:
    bob = gate.invite(Person("Bob", devices=2))
    for participant in ("p1", "p2", "p3"):
        gate.admit(bob.request(participant))
    assert [one.id for one in gate.core.devices("board", "invite:id-Bob")] == ["p2", "p3"]


def test_a_refused_device_takes_nobodys_place() -> None:
    gate = Gate(policy=Policy(participants=1))
    alice = gate.invite(Person())
    gate.admit(alice.request("p1"))
    with pytest.raises(AdmissionRefused, match="full"):
        gate.admit(alice.request("p2"))
    assert gate.core.find("board", "p1") is not None


# The waiting room


@pytest.fixture
def closed(gate: Gate) -> Gate:
    gate.store.set_policy("board", ConferencePolicy(waiting_room=True))
    return gate


def test_who_waits_is_seen_and_let_in(closed: Gate, alice: Person) -> None:
    """Each time that it asks it brings a fresh assertion, and it waits once."""
    with pytest.raises(MustWait) as first:
        closed.admit(alice.request("p1"))
    assert (first.value.person.name, first.value.is_new) == ("Alice", True)
    assert closed.core.find("board", "p1") is None
    ((key, waiting),) = closed.gatekeeper.waiting("board").items()
    assert waiting.person.name == "Alice"
    assert closed.gatekeeper.waiting("other") == {}
    closed.now += 0.9 * WAITING_SECONDS
    with pytest.raises(MustWait) as second:
        closed.admit(alice.request("p2", closed.now))  # the Focus numbers each attempt anew
    assert not second.value.is_new
    assert closed.gatekeeper.waiting("board") == {key: waiting}
    assert waiting.since == NOW
    assert closed.gatekeeper.let_in("board", key)
    closed.now += 0.9 * WAITING_SECONDS
    assert closed.admit(alice.request("p3", closed.now)).is_new
    assert closed.gatekeeper.waiting("board") == {}


def test_an_assertion_is_good_for_one_time_of_asking(closed: Gate, alice: Person) -> None:
    request = alice.request("p1")
    with pytest.raises(MustWait):
        closed.admit(request)
    (key,) = closed.gatekeeper.waiting("board")
    closed.gatekeeper.let_in("board", key)
    with pytest.raises(AdmissionRefused, match="used before"):
        closed.admit(replace(request, participant="p2"))
    assert closed.admit(alice.request("p2")).is_new


def test_waiting_goes_on_after_a_restart(closed: Gate, alice: Person) -> None:
    with pytest.raises(MustWait):
        closed.admit(alice.request("p1"))
    after = Gate(store=closed.store)
    assert after.gatekeeper.waiting("board") == {}
    with pytest.raises(MustWait):
        after.admit(alice.request("p2"))
    assert len(after.gatekeeper.waiting("board")) == 1


def test_who_asks_anew_ends_what_its_answer_never_came_of(gate: Gate, alice: Person) -> None:
    """The same Endpoint, by certificate and tls-id, under a fresh assertion of the same person."""
    first = alice.request("p1")
    gate.admit(first)
    claims = Claims.of(
        Binding("board", first.fingerprint, first.tls_id, (77,)), "participant", int(NOW)
    )
    assertion = str(alice.secret.sign(claims))
    assert first.offer is not None
    assert first.assertion is not None
    (own,) = (
        one.identity.ssrcs for one in gate.core.devices("board", "invite:id-Alice") if one.identity
    )
    offer = first.offer.replace(first.assertion, assertion).replace(str(own[0]), "77")
    assert gate.admit(replace(first, participant="p2", offer=offer, assertion=assertion)).is_new
    assert [one.id for one in gate.core.devices("board", "invite:id-Alice")] == ["p2"]


def _with_assertion_of(victim: AdmissionRequest, attacker: AdmissionRequest) -> AdmissionRequest:
    """The attacker's own offer and keys, under the victim's assertion."""
    assert attacker.offer is not None
    assert attacker.assertion is not None
    assert victim.assertion is not None
    offer = attacker.offer.replace(attacker.assertion, victim.assertion)
    return replace(attacker, offer=offer, assertion=victim.assertion)


@pytest.mark.parametrize("is_let_in", [False, True])
def test_nobody_takes_the_place_of_who_waits(closed: Gate, alice: Person, is_let_in: bool) -> None:
    request = alice.request("p1")
    with pytest.raises(MustWait):
        closed.admit(request)
    (key,) = closed.gatekeeper.waiting("board")
    if is_let_in:
        closed.gatekeeper.let_in("board", key)
    stolen = _with_assertion_of(request, Person("Mallory").request("p2"))
    with pytest.raises(AssertionRefused) as caught:
        closed.admit(stolen)
    assert caught.value.reason == "fingerprint"
    with pytest.raises(AssertionRefused) as caught:
        closed.admit(replace(request, conference="open"))
    assert caught.value.reason == "conference"
    closed.gatekeeper.let_in("board", key)
    assert closed.admit(alice.request("p1")).is_new


def test_who_waits_with_an_invite_that_is_revoked_is_refused(closed: Gate, alice: Person) -> None:
    request = alice.request("p1")
    with pytest.raises(MustWait):
        closed.admit(request)
    (key,) = closed.gatekeeper.waiting("board")
    closed.gatekeeper.let_in("board", key)
    closed.store.revoke_invite("id-Alice")
    with pytest.raises(AssertionRefused) as caught:
        closed.admit(alice.request("p2"))
    assert caught.value.reason == "key"


def test_who_waits_with_an_invite_that_expires_is_refused(closed: Gate) -> None:
    bob = closed.invite(Person("Bob", expires_at=int(NOW) + 30))
    with pytest.raises(MustWait):
        closed.admit(bob.request("p1"))
    (key,) = closed.gatekeeper.waiting("board")
    closed.gatekeeper.let_in("board", key)
    closed.now += 30
    with pytest.raises(AssertionRefused) as caught:
        closed.admit(bob.request("p2", closed.now))
    assert caught.value.reason == "expired"


def test_a_device_that_is_turned_away_stays_out(closed: Gate, alice: Person) -> None:
    devices = [Fingerprint.of(os.urandom(16)) for _ in range(2)]
    for device in devices:
        with pytest.raises(MustWait):
            closed.admit(alice.request("p1", device=device))
    (key,) = closed.gatekeeper.waiting("board")
    assert closed.gatekeeper.reject("board", key)
    assert not closed.gatekeeper.let_in("board", key)
    for seconds in (0, REJECTED_SECONDS - 1):  # with any assertion, and across restarts
        closed.now = NOW + seconds
        for gate in (closed, Gate(store=closed.store, now=closed.now)):
            for device in devices:
                with pytest.raises(AdmissionRefused, match="did not let you in") as caught:
                    gate.admit(alice.request("p2", closed.now, device=device))
                assert caught.value.reason == "rejected"
    closed.now = NOW + REJECTED_SECONDS
    with pytest.raises(MustWait):
        closed.admit(alice.request("p3", closed.now, device=devices[0]))


def test_its_person_may_come_with_another(closed: Gate, alice: Person) -> None:
    """Whoever has somebody's link doesn't keep that one out."""
    stolen = Fingerprint.of(os.urandom(16))
    with pytest.raises(MustWait):
        closed.admit(alice.request("p1", device=stolen))
    closed.gatekeeper.reject("board", next(iter(closed.gatekeeper.waiting("board"))))
    with pytest.raises(MustWait):
        closed.admit(alice.request("p2"))
    assert closed.gatekeeper.let_in("board", next(iter(closed.gatekeeper.waiting("board"))))
    assert closed.admit(alice.request("p2")).is_new
    with pytest.raises(AdmissionRefused, match="did not let you in"):
        closed.admit(alice.request("p3", device=stolen))


def test_the_devices_of_one_who_waits_are_bounded(closed: Gate, alice: Person) -> None:
    devices = [Fingerprint.of(os.urandom(16)) for _ in range(MAXIMUM_DEVICES + 1)]
    for device in devices:
        with pytest.raises(MustWait):
            closed.admit(alice.request("p", device=device))
    ((key, waiting),) = closed.gatekeeper.waiting("board").items()
    assert list(waiting.devices) == [str(device) for device in devices[1:]]
    assert closed.gatekeeper.reject("board", key)
    assert len(closed.store.exclusions("board", NOW)) == MAXIMUM_DEVICES


def test_an_operator_names_somebody_who_waits(closed: Gate, alice: Person) -> None:
    with pytest.raises(MustWait):
        closed.admit(alice.request("p1"))
    (key,) = closed.gatekeeper.waiting("board")
    assert not closed.gatekeeper.let_in("other", key)
    assert not closed.gatekeeper.reject("board", "nobody")


def test_a_host_need_not_wait(closed: Gate) -> None:
    host = closed.invite(Person("Hedda", role=HOST))
    assert closed.admit(host.request("p1")).is_new


def test_who_stops_asking_is_forgotten(closed: Gate, alice: Person) -> None:
    with pytest.raises(MustWait):
        closed.admit(alice.request("p1"))
    closed.now += WAITING_SECONDS + 1
    assert closed.gatekeeper.waiting("board") == {}


def test_a_waiting_room_is_bounded(closed: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is there keeps its place, and other conferences have rooms of their own."""
    assert MAXIMUM_WAITING >= 100
    monkeypatch.setattr("halfkey.key_distributor.waiting_rooms.MAXIMUM_WAITING", 3)
    closed.store.set_policy("other", ConferencePolicy(waiting_room=True))
    people = [closed.invite(Person(f"Person-{number}")) for number in range(4)]
    for person in people[:3] + people[:3]:
        with pytest.raises(MustWait):
            closed.admit(person.request("p"))
    with pytest.raises(AdmissionRefused, match="waiting room is full") as caught:
        closed.admit(people[3].request("p"))
    assert caught.value.reason == "waiting_room_full"
    names = [one.person.name for one in closed.gatekeeper.waiting("board").values()]
    assert names == ["Person-0", "Person-1", "Person-2"]
    with pytest.raises(MustWait):
        closed.admit(closed.invite(Person("Other", conference="other")).request("p"))
