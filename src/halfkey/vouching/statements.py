"""The order of roster statements: which is the newest, and how old it is.

A roster is whole, so one may be missed; none may come again. A change leads from the newest to the
next and from no other, so none may be missed before it. Within an instance the version decides.
Between instances the time of issue does: it must be later than all that was seen, and an instance
that another has followed is over for good.

The Key Distributor's clock is its own. Its answer to our offer shows how far it is ahead of ours,
too little by as long as that was under way, and any later statement that came faster shows it
better. So a Focus that delays a statement makes it old, unless it has delayed everything by as
much since the offer; and when our clock stood still in a machine that slept, the next statement
shows that too.

Before the first that counts, an honest Focus may still have one of before our admission: the Key
Distributor signs the next a moment after it answers us. That is passed over in silence, and kept,
since the next may come as a change of it. Once one was taken, whatever is older than it is refused.
"""

from __future__ import annotations

from collections import deque

from halfkey.vouching.authority import Trust
from halfkey.vouching.change import RosterChange
from halfkey.vouching.refusal import VouchRefused
from halfkey.vouching.roster import RosterVouch

STALE_AFTER = 30.0
"""Seconds after its time of issue for which a statement stands; three of them are due in it."""

_REMEMBERED_INSTANCES = 64


class Statements:
    """Takes the statements of one conference.

    Args:
        trust: from the link.
        conference: its name.
        admitted_at: when the Key Distributor answered us, by its clock of rosters.
        now: when that came, by ours; Unix time in seconds that never steps back.
        before: the newest that was known when we asked; it counts for nothing but as what the next
            may be a change of.
    """

    def __init__(
        self,
        trust: Trust,
        conference: str,
        admitted_at: int,
        now: float,
        before: RosterVouch | None = None,
    ) -> None:
        self._trust = trust
        self._conference = conference
        self._admitted_at = admitted_at
        self._ahead = admitted_at - now
        self._newest: RosterVouch | None = None
        self._newest_text: str | None = None
        self._before = before
        # Only the Key Distributor makes instances, and one that fell out of here is still too old.
        self._over: deque[str] = deque(maxlen=_REMEMBERED_INSTANCES)

    @property
    def newest(self) -> RosterVouch | None:
        """The newest statement, fresh or not."""
        return self._newest

    @property
    def known(self) -> RosterVouch | None:
        """What the next may be a change of: the newest, or one of before our admission."""
        return self._newest or self._before

    @property
    def stale_at(self) -> float | None:
        """When the newest becomes too old, by our clock; None if there is none."""
        newest = self._newest
        return None if newest is None else newest.issued_at - self._ahead + STALE_AFTER

    def receive(self, text: str, now: float) -> RosterVouch | None:
        """Takes a whole roster.

        Returns:
            It, if it is the newest now; None if it is the newest once more, or is of before our
            admission and none was taken yet.

        Raises:
            VouchRefused: it doesn't hold, or is for another conference, or was followed by a newer.
        """
        # A Focus repeats the newest to whoever subscribes again.
        if text == self._newest_text:
            return None
        statement = RosterVouch.verify(text, self._trust, now)
        if statement.conference != self._conference:
            raise VouchRefused("conference")
        if statement == self._newest:
            self._newest_text = text  # we have come to it by its changes
            return None
        return self._take(statement, text, now)

    def receive_change(self, text: str, now: float) -> RosterVouch | None:
        """Takes a change of the newest.

        Returns:
            What the newest is now; None if that is of before our admission.

        Raises:
            VouchRefused: it doesn't hold, or is no change of the newest.
        """
        change = RosterChange.verify(text, self._trust, now)
        if change.roster.conference != self._conference:
            raise VouchRefused("conference")
        self._check_order(change.roster)
        if self.known is None:
            raise VouchRefused("base")
        return self._take(change.follow(self.known), None, now)

    def _take(self, statement: RosterVouch, text: str | None, now: float) -> RosterVouch | None:
        newest = self._newest
        if newest is None and statement.issued_at < self._admitted_at:
            self._before = statement
            return None
        self._check_order(statement)
        if newest is not None and newest.instance != statement.instance:
            self._over.append(newest.instance)
        self._newest, self._newest_text = statement, text
        self._ahead = max(self._ahead, statement.issued_at - now)
        return statement

    def _check_order(self, statement: RosterVouch) -> None:
        newest = self._newest
        if newest is None:
            return
        if statement.instance == newest.instance:
            if statement.version <= newest.version:
                raise VouchRefused("version")
        elif statement.instance in self._over or statement.issued_at <= newest.issued_at:
            raise VouchRefused("instance")
