"""What the Key Distributor vouches for, read as an Endpoint reads it."""

from __future__ import annotations

import base64
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from halfkey import dtls
from halfkey.dtls import Fingerprint
from halfkey.identity.claims import Person
from halfkey.key_distributor.credentials import AdmissionRecord, VerifiedIdentity
from halfkey.key_distributor.statements import SPACING_PER_ENTRY, Statements
from halfkey.pki import make_authority, make_vouching_certificate
from halfkey.sdp.identity import external_id_hash
from halfkey.vouching.answer import AnswerVouch, DTLSIdentity, ExpectedAnswer
from halfkey.vouching.authority import Authority, Trust
from halfkey.vouching.change import RosterChange
from halfkey.vouching.refusal import VouchRefused
from halfkey.vouching.roster import ROSTER_INTERVAL, RosterVouch
from tests.key_distributor.world import Endpoint, World

UNIX = time.time()  # certificates are valid around now
INSTANCE = "instance-of-this-run"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder: Path = tmp_path_factory.mktemp("authority")
    made = make_authority(folder, "authority")
    return Authority.load(*make_vouching_certificate(folder, made, "vouching"))


def identity(name: str) -> VerifiedIdentity:
    person = Person(f"invite:{name}", name.title(), "participant", "invite", "A" * 43)
    assertion = base64.b64encode(f"{name}'s assertion".encode()).decode()
    return VerifiedIdentity(person, (len(name), 77), "n" * 22, assertion)


@dataclass
class Vouching:
    """A world whose Key Distributor vouches; statements are taken after each step."""

    authority: Authority
    world: World = field(default_factory=World)
    published: list[tuple[str, str, str | None]] = field(default_factory=list)
    changes: list[RosterChange | None] = field(default_factory=list)
    seen: int = 0

    def __post_init__(self) -> None:
        self.md = self.world.media_distributor()
        self.statements = Statements(
            self.world.core,
            self.authority,
            INSTANCE,
            lambda: UNIX + self.world.now,
            lambda *published: self.published.append(published),
        )

    def join(self, name: str, conference: str = "c") -> Endpoint:
        who = identity(name)
        return self.world.join(
            self.md,
            name,
            conference,
            identity=who,
            external_id_hash=external_id_hash(who.assertion),
        )

    def settle(self) -> list[RosterVouch]:
        """Takes what happened; gives the rosters that were stated since, `changes` what changed."""
        for event in self.world.events[self.seen :]:
            self.statements.on_event(event, self.world.now)
        self.seen = len(self.world.events)
        self.statements.handle_timer(self.world.now)
        taken, self.published[:] = list(self.published), []
        trust = Trust(self.authority.ca_sha256)
        now = UNIX + self.world.now
        rosters = [RosterVouch.verify(text, trust, now) for _, text, _ in taken]
        assert [roster.conference for roster in rosters] == [name for name, _, _ in taken]
        texts = [change for _, _, change in taken]
        self.changes = [text and RosterChange.verify(text, trust, now) for text in texts]
        return rosters


@pytest.fixture
def vouching(authority: Authority) -> Vouching:
    return Vouching(authority)


def test_the_roster_names_who_holds_a_key(vouching: Vouching) -> None:
    alice = vouching.join("alice")
    (roster,) = vouching.settle()
    (entry,) = roster.entries
    assert (roster.instance, roster.spi) == (INSTANCE, alice.spis[-1])
    assert (entry.id, entry.name, entry.identity) == ("alice", "Alice", "invite:alice")
    assert entry.ssrcs == (5, 77)
    assert entry.fingerprint == alice.certificate.fingerprint()
    assert entry.assertion_sha256 == external_id_hash(identity("alice").assertion)
    vouching.world.advance(1.0)
    vouching.join("bob")
    (later,) = vouching.settle()
    assert [one.id for one in later.entries] == ["alice", "bob"]
    assert later.version > roster.version


def test_who_is_admitted_but_has_no_key_is_not_in_it(vouching: Vouching) -> None:
    vouching.join("alice")
    vouching.world.endpoint(vouching.md, "bob", identity=identity("bob"))
    (roster,) = vouching.settle()
    assert [one.id for one in roster.entries] == ["alice"]


def test_who_leaves_is_gone_with_the_new_key(vouching: Vouching) -> None:
    alice = vouching.join("alice")
    vouching.join("bob")
    vouching.settle()
    vouching.world.advance(1.0)
    vouching.world.core.remove("c", "bob", vouching.world.now)
    vouching.world.pump()
    (roster,) = vouching.settle()
    assert [one.id for one in roster.entries] == ["alice"]
    assert roster.spi == alice.spis[-1] != alice.spis[0]


def test_a_rekey_is_stated(vouching: Vouching) -> None:
    alice = vouching.join("alice")
    vouching.settle()
    vouching.world.advance(5.0)
    vouching.world.core.rekey("c", vouching.world.now)
    vouching.world.pump()
    (roster,) = vouching.settle()
    assert roster.spi == alice.spis[-1] != alice.spis[0]


def test_it_is_repeated_while_nothing_happens(vouching: Vouching) -> None:
    vouching.join("alice")
    (first,) = vouching.settle()
    assert vouching.statements.next_timer() == vouching.world.now + ROSTER_INTERVAL
    vouching.world.advance(ROSTER_INTERVAL / 2)
    assert vouching.settle() == []
    vouching.world.advance(ROSTER_INTERVAL / 2)
    (second,) = vouching.settle()
    assert second.entries == first.entries
    assert second.issued_at == first.issued_at + ROSTER_INTERVAL


def test_what_has_changed_is_stated_for_who_has_the_one_before(vouching: Vouching) -> None:
    vouching.join("alice")
    (first,) = vouching.settle()
    assert vouching.changes == [None]
    vouching.world.advance(1.0)
    vouching.join("bob")
    (second,) = vouching.settle()
    (change,) = vouching.changes
    assert change is not None
    assert [entry.id for entry in change.roster.entries] == ["bob"]
    assert change.follow(first) == second
    vouching.world.advance(ROSTER_INTERVAL)
    (third,) = vouching.settle()
    (change,) = vouching.changes
    assert change is not None
    assert (change.roster.entries, change.gone) == ((), ())
    assert change.follow(second) == third


def test_a_change_that_is_no_shorter_than_the_whole_is_left_out(vouching: Vouching) -> None:
    for name in ("alice", "bob"):
        vouching.join(name)
    vouching.settle()
    vouching.world.advance(1.0)
    for name, other in (("alice", "carol"), ("bob", "dave")):
        vouching.world.core.remove("c", name, vouching.world.now)
        vouching.join(other)
    (roster,) = vouching.settle()
    assert [one.id for one in roster.entries] == ["carol", "dave"]
    assert vouching.changes == [None]


def test_changes_that_come_fast_are_gathered(vouching: Vouching) -> None:
    vouching.join("alice")
    vouching.settle()
    vouching.join("bob")
    assert vouching.settle() == []
    vouching.join("carol")
    vouching.world.advance(SPACING_PER_ENTRY)
    (roster,) = vouching.settle()
    assert len(roster.entries) == 3


def test_conferences_are_stated_apart_and_end(vouching: Vouching) -> None:
    vouching.join("alice", "c")
    vouching.join("bob", "d")
    rosters = vouching.settle()
    assert [(one.conference, one.entries[0].id) for one in rosters] == [
        ("c", "alice"),
        ("d", "bob"),
    ]
    vouching.world.advance(1.0)
    vouching.world.core.remove("c", "alice", vouching.world.now)
    vouching.world.pump()
    vouching.settle()
    vouching.world.advance(ROSTER_INTERVAL)
    assert [one.conference for one in vouching.settle()] == ["d"]
    again = vouching.join("alice", "c")
    (roster,) = vouching.settle()
    assert roster.version > rosters[0].version  # a statement from before can't pass for a newer
    assert roster.spi == again.spis[-1]


def test_the_answer_binds_both_ends(vouching: Vouching) -> None:
    certificate = dtls.Certificate.generate("alice")
    who = identity("alice")
    core = vouching.world.core
    tls_id = "t" * 24
    admission = core.admit(
        "c", "p1", certificate.fingerprint(), tls_id, who, vouching.statements.answer, now=0.0
    )
    assert admission.assertion is not None
    expected = ExpectedAnswer(
        "c",
        DTLSIdentity(certificate.fingerprint(), tls_id),
        who.nonce,
        DTLSIdentity(Fingerprint.parse(admission.fingerprint), admission.tls_id),
    )
    trust, now = Trust(vouching.authority.ca_sha256), UNIX + vouching.world.now
    vouch = AnswerVouch.verify(admission.assertion, trust, expected, now)
    assert (vouch.participant, vouch.name) == ("p1", "Alice")
    another = DTLSIdentity(Fingerprint.of(os.urandom(8)), admission.tls_id)
    wrong = replace(expected, key_distributor=another)
    with pytest.raises(VouchRefused):
        AnswerVouch.verify(admission.assertion, trust, wrong, now)


def test_after_a_restart_the_roster_names_nobody_until_they_are_back(
    vouching: Vouching, authority: Authority
) -> None:
    alice = vouching.join("alice")
    (before,) = vouching.settle()
    participant = vouching.world.core.find("c", "alice")
    assert participant is not None
    record = AdmissionRecord(
        "c",
        "alice",
        participant.fingerprint,
        participant.tls_id,
        participant.own_tls_id,
        participant.identity,
        participant.own_assertion,
    )
    again = Vouching(authority)
    again.world.core.restore(record, before.spi, again.world.now)
    assert again.settle() == []
    again.statements.repeat(again.world.now)
    (empty,) = again.settle()
    assert (empty.conference, empty.entries, empty.spi) == ("c", (), None)
    again.world.advance(ROSTER_INTERVAL)
    assert len(again.settle()) == 1  # for as long as somebody is admitted
    again.world.core.remove("c", "alice", again.world.now)
    again.world.advance(ROSTER_INTERVAL)
    assert again.settle() == []
    assert alice.spis == [before.spi]
