"""ServerKeyExchange and ClientKeyExchange for ECDHE (RFC 8422 sections 5.4 and 5.7).

struct {
    ECCurveType curve_type;            named_curve(3)
    NamedCurve namedcurve;
    opaque point<1..2^8-1>;
} ServerECDHParams;

ServerKeyExchange: ServerECDHParams params; DigitallySigned signed_params;
ClientKeyExchange: opaque point<1..2^8-1>;
"""

from __future__ import annotations

from dataclasses import dataclass

from halfkey.codec import Reader, Writer
from halfkey.errors import CodecError

_NAMED_CURVE = 3


@dataclass(frozen=True, slots=True)
class ServerKeyExchange:
    """The server's ephemeral public key, signed."""

    group: int
    public_key: bytes
    scheme: int
    signature: bytes

    def encode(self) -> bytes:
        """The message body."""
        writer = Writer().write(encode_parameters(self.group, self.public_key))
        return writer.uint16(self.scheme).vector(2, self.signature).getvalue()

    @classmethod
    def decode(cls, body: bytes) -> ServerKeyExchange:
        """Reads a message body."""
        reader = Reader(body)
        if reader.uint8() != _NAMED_CURVE:
            raise CodecError("curve_type is not named_curve")
        message = cls(reader.uint16(), reader.vector(1, 1), reader.uint16(), reader.vector(2, 1))
        reader.finish()
        return message


def encode_parameters(group: int, public_key: bytes) -> bytes:
    """ServerECDHParams: what is signed, after both randoms."""
    return Writer().uint8(_NAMED_CURVE).uint16(group).vector(1, public_key).getvalue()


@dataclass(frozen=True, slots=True)
class ClientKeyExchange:
    """The client's ephemeral public key."""

    public_key: bytes

    def encode(self) -> bytes:
        """The message body."""
        return Writer().vector(1, self.public_key).getvalue()

    @classmethod
    def decode(cls, body: bytes) -> ClientKeyExchange:
        """Reads a message body."""
        reader = Reader(body)
        message = cls(reader.vector(1, 1))
        reader.finish()
        return message
