"""Finished (RFC 5246 section 7.4.9): ``opaque verify_data[12]``."""

from __future__ import annotations

from dataclasses import dataclass

from halfkey.codec import Reader

VERIFY_DATA_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Finished:
    """Proof that both sides saw the same handshake."""

    verify_data: bytes

    def encode(self) -> bytes:
        """The message body."""
        return self.verify_data

    @classmethod
    def decode(cls, body: bytes) -> Finished:
        """Reads a message body."""
        reader = Reader(body)
        message = cls(reader.read(VERIFY_DATA_LENGTH))
        reader.finish()
        return message
