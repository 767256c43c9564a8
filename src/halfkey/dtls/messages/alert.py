"""Alert (RFC 5246 section 7.2): a level and a description, a byte each."""

from __future__ import annotations

from dataclasses import dataclass

from halfkey.codec import Reader, Writer
from halfkey.dtls.registries import AlertDescription, AlertLevel


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert; unknown levels and descriptions are kept."""

    level: int
    description: int

    @property
    def is_closure(self) -> bool:
        """Whether it ends the association: anything but a warning, and close_notify."""
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
