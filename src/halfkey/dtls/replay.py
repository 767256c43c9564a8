"""The anti-replay window of one epoch (RFC 6347 section 4.1.2.6, RFC 9147 section 4.5.1)."""

from __future__ import annotations

_SIZE = 64
_MASK = (1 << _SIZE) - 1


class ReplayWindow:
    """Remembers which of the latest 64 sequence numbers were accepted.

    `admits` changes nothing, so that only an authenticated record moves the window.
    """

    __slots__ = ("_bitmap", "_highest")

    def __init__(self) -> None:
        self._highest = -1
        self._bitmap = 0

    @property
    def expected(self) -> int:
        """One more than the highest number that was accepted."""
        return self._highest + 1

    def admits(self, sequence_number: int) -> bool:
        """Whether the number is new and not too old."""
        age = self._highest - sequence_number
        return age < 0 or (age < _SIZE and not self._bitmap >> age & 1)

    def accept(self, sequence_number: int) -> None:
        """Notes the number of a record that proved authentic."""
        advance = sequence_number - self._highest
        if advance > 0:
            self._bitmap = (self._bitmap << min(advance, _SIZE) | 1) & _MASK
            self._highest = sequence_number
        else:
            self._bitmap |= 1 << -advance
