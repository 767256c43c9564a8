"""KeyUpdate (RFC 8446 section 4.6.3).

enum { update_not_requested(0), update_requested(1), (255) } KeyUpdateRequest;
struct { KeyUpdateRequest request_update; } KeyUpdate;
"""

from __future__ import annotations

from dataclasses import dataclass

from halfkey.codec import Reader, Writer

UPDATE_NOT_REQUESTED, UPDATE_REQUESTED = 0, 1


@dataclass(frozen=True, slots=True)
class KeyUpdate:
    """The sender's next records come under a new key; unknown requests are kept."""

    request_update: int

    def encode(self) -> bytes:
        """The message body."""
        return Writer().uint8(self.request_update).getvalue()

    @classmethod
    def decode(cls, body: bytes) -> KeyUpdate:
        """Reads a message body."""
        reader = Reader(body)
        message = cls(reader.uint8())
        reader.finish()
        return message
