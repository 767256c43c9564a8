"""What an Endpoint sends by way of keys: RFC 8870 sections 4.3.1, 4.5 and 4.6.

    EKTKey arrives           new random SRTP master key per SSRC, epoch 0
      |                      Full EKT Fields carry the NEW key from the next packet on ...
      |                      ... while packets are still sealed under the OLD one
    250 ms later             packets are sealed under the new key
    its TTL or T is reached  nothing is sent until another EKTKey comes

The first EKTKey has no old key to wait for and is used at once. A second EKTKey that comes within
the 250 ms replaces what is announced, and doesn't put off the switch: a conference that is rekeyed
again and again still leaves its old key behind in time.

No I/O and no clock: mutate, then take the events and arm the timer anew. Times are seconds of one
monotonic clock.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from halfkey.ekt.messages import EKTKey
from halfkey.errors import UsageError

OVERLAP = 0.250
"""Seconds for which packets stay under the old key once the new one is announced (4.3.1)."""

ANNOUNCEMENTS = 3
"""Consecutive packets that carry the Full EKT Field of a new key (4.6)."""

AUDIO_ONLY_INTERVAL = 0.100
"""Seconds between Full EKT Fields of an SSRC while only audio is sent (4.6)."""

LONGEST_INTERVAL = 1.0
"""Seconds between Full EKT Fields of an SSRC at the most, when video is sent too.

Section 4.6 recommends the rate of intra-coded frames. Those can be far apart, so every SSRC, video
ones too, sends at least one a second: a newcomer never waits longer for a key."""

USAGE_LIMIT = 1 << 48
"""T of AESKW128 and AESKW256: how often one EKTKey may encrypt (table 1)."""

SHORT_EKT_FIELD = b"\0"

Kind = Literal["audio", "video"]
FullEKTFieldFunction = Callable[[bytes, int, int, int, int, bytes], bytes]
"""(ekt_key, spi, epoch, ssrc, rollover_counter, master_key) -> the Full EKT Field's bytes."""


@dataclass(frozen=True, slots=True)
class InnerKey:
    """The end-to-end SRTP master key of one SSRC.

    Attributes:
        ssrc: whose packets it seals.
        master_key: as long as the inner profile's master key; never shown by repr.
        master_salt: 12 bytes, from the EKTKey; never shown by repr.
    """

    ssrc: int
    master_key: bytes = field(repr=False)
    master_salt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class InnerKeysAnnounced:
    """New keys under the EKTKey `spi` go out in Full EKT Fields from now on."""

    spi: int
    at: float
    keys: tuple[InnerKey, ...]


@dataclass(frozen=True, slots=True)
class InnerKeysSwitched:
    """From the next packet on, `keys` seal; the caller hands them to the packet path."""

    spi: int
    at: float
    keys: tuple[InnerKey, ...]


@dataclass(frozen=True, slots=True)
class EKTKeyUsedUp:
    """The EKTKey `spi` may encrypt no more, and no newer one is there: sending has stopped."""

    spi: int
    at: float
    reason: Literal["ttl", "usage_limit"]


OutboundEvent = InnerKeysAnnounced | InnerKeysSwitched | EKTKeyUsedUp


@dataclass(slots=True)
class _ParameterSet:
    key: EKTKey
    expires_at: float
    encryptions: int = 0
    used_up: bool = False


@dataclass(slots=True)
class _Source:
    kind: Kind
    key: InnerKey | None = None
    announcements_left: int = 0
    last_full: float = float("-inf")
    cached: tuple[int, bytes] | None = None  # (rollover counter, Full EKT Field)


class OutboundEKT:
    """The outbound EKT state of an Endpoint, over all the SSRCs that it sends.

    Args:
        key_length: of the inner profile's master key, in bytes (16 or 32).
        full_ekt_field: makes a Full EKT Field, wrapping the key.
        random: gives that many random bytes.
        usage_limit: T, how often one EKTKey may encrypt.
    """

    def __init__(
        self,
        key_length: int,
        full_ekt_field: FullEKTFieldFunction,
        *,
        random: Callable[[int], bytes] = os.urandom,
        usage_limit: int = USAGE_LIMIT,
    ) -> None:
        self._key_length = key_length
        self._full_ekt_field = full_ekt_field
        self._random = random
        self._usage_limit = usage_limit
        self._sources: dict[int, _Source] = {}
        self._set: _ParameterSet | None = None  # the newest: all encryption is under this one
        self._switch_at: float | None = None
        self._events: deque[OutboundEvent] = deque()

    @property
    def spi(self) -> int | None:
        """The SPI of the EKTKey that new Full EKT Fields are under, None before the first."""
        return None if self._set is None else self._set.key.ekt_spi

    def add_source(self, ssrc: int, kind: Kind, now: float) -> None:
        """Adds an SSRC; once an EKTKey is there it gets its own master key at once.

        Raises:
            UsageError: the SSRC is there already.
        """
        if ssrc in self._sources:
            raise UsageError(f"SSRC {ssrc:#010x} was added twice")
        source = self._sources[ssrc] = _Source(kind)
        if self._set is not None:
            key = self._new_key(ssrc, source)
            spi = self._set.key.ekt_spi
            self._events.append(InnerKeysAnnounced(spi, now, (key,)))
            self._events.append(InnerKeysSwitched(spi, now, (key,)))

    def receive_ekt_key(self, key: EKTKey, now: float, overlap: float = OVERLAP) -> None:
        """Takes a new EKTKey: section 4.5 makes every source change its master key as well.

        Args:
            key: it.
            now: monotonic seconds.
            overlap: seconds to go on under the old keys; longer than section 4.3.1 says where the
                others may get the EKTKey much later than we, and nobody is to be shut out.
        """
        previous = self._set
        sealing = previous is not None and not self._check_limits(previous, now)
        self._set = _ParameterSet(key, now + key.ekt_ttl)
        keys = tuple(self._new_key(ssrc, source) for ssrc, source in self._sources.items())
        self._events.append(InnerKeysAnnounced(key.ekt_spi, now, keys))
        if not sealing:
            self._switch(now)
        elif previous is not None:
            latest = min(now + overlap, previous.expires_at)
            self._switch_at = latest if self._switch_at is None else min(self._switch_at, latest)

    def ekt_field(
        self, ssrc: int, rollover_counter: int, now: float, *, intra: bool = False
    ) -> bytes | None:
        """The EKT Field to put behind the SSRC's next packet.

        Args:
            rollover_counter: the inner one of this packet (section 4.3.1, step 2).
            intra: whether this packet begins an intra-coded picture.

        Returns:
            A Full or Short EKT Field; None where the packet must not be sent, since there is no
            EKTKey or it has reached its TTL or T.

        Raises:
            UsageError: the SSRC was never added.
        """
        self.handle_timer(now)
        source = self._sources.get(ssrc)
        if source is None:
            raise UsageError(f"SSRC {ssrc:#010x} was never added")
        current = self._set
        if current is None or current.used_up or source.key is None:
            return None
        interval = self._interval()
        if source.announcements_left == 0 and not intra and now - source.last_full < interval:
            return SHORT_EKT_FIELD
        full = self._full(source, current, source.key, rollover_counter, now)
        if full is not None:
            source.announcements_left = max(0, source.announcements_left - 1)
            source.last_full = now
        return full

    def next_timer(self) -> float | None:
        """When `handle_timer` has to be called, if ever."""
        times = [] if self._switch_at is None else [self._switch_at]
        if self._set is not None and not self._set.used_up:
            times.append(self._set.expires_at)
        return min(times, default=None)

    def handle_timer(self, now: float) -> None:
        """Does what is due: the switch to announced keys, the end of an EKTKey's life."""
        if self._switch_at is not None and now >= self._switch_at:
            self._switch(now)
        if self._set is not None:
            self._check_limits(self._set, now)

    def next_event(self) -> OutboundEvent | None:
        """The next event, None when all are taken."""
        return self._events.popleft() if self._events else None

    def _interval(self) -> float:
        audio_only = all(source.kind == "audio" for source in self._sources.values())
        return AUDIO_ONLY_INTERVAL if audio_only else LONGEST_INTERVAL

    def _new_key(self, ssrc: int, source: _Source) -> InnerKey:
        if self._set is None:
            raise UsageError("there is no EKTKey to make master keys under")
        source.key = InnerKey(ssrc, self._random(self._key_length), self._set.key.master_salt)
        source.announcements_left = ANNOUNCEMENTS
        source.cached = None
        return source.key

    def _switch(self, now: float) -> None:
        self._switch_at = None
        if self._set is not None:
            keys = tuple(source.key for source in self._sources.values() if source.key is not None)
            self._events.append(InnerKeysSwitched(self._set.key.ekt_spi, now, keys))

    def _check_limits(self, current: _ParameterSet, now: float) -> bool:
        """Whether the set may encrypt no more; says so once."""
        if not current.used_up and now >= current.expires_at:
            self._use_up(current, now, "ttl")
        return current.used_up

    def _use_up(
        self, current: _ParameterSet, now: float, reason: Literal["ttl", "usage_limit"]
    ) -> None:
        current.used_up = True
        self._events.append(EKTKeyUsedUp(current.key.ekt_spi, now, reason))

    def _full(
        self,
        source: _Source,
        current: _ParameterSet,
        key: InnerKey,
        rollover_counter: int,
        now: float,
    ) -> bytes | None:
        """The Full EKT Field, from the cache while key and rollover counter stay the same."""
        if source.cached is not None and source.cached[0] == rollover_counter:
            return source.cached[1]
        if current.encryptions >= self._usage_limit:
            self._use_up(current, now, "usage_limit")
            return None
        current.encryptions += 1
        # Epoch 0: each EKTKey sees exactly one master key per SSRC here (section 4.1, Epoch).
        full = self._full_ekt_field(
            current.key.ekt_key_value,
            current.key.ekt_spi,
            0,
            key.ssrc,
            rollover_counter,
            key.master_key,
        )
        source.cached = (rollover_counter, full)
        return full
