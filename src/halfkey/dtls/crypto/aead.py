"""Record protection of DTLS 1.2 (RFC 5246 section 6.2.3.3, RFC 5288, RFC 7905).

Sealing and opening are different types: a key made for one direction can't serve the other.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag

from halfkey.dtls.crypto.suites import AEAD, SuiteParameters
from halfkey.dtls.record import Record, RecordNumber

TAG_LENGTH = 16
FAILURE_LIMIT = 1 << 36
"""How many forgeries one key may refuse (RFC 9147 section 4.5.3)."""


class _DirectionKey:
    __slots__ = ("_aead", "_iv", "_suite")

    def __init__(self, suite: SuiteParameters, key: bytearray, iv: bytearray) -> None:
        self._suite = suite
        self._aead: AEAD = suite.aead(key)
        self._iv = iv

    @property
    def overhead(self) -> int:
        """What protection adds to a record's payload, in bytes."""
        return self._suite.explicit_nonce_length + TAG_LENGTH

    @property
    def record_limit(self) -> int:
        """How many records the key may seal."""
        return self._suite.record_limit

    def wipe(self) -> None:
        """Overwrites what we can of the key; the cipher's own copy goes with its object."""
        self._iv[:] = bytes(len(self._iv))

    def _nonce(self, explicit: bytes) -> bytes:
        if self._suite.explicit_nonce_length:
            return bytes(self._iv) + explicit
        # RFC 7905 section 2: the record number, padded on the left, XORed into the IV.
        padded = int.from_bytes(self._iv, "big") ^ int.from_bytes(explicit, "big")
        return padded.to_bytes(len(self._iv), "big")


class SealingKey(_DirectionKey):
    """Protects what we send in one epoch; the caller never repeats a record number."""

    __slots__ = ()

    def seal(
        self, content_type: int, version: int, number: RecordNumber, plaintext: bytes
    ) -> bytes:
        """The protected fragment; the explicit nonce is the record number, never random."""
        packed = number.packed.to_bytes(8, "big")
        data = _additional_data(packed, content_type, version, len(plaintext))
        sealed = self._aead.encrypt(self._nonce(packed), plaintext, data)
        return packed[: self._suite.explicit_nonce_length] + sealed


class OpeningKey(_DirectionKey):
    """Opens what the peer sends in one epoch."""

    __slots__ = ()

    def open(self, record: Record) -> bytes | None:
        """The plaintext, or None if the record is not authentic."""
        explicit_length = self._suite.explicit_nonce_length
        length = len(record.fragment) - self.overhead
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
