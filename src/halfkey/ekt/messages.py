"""The EKTKey message and the EKT ciphers (RFC 8870 sections 4.4.1, 5.2.1 and 5.2.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from halfkey.codec import Reader, Writer
from halfkey.errors import CodecError

SRTP_MASTER_SALT_LENGTH = 12
"""What SRTP with AES-GCM needs of `EKTKey.srtp_master_salt` (RFC 8870 section 4.3.2, step 4)."""

# A ceiling of 256 takes a length prefix of two bytes (RFC 8446 section 3.4).
_VECTOR_PREFIX = 2


class EKTCipher(IntEnum):
    """EKTCipherType, with the code points of RFC 8870 section 5.2.1 (not of its IANA table)."""

    AESKW128 = 1
    AESKW256 = 2

    @property
    def key_length(self) -> int:
        """The length L of an EKTKey for this cipher, in bytes (RFC 8870 table 1)."""
        return 16 if self is EKTCipher.AESKW128 else 32


@dataclass(frozen=True, slots=True)
class EKTKey:
    """The body of an ekt_key handshake message.

    Attributes:
        ekt_key_value: the key-encryption key, 1 to 256 bytes; never shown by repr.
        srtp_master_salt: the salt of every master key wrapped under it, 1 to 256 bytes.
        ekt_spi: the SPI that names this EKT parameter set, 16 bits.
        ekt_ttl: for how many seconds from receipt it may be used, 24 bits.
    """

    ekt_key_value: bytes = field(repr=False)
    srtp_master_salt: bytes = field(repr=False)
    ekt_spi: int
    ekt_ttl: int

    def encode(self) -> bytes:
        """The message body on the wire."""
        writer = Writer()
        writer.vector(_VECTOR_PREFIX, self.ekt_key_value)
        writer.vector(_VECTOR_PREFIX, self.srtp_master_salt)
        return writer.uint16(self.ekt_spi).uint24(self.ekt_ttl).getvalue()

    @classmethod
    def decode(cls, body: bytes, cipher: EKTCipher) -> EKTKey:
        """Reads a message body; the key's length must be that of the negotiated cipher.

        Raises:
            CodecError: the body is malformed, or its key or salt has a length of no use.
        """
        reader = Reader(body)
        key = reader.vector(_VECTOR_PREFIX, 1, 256)
        salt = reader.vector(_VECTOR_PREFIX, 1, 256)
        message = cls(key, salt, reader.uint16(), reader.uint24())
        reader.finish()
        if len(key) != cipher.key_length:
            raise CodecError(f"an EKTKey of {len(key)} bytes doesn't fit {cipher.name}")
        if len(salt) < SRTP_MASTER_SALT_LENGTH:
            raise CodecError(f"an srtp_master_salt of {len(salt)} bytes is too short")
        return message

    @property
    def master_salt(self) -> bytes:
        """The part of the salt that SRTP uses: its first 12 bytes."""
        return self.srtp_master_salt[:SRTP_MASTER_SALT_LENGTH]
