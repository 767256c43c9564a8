"""Participants, conferences and slots of a Media Distributor: plain state, and who goes where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from halfkey.ice.lite import Address

Key = tuple[str, str]
"""A participant's name here: (conference, participant)."""

SlotAssignment = tuple[int, str, int, int]
"""What goes where, in the packet path's terms: a receiver, its slot's mid, a sender, an SSRC."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a participant sends in one m-section.

    Attributes:
        mid: of the m-section in the sender's offer.
        kind: ``"audio"`` or ``"video"``.
        ssrc: declared in the offer; bound end to end, so it is the same everywhere.
    """

    mid: str
    kind: str
    ssrc: int


@dataclass(frozen=True, slots=True)
class Slot:
    """A recvonly m-section of a receiver, which can show one source at a time."""

    mid: str
    kind: str


@dataclass(frozen=True, slots=True)
class Allocation:
    """What the Focus asks for on behalf of a participant.

    Attributes:
        ice_ufrag: the participant's.
        ice_pwd: the participant's; a lite agent has no use for it.
        sources: what it sends.
        slots: what it can receive at once.
        extensions: its header extensions: URI and identifier.
        payload_types: its payload types: ``"VP8/90000"`` and the like, and number.
    """

    ice_ufrag: str
    ice_pwd: str = field(repr=False)
    sources: tuple[Source, ...]
    slots: tuple[Slot, ...]
    extensions: dict[str, int]
    payload_types: dict[str, int]


@dataclass(slots=True)
class Participant:
    """One participant.

    Attributes:
        key: its name.
        number: its name in the packet path.
        allocation: what the Focus asked for.
        last_seen: when something that proves its presence came last, monotonic seconds, as far as
            it was asked for.
        checks: how many of its checks the packet path had answered then.
        address: where its media goes; None before the first nomination.
        association_id: of its DTLS association; None before the first DTLS datagram.
        successor_id: of a DTLS association that is to take its place; None for none.
        successor_since: when that one began, monotonic seconds.
        is_keyed: whether the packet path has its hop keys.
        keys_digest: of the hop keys that came last, also after they were wiped.
        has_left: removed, yet still forwarded to: only a hostile Media Distributor has such.
        occupied: by the mid of a slot, the source that is in it.
    """

    key: Key
    number: int
    allocation: Allocation
    last_seen: float
    checks: int = 0
    address: Address | None = None
    association_id: UUID | None = None
    successor_id: UUID | None = None
    successor_since: float = 0.0
    is_keyed: bool = False
    keys_digest: bytes = b""
    has_left: bool = False
    occupied: dict[str, Source] = field(default_factory=dict)

    def free_slot(self, kind: str) -> Slot | None:
        """The first slot of this kind that shows nothing."""
        slots = self.allocation.slots
        return next((s for s in slots if s.kind == kind and s.mid not in self.occupied), None)


class Conference:
    """Who is in one conference, in the order of joining."""

    def __init__(self) -> None:
        self.participants: dict[Key, Participant] = {}

    def ssrcs(self) -> set[int]:
        """Every SSRC that was declared."""
        return {source.ssrc for _, source in self.sources()}

    def sources(self) -> Iterator[tuple[Participant, Source]]:
        """Every source that may be shown, with its sender."""
        for participant in self.participants.values():
            if not participant.has_left:
                for source in participant.allocation.sources:
                    yield participant, source

    def to_place(self) -> Iterator[tuple[Participant, Slot, Participant, Source]]:
        """Every (receiver, slot, sender, source) that should be placed and isn't; place each.

        First come, first shown: a source that finds no free slot waits until one is.
        """
        for receiver in self.participants.values():
            # With hundreds of receivers, most of them full, this is where the time would go.
            if not receiver.is_keyed or len(receiver.occupied) == len(receiver.allocation.slots):
                continue
            shown = {source.ssrc for source in receiver.occupied.values()}
            for sender, source in self.sources():
                if sender is receiver or source.ssrc in shown:
                    continue
                slot = receiver.free_slot(source.kind)
                if slot is not None:
                    yield receiver, slot, sender, source
