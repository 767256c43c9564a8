"""NewSessionTicket (RFC 8446 section 4.6.1).

struct {
    uint32 ticket_lifetime;
    uint32 ticket_age_add;
    opaque ticket_nonce<0..255>;
    opaque ticket<1..2^16-1>;
    Extension extensions<0..2^16-2>;
} NewSessionTicket;
"""

from __future__ import annotations

from dataclasses import dataclass

from halfkey.codec import Reader, Writer
from halfkey.dtls.extensions import Extensions, read_extensions, write_extensions


@dataclass(frozen=True, slots=True)
class NewSessionTicket:
    """An offer to resume, which we never take up."""

    ticket_lifetime: int
    ticket_age_add: int
    ticket_nonce: bytes
    ticket: bytes
    extensions: Extensions

    def encode(self) -> bytes:
        """The message body."""
        writer = Writer().uint32(self.ticket_lifetime).uint32(self.ticket_age_add)
        writer.vector(1, self.ticket_nonce).vector(2, self.ticket)
        write_extensions(writer, self.extensions)
        return writer.getvalue()

    @classmethod
    def decode(cls, body: bytes) -> NewSessionTicket:
        """Reads a message body."""
        reader = Reader(body)
        lifetime, age_add = reader.uint32(), reader.uint32()
        nonce, ticket = reader.vector(1), reader.vector(2, 1)
        extensions = read_extensions(reader)
        reader.finish()
        return cls(lifetime, age_add, nonce, ticket, extensions)
