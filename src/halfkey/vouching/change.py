"""What has changed in a roster since the statement before, as the Key Distributor states it.

A whole roster of 500 has 300 kB, and most often one entry of it is new, or none: this has that
one. It is signed as a roster is, and says of which statement it is a change, so that whoever has
that one has the next, and whoever hasn't can make nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from halfkey.errors import CodecError
from halfkey.vouching.authority import Authority, Trust
from halfkey.vouching.fields import MAXIMUM_TIME, Fields, check_name, check_range
from halfkey.vouching.refusal import VouchRefused
from halfkey.vouching.roster import MAXIMUM_ENTRIES, MEMBERS, RosterVouch, read_roster

TYPE = "halfkey-roster-change+jwt"


@dataclass(frozen=True, slots=True)
class RosterChange:
    """The step from one roster of a conference to the next.

    Attributes:
        base: the version of the one before, of the same instance and conference.
        gone: ids that were in it and aren't any more, ascending, each once.
        roster: the next, with those entries alone that are new or another.

    Raises:
        CodecError: a value is out of bounds.
    """

    base: int
    gone: tuple[str, ...]
    roster: RosterVouch

    def __post_init__(self) -> None:
        check_range("the version before", self.base, MAXIMUM_TIME, begin=1)
        if self.base >= self.roster.version:
            raise CodecError("a change leads to a later version")
        if len(self.gone) > MAXIMUM_ENTRIES:
            raise CodecError(f"a roster has at most {MAXIMUM_ENTRIES} entries")
        for identifier in self.gone:
            check_name("a participant", identifier)
        if any(one >= other for one, other in pairwise(self.gone)):
            raise CodecError("ids are listed ascending, each once")
        if not {entry.id for entry in self.roster.entries}.isdisjoint(self.gone):
            raise CodecError("nobody is there and gone")

    @classmethod
    def between(cls, before: RosterVouch, after: RosterVouch) -> RosterChange:
        """Makes the step from one roster to a later one of the same instance and conference."""
        old = {entry.id: entry for entry in before.entries}
        new = tuple(entry for entry in after.entries if old.get(entry.id) != entry)
        gone = old.keys() - {entry.id for entry in after.entries}
        return cls(before.version, tuple(sorted(gone)), replace(after, entries=new))

    def follow(self, before: RosterVouch) -> RosterVouch:
        """Takes the step.

        Raises:
            VouchRefused: it is from another roster, or doesn't fit that one.
        """
        step = self.roster
        if (step.conference, step.instance, self.base) != (
            before.conference,
            before.instance,
            before.version,
        ):
            raise VouchRefused("base")
        entries = {entry.id: entry for entry in before.entries}
        if not entries.keys() >= set(self.gone):
            raise VouchRefused("base")
        for identifier in self.gone:
            del entries[identifier]
        entries |= {entry.id: entry for entry in step.entries}
        try:
            return replace(step, entries=RosterVouch.ordered(entries.values()))
        except CodecError:
            raise VouchRefused("malformed") from None

    def sign(self, authority: Authority) -> str:
        """Gives the statement."""
        members = self.roster.members()
        return authority.sign(TYPE, members | {"base": self.base, "gone": list(self.gone)})

    @classmethod
    def verify(cls, text: str, trust: Trust, now: float) -> RosterChange:
        """Reads a statement; whether it is the next is the caller's to check.

        Args:
            text: from the Focus.
            trust: from the link.
            now: Unix time, seconds; for the certificates' validity.

        Raises:
            VouchRefused: it doesn't hold, whatever it consists of.
        """
        payload = trust.verify(text, TYPE, now)
        try:
            return _read(payload)
        except CodecError:
            raise VouchRefused("malformed") from None


def _read(payload: object) -> RosterChange:
    fields = Fields(payload, "base", "gone", *MEMBERS)
    gone = fields.texts("gone", MAXIMUM_ENTRIES)
    return RosterChange(fields.integer("base"), gone, read_roster(fields))
