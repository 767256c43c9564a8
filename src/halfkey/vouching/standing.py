"""What an Endpoint knows of the others, and what it tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from halfkey.vouching.refusal import Refusal
from halfkey.vouching.roster import RosterEntry

RosterReason = Literal[
    "no_statement",
    "stale",
    "no_key",
    "restarted",
    "spi",
    "own_entry_missing",
    "own_entry_differs",
]
"""Why the whole roster is unverified, the first that applies:

    no_statement       none has come yet
    stale              no fresh one has come for `STALE_AFTER` seconds
    no_key             we have no EKTKey yet, whose SPI could show that the roster is of our keys
    restarted          it is of another run of the Key Distributor, and we have no EKTKey of that
    spi                it is of another EKTKey than our newest
    own_entry_missing  we aren't in it
    own_entry_differs  our entry has another certificate, tls-id, SSRC or assertion than ours
"""

PersonReason = Literal["assertion_missing", "assertion_wrong", "ssrc_shared"]
"""Why one person is unverified:

    assertion_missing  the Focus has not passed it on
    assertion_wrong    what it passed on is another, or doesn't prove what the entry says
    ssrc_shared        somebody else in the roster declares one of the same SSRCs
"""

ClaimReason = Literal["not_vouched", "name_differs", "ssrcs_differ"]
"""Why the Focus's word about somebody is not believed: what in it is not in the vouched roster."""

Reason = RosterReason | PersonReason


@dataclass(frozen=True, slots=True)
class Standing:
    """A person in the newest statement.

    Attributes:
        entry: what the Key Distributor says of it.
        reason: why that is unverified, the roster's reason first; None if it is verified.
    """

    entry: RosterEntry
    reason: Reason | None

    @property
    def is_verified(self) -> bool:
        """Whether statement, keys and the person's own assertion all agree."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class PersonJoined:
    """Somebody is in the roster; we ourselves too.

    Attributes:
        entry: what the Key Distributor says.
        reason: why this person is unverified; None for verified as far as the roster is.
    """

    entry: RosterEntry
    reason: PersonReason | None


@dataclass(frozen=True, slots=True)
class PersonLeft:
    """Somebody is no longer in the roster.

    Attributes:
        entry: the last that was.
    """

    entry: RosterEntry


@dataclass(frozen=True, slots=True)
class PersonChanged:
    """An entry is another, or is verified now, or no longer.

    Attributes:
        entry: the new one.
        reason: as for `PersonJoined`.
    """

    entry: RosterEntry
    reason: PersonReason | None


@dataclass(frozen=True, slots=True)
class RosterStateChanged:
    """The whole roster is verified, or unverified for another reason than before.

    Attributes:
        reason: None for verified.
    """

    reason: RosterReason | None


@dataclass(frozen=True, slots=True)
class KeyDistributorRestarted:
    """Statements are of another run of the Key Distributor than before.

    Attributes:
        instance: the new one.
    """

    instance: str


@dataclass(frozen=True, slots=True)
class StatementRefused:
    """The Focus brought what claims to be vouched for and isn't, or isn't news.

    Told once for each reason between two statements that were taken; `People.refusals` counts all.

    Attributes:
        reason: why.
    """

    reason: Refusal


Event = (
    PersonJoined
    | PersonLeft
    | PersonChanged
    | RosterStateChanged
    | KeyDistributorRestarted
    | StatementRefused
)
