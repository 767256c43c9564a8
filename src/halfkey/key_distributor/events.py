"""What the Key Distributor tells about itself: never a secret, and never at a peer's rate."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Admitted:
    """A participant may now associate.

    Attributes:
        conference: its conference.
        participant: its id within the conference.
    """

    name: ClassVar[str] = "admitted"

    conference: str
    participant: str


@dataclass(frozen=True, slots=True)
class Removed:
    """A participant's admission has ended.

    Attributes:
        conference: its conference.
        participant: its id within the conference.
    """

    name: ClassVar[str] = "removed"

    conference: str
    participant: str


@dataclass(frozen=True, slots=True)
class Associated:
    """A participant's DTLS handshake is complete, both proofs checked, and MediaKeys are sent.

    Attributes:
        conference: the participant's conference.
        participant: its id within the conference.
        association_id: the association in the tunnel.
        srtp_profile: the SRTP protection profile.
    """

    name: ClassVar[str] = "associated"

    conference: str
    participant: str
    association_id: UUID
    srtp_profile: int


@dataclass(frozen=True, slots=True)
class Disassociated:
    """The association of a participant has ended.

    Attributes:
        conference: the participant's conference.
        participant: its id within the conference.
        association_id: the association that ended.
        reason: ``"left"``, ``"disconnected"``, ``"replaced"``, ``"tunnel_lost"``, ``"failed"``,
            ``"profile_conflict"`` or ``"spi_exhausted"``.
    """

    name: ClassVar[str] = "disassociated"

    conference: str
    participant: str
    association_id: UUID
    reason: str


@dataclass(frozen=True, slots=True)
class EKTKeyAcknowledged:
    """A participant holds an EKTKey.

    Attributes:
        conference: the participant's conference.
        participant: its id within the conference.
        spi: which EKTKey.
    """

    name: ClassVar[str] = "ekt-key-acknowledged"

    conference: str
    participant: str
    spi: int


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """Every participant that is still associated has acknowledged the EKTKey of a rekey.

    Attributes:
        conference: which conference.
        spi: the new EKTKey's SPI.
        reason: ``"left"``, ``"disconnected"``, ``"timer"``, ``"ttl"`` or ``"requested"``.
        ms: milliseconds from the decision to the last acknowledgement.
        participants: how many acknowledged it.
    """

    name: ClassVar[str] = "rekeyed"

    conference: str
    spi: int
    reason: str
    ms: float
    participants: int


@dataclass(frozen=True, slots=True)
class Refused:
    """An association was refused; only some of many refusals are told, all are counted.

    Attributes:
        reason: the counter's name.
    """

    name: ClassVar[str] = "refused"

    reason: str


Event = Admitted | Removed | Associated | Disassociated | EKTKeyAcknowledged | Rekeyed | Refused


def event_as_dict(event: Event) -> dict[str, Any]:
    """An event as JSON-able values, its name under ``"event"``."""
    fields = asdict(event)
    texts = {key: str(value) for key, value in fields.items() if isinstance(value, UUID)}
    return {"event": event.name, **fields, **texts}
