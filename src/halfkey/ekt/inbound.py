"""The EKT parameter sets that an Endpoint can receive under: RFC 8870 sections 4.2 and 4.3.2.

Several are kept at a time, since senders get a new EKTKey at different moments and go on under the
old one for 250 ms. A set goes when its TTL ends, or `RETENTION` seconds after a newer one came.
With it go the end-to-end keys that were received under it.

No I/O and no clock: mutate, then take the events and arm the timer anew.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from halfkey.ekt.messages import EKTKey

RETENTION = 10.0
"""Seconds for which a replaced set is kept: the DTLS retransmissions by which a slow sender gets
the new EKTKey fit in, and a member that was put out can't go on much longer under the old one."""

LIMIT = 16
"""How many sets are kept; the oldest gives way."""


@dataclass(frozen=True, slots=True)
class ParameterSetAdded:
    """Full EKT Fields with this SPI can be opened from now on."""

    spi: int
    at: float
    ekt_key: bytes = field(repr=False)
    srtp_master_salt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ParameterSetRemoved:
    """The set `spi` must be forgotten, with all that was received under it."""

    spi: int
    at: float
    reason: Literal["ttl", "replaced", "limit"]


InboundEvent = ParameterSetAdded | ParameterSetRemoved


@dataclass(slots=True)
class _ParameterSet:
    key: EKTKey
    expires_at: float
    replaced: bool = False


class InboundEKT:
    """The received EKT parameter sets, by SPI, oldest first.

    Args:
        retention: seconds for which a set is kept once a newer one has come.
    """

    def __init__(self, retention: float = RETENTION) -> None:
        self._retention = retention
        self._sets: dict[int, _ParameterSet] = {}
        self._events: deque[InboundEvent] = deque()

    @property
    def spis(self) -> tuple[int, ...]:
        """The SPIs of the sets that are kept, oldest first."""
        return tuple(self._sets)

    def receive_ekt_key(self, key: EKTKey, now: float) -> bool:
        """Takes an EKTKey.

        Returns:
            Whether it was new. One with an SPI that is in use is not taken: the very same again
            changes nothing (its TTL runs from first receipt), and another key under the same SPI
            would break section 4.1's rule that each set has an SPI of its own.
        """
        self.handle_timer(now)
        if key.ekt_spi in self._sets:
            return False
        for other in self._sets.values():
            if not other.replaced:
                other.replaced = True
                other.expires_at = min(other.expires_at, now + self._retention)
        self._sets[key.ekt_spi] = _ParameterSet(key, now + key.ekt_ttl)
        self._events.append(ParameterSetAdded(key.ekt_spi, now, key.ekt_key_value, key.master_salt))
        while len(self._sets) > LIMIT:
            self._remove(next(iter(self._sets)), now, "limit")
        return True

    def next_timer(self) -> float | None:
        """When `handle_timer` has to be called, if ever."""
        return min((kept.expires_at for kept in self._sets.values()), default=None)

    def handle_timer(self, now: float) -> None:
        """Removes the sets whose time is over."""
        for spi, kept in list(self._sets.items()):
            if now >= kept.expires_at:
                self._remove(spi, now, "replaced" if kept.replaced else "ttl")

    def next_event(self) -> InboundEvent | None:
        """The next event, None when all are taken."""
        return self._events.popleft() if self._events else None

    def _remove(self, spi: int, now: float, reason: Literal["ttl", "replaced", "limit"]) -> None:
        del self._sets[spi]
        self._events.append(ParameterSetRemoved(spi, now, reason))
