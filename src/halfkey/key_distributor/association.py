"""DTLS associations as the Key Distributor sees them through the tunnel, and the bounds on them.

    EXPECT_CLIENT_HELLO --select accepts--> EXPECT_FINISHED --handshake--> CONNECTED
             |                                     |                          |
             +-------------------------------------+--------------------------+--> ENDED

Before the cookie has come back (EXPECT_CLIENT_HELLO) the sender is unproven, and nothing is kept of
it but a ClientHello that comes in parts: such associations are cheap to lose, so the oldest makes
room for the newest. Handshakes under way are counted, and no more begin at the bound; each is given
some time and some bytes. An ended association's id is remembered for a while: its late datagrams
must not begin another.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum
from uuid import UUID

from halfkey.key_distributor.conference import Participant
from halfkey.key_distributor.guarding import GuardedConnection
from halfkey.key_distributor.policy import Policy, Suite

_ENDED_REMEMBERED = 4096
"""Ids of ended associations kept per Media Distributor."""

HANDSHAKE_BYTES = 128 * 1024
"""What is looked at of what comes before a handshake is complete, and so our work for it: a dozen
times what an Endpoint sends that has to send all seven times."""


class AssociationState(Enum):
    """See the diagram above."""

    EXPECT_CLIENT_HELLO = "expect_client_hello"
    EXPECT_FINISHED = "expect_finished"
    CONNECTED = "connected"
    ENDED = "ended"


@dataclass(eq=False, slots=True)
class Association:
    """One DTLS association.

    Attributes:
        media_distributor: whose tunnel it came by; an id is unique to a Media Distributor.
        id: its association id in the tunnel.
        tunnel: the tunnel that it last came by.
        began_at: when its first datagram came (monotonic seconds).
        deadline: when it must be connected, or, connected without tunnel, when it is given up.
        connection: our end of it.
        state: see `AssociationState`.
        participant: whose it claims to be; proven once it is connected.
        suite: what `select` chose.
        refusal: why `select` refused, if it did.
        sent_spi: the EKTKey sent last.
        is_acknowledged: whether that one has been acknowledged.
        handshake_bytes: how many more are looked at before it is connected.
    """

    media_distributor: bytes
    id: UUID
    tunnel: int
    began_at: float
    deadline: float | None
    connection: GuardedConnection = field(init=False)
    state: AssociationState = AssociationState.EXPECT_CLIENT_HELLO
    participant: Participant | None = None
    suite: Suite | None = None
    refusal: str | None = None
    sent_spi: int | None = None
    is_acknowledged: bool = True
    handshake_bytes: int = HANDSHAKE_BYTES

    def may_take(self, size: int) -> bool:
        """Whether a datagram of that many bytes is still to be looked at."""
        if self.state is AssociationState.CONNECTED:
            return True
        self.handshake_bytes -= size
        return self.handshake_bytes >= 0


@dataclass(slots=True)
class _OfOneMediaDistributor:
    associations: dict[UUID, Association] = field(default_factory=dict)
    unproven: OrderedDict[UUID, Association] = field(default_factory=OrderedDict)
    handshakes: int = 0
    ended: OrderedDict[UUID, None] = field(default_factory=OrderedDict)


class AssociationTable:
    """All associations, by Media Distributor and id.

    Args:
        policy: the bounds.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._all: dict[bytes, _OfOneMediaDistributor] = {}
        self._unproven = 0
        self._handshakes = 0

    @property
    def half_open(self) -> int:
        """How many aren't connected yet."""
        return self._unproven + self._handshakes

    def __len__(self) -> int:
        return sum(len(one.associations) for one in self._all.values())

    def get(self, media_distributor: bytes, association_id: UUID) -> Association | None:
        """The association, unless it is unknown or has ended."""
        return self._of(media_distributor).associations.get(association_id)

    def of_participant(self, participant: Participant) -> list[Association]:
        """All associations that claim to be, or are, a participant's."""
        everything = (one for mine in self._all.values() for one in mine.associations.values())
        return [association for association in everything if association.participant is participant]

    def of(self, media_distributor: bytes) -> list[Association]:
        """All associations of a Media Distributor."""
        return list(self._of(media_distributor).associations.values())

    def has_ended(self, media_distributor: bytes, association_id: UUID) -> bool:
        """Whether an association of that id ended lately."""
        return association_id in self._of(media_distributor).ended

    def keep_unproven(self, association: Association) -> Association | None:
        """Keeps an unproven association; gives the one that has to make room for it, if any."""
        if self.get(association.media_distributor, association.id) is not None:
            return None
        mine = self._of(association.media_distributor)
        mine.associations[association.id] = association
        mine.unproven[association.id] = association
        self._unproven += 1
        if len(mine.unproven) > self._policy.half_open_per_media_distributor:
            return next(iter(mine.unproven.values()))
        if self._unproven > self._policy.half_open:
            most = max(self._all.values(), key=lambda one: len(one.unproven))
            return next(iter(most.unproven.values()))
        return None

    def may_handshake(self, association: Association) -> bool:
        """Whether one more handshake may get under way."""
        mine = self._of(association.media_distributor)
        return (
            mine.handshakes < self._policy.half_open_per_media_distributor
            and self._handshakes < self._policy.half_open
        )

    def is_scarce(self, association: Association) -> bool:
        """Whether half of the handshakes are under way that may be."""
        mine = self._of(association.media_distributor)
        return (
            2 * mine.handshakes >= self._policy.half_open_per_media_distributor
            or 2 * self._handshakes >= self._policy.half_open
        )

    def change(self, association: Association, state: AssociationState) -> None:
        """Moves an association on, and keeps it; to ENDED, it is forgotten but for its id."""
        mine = self._of(association.media_distributor)
        if association.id in mine.associations:
            self._count(mine, association, -1)
        association.state = state
        if state is AssociationState.ENDED:
            mine.associations.pop(association.id, None)
            self.remember_end(association.media_distributor, association.id)
        else:
            mine.associations[association.id] = association
            self._count(mine, association, +1)

    def remember_end(self, media_distributor: bytes, association_id: UUID) -> None:
        """Notes an id that must begin no other association."""
        ended = self._of(media_distributor).ended
        ended[association_id] = None
        if len(ended) > _ENDED_REMEMBERED:
            ended.popitem(last=False)

    def forget(self, association: Association) -> None:
        """Drops an unproven association without a trace: it may come back with its cookie."""
        mine = self._of(association.media_distributor)
        if mine.associations.pop(association.id, None) is not None:
            self._count(mine, association, -1)
        association.state = AssociationState.ENDED

    def _count(self, mine: _OfOneMediaDistributor, one: Association, change: int) -> None:
        if one.state is AssociationState.EXPECT_FINISHED:
            mine.handshakes += change
            self._handshakes += change
        elif one.state is AssociationState.EXPECT_CLIENT_HELLO:
            mine.unproven.pop(one.id, None)
            self._unproven += change

    def _of(self, media_distributor: bytes) -> _OfOneMediaDistributor:
        """Media Distributors are authenticated, so their number is bounded by who is trusted."""
        mine = self._all.get(media_distributor)
        if mine is None:
            mine = self._all[media_distributor] = _OfOneMediaDistributor()
        return mine
