"""Who could decrypt a conference at a moment, from the records alone.

Whoever holds an EKTKey can open what was sent while that key was in use, live or from a recording
of the packets. So two questions are answered: which keys were in use at the moment, and who was
ever given one of them.

A participant uses a key for sending from the moment it was sent the key. It stops `OVERLAP` seconds
after it acknowledged a newer one, said goodbye itself, or was put out by an operator, and at the
latest when the key's life is over. A key is in use while any participant uses it. No other word
ends a use: whom a Media Distributor calls disconnected, or a Focus gone, may know nothing of it and
send on. Nor does an accident: media goes on without an association.

A holder never stops being one: nobody can be made to forget a key.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field

from halfkey.audit.chain import Line
from halfkey.audit.records import (
    Admitted,
    EKTKeyAcknowledged,
    EKTKeySent,
    Record,
    Rekey,
    Removed,
    Started,
)

OVERLAP = 1.0
"""Seconds that a sender may go on with a key after it has acknowledged the next: the 250 ms of RFC
8870 section 4.3.1, and what clocks and ways add."""

LONGEST_LIFE = 0xFFFFFF
"""Seconds that a key lives at most (RFC 8870 section 5.2.2), for records without a ttl."""

_PUT_OUT = frozenset({"evicted", "revoked"})
"""By decision of who is trusted: what such a one still sends is not the conference's any more."""


@dataclass(eq=False, slots=True)
class Holder:
    """A participant that was given a key.

    Attributes:
        participant: its id within the conference.
        identity: whom its assertion named.
        name: how its assertion called it.
        sent_at: when the key was first sent to it, Unix seconds.
        acknowledged_at: when it said that it has it; None if it never did.
        used_until: when it had stopped sending with it; None while it hasn't.
        expires_at: when the key's life was over for it.
        removed_at: when its admission ended; None while it stands.
    """

    participant: str
    identity: str | None
    name: str | None
    sent_at: float
    expires_at: float
    acknowledged_at: float | None = None
    used_until: float | None = None
    removed_at: float | None = None

    def uses_at(self, moment: float) -> bool:
        """Whether it may have been sending with the key."""
        until = self.expires_at if self.used_until is None else self.used_until
        return self.sent_at <= moment <= min(until, self.expires_at)


@dataclass(eq=False, slots=True)
class KeyUse:
    """One EKTKey of a conference.

    Attributes:
        number: which of the conference's keys it is, from 0.
        spi: its SPI, which a later key may have again.
        holders: everybody who was given it, in the order in which they were.
    """

    number: int
    spi: int
    holders: list[Holder] = field(default_factory=list)

    def in_use_at(self, moment: float) -> bool:
        """Whether anybody may have been sending with it."""
        return any(holder.uses_at(moment) for holder in self.holders)


_Held = list[tuple[KeyUse, Holder]]


class ConferenceKeys:
    """All keys of one conference, and when it began.

    Attributes:
        name: its name.
        began_at: when the first participant of its latest session was admitted; None before.
        keys: its keys, oldest first.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.began_at: float | None = None
        self.keys: list[KeyUse] = []
        self._current: KeyUse | None = None
        self._admitted: dict[str, Admitted] = {}
        self._held: dict[str, _Held] = {}  # under the admissions that stand, oldest first
        self._used: dict[str, _Held] = {}  # of those, what may still be sent with
        self._absences = 0

    def take(self, record: Record, at: float) -> None:
        """Takes the next record of the conference."""
        if isinstance(record, Admitted):
            if not self._admitted or (self.keys and not self._is_anything_used(at)):
                self.began_at = at
            self._admitted[record.participant] = record
        elif isinstance(record, Rekey):
            self._key(record.spi)
        elif isinstance(record, EKTKeySent):
            self._sent(record, at)
        elif isinstance(record, EKTKeyAcknowledged):
            self._acknowledged(record, at)
        elif isinstance(record, Removed):
            if not _ends_use(record):
                self._keeps_using(record.participant)
            self._removed(record.participant, at)

    def restart(self) -> None:
        """Notes that the Key Distributor has started anew: what it sends next are other keys."""
        self._current = None

    def in_use_at(self, moment: float) -> list[KeyUse]:
        """The keys with which anybody may have been sending."""
        return [key for key in self.keys if key.in_use_at(moment)]

    def _is_anything_used(self, at: float) -> bool:
        return any(holder.uses_at(at) for used in self._used.values() for _, holder in used)

    def _key(self, spi: int) -> KeyUse:
        if self._current is None or self._current.spi != spi:
            self._current = KeyUse(len(self.keys), spi)
            self.keys.append(self._current)
        return self._current

    def _sent(self, record: EKTKeySent, at: float) -> None:
        self.began_at = at if self.began_at is None else self.began_at
        key = self._key(record.spi)
        until = at + (LONGEST_LIFE if record.ttl is None else record.ttl)
        for participant in record.participants:
            held = self._held.setdefault(participant, [])
            if not held or held[-1][0] is not key:
                who = self._admitted.get(participant)
                identity, name = (who.identity, who.name) if who else (None, None)
                holder = Holder(participant, identity, name, at, until)
                key.holders.append(holder)
                held.append((key, holder))
            self._uses(participant, held[-1], until)

    def _uses(self, participant: str, one: tuple[KeyUse, Holder], until: float) -> None:
        holder = one[1]
        holder.expires_at = max(holder.expires_at, until)
        holder.used_until = None
        used = self._used.setdefault(participant, [])
        if one not in used:
            used.append(one)

    def _acknowledged(self, record: EKTKeyAcknowledged, at: float) -> None:
        for key, holder in reversed(self._held.get(record.participant, [])):
            if key.spi == record.spi:
                if holder.acknowledged_at is None:
                    holder.acknowledged_at = at
                self._stops(record.participant, at, key.number)
                return

    def _stops(self, participant: str, at: float, before: int | None = None) -> None:
        """Ends the participant's use of the keys before that number, or of all."""
        still: _Held = []
        for key, holder in self._used.pop(participant, []):
            if before is not None and key.number >= before:
                still.append((key, holder))
            else:
                holder.used_until = at + OVERLAP
        if still:
            self._used[participant] = still

    def _keeps_using(self, participant: str) -> None:
        """Lets use go on after the admission's end: nobody who knows has said that it stopped."""
        used = self._used.pop(participant, [])
        if used:
            # No id has a line's end in it, so that nobody who gets this id again stops it.
            self._absences += 1
            self._used[f"{participant}\n{self._absences}"] = used

    def _removed(self, participant: str, at: float) -> None:
        self._stops(participant, at)
        for _, holder in self._held.pop(participant, []):
            holder.removed_at = at
        self._admitted.pop(participant, None)
        if not self._admitted:
            self._current = None


def _ends_use(record: Removed) -> bool:
    """Whether a participant's Endpoint has said goodbye, under its own keys, or was put out."""
    said_goodbye = record.reason == "left" and record.by is None
    return said_goodbye or record.reason in _PUT_OUT


def conferences(lines: Iterable[tuple[Line, Record | None]]) -> dict[str, ConferenceKeys]:
    """The keys of every conference, by name, from all the records of a log."""
    found: dict[str, ConferenceKeys] = {}
    for line, record in lines:
        if isinstance(record, Started):
            for one in found.values():
                one.restart()
        name = getattr(record, "conference", None)
        if record is not None and isinstance(name, str):
            one = found.setdefault(name, ConferenceKeys(name))
            one.take(record, unix_time(line.at))
    return found


def unix_time(at: str) -> float:
    """RFC 3339 as Unix seconds."""
    return datetime.datetime.fromisoformat(at).timestamp()
