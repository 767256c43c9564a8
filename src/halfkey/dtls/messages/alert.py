"""Alert (RFC 5246 section 7.2, RFC 8446 section 6): a level and a description, a byte each."""

from __future__ import annotations

from dataclasses import dataclass

from halfkey.codec import Reader, Writer
from halfkey.dtls.registries import DTLS_1_3, AlertDescription, AlertLevel, ProtocolVersion


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert; unknown levels and descriptions are kept."""

    level: int
    description: int

    def is_closure(self, version: ProtocolVersion) -> bool:
        """Whether it ends the association.

        In 1.2 everything does but a warning, close_notify included. In 1.3 the level means nothing,
        and user_canceled alone lets an association go on (RFC 8446 section 6.1).
        """
        if version is DTLS_1_3:
            return self.description != AlertDescription.USER_CANCELED
        return self.level != AlertLevel.WARNING or self.description == AlertDescription.CLOSE_NOTIFY

    def encode(self) -> bytes:
        """The record's payload."""
        return Writer().uint8(self.level).uint8(self.description).getvalue()

    @classmethod
    def decode(cls, payload: bytes) -> Alert:
        """Reads a record's payload."""
        reader = Reader(payload)
        message = cls(reader.uint8(), reader.uint8())
        reader.finish()
        return message
