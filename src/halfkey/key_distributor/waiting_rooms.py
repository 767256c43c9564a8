"""Waiting rooms: who asks to be let in, one entry for each person in each conference.

In memory: whoever waits asks again and again, each time with a fresh assertion, and so is back in a
moment after a restart. Letting in holds for the person, turning away for the devices that ask: who
may have somebody's link isn't for that person to answer for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from halfkey.dtls import Fingerprint
from halfkey.identity.claims import Person

WAITING_SECONDS = 60.0
"""For how long somebody is remembered who doesn't ask again."""

MAXIMUM_WAITING = 256
"""In one conference's room; when it is full, nobody else gets in, and nobody is pushed out."""

MAXIMUM_DEVICES = 8
"""Remembered of one person who waits; beyond that, those that asked longest ago are forgotten."""

_KEY_DIGITS = 16


class WaitingRoomFull(Exception):  # noqa: N818 (an outcome)
    """There is no room for one more."""


@dataclass(slots=True)
class Waiting:
    """Somebody in a waiting room.

    Attributes:
        person: who, verified.
        since: when it came, Unix time in seconds.
        asked_at: when it asked last.
        devices: likewise for each of its devices, by the fingerprint of its certificate; the one
            that asked last is last.
    """

    person: Person
    since: float
    asked_at: float
    devices: dict[str, float] = field(default_factory=dict)

    def ask(self, device: Fingerprint, now: float) -> None:
        """Notes that a device asks."""
        self.asked_at = now
        self.devices.pop(str(device), None)
        if len(self.devices) >= MAXIMUM_DEVICES:
            del self.devices[next(iter(self.devices))]
        self.devices[str(device)] = now


class WaitingRooms:
    """The waiting rooms of all conferences.

    Args:
        clock: Unix time, seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rooms: dict[str, dict[str, Waiting]] = {}

    def waiting(self, conference: str) -> dict[str, Waiting]:
        """Who waits to be let into a conference, by the id to answer with."""
        return dict(self._room(conference))

    def ask(self, conference: str, person: Person, device: Fingerprint) -> bool:
        """Notes that somebody asks with a device; whether it is new there.

        Raises:
            WaitingRoomFull: it is new, and there is no room.
        """
        now, key, room = self._clock(), _key(person.identity), self._room(conference)
        known = room.get(key)
        if known is None and len(room) >= MAXIMUM_WAITING:
            raise WaitingRoomFull
        room = self._rooms.setdefault(conference, room)
        room.setdefault(key, Waiting(person, now, now)).ask(device, now)
        return known is None

    def forget(self, conference: str, identity: str) -> None:
        """Somebody waits no longer."""
        room = self._room(conference)
        room.pop(_key(identity), None)
        if not room:
            self._rooms.pop(conference, None)

    def _room(self, conference: str) -> dict[str, Waiting]:
        """Who is in a room by now; one that is empty is not kept."""
        room = self._rooms.get(conference, {})
        oldest = self._clock() - WAITING_SECONDS
        for key in [key for key, one in room.items() if one.asked_at < oldest]:
            del room[key]
        if not room:
            self._rooms.pop(conference, None)
        return room


def _key(identity: str) -> str:
    """What stands for a person in a path: an identity may have any character."""
    return hashlib.sha256(identity.encode()).hexdigest()[:_KEY_DIGITS]
