"""What the audit log tells: one class for each kind of record, and never a secret in any.

No field can hold bytes, so no key fits into one by mistake. Texts may come from a peer: they are
bounded here, and what isn't printable ASCII is escaped when the line is made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from halfkey.errors import CodecError, UsageError

MAXIMUM_TEXT = 256
"""Characters of a text; of a longer one the beginning and a hash are kept."""

PARTICIPANTS_PER_RECORD = 100
"""Participants that one `EKTKeySent` names, so that a line stays short."""

MAXIMUM_ITEMS = 256

Value = str | int | None | list["Value"]

_KEPT = 200


@dataclass(frozen=True, slots=True)
class Started:
    """A Key Distributor has started; all keys of an earlier instance are gone from it.

    Attributes:
        instance: names this run of the process.
        configuration: SHA-256 of its configuration, see `configuration_hash`.
    """

    event: ClassVar[str] = "started"

    instance: str
    configuration: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """A Key Distributor has stopped in order; after a crash this record is missing.

    Attributes:
        instance: as in `Started`.
    """

    event: ClassVar[str] = "stopped"

    instance: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """The log was opened after something that wasn't an orderly stop.

    Attributes:
        cut: bytes of an unfinished tail that were moved away.
        digest: SHA-256 of those bytes; empty for none.
        checkpoint: ``"sound"``, ``"missing"`` or ``"unreadable"``.
    """

    event: ClassVar[str] = "recovered"

    cut: int
    digest: str
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """A participant may associate.

    Attributes:
        conference: its conference.
        participant: its id within the conference.
        identity: whom its assertion names; None where the Focus's word was enough.
        name: how its assertion calls it; None likewise.
    """

    event: ClassVar[str] = "admitted"

    conference: str
    participant: str
    identity: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Somebody was refused; of many refusals only the first are told one by one.

    Attributes:
        reason: a short fixed name.
        conference: which conference was asked for.
        participant: the id that was asked for, if any.
        identity: whom the assertion names, if that was verified.
    """

    event: ClassVar[str] = "refused"

    reason: str
    conference: str | None = None
    participant: str | None = None
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class RefusalsCounted:
    """Refusals that were not told one by one.

    Attributes:
        since: when the counting began, RFC 3339.
        counts: pairs of reason and number.
    """

    event: ClassVar[str] = "refusals_counted"

    since: str
    counts: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A participant is in the waiting room.

    Attributes:
        conference: its conference.
        participant: its id within the conference.
        identity: whom its assertion names.
        name: how its assertion calls it.
    """

    event: ClassVar[str] = "waiting"

    conference: str
    participant: str
    identity: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class WaitingDecided:
    """Somebody in the waiting room was let in or turned away.

    Attributes:
        conference: its conference.
        identity: whom its assertion names.
        name: how its assertion calls it.
        decision: ``"let-in"`` or ``"reject"``.
        by: who decided it.
    """

    event: ClassVar[str] = "waiting_decided"

    conference: str
    identity: str
    name: str
    decision: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Associated:
    """A participant's DTLS handshake is complete.

    Attributes:
        conference: the participant's conference.
        participant: its id within the conference.
        association: the association's UUID in the tunnel.
        profile: the SRTP protection profile.
    """

    event: ClassVar[str] = "associated"

    conference: str
    participant: str
    association: str
    profile: int


@dataclass(frozen=True, slots=True)
class Disassociated:
    """A participant's association has ended.

    Attributes:
        conference: the participant's conference.
        participant: its id within the conference.
        association: the association's UUID in the tunnel.
        reason: a short fixed name.
    """

    event: ClassVar[str] = "disassociated"

    conference: str
    participant: str
    association: str
    reason: str


@dataclass(frozen=True, slots=True)
class EKTKeySent:
    """An EKTKey is about to leave for participants; it leaves once this record is durable.

    Attributes:
        conference: which conference.
        spi: which EKTKey.
        ttl: seconds of its life that are left; None if unknown.
        participants: to whom, at most `PARTICIPANTS_PER_RECORD`.
    """

    event: ClassVar[str] = "ekt_key_sent"

    conference: str
    spi: int
    ttl: int | None
    participants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EKTKeyAcknowledged:
    """A participant has said that it holds an EKTKey.

    Attributes:
        conference: which conference.
        participant: its id within the conference.
        spi: which EKTKey.
    """

    event: ClassVar[str] = "ekt_key_acknowledged"

    conference: str
    participant: str
    spi: int


@dataclass(frozen=True, slots=True)
class Rekey:
    """A conference gets a new EKTKey: the decision, before it is sent to anybody.

    Attributes:
        conference: which conference.
        spi: the new EKTKey's.
        reason: a short fixed name.
    """

    event: ClassVar[str] = "rekey"

    conference: str
    spi: int
    reason: str


@dataclass(frozen=True, slots=True)
class Removed:
    """A participant's admission has ended.

    Attributes:
        conference: which conference.
        participant: its id within the conference.
        reason: ``"left"``, ``"evicted"`` or another short fixed name.
        by: who decided it: an operator's or Focus's name; None for the participant itself.
    """

    event: ClassVar[str] = "removed"

    conference: str
    participant: str
    reason: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Excluded:
    """Somebody has to stay out of a conference; `Removed` follows for each device that is in.

    Attributes:
        conference: which conference.
        identity: of the person.
        name: of the person.
        reason: why, such as ``"evicted"``.
        by: who decided it.
    """

    event: ClassVar[str] = "excluded"

    conference: str
    identity: str
    name: str
    reason: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Readmitted:
    """Somebody who was put out, or turned away, may come in again.

    Attributes:
        conference: which conference.
        identity: of the person.
        name: of the person.
        by: who decided it.
    """

    event: ClassVar[str] = "readmitted"

    conference: str
    identity: str
    name: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class TunnelOpened:
    """A Media Distributor has connected.

    Attributes:
        tunnel: its number in this instance.
        media_distributor: SHA-256 of its certificate, in hexadecimal.
    """

    event: ClassVar[str] = "tunnel_opened"

    tunnel: int
    media_distributor: str


@dataclass(frozen=True, slots=True)
class TunnelClosed:
    """A Media Distributor's connection is gone.

    Attributes:
        tunnel: its number in this instance.
        media_distributor: SHA-256 of its certificate, in hexadecimal.
    """

    event: ClassVar[str] = "tunnel_closed"

    tunnel: int
    media_distributor: str


@dataclass(frozen=True, slots=True)
class ConfigurationChanged:
    """What is granted has changed while running.

    Attributes:
        setting: what, for example ``"waiting_room"``.
        configuration: SHA-256 of the new state, see `configuration_hash`.
        conference: where; None for everywhere.
        by: who did it.
    """

    event: ClassVar[str] = "configuration_changed"

    setting: str
    configuration: str
    conference: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class InviteMade:
    """Somebody may join with a link.

    Attributes:
        invite: its id; not the secret in the link.
        conference: for which conference.
        name: for whom.
        role: as what.
        expires_at: Unix time in seconds; None for never.
        by: who made it.
    """

    event: ClassVar[str] = "invite_made"

    invite: str
    conference: str
    name: str
    role: str
    expires_at: int | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class InviteRevoked:
    """A link is useless from now on.

    Attributes:
        invite: its id.
        by: who revoked it.
    """

    event: ClassVar[str] = "invite_revoked"

    invite: str
    by: str | None = None


Record = (
    Started
    | Stopped
    | Recovered
    | Admitted
    | Refused
    | RefusalsCounted
    | Waiting
    | WaitingDecided
    | Associated
    | Disassociated
    | EKTKeySent
    | EKTKeyAcknowledged
    | Rekey
    | Removed
    | Excluded
    | Readmitted
    | TunnelOpened
    | TunnelClosed
    | ConfigurationChanged
    | InviteMade
    | InviteRevoked
)

KINDS: dict[str, type[Record]] = {kind.event: kind for kind in Record.__args__}


def ekt_keys_sent(
    conference: str, spi: int, ttl: int | None, participants: Sequence[str]
) -> Iterator[EKTKeySent]:
    """The records of one EKTKey for any number of participants."""
    for start in range(0, len(participants), PARTICIPANTS_PER_RECORD):
        some = participants[start : start + PARTICIPANTS_PER_RECORD]
        yield EKTKeySent(conference, spi, ttl, tuple(some))


def configuration_hash(content: bytes) -> str:
    """What stands for a configuration in the log.

    Args:
        content: the configuration as text, without any secret: a hash doesn't hide a guessable one.
    """
    return hashlib.sha256(content).hexdigest()


def fields_of(record: Record) -> dict[str, Value]:
    """The fields of a record as JSON-able values, texts bounded.

    Raises:
        UsageError: a value is of a type that a record can't have, bytes for example.
    """
    return {one.name: _plain(getattr(record, one.name)) for one in fields(record)}


def record_from(event: str, values: dict[str, Value]) -> Record | None:
    """The record that a line tells; None for a kind that is not known here.

    Raises:
        CodecError: the fields don't fit the kind.
    """
    kind = KINDS.get(event)
    if kind is None:
        return None
    try:
        return kind(**{name: _tuples(value) for name, value in values.items()})  # type: ignore[arg-type]
    except TypeError:
        raise CodecError(f"its fields don't fit a record {event!r}") from None


def _plain(value: object) -> Value:
    if isinstance(value, str):
        return bounded(value)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)  # an enum's too
    if isinstance(value, tuple) and len(value) <= MAXIMUM_ITEMS:
        return [_plain(item) for item in value]
    raise UsageError(f"a record can't hold a {type(value).__name__}")


def bounded(text: str) -> str:
    """The text, or the beginning of a long one and what tells it from others."""
    if len(text) <= MAXIMUM_TEXT:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[:_KEPT]}... sha256:{digest[:32]}"


def _tuples(value: Value) -> object:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
