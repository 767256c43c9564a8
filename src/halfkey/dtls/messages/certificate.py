"""Certificate, CertificateRequest and CertificateVerify (RFC 5246 sections 7.4.2, 7.4.4, 7.4.8).

struct { ASN.1Cert certificate_list<0..2^24-1>; } Certificate;   opaque ASN.1Cert<1..2^24-1>;

struct {
    ClientCertificateType certificate_types<1..2^8-1>;
    SignatureAndHashAlgorithm supported_signature_algorithms<2..2^16-2>;
    DistinguishedName certificate_authorities<0..2^16-1>;
} CertificateRequest;

struct { SignatureAndHashAlgorithm algorithm; opaque signature<0..2^16-1>; } DigitallySigned;
"""

from __future__ import annotations

from dataclasses import dataclass

from halfkey.codec import Reader, Writer, encode_vector
from halfkey.dtls.extensions import encode_uint16_list, read_uint16_list
from halfkey.errors import CodecError

ECDSA_SIGN = 64
"""ClientCertificateType of RFC 8422 section 5.5."""


@dataclass(frozen=True, slots=True)
class CertificateMessage:
    """Certificates in DER form, the sender's own first; may be empty."""

    certificate_list: tuple[bytes, ...]

    def encode(self) -> bytes:
        """The message body."""
        return encode_vector(3, b"".join(encode_vector(3, der) for der in self.certificate_list))

    @classmethod
    def decode(cls, body: bytes) -> CertificateMessage:
        """Reads a message body."""
        reader = Reader(body)
        entries = []
        with reader.block(3) as block:
            while block.remaining:
                entries.append(block.vector(3, 1))
        reader.finish()
        return cls(tuple(entries))


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """What certificates a server takes."""

    certificate_types: bytes
    signature_schemes: tuple[int, ...]
    certificate_authorities: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """The message body."""
        types, schemes = self.certificate_types, encode_uint16_list(self.signature_schemes)
        authorities = b"".join(encode_vector(2, name) for name in self.certificate_authorities)
        return encode_vector(1, types) + schemes + encode_vector(2, authorities)

    @classmethod
    def decode(cls, body: bytes) -> CertificateRequest:
        """Reads a message body."""
        reader = Reader(body)
        types = reader.vector(1, 1)
        schemes = read_uint16_list(reader)
        names = []
        with reader.block(2) as block:
            while block.remaining:
                names.append(block.vector(2, 1))
        reader.finish()
        return cls(types, schemes, tuple(names))


@dataclass(frozen=True, slots=True)
class CertificateVerify:
    """Proof that the sender holds its certificate's key."""

    scheme: int
    signature: bytes

    def encode(self) -> bytes:
        """The message body."""
        return Writer().uint16(self.scheme).vector(2, self.signature).getvalue()

    @classmethod
    def decode(cls, body: bytes) -> CertificateVerify:
        """Reads a message body."""
        reader = Reader(body)
        message = cls(reader.uint16(), reader.vector(2))
        reader.finish()
        if not message.signature:
            raise CodecError("a signature is empty")
        return message
