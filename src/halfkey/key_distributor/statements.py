"""What the Key Distributor vouches for: its answers to admissions, and the roster of a conference.

The roster names who holds a key: everybody whose association is up, and nobody else. It is signed
anew when that changes or the EKTKey does, and every `ROSTER_INTERVAL` seconds; each time also what
has changed since, which is what Endpoints get that have the one before. After a restart it names
nobody, and by that those who were admitted before learn that they must associate again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from halfkey.dtls import Fingerprint
from halfkey.errors import CodecError
from halfkey.identity.claims import Binding
from halfkey.key_distributor.conference import Conference, Participant
from halfkey.key_distributor.core import KeyDistributor
from halfkey.key_distributor.events import Associated, Disassociated, EKTKeyIssued, Event
from halfkey.key_distributor.roster_clock import RosterClock
from halfkey.vouching.answer import AnswerVouch, DTLSIdentity
from halfkey.vouching.authority import Authority
from halfkey.vouching.change import RosterChange
from halfkey.vouching.roster import ROSTER_INTERVAL, RosterEntry, RosterVouch

SPACING_PER_ENTRY = 0.002
"""Seconds between two rosters of a conference, for each of its participants: in a large one, where
a statement is long and much happens at once, changes are gathered."""


@dataclass(slots=True)
class _Roster:
    """How far the statements of one conference have come."""

    stated: RosterVouch | None = None
    due_at: float | None = None
    not_before: float = 0.0


class Statements:
    """Signs statements, and says when the next roster is due.

    Args:
        core: who is admitted, and has an association.
        authority: signs.
        instance: of this run, 16 to 128 characters of base64url.
        clock: Unix time, seconds.
        publish: takes a conference's name, a roster's statement, and the statement of what has
            changed in it, None where there is none before or that isn't shorter.
        roster_clock: dates rosters, joining, and in answers what rosters are held against; by
            default by `clock`.
    """

    def __init__(
        self,
        core: KeyDistributor,
        authority: Authority,
        instance: str,
        clock: Callable[[], float],
        publish: Callable[[str, str, str | None], None],
        roster_clock: RosterClock | None = None,
    ) -> None:
        self._core = core
        self._authority = authority
        self._instance = instance
        self._clock = clock
        self._publish = publish
        self._roster_clock = roster_clock or RosterClock(clock)
        self._rosters: dict[str, _Roster] = {}
        self._version = 0
        self._joined_at: dict[tuple[str, str], int] = {}

    def answer(self, participant: Participant, own_fingerprint: str) -> str:
        """Our a=identity for a participant that was just admitted by its assertion.

        Raises:
            ValueError: it was admitted without one.
        """
        if participant.identity is None:
            raise ValueError("there is nothing to answer to")
        vouch = AnswerVouch(
            conference=participant.conference.name,
            participant=participant.id,
            name=participant.identity.person.name,
            role=participant.identity.person.role,
            key_distributor=DTLSIdentity(
                Fingerprint.parse(own_fingerprint), participant.own_tls_id
            ),
            endpoint=DTLSIdentity(participant.fingerprint, participant.tls_id),
            nonce=participant.identity.nonce,
            issued_at=int(self._clock()),
            roster_time=self._roster_clock.issue(participant.admitted_at),
        )
        return vouch.sign(self._authority)

    def on_event(self, event: Event, now: float) -> None:
        """Takes an event of the core.

        Args:
            event: which.
            now: monotonic seconds.
        """
        if isinstance(event, Associated):
            self._joined_at[event.conference, event.participant] = self._roster_clock.issue(now)
            self._mark(event.conference, now)
        elif isinstance(event, Disassociated):
            self._joined_at.pop((event.conference, event.participant), None)
            self._mark(event.conference, now)
        elif isinstance(event, EKTKeyIssued):
            roster = self._rosters.get(event.conference)
            if roster is None or roster.stated is None or roster.stated.spi != event.spi:
                self._mark(event.conference, now)

    def repeat(self, now: float) -> None:
        """Makes every conference's roster due, for somebody who has none yet."""
        for name in self._core.conference_names():
            self._mark(name, now)

    def next_timer(self) -> float | None:
        """When `handle_timer` wants to be called (monotonic seconds), or None."""
        due = (roster.due_at for roster in self._rosters.values())
        return min((at for at in due if at is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Signs and publishes the rosters that are due."""
        for name, roster in list(self._rosters.items()):
            if roster.due_at is not None and roster.due_at <= now:
                self._state(name, roster, now)

    def _mark(self, name: str, now: float) -> None:
        roster = self._rosters.setdefault(name, _Roster())
        soon = max(now, roster.not_before)
        roster.due_at = soon if roster.due_at is None else min(soon, roster.due_at)

    def _state(self, name: str, roster: _Roster, now: float) -> None:
        conference = self._core.conference(name)
        entries = [] if conference is None else self._entries(conference, now)
        if conference is None or not conference.participants:
            del self._rosters[name]  # nobody is there who could be told
            return
        # One count for all conferences: so it grows also in one that ends and begins again.
        self._version += 1
        vouch = RosterVouch(
            conference=name,
            instance=self._instance,
            version=self._version,
            spi=None if conference.current is None else conference.current.spi,
            issued_at=self._roster_clock.issue(now),
            entries=RosterVouch.ordered(entries),
        )
        roster.not_before = now + SPACING_PER_ENTRY * len(entries)
        roster.due_at = now + ROSTER_INTERVAL
        before, roster.stated = roster.stated, vouch
        statement = vouch.sign(self._authority)
        self._publish(name, statement, self._change(before, vouch, len(statement)))

    def _change(self, before: RosterVouch | None, after: RosterVouch, whole: int) -> str | None:
        """The step from one to the next, unless the whole of so many characters does as well."""
        if before is None:
            return None
        try:
            change = RosterChange.between(before, after).sign(self._authority)
        except CodecError:  # too long to be signed
            return None
        return change if len(change) < whole else None

    def _entries(self, conference: Conference, now: float) -> list[RosterEntry]:
        entries = []
        for one in conference.associated():
            if one.identity is not None:
                binding = Binding(conference.name, one.fingerprint, one.tls_id, one.identity.ssrcs)
                joined_at = self._joined_at.get((conference.name, one.id))
                if joined_at is None:
                    joined_at = self._roster_clock.issue(now)
                person, assertion = one.identity.person, one.identity.assertion
                entries.append(RosterEntry.of(one.id, person, binding, assertion, joined_at))
        return entries
