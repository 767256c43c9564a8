"""A Key Distributor that vouches, the people it admits, and one Endpoint: on virtual time."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from halfkey.dtls.fingerprint import Fingerprint
from halfkey.identity.claims import Binding, Claims, Person
from halfkey.identity.invite import InviteSecret
from halfkey.pki import make_authority, make_vouching_certificate
from halfkey.vouching.authority import Authority, Trust
from halfkey.vouching.change import RosterChange
from halfkey.vouching.people import Own, People
from halfkey.vouching.refusal import Refusal, VouchRefused
from halfkey.vouching.roster import RosterEntry, RosterVouch
from halfkey.vouching.standing import Event

CONFERENCE = "board"


def refuses(reason: Refusal) -> Any:
    """Expects a refusal for one reason."""
    return pytest.raises(VouchRefused, check=lambda fault: fault.reason == reason)


@cache
def authority(name: str = "ca") -> Authority:
    """An authority of its own for each name, from real files."""
    with tempfile.TemporaryDirectory() as folder:
        ca = make_authority(Path(folder), name)
        return Authority.load(*make_vouching_certificate(Path(folder), ca, "kd"))


@cache
def valid_now() -> float:
    """A time at which `authority` may sign; Unix time, seconds."""
    return float(int(authority().valid_until) - 86400)


@dataclass(frozen=True)
class Member:
    """A participant: what it offered, and what the Key Distributor says of it."""

    own: Own
    entry: RosterEntry


@cache
def member(number: int, conference: str = CONFERENCE) -> Member:
    """A participant with an invite of its own and two SSRCs."""
    secret = InviteSecret(bytes([number]) * 16, conference)
    binding = Binding(
        conference,
        Fingerprint.of(b"certificate %d" % number),
        f"tls-id-of-participant-{number:03}",
        (2 * number, 2 * number + 1),
    )
    claims = Claims.of(binding, "participant", int(valid_now()), f"nonce-of-participant-{number}")
    assertion = str(secret.sign(claims))
    person = Person(
        f"invite:{number}", f"Person {number}", "participant", "invite", secret.thumbprint
    )
    identifier = f"p{number:03}"
    entry = RosterEntry.of(identifier, person, binding, assertion, int(valid_now()))
    return Member(Own(identifier, binding, assertion), entry)


@dataclass
class KeyDistributor:
    """Signs rosters as one run of a Key Distributor does."""

    instance: str = "instance-number-1"
    spi: int | None = 7
    version: int = 0
    conference: str = CONFERENCE
    entries: dict[str, RosterEntry] = field(default_factory=dict)
    stated: RosterVouch | None = None

    def statement(self, now: float) -> str:
        """The next statement."""
        self.version += 1
        self.stated = RosterVouch(
            self.conference,
            self.instance,
            self.version,
            self.spi,
            int(now),
            RosterVouch.ordered(self.entries.values()),
        )
        return self.stated.sign(authority())

    def change(self, now: float) -> str:
        """The next statement, as a change of the one before."""
        before = self.stated
        self.statement(now)
        assert before is not None
        assert self.stated is not None
        return RosterChange.between(before, self.stated).sign(authority())

    def admit(self, *members: Member) -> None:
        self.entries |= {one.entry.id: one.entry for one in members}

    def restart(self, instance: str, spi: int | None) -> KeyDistributor:
        """The next run, which has the admissions of this one."""
        entries = dict(self.entries)
        return replace(self, instance=instance, spi=spi, version=0, entries=entries, stated=None)


class World:
    """An Endpoint, participant 1, in a conference with others.

    What the Focus does is up to the test: nothing arrives by itself.
    """

    def __init__(self, others: int = 2) -> None:
        self.now = valid_now()
        self.members = [member(number) for number in range(1, others + 2)]
        self.key_distributor = KeyDistributor()
        self.key_distributor.admit(*self.members)
        self.people = People(
            Trust(authority().ca_sha256), self.members[0].own, int(self.now), self.now
        )

    def verified(self) -> World:
        """All that a well-behaved Focus brings has come."""
        self.people.ekt_key(7, self.now)
        for one in self.members:
            self.people.receive_assertion(one.own.participant, one.own.assertion, self.now)
        self.tell()
        assert self.people.reason is None
        assert all(standing.is_verified for standing in self.people.people())
        self.events()
        return self

    def tell(self) -> str:
        """Signs a statement, and delivers it."""
        text = self.key_distributor.statement(self.now)
        self.people.receive_roster(text, self.now)
        return text

    def tell_change(self) -> str:
        """Signs what has changed since the last statement, and delivers it."""
        text = self.key_distributor.change(self.now)
        self.people.receive_change(text, self.now)
        return text

    def wait(self, seconds: float) -> None:
        """Lets time pass, with timers at their time."""
        end = self.now + seconds
        while (due := self.people.next_timer()) is not None and due <= end:
            assert due >= self.now, "a timer in the past would spin"
            self.now = due
            self.people.handle_timer(due)
            assert self.people.next_timer() != due, "a timer that was handled is still due"
        self.now = end

    def events(self) -> list[Event]:
        """Takes what was told."""
        taken = []
        while (event := self.people.next_event()) is not None:
            taken.append(event)
        return taken

    def reasons(self) -> dict[str, str | None]:
        """Why each person is unverified, by id."""
        return {one.entry.id: one.reason for one in self.people.people()}
