"""Which records of the peer's current flight came, and when to say so (RFC 9147 section 7.1).

A flight that is complete is answered by the next one, or acknowledged by whoever completes it; here
is only what happens when part of it is missing. ACKs go out and count under a key only: in plain
text anybody could stop our retransmissions, or ask for them.
"""

from __future__ import annotations

from halfkey.dtls.record import RecordNumber

_MAXIMUM_RECORD_NUMBERS = 64


class Acknowledgements:
    """The records that an ACK would name.

    Args:
        delay: seconds to wait for the rest of a flight.
    """

    __slots__ = ("_delay", "_is_due", "_numbers", "deadline")

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._numbers: list[RecordNumber] = []
        self._is_due = False
        self.deadline: float | None = None

    def note(self, number: RecordNumber, now: float) -> None:
        """Notes a record all of whose fragments were processed or kept."""
        self._numbers.append(number)
        # Those that were not yet acknowledged matter more (RFC 9147 section 7).
        del self._numbers[:-_MAXIMUM_RECORD_NUMBERS]
        if self.deadline is None:
            self.deadline = now + self._delay
        self._is_due = True

    def take_all(self) -> tuple[RecordNumber, ...]:
        """Every record of the flight, in order; the flight is over."""
        numbers = tuple(sorted(self._numbers))
        self._numbers.clear()
        self.postpone()
        return numbers

    def take_due(self, now: float, *, is_disrupted: bool) -> tuple[RecordNumber, ...]:
        """What to acknowledge now, if anything: nothing is said twice without news."""
        if not self._is_due or self.deadline is None:
            return ()
        if not is_disrupted and now < self.deadline:
            return ()
        self.postpone()
        return tuple(sorted(self._numbers))

    def postpone(self) -> None:
        """Waits for news before the next ACK."""
        self._is_due = False
        self.deadline = None
