"""Who speaks: chapters by loudness, without turning at every cough.

The loudest person has the floor. Someone else takes it by being louder, by `MARGIN`, for `HOLD`
seconds; silence takes it from nobody. A chapter begins where its speaker began, not where that was
decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from halfkey.recorder.audio import SILENCE

QUIET = -50.0
"""dBFS below which nobody speaks."""

MARGIN = 6.0
"""dB by which another has to be louder than who has the floor."""

HOLD = 1.0
"""Seconds for which it has to be so."""

_FALL = 60.0  # dB per second: how fast a level falls when the sound stops
_PAUSE = 0.3  # seconds for which a challenger may be quieter and still go on from where it began


@dataclass(frozen=True, slots=True)
class Chapter:
    """Someone had the floor.

    Attributes:
        start: seconds from the start of the recording.
        end: likewise.
        person: the participant's id.
    """

    start: float
    end: float
    person: str


@dataclass(frozen=True, slots=True)
class NamedChapter:
    """A chapter as players show it.

    Attributes:
        start: seconds.
        end: seconds.
        title: its name.
    """

    start: float
    end: float
    title: str


@dataclass(slots=True)
class _Challenge:
    """Another is louder than who has the floor."""

    person: str
    since: float
    seen: float


@dataclass(slots=True)
class Floor:
    """Follows who has the floor.

    Attributes:
        speaker: who has it, None before anybody spoke.
    """

    speaker: str | None = None
    _since: float = 0.0
    _levels: dict[str, float] = field(default_factory=dict)
    _at: float = 0.0
    _challenge: _Challenge | None = None
    _over: list[Chapter] = field(default_factory=list)

    def heard(self, at: float, loudness: Mapping[str, float]) -> bool:
        """Takes in how loud everybody was in the moment that ends at `at`.

        Args:
            at: seconds from the start of the recording; only grows.
            loudness: dBFS by participant; who isn't in it was silent.

        Returns:
            Whether someone else has the floor now.
        """
        fallen = _FALL * (at - self._at)
        self._at = at
        for person in {*self._levels, *loudness}:
            level = self._levels.get(person, SILENCE) - fallen
            self._levels[person] = max(level, loudness.get(person, SILENCE), SILENCE)
        self._levels = {who: level for who, level in self._levels.items() if level > SILENCE}
        return self._judge(at)

    def _judge(self, at: float) -> bool:
        loudest = self._challenger()
        if loudest is None:
            if self._challenge is not None and at - self._challenge.seen > _PAUSE:
                self._challenge = None
            return False
        if self._challenge is None or self._challenge.person != loudest:
            self._challenge = _Challenge(loudest, at, at)
        self._challenge.seen = at
        if at - self._challenge.since < HOLD:
            return False
        self._turn(loudest, self._challenge.since)
        return True

    def _challenger(self) -> str | None:
        """Who may take the floor; among equals, who was first to try."""
        able = {who: level for who, level in self._levels.items() if self._takes_the_floor(who)}
        loudest = max(able, key=lambda who: able[who], default=None)
        if loudest is None or self._challenge is None:
            return loudest
        earlier = able.get(self._challenge.person, SILENCE)
        return self._challenge.person if able[loudest] < earlier + MARGIN else loudest

    def _takes_the_floor(self, person: str) -> bool:
        level = self._levels[person]
        if person == self.speaker or level < QUIET:
            return False
        holder = SILENCE if self.speaker is None else self._levels.get(self.speaker, SILENCE)
        return level >= holder + MARGIN

    def _turn(self, person: str, since: float) -> None:
        if self.speaker is not None:
            self._over.append(Chapter(self._since, since, self.speaker))
            self._since = since
        # Whoever speaks first has the recording's beginning, so that chapters leave no gap.
        self.speaker, self._challenge = person, None

    def chapters(self, end: float) -> list[Chapter]:
        """Everybody's chapters up to `end`, without gaps from 0 on; none if nobody spoke."""
        if self.speaker is None:
            return []
        return [*self._over, Chapter(self._since, max(end, self._since), self.speaker)]
