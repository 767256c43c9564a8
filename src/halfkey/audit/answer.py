"""The answer to "who could decrypt then?", as JSON and as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from halfkey.audit.chain import timestamp
from halfkey.audit.holders import ConferenceKeys, Holder, KeyUse


@dataclass(frozen=True, slots=True)
class HolderThen:
    """Somebody who was given a key that was in use at the moment asked for.

    Attributes:
        participant: its id within the conference.
        identity: whom its assertion named.
        name: how its assertion called it.
        sent_at: when it was sent the key; all times are RFC 3339.
        acknowledged_at: when it said that it has it; None if it never did.
        removed_at: when its admission ended; None while it stands.
        is_removed: whether that was before the moment.
    """

    participant: str
    identity: str | None
    name: str | None
    sent_at: str
    acknowledged_at: str | None
    removed_at: str | None
    is_removed: bool


@dataclass(frozen=True, slots=True)
class KeyThen:
    """A key that was in use at the moment.

    Attributes:
        spi: its SPI.
        holders: who had said to hold it, or did later: they could decrypt as it was sent.
        unacknowledged: who was sent it by then, and never said to hold it: they may have it.
        later: who was sent it only after the moment: they can decrypt a recording of the packets.
    """

    spi: int
    holders: tuple[HolderThen, ...]
    unacknowledged: tuple[HolderThen, ...]
    later: tuple[HolderThen, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """Who could decrypt a conference at a moment.

    Attributes:
        conference: which.
        at: the moment, RFC 3339.
        keys: the keys in use then; several while a rekey was under way, none in an empty room.
        head: NUMBER:HASH of the last record of the log that says so, all of which was verified.
    """

    conference: str
    at: str
    keys: tuple[KeyThen, ...]
    head: str

    def as_dict(self) -> dict[str, object]:
        """JSON-able values."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Lines for a person."""
        yield f"{shown(self.conference)} at {self.at}"
        if not self.keys:
            yield "nobody: no key was in use"
        for key in self.keys:
            yield f"EKT key with SPI {key.spi}"
            yield from _group("could decrypt", key.holders)
            yield from _group(
                "may have, was sent the key and never acknowledged it", key.unacknowledged
            )
            yield from _group("only from a recording, was sent the key later", key.later)
        yield f"verified up to {self.head}"


def who_could_decrypt(conference: ConferenceKeys, moment: float, head: str) -> Answer:
    """Answers from a conference's keys.

    Args:
        conference: its keys.
        moment: Unix seconds.
        head: of the log that they were read from.
    """
    keys = tuple(_key_then(key, moment) for key in conference.in_use_at(moment))
    return Answer(conference.name, timestamp(moment), keys, head)


def shown(text: str) -> str:
    """A text from a peer as a terminal may take it: nothing in it moves the cursor."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _key_then(key: KeyUse, moment: float) -> KeyThen:
    by_then = [one for one in key.holders if one.sent_at <= moment]
    return KeyThen(
        key.spi,
        tuple(_then(one, moment) for one in by_then if one.acknowledged_at is not None),
        tuple(_then(one, moment) for one in by_then if one.acknowledged_at is None),
        tuple(_then(one, moment) for one in key.holders if one.sent_at > moment),
    )


def _then(holder: Holder, moment: float) -> HolderThen:
    acknowledged, removed = holder.acknowledged_at, holder.removed_at
    return HolderThen(
        holder.participant,
        holder.identity,
        holder.name,
        timestamp(holder.sent_at),
        None if acknowledged is None else timestamp(acknowledged),
        None if removed is None else timestamp(removed),
        removed is not None and removed <= moment,
    )


def _group(title: str, holders: tuple[HolderThen, ...]) -> Iterator[str]:
    if holders:
        yield f"  {title}:"
    for one in holders:
        who = [one.participant, one.name or "(no name)", one.identity or "(by the Focus's word)"]
        times = [f"sent {one.sent_at}"]
        if one.acknowledged_at is not None:
            times.append(f"acknowledged {one.acknowledged_at}")
        if one.is_removed:
            times.append(f"REMOVED BEFORE, at {one.removed_at}")
        yield "    " + "  ".join([*map(shown, who), ", ".join(times)])
