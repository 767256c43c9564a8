"""Record protection: what both versions have in common, and DTLS 1.2 (RFC 5288, RFC 7905).

Sealing and opening are different types: a key made for one direction can't serve the other.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag

from halfkey.dtls.crypto.suites import AEAD, SuiteParameters
from halfkey.dtls.record import HEADER_LENGTH, Ciphertext, Record, RecordNumber, encode_record
from halfkey.dtls.registries import DTLS_1_2

TAG_LENGTH = 16
FAILURE_LIMIT = 1 << 36
"""How many forgeries one key may refuse (RFC 9147 section 4.5.3)."""


class SealingKey(Protocol):
    """Protects what we send in one epoch, in either version."""

    @property
    def overhead(self) -> int:
        """What a record has beside its payload, header included, in bytes."""
        ...

    @property
    def record_limit(self) -> int:
        """How many records the key may seal."""
        ...

    def protect(self, content_type: int, number: RecordNumber, payload: bytes) -> bytes:
        """A whole record; the caller never repeats a record number."""
        ...

    def wipe(self) -> None:
        """Overwrites what we can of the key; the cipher's own copy goes with its object."""
        ...


class OpeningKey(Protocol):
    """Opens what the peer sends in one epoch, in either version."""

    def open(self, record: Record | Ciphertext, expected: int) -> Opened | None:
        """The content, or None if the record is not authentic, or of the other version.

        Args:
            record: what came.
            expected: one more than the highest sequence number that proved authentic.
        """
        ...

    def wipe(self) -> None:
        """Overwrites what we can of the key; the cipher's own copy goes with its object."""
        ...


class Opened(NamedTuple):
    """What was in an authentic record."""

    content_type: int
    sequence_number: int
    payload: bytes

    def __repr__(self) -> str:
        # The payload may be an ekt_key.
        return f"Opened({self.content_type}, {self.sequence_number}, {len(self.payload)} bytes)"


class _DirectionKey:
    __slots__ = ("_aead", "_iv", "_suite")

    def __init__(self, suite: SuiteParameters, key: bytearray, iv: bytearray) -> None:
        self._suite = suite
        self._aead: AEAD = suite.aead(key)
        self._iv = iv

    @property
    def overhead(self) -> int:
        """See `SealingKey`."""
        return HEADER_LENGTH + self._expansion

    @property
    def record_limit(self) -> int:
        """See `SealingKey`."""
        return self._suite.record_limit

    @property
    def _expansion(self) -> int:
        return self._suite.explicit_nonce_length + TAG_LENGTH

    def wipe(self) -> None:
        """See `SealingKey`."""
        self._iv[:] = bytes(len(self._iv))

    def _nonce(self, explicit: bytes) -> bytes:
        if self._suite.explicit_nonce_length:
            return bytes(self._iv) + explicit
        # RFC 7905 section 2: the record number, padded on the left, XORed into the IV.
        padded = int.from_bytes(self._iv, "big") ^ int.from_bytes(explicit, "big")
        return padded.to_bytes(len(self._iv), "big")


class BlockSealingKey(_DirectionKey):
    """Protects what we send in the protected epoch of DTLS 1.2, with a part of the key block."""

    __slots__ = ()

    def protect(self, content_type: int, number: RecordNumber, payload: bytes) -> bytes:
        """See `SealingKey`."""
        sealed = self.seal(content_type, DTLS_1_2, number, payload)
        return encode_record(content_type, DTLS_1_2, number, sealed)

    def seal(
        self, content_type: int, version: int, number: RecordNumber, plaintext: bytes
    ) -> bytes:
        """The protected fragment; the explicit nonce is the record number, never random."""
        packed = number.packed.to_bytes(8, "big")
        data = _additional_data(packed, content_type, version, len(plaintext))
        sealed = self._aead.encrypt(self._nonce(packed), plaintext, data)
        return packed[: self._suite.explicit_nonce_length] + sealed


class BlockOpeningKey(_DirectionKey):
    """Opens what the peer sends in the protected epoch of DTLS 1.2."""

    __slots__ = ()

    def open(self, record: Record | Ciphertext, expected: int) -> Opened | None:
        """See `OpeningKey`; the record number stands in the header, so nothing is expected."""
        if not isinstance(record, Record) or record.version != DTLS_1_2:
            return None
        plaintext = self._decrypt(record)
        if plaintext is None:
            return None
        return Opened(record.content_type, record.number.sequence_number, plaintext)

    def _decrypt(self, record: Record) -> bytes | None:
        explicit_length = self._suite.explicit_nonce_length
        length = len(record.fragment) - self._expansion
        if length < 0:
            return None
        packed = record.number.packed.to_bytes(8, "big")
        explicit = record.fragment[:explicit_length] or packed
        data = _additional_data(packed, record.content_type, record.version, length)
        try:
            return self._aead.decrypt(
                self._nonce(explicit), record.fragment[explicit_length:], data
            )
        except InvalidTag:
            return None


def _additional_data(packed_number: bytes, content_type: int, version: int, length: int) -> bytes:
    return (
        packed_number
        + content_type.to_bytes(1, "big")
        + version.to_bytes(2, "big")
        + length.to_bytes(2, "big")
    )
