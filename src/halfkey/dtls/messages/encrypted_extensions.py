"""EncryptedExtensions (RFC 8446 section 4.3.1): ``Extension extensions<0..2^16-1>``."""

from __future__ import annotations

from dataclasses import dataclass

from halfkey.codec import Reader, Writer
from halfkey.dtls.extensions import Extensions, read_extensions, write_extensions


@dataclass(frozen=True, slots=True)
class EncryptedExtensions:
    """What a server chose, but for what the keys depend on."""

    extensions: Extensions

    def encode(self) -> bytes:
        """The message body."""
        writer = Writer()
        write_extensions(writer, self.extensions)
        return writer.getvalue()

    @classmethod
    def decode(cls, body: bytes) -> EncryptedExtensions:
        """Reads a message body."""
        reader = Reader(body)
        message = cls(read_extensions(reader))
        reader.finish()
        return message
