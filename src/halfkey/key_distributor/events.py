"""What the Key Distributor tells about itself: never a secret, and never at a peer's rate."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar
from uuid import UUID

OPERATOR, FOCUS = "operator", "focus"
"""Who may take somebody out besides that one itself."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A participant may now associate.

    Attributes:
        conference: its conference.
        participant: its id within the conference.
        identity: whom its assertion names; None where the Focus's word was enough.
        display_name: how its assertion calls it; None likewise.
    """

    name: ClassVar[str] = "admitted"

    conference: str
    participant: str
    identity: str | None = None
    display_name: str | None = None


@dataclass(frozen=True, slots=True)
class Removed:
    """A participant's admission has ended.

    Attributes:
        conference: its conference.
        participant: its id within the conference.
        reason: ``"left"``; ``"evicted"`` or ``"revoked"`` (its invite), by an operator;
            ``"replaced"``, by another device of the same person; ``"absent"``, without an
            association for `Policy.admission_age`.
        by: who said so: `OPERATOR` or `FOCUS`; None for its Endpoint itself, or nobody.
        identity: whom its assertion named; None where the Focus's word was enough.
    """

    name: ClassVar[str] = "removed"

    conference: str
    participant: str
    reason: str = "left"
    by: str | None = None
    identity: str | None = None


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
        reason: ``"left"``, ``"evicted"``, ``"revoked"``, ``"disconnected"``, ``"replaced"``,
            ``"tunnel_lost"``, ``"failed"``, ``"profile_conflict"``,
            ``"spi_exhausted"`` or ``"internal_error"``.
    """

    name: ClassVar[str] = "disassociated"

    conference: str
    participant: str
    association_id: UUID
    reason: str


@dataclass(frozen=True, slots=True)
class EKTKeyIssued:
    """An EKTKey is about to go to a participant: it waits in the tunnel's `data_to_send`.

    Attributes:
        conference: the participant's conference.
        participant: its id within the conference.
        spi: which EKTKey.
        ttl: seconds of its life that are left.
    """

    name: ClassVar[str] = "ekt-key-issued"

    conference: str
    participant: str
    spi: int
    ttl: int


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
class RekeyDecided:
    """A conference has a new EKTKey, which is about to go to its participants.

    Attributes:
        conference: which conference.
        spi: the new EKTKey's SPI.
        reason: as in `Rekeyed`.
    """

    name: ClassVar[str] = "rekey-decided"

    conference: str
    spi: int
    reason: str


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """Every participant that is still associated has acknowledged the EKTKey of a rekey.

    Attributes:
        conference: which conference.
        spi: the new EKTKey's SPI.
        reason: ``"left"``, ``"evicted"``, ``"revoked"``, ``"disconnected"``, ``"joined"``,
            ``"timer"``, ``"ttl"`` or ``"requested"``.
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


@dataclass(frozen=True, slots=True)
class Faulted:
    """An association ended by a fault of ours; only some of many are told, all are counted.

    Attributes:
        place: the exception's type, module and line.
    """

    name: ClassVar[str] = "faulted"

    place: str


@dataclass(frozen=True, slots=True)
class TunnelOpened:
    """A Media Distributor has connected.

    Attributes:
        tunnel: its number.
        media_distributor: SHA-256 of its certificate, in hexadecimal.
    """

    name: ClassVar[str] = "tunnel-opened"

    tunnel: int
    media_distributor: str


@dataclass(frozen=True, slots=True)
class TunnelClosed:
    """A Media Distributor's connection is gone.

    Attributes:
        tunnel: its number.
        media_distributor: SHA-256 of its certificate, in hexadecimal.
    """

    name: ClassVar[str] = "tunnel-closed"

    tunnel: int
    media_distributor: str


Event = (
    Admitted
    | Removed
    | Associated
    | Disassociated
    | EKTKeyIssued
    | EKTKeyAcknowledged
    | RekeyDecided
    | Rekeyed
    | Refused
    | Faulted
    | TunnelOpened
    | TunnelClosed
)


def event_as_dict(event: Event) -> dict[str, Any]:
    """An event as JSON-able values, its name under ``"event"``."""
    fields = asdict(event)
    texts = {key: str(value) for key, value in fields.items() if isinstance(value, UUID)}
    return {"event": event.name, **fields, **texts}
