"""Certificate and CertificateRequest of DTLS 1.3 (RFC 8446 sections 4.4.2 and 4.3.2).

struct { opaque cert_data<1..2^24-1>; Extension extensions<0..2^16-1>; } CertificateEntry;

struct {
    opaque certificate_request_context<0..2^8-1>;
    CertificateEntry certificate_list<0..2^24-1>;
} Certificate;

struct {
    opaque certificate_request_context<0..2^8-1>;
    Extension extensions<2..2^16-1>;
} CertificateRequest;

CertificateVerify is as in certificate.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from halfkey.codec import Reader, Writer, encode_vector
from halfkey.dtls.extensions import (
    Extensions,
    encode_extensions,
    read_extensions,
    write_extensions,
)


class CertificateEntry(NamedTuple):
    """A certificate in DER form, with what is said of it."""

    cert_data: bytes
    extensions: Extensions

    def encode(self) -> bytes:
        """The entry in the list."""
        return encode_vector(3, self.cert_data) + encode_extensions(self.extensions)


@dataclass(frozen=True, slots=True)
class CertificateMessage:
    """Certificates, the sender's own first; may be empty."""

    certificate_request_context: bytes
    entries: tuple[CertificateEntry, ...]

    @property
    def certificate_list(self) -> tuple[bytes, ...]:
        """The certificates in DER form."""
        return tuple(entry.cert_data for entry in self.entries)

    def encode(self) -> bytes:
        """The message body."""
        entries = b"".join(entry.encode() for entry in self.entries)
        return encode_vector(1, self.certificate_request_context) + encode_vector(3, entries)

    @classmethod
    def decode(cls, body: bytes) -> CertificateMessage:
        """Reads a message body."""
        reader = Reader(body)
        context = reader.vector(1)
        entries = []
        with reader.block(3) as block:
            while block.remaining:
                entries.append(CertificateEntry(block.vector(3, 1), read_extensions(block)))
        reader.finish()
        return cls(context, tuple(entries))


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """What certificates a server takes."""

    certificate_request_context: bytes
    extensions: Extensions

    def encode(self) -> bytes:
        """The message body."""
        writer = Writer().vector(1, self.certificate_request_context)
        write_extensions(writer, self.extensions)
        return writer.getvalue()

    @classmethod
    def decode(cls, body: bytes) -> CertificateRequest:
        """Reads a message body."""
        reader = Reader(body)
        message = cls(reader.vector(1), read_extensions(reader))
        reader.finish()
        return message
