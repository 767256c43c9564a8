"""Reassembly of handshake messages (RFC 6347 section 4.2.3, RFC 9147 section 5.5), within bounds.

Messages are told apart by (epoch, message_seq), so that what is injected in plain text can't stand
in the way of a protected message with the same number, and no message spans a change of keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from halfkey.dtls.faults import Counters, Noise
from halfkey.dtls.messages.framing import Fragment
from halfkey.dtls.record import PLAINTEXT_EPOCH, RecordNumber

MAXIMUM_MESSAGE = 32 * 1024
MAXIMUM_AHEAD = 8
MAXIMUM_BYTES_AHEAD = 32 * 1024
"""For all messages but the one that is wanted next, which always has room."""
_MAXIMUM_GAPS = 32
_MAXIMUM_RECORD_NUMBERS = 64


_KeyPredicate = Callable[[tuple[int, int]], bool]


class Message(NamedTuple):
    """A whole handshake message, and the records that brought it.

    Only those of which nothing was dropped: an ACK may name them (RFC 9147 section 7).
    """

    message_type: int
    message_seq: int
    body: bytes
    epoch: int
    record_numbers: tuple[RecordNumber, ...]

    def __repr__(self) -> str:
        # The body may be an ekt_key.
        return f"Message({self.message_type}, {self.message_seq}, {len(self.body)} bytes)"


class Coverage:
    """Which parts of ``0..length`` are there: disjoint ranges in order, few by construction."""

    __slots__ = ("_ranges", "length")

    def __init__(self, length: int) -> None:
        self.length = length
        self._ranges: list[tuple[int, int]] = []

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return self.length == 0 or self._ranges == [(0, self.length)]

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """What is missing, in order; of an empty message, all of it."""
        if self.length == 0:
            return [(0, 0)]
        edges = [0, *(edge for one in self._ranges for edge in one), self.length]
        pairs = zip(edges[::2], edges[1::2], strict=True)
        return [(start, end) for start, end in pairs if start < end]

    @property
    def is_prefix(self) -> bool:
        """Whether what is there has no gap before or within it."""
        return not self._ranges or (len(self._ranges) == 1 and self._ranges[0][0] == 0)

    def add(self, start: int, end: int) -> bool:
        """Adds a range; False if that would leave too many gaps (then nothing is added)."""
        apart = [one for one in self._ranges if one[1] < start or one[0] > end]
        touched = [one for one in self._ranges if one[1] >= start and one[0] <= end]
        if len(apart) >= _MAXIMUM_GAPS:
            return False
        merged = (
            min([start, *(one[0] for one in touched)]),
            max([end, *(one[1] for one in touched)]),
        )
        self._ranges = sorted([*apart, merged])
        return True


class _Partial:
    __slots__ = ("body", "coverage", "message_type", "record_numbers")

    def __init__(self, fragment: Fragment) -> None:
        self.message_type = fragment.message_type
        self.body = bytearray(fragment.length)
        self.coverage = Coverage(fragment.length)
        self.record_numbers: list[RecordNumber] = []

    def matches(self, fragment: Fragment) -> bool:
        return (self.message_type, len(self.body)) == (fragment.message_type, fragment.length)

    def add(self, fragment: Fragment) -> bool:
        if self.coverage.is_complete:
            return True  # a retransmission; its record number counts all the same
        end = fragment.offset + len(fragment.data)
        if not self.coverage.add(fragment.offset, end):
            return False
        self.body[fragment.offset : end] = fragment.data
        return True

    def note(self, number: RecordNumber) -> None:
        if len(self.record_numbers) < _MAXIMUM_RECORD_NUMBERS:
            self.record_numbers.append(number)


class Reassembler:
    """Puts messages together and hands them out in the order of message_seq.

    The fragments of a record are added one after another, before those of the next.

    Args:
        counters: told of every fragment that is dropped.
        next_seq: the message_seq that is wanted first.
    """

    __slots__ = ("_bytes", "_counters", "_incomplete", "_partials", "next_seq")

    def __init__(self, counters: Counters, next_seq: int = 0) -> None:
        self._counters = counters
        self._partials: dict[tuple[int, int], _Partial] = {}
        self._bytes = 0
        self._incomplete: RecordNumber | None = None
        self.next_seq = next_seq

    @property
    def held_bytes(self) -> int:
        """The memory promised to unfinished and waiting messages, in bytes."""
        return self._bytes

    def add(self, fragment: Fragment, number: RecordNumber) -> bool:
        """Takes a fragment not older than `next_seq`; False if it is dropped, which is counted."""
        key = (number.epoch, fragment.message_seq)
        partial = self._partials.get(key)
        if partial is None:
            if not self._has_room(fragment):
                return self._drop(Noise.REASSEMBLY_LIMIT, number)
            partial = _Partial(fragment)
        elif not partial.matches(fragment):
            return self._drop(Noise.FRAGMENT_MISMATCH, number)
        if not partial.add(fragment):
            return self._drop(Noise.REASSEMBLY_LIMIT, number)
        if self.has_kept(number):
            partial.note(number)
        if key not in self._partials:
            self._partials[key] = partial
            self._bytes += fragment.length
        return True

    def has_kept(self, number: RecordNumber) -> bool:
        """Whether nothing of the latest record was dropped, so that an ACK may name it."""
        return number != self._incomplete

    def is_disrupted(self, epoch: int) -> bool:
        """Whether something came in this epoch ahead of what is missing (RFC 9147 section 7.1)."""
        wanted = self._partials.get((epoch, self.next_seq))
        if wanted is not None:
            if wanted.coverage.is_complete:
                return False
            if not wanted.coverage.is_prefix:
                return True
        return any(key[0] == epoch and key[1] > self.next_seq for key in self._partials)

    def take(self, epoch: int) -> Message | None:
        """The next message in order, if it is whole and came in this epoch."""
        key = (epoch, self.next_seq)
        partial = self._partials.get(key)
        if partial is None or not partial.coverage.is_complete:
            return None
        message = Message(
            partial.message_type,
            self.next_seq,
            bytes(partial.body),
            epoch,
            tuple(partial.record_numbers),
        )
        self._forget(lambda other: other[1] == key[1])
        self.next_seq += 1
        return message

    def take_protected(self) -> Message | None:
        """The next message in order, if it is whole, whichever key it came under."""
        epochs = {epoch for epoch, seq in self._partials if seq == self.next_seq and epoch}
        return next((message for one in sorted(epochs) if (message := self.take(one))), None)

    def drop_plaintext(self) -> None:
        """Forgets what waits in epoch 0, once that is over."""
        self._forget(lambda key: key[0] == PLAINTEXT_EPOCH)

    def _drop(self, noise: Noise, number: RecordNumber) -> bool:
        """Also takes back that the record was noted for what came before in it."""
        self._counters.count(noise)
        if number == self._incomplete:
            return False  # once for a record: it may be full of such, from anybody who is in
        self._incomplete = number
        for partial in self._partials.values():
            partial.record_numbers = [one for one in partial.record_numbers if one != number]
        return False

    def _has_room(self, fragment: Fragment) -> bool:
        if fragment.length > MAXIMUM_MESSAGE:
            return False
        if fragment.message_seq == self.next_seq:
            return True
        return (
            fragment.message_seq < self.next_seq + MAXIMUM_AHEAD
            and self._bytes + fragment.length <= MAXIMUM_BYTES_AHEAD
        )

    def _forget(self, unwanted: _KeyPredicate) -> None:
        for key in [key for key in self._partials if unwanted(key)]:
            self._bytes -= len(self._partials.pop(key).body)
