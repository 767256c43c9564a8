"""What a Media Distributor tells the Focus."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class ParticipantConnected:
    """Its address was validated and nominated."""

    name: ClassVar[str] = "participant-connected"

    conference: str
    participant: str


@dataclass(frozen=True, slots=True)
class ParticipantKeyed:
    """The Key Distributor gave the keys of its hop: media can flow."""

    name: ClassVar[str] = "participant-keyed"

    conference: str
    participant: str


@dataclass(frozen=True, slots=True)
class ParticipantDisconnected:
    """It is gone.

    Attributes:
        conference: its conference.
        participant: its id there.
        reason: ``"left"``, ``"timeout"``, ``"never_connected"`` or ``"key_distributor"``.
    """

    name: ClassVar[str] = "participant-disconnected"

    conference: str
    participant: str
    reason: str


@dataclass(frozen=True, slots=True)
class SlotChanged:
    """Another source is in a slot.

    Attributes:
        conference: which.
        receiver: whose slot.
        mid: which slot.
        ssrc: the source that is in it now; None for none.
    """

    name: ClassVar[str] = "slot"

    conference: str
    receiver: str
    mid: str
    ssrc: int | None


Event = ParticipantConnected | ParticipantKeyed | ParticipantDisconnected | SlotChanged


def as_dict(event: Event) -> dict[str, Any]:
    """An event's fields, fit for JSON."""
    return asdict(event)
