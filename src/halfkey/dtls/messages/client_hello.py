"""ClientHello (RFC 6347 section 4.2.1; RFC 9147 section 5.3, where four fields are legacy).

struct {
    ProtocolVersion client_version;
    Random random;
    SessionID session_id;
    opaque cookie<0..2^8-1>;
    CipherSuite cipher_suites<2..2^16-1>;
    CompressionMethod compression_methods<1..2^8-1>;
    Extension extensions<0..2^16-1>;
} ClientHello;
"""

from __future__ import annotations

from dataclasses import dataclass

from halfkey.codec import Reader, Writer
from halfkey.dtls.extensions import (
    Extensions,
    decode_offered_versions,
    encode_uint16_list,
    read_optional_extensions,
    read_uint16_list,
    write_optional_extensions,
)
from halfkey.dtls.registries import DTLS_1_2, ExtensionType
from halfkey.errors import CodecError

RANDOM_LENGTH = 32
_FIXED_LENGTH = 2 + RANDOM_LENGTH


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a client offers; code points are plain integers, unknown ones included."""

    version: int
    random: bytes
    session_id: bytes
    cookie: bytes
    cipher_suites: tuple[int, ...]
    compression_methods: bytes
    extensions: Extensions

    def encode(self) -> bytes:
        """The message body."""
        writer = Writer()
        writer.uint16(self.version).write(self.random)
        writer.vector(1, self.session_id).vector(1, self.cookie)
        writer.write(encode_uint16_list(self.cipher_suites))
        writer.vector(1, self.compression_methods)
        write_optional_extensions(writer, self.extensions)
        return writer.getvalue()

    @classmethod
    def decode(cls, body: bytes) -> ClientHello:
        """Reads a message body."""
        reader = Reader(body)
        version, random = reader.uint16(), reader.read(RANDOM_LENGTH)
        session_id, cookie = reader.vector(1, 0, 32), reader.vector(1)
        suites = read_uint16_list(reader)
        compression_methods = reader.vector(1, 1)
        extensions = read_optional_extensions(reader)
        reader.finish()
        return cls(version, random, session_id, cookie, suites, compression_methods, extensions)


def offered_versions(hello: ClientHello) -> tuple[int, ...]:
    """The versions that a client offers, in its order (RFC 8446 section 4.2.1).

    With supported_versions the field of old means nothing. Without, it names the latest version,
    and as versions count down, 1.2 is among those of a client that names a later one.

    Raises:
        CodecError: the extension is malformed.
    """
    content = hello.extensions.get(ExtensionType.SUPPORTED_VERSIONS)
    if content is not None:
        return decode_offered_versions(content)
    return (DTLS_1_2,) if hello.version <= DTLS_1_2 else ()


def cookie_and_parameters(body: bytes) -> tuple[bytes, bytes]:
    """Takes from a ClientHello's body its cookie, and what a cookie is bound to.

    That is what a client must repeat after HelloVerifyRequest: version, random, session_id,
    cipher_suites and compression_methods. Runs before anything is known of the client, so it
    reads no more than it must.

    Raises:
        CodecError: these fields are cut short.
    """
    cookie_at = _skip(body, _FIXED_LENGTH, 1)
    suites_at = _skip(body, cookie_at, 1)
    extensions_at = _skip(body, _skip(body, suites_at, 2), 1)
    return body[cookie_at + 1 : suites_at], body[:cookie_at] + body[suites_at:extensions_at]


def _skip(body: bytes, position: int, prefix: int) -> int:
    start = position + prefix
    end = start + int.from_bytes(body[position:start], "big")
    if end > len(body) or start > len(body):
        raise CodecError("a ClientHello is cut short")
    return end
