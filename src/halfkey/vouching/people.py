"""Who is who: the Endpoint's engine around the vouched roster.

Three things must agree before a person counts as verified: the Key Distributor's newest statement,
fresh and with ourselves in it; the SPI of the EKTKey that came over our own DTLS association, which
a Focus can't touch; and the person's own assertion. What is missing or differs is a reason, and
there is always one for what isn't verified.

What a Focus can still do is to withhold: then the roster is stale after `STALE_AFTER` seconds, or
`SPI_GRACE` seconds after the next rekey, whichever comes first.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from halfkey.identity.claims import Binding
from halfkey.sdp.identity import external_id_hash
from halfkey.vouching.authority import Trust
from halfkey.vouching.code import conference_code
from halfkey.vouching.proofs import Proofs
from halfkey.vouching.refusal import Refusal, VouchRefused
from halfkey.vouching.roster import RosterEntry, RosterVouch
from halfkey.vouching.standing import (
    ClaimReason,
    Event,
    KeyDistributorRestarted,
    PersonChanged,
    PersonJoined,
    PersonLeft,
    PersonReason,
    RosterReason,
    RosterStateChanged,
    Standing,
    StatementRefused,
)
from halfkey.vouching.statements import Statements

SPI_GRACE = 5.0
"""Seconds for which a statement and our newest EKTKey may differ: they come on different ways."""


@dataclass(frozen=True, slots=True)
class Own:
    """What we know of ourselves, and want to find in every statement.

    Attributes:
        participant: our id, from the Key Distributor's answer.
        binding: what our offer has.
        assertion: the value of its a=identity.
    """

    participant: str
    binding: Binding
    assertion: str = field(repr=False)


class People:
    """Everybody in the conference, as far as anybody but the Focus says so.

    `now` is Unix time in seconds everywhere, from a clock that never steps back. After every call,
    take the events and arm the timer.

    Args:
        trust: from the link.
        own: ourselves.
        admitted_at: that of the Key Distributor's answer, which was verified.
        now: when that answer came.
        before: of the people of an earlier admission to the conference, what was stated last.

    Raises:
        CodecError: our own assertion is no value of a=identity.
    """

    def __init__(
        self,
        trust: Trust,
        own: Own,
        admitted_at: int,
        now: float,
        before: RosterVouch | None = None,
    ) -> None:
        self._trust = trust
        self._own = own
        self._statements = Statements(trust, own.binding.conference, admitted_at, now, before)
        self._proofs = Proofs(own.binding.conference)
        self._own_hash = external_id_hash(own.assertion)
        self._proofs.receive(own.participant, own.assertion)
        self._spi: int | None = None
        self._instance: str | None = None
        self._is_of_our_keys = False
        self._differs_since: float | None = None
        self._reason: RosterReason | None = "no_statement"
        self._has_restarted = False
        self._entries: dict[str, RosterEntry] = {}
        self._reasons: dict[str, PersonReason | None] = {}
        self._by_ssrc: dict[int, str] = {}
        self._shared: set[int] = set()
        self._events: deque[Event] = deque()
        self._refusals: Counter[Refusal] = Counter()
        self._refusals_told: set[Refusal] = set()
        self._is_behind = False

    # What is known

    @property
    def reason(self) -> RosterReason | None:
        """Why the whole roster is unverified; None if it is verified."""
        return self._reason

    @property
    def refusals(self) -> Mapping[Refusal, int]:
        """How many statements and assertions were refused, by reason."""
        return self._refusals

    @property
    def stated(self) -> RosterVouch | None:
        """The statement that the next may be a change of; says nothing of who is verified."""
        return self._statements.known

    @property
    def is_behind(self) -> bool:
        """Whether what changed is of a roster that we lack; so it goes on until a whole one comes.

        An honest Focus gives one to whoever asks for its events again.
        """
        return self._is_behind

    def people(self) -> tuple[Standing, ...]:
        """Everybody in the newest statement, ourselves too, ascending by id."""
        return tuple(self._standing(entry) for entry in self._entries.values())

    def person_of(self, ssrc: int) -> Standing | None:
        """Whose a source is; None where nobody has vouched for it."""
        participant = self._by_ssrc.get(ssrc)
        return None if participant is None else self._standing(self._entries[participant])

    def person(self, participant: str) -> Standing | None:
        """Who has an id; None where nobody has vouched for it."""
        entry = self._entries.get(participant)
        return None if entry is None else self._standing(entry)

    def judge_claim(
        self, participant: str, name: str, ssrcs: Collection[int]
    ) -> ClaimReason | None:
        """Holds what the Focus says of somebody against the newest statement.

        Args:
            participant: the id in the Focus's own roster.
            name: that it goes with there.
            ssrcs: likewise; some may be missing, as a source may not be sent yet.

        Returns:
            What is not vouched for, None if all is; whether the person is verified is another
            question, which `person` answers.
        """
        entry = self._entries.get(participant)
        if entry is None:
            return "not_vouched"
        if entry.name != name:
            return "name_differs"
        return None if set(ssrcs) <= set(entry.ssrcs) else "ssrcs_differ"

    def code(self) -> str | None:
        """The conference code; None while the roster is unverified or a rekey is under way.

        See `conference_code` for what it is worth and what it costs.
        """
        if self._reason is not None or self._differs_since is not None:
            return None
        return conference_code(self._trust.ca_sha256, self._entries.values(), self._spi)

    # What happens

    def receive_roster(self, text: str, now: float) -> None:
        """Takes a whole roster that the Focus passed on."""
        if self._receive(self._statements.receive, text, now) is None:
            self._is_behind = False

    def receive_change(self, text: str, now: float) -> None:
        """Takes a change of the newest that the Focus passed on."""
        refusal = self._receive(self._statements.receive_change, text, now)
        self._is_behind = refusal == "base" or (self._is_behind and refusal is not None)

    def _receive(
        self, receive: Callable[[str, float], RosterVouch | None], text: str, now: float
    ) -> Refusal | None:
        """Takes a statement, or says why it is refused."""
        refusal: Refusal | None = None
        statement: RosterVouch | None = None
        try:
            statement = receive(text, now)
        except VouchRefused as fault:
            refusal = fault.reason
            self._refuse(refusal)
        if statement is not None:
            self._refusals_told.clear()
            self._follow_instance(statement)
            self._take_entries(statement)
        self._settle(now)
        return refusal

    def receive_assertion(self, participant: str, text: str, now: float) -> None:
        """Takes the assertion that the Focus says is a participant's."""
        if not self._proofs.receive(participant, text):
            self._refuse("too_large")
        elif participant in self._entries:
            self._judge(self._entries[participant])
        self._settle(now)

    def ekt_key(self, spi: int, now: float) -> None:
        """Notes that an EKTKey came over our DTLS association."""
        self._spi = spi
        self._settle(now)

    def next_timer(self) -> float | None:
        """When `handle_timer` has to be called, if ever."""
        times = []
        if self._reason not in ("no_statement", "stale"):
            times.append(self._statements.stale_at)
            if self._differs_since is not None and self._reason != "spi":
                times.append(self._differs_since + SPI_GRACE)
        return min((time for time in times if time is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Does what is due."""
        self._settle(now)

    def next_event(self) -> Event | None:
        """The next event, None when all are taken."""
        return self._events.popleft() if self._events else None

    # The roster as a whole

    def _follow_instance(self, statement: RosterVouch) -> None:
        instance, self._instance = self._instance, statement.instance
        if instance is not None and instance != statement.instance:
            self._is_of_our_keys, self._differs_since = False, None
            self._has_restarted = True
            self._events.append(KeyDistributorRestarted(statement.instance))

    def _settle(self, now: float) -> None:
        self._compare_spi(now)
        reason = self._find_reason(now)
        if reason != self._reason:
            self._reason = reason
            self._events.append(RosterStateChanged(reason))

    def _compare_spi(self, now: float) -> None:
        newest = self._statements.newest
        if newest is not None and self._spi is not None and newest.spi == self._spi:
            self._is_of_our_keys, self._differs_since = True, None
        elif self._is_of_our_keys and self._differs_since is None:
            self._differs_since = now

    def _find_reason(self, now: float) -> RosterReason | None:
        stale_at = self._statements.stale_at
        if stale_at is None:
            return "no_statement"
        if now >= stale_at:
            return "stale"
        if not self._is_of_our_keys:
            return self._reason_for_other_keys()
        if self._differs_since is not None and now >= self._differs_since + SPI_GRACE:
            return "spi"
        own = self._entries.get(self._own.participant)
        if own is None:
            return "own_entry_missing"
        return None if self._is_own(own) else "own_entry_differs"

    def _is_own(self, entry: RosterEntry) -> bool:
        binding = self._own.binding
        return (
            entry.fingerprint == binding.fingerprint
            and entry.tls_id == binding.tls_id
            and set(entry.ssrcs) == set(binding.ssrcs)
            and entry.assertion_sha256 == self._own_hash
        )

    def _reason_for_other_keys(self) -> RosterReason:
        if self._has_restarted:
            return "restarted"
        return "no_key" if self._spi is None else "spi"

    def _refuse(self, reason: Refusal) -> None:
        self._refusals[reason] += 1
        if reason not in self._refusals_told:
            self._refusals_told.add(reason)
            self._events.append(StatementRefused(reason))

    # The persons in it

    def _take_entries(self, statement: RosterVouch) -> None:
        before, self._entries = self._entries, {entry.id: entry for entry in statement.entries}
        self._index_ssrcs()
        for old in before.values():
            if not _is_same_person(old, self._entries.get(old.id)):
                self._reasons.pop(old.id, None)
                self._events.append(PersonLeft(old))
        left = before.keys() - self._entries.keys()
        self._proofs.keep_only(left, self._entries.keys())
        for entry in self._entries.values():
            self._judge(entry, before.get(entry.id))

    def _index_ssrcs(self) -> None:
        self._by_ssrc, self._shared = {}, set()
        for entry in self._entries.values():
            for ssrc in entry.ssrcs:
                if self._by_ssrc.setdefault(ssrc, entry.id) != entry.id:
                    self._shared.add(ssrc)

    def _judge(self, entry: RosterEntry, before: RosterEntry | None = None) -> None:
        reason = self._proofs.judge(entry)
        if reason is None and not self._shared.isdisjoint(entry.ssrcs):
            reason = "ssrc_shared"
        if entry.id not in self._reasons:
            self._events.append(PersonJoined(entry, reason))
        elif reason != self._reasons[entry.id] or before not in (None, entry):
            self._events.append(PersonChanged(entry, reason))
        self._reasons[entry.id] = reason

    def _standing(self, entry: RosterEntry) -> Standing:
        return Standing(entry, self._reason or self._reasons[entry.id])


def _is_same_person(old: RosterEntry, new: RosterEntry | None) -> bool:
    """Whether an id still stands for whom it stood."""
    return new is not None and (old.identity, old.key_thumbprint) == (
        new.identity,
        new.key_thumbprint,
    )
