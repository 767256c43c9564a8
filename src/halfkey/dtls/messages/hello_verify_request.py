"""HelloVerifyRequest (RFC 6347 section 4.2.1).

struct {
    ProtocolVersion server_version;
    opaque cookie<0..2^8-1>;
} HelloVerifyRequest;
"""

from __future__ import annotations

from dataclasses import dataclass

from halfkey.codec import Reader, Writer


@dataclass(frozen=True, slots=True)
class HelloVerifyRequest:
    """Asks a client to show that it receives at its address."""

    version: int
    cookie: bytes

    def encode(self) -> bytes:
        """The message body."""
        return Writer().uint16(self.version).vector(1, self.cookie).getvalue()

    @classmethod
    def decode(cls, body: bytes) -> HelloVerifyRequest:
        """Reads a message body."""
        reader = Reader(body)
        message = cls(reader.uint16(), reader.vector(1))
        reader.finish()
        return message
