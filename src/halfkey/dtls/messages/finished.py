"""Finished: ``opaque verify_data[12]`` (RFC 5246 7.4.9) or ``[Hash.length]`` (RFC 8446 4.4.4)."""

from __future__ import annotations

from dataclasses import dataclass

from halfkey.codec import Reader

VERIFY_DATA_LENGTH = 12
"""In DTLS 1.2."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Proof that both sides saw the same handshake."""

    verify_data: bytes

    def encode(self) -> bytes:
        """The message body."""
        return self.verify_data

    @classmethod
    def decode(cls, body: bytes, length: int = VERIFY_DATA_LENGTH) -> Finished:
        """Reads a message body whose verify_data has `length` bytes."""
        reader = Reader(body)
        message = cls(reader.read(length))
        reader.finish()
        return message
