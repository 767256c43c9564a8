"""ServerHello (RFC 5246 7.4.1.3, RFC 8446 4.1.3) and ServerHelloDone (RFC 5246 7.4.5).

A HelloRetryRequest is a ServerHello too, known by its random (RFC 8446 section 4.1.4).

struct {
    ProtocolVersion server_version;
    Random random;
    SessionID session_id;
    CipherSuite cipher_suite;
    CompressionMethod compression_method;
    Extension extensions<0..2^16-1>;
} ServerHello;
"""

from __future__ import annotations

from dataclasses import dataclass

from halfkey.codec import Reader, Writer
from halfkey.dtls.extensions import Extensions, read_optional_extensions, write_optional_extensions
from halfkey.dtls.messages.client_hello import RANDOM_LENGTH

HELLO_RETRY_REQUEST_RANDOM = bytes.fromhex(
    "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"
)
"""The SHA-256 of "HelloRetryRequest"."""

DOWNGRADE_SENTINEL = b"DOWNGRD\x01"
"""Ends the random of a server that speaks 1.3 and chose 1.2 (RFC 8446 section 4.1.3)."""

_SENTINELS = (DOWNGRADE_SENTINEL, b"DOWNGRD\x00")


@dataclass(frozen=True, slots=True)
class ServerHello:
    """What a server chose."""

    version: int
    random: bytes
    session_id: bytes
    cipher_suite: int
    compression_method: int
    extensions: Extensions

    @property
    def is_retry_request(self) -> bool:
        """Whether it is a HelloRetryRequest."""
        return self.random == HELLO_RETRY_REQUEST_RANDOM

    @property
    def is_downgraded(self) -> bool:
        """Whether the server says that it would have spoken a later version."""
        return self.random.endswith(_SENTINELS)

    def encode(self) -> bytes:
        """The message body."""
        writer = Writer()
        writer.uint16(self.version).write(self.random).vector(1, self.session_id)
        writer.uint16(self.cipher_suite).uint8(self.compression_method)
        write_optional_extensions(writer, self.extensions)
        return writer.getvalue()

    @classmethod
    def decode(cls, body: bytes) -> ServerHello:
        """Reads a message body."""
        reader = Reader(body)
        version, random = reader.uint16(), reader.read(RANDOM_LENGTH)
        session_id = reader.vector(1, 0, 32)
        suite, compression_method = reader.uint16(), reader.uint8()
        extensions = read_optional_extensions(reader)
        reader.finish()
        return cls(version, random, session_id, suite, compression_method, extensions)


@dataclass(frozen=True, slots=True)
class ServerHelloDone:
    """Ends a server's first flight; has no content."""

    def encode(self) -> bytes:
        """The message body, which is empty."""
        return b""

    @classmethod
    def decode(cls, body: bytes) -> ServerHelloDone:
        """Reads a message body."""
        Reader(body).finish()
        return cls()
