"""Record protection of DTLS 1.3 (RFC 9147 sections 4, 4.2.2 and 4.2.3; RFC 8446 section 5.2).

The payload and its content type are sealed under the epoch's key; then the record number in the
header is hidden by a mask that a key of its own makes from the ciphertext. The AEAD's sequence
number is the record's alone: the epoch has a part in the choice of the key, not in the nonce.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from halfkey.dtls.crypto.aead import TAG_LENGTH, Opened
from halfkey.dtls.crypto.suites import AEAD, SuiteParameters
from halfkey.dtls.record import (
    UNIFIED_HEADER_LENGTH,
    Ciphertext,
    Record,
    RecordNumber,
    unified_header,
)

_SAMPLE_LENGTH = 16
_CONTENT_TYPE_LENGTH = 1
_LARGEST_NUMBER_LENGTH = 2

Mask = Callable[[bytes], bytes]
"""Makes, from the first 16 bytes of the ciphertext, what hides the record number."""


def record_number_mask(suite: SuiteParameters, sn_key: bytearray) -> Mask:
    """AES-ECB or ChaCha20 under ``sn_key`` (RFC 9147 section 4.2.3); the key is wiped here."""
    key = bytes(sn_key)
    sn_key[:] = bytes(len(sn_key))
    if suite.aead is AESGCM:
        # One context for the whole epoch: making one costs many times what using it does. A mask
        # of one block is what ECB is for.
        return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update  # noqa: S305

    def chacha20(sample: bytes) -> bytes:
        # The library, too, takes counter and nonce as one string of 16 bytes.
        cipher = Cipher(algorithms.ChaCha20(key, sample), mode=None)
        return cipher.encryptor().update(bytes(_LARGEST_NUMBER_LENGTH))

    return chacha20


class _TrafficKey:
    """Made from a traffic secret (RFC 8446 section 7.3).

    Args:
        suite: the negotiated suite.
        key: of the AEAD; wiped here.
        iv: 12 bytes.
        sn_key: of the record number encryption; wiped here.
    """

    __slots__ = ("_aead", "_iv", "_mask", "_suite")

    def __init__(
        self, suite: SuiteParameters, key: bytearray, iv: bytearray, sn_key: bytearray
    ) -> None:
        self._suite = suite
        self._aead: AEAD = suite.aead(key)
        key[:] = bytes(len(key))
        self._iv = iv
        self._mask = record_number_mask(suite, sn_key)

    def wipe(self) -> None:
        """Overwrites what we can of the key; the cipher's own copy goes with its object."""
        self._iv[:] = bytes(len(self._iv))

    def _nonce(self, sequence_number: int) -> bytes:
        """The sequence number, padded on the left, XORed into the IV (RFC 8446 section 5.3)."""
        nonce = int.from_bytes(self._iv, "big") ^ sequence_number
        return nonce.to_bytes(len(self._iv), "big")

    def _masked(self, header: bytes, number_length: int, encrypted_record: bytes) -> bytes:
        """The header with the record number hidden, or, of a hidden one, shown."""
        end = 1 + number_length
        mask = self._mask(encrypted_record[:_SAMPLE_LENGTH])[:number_length]
        hidden = int.from_bytes(header[1:end], "big") ^ int.from_bytes(mask, "big")
        return header[:1] + hidden.to_bytes(number_length, "big") + header[end:]


class TrafficSealingKey(_TrafficKey):
    """Protects what we send in one epoch."""

    __slots__ = ()

    @property
    def overhead(self) -> int:
        """See `SealingKey`."""
        return UNIFIED_HEADER_LENGTH + _CONTENT_TYPE_LENGTH + TAG_LENGTH

    @property
    def record_limit(self) -> int:
        """See `SealingKey`."""
        return self._suite.record_limit

    def protect(self, content_type: int, number: RecordNumber, payload: bytes) -> bytes:
        """See `SealingKey`; no padding is added."""
        inner = payload + content_type.to_bytes(_CONTENT_TYPE_LENGTH, "big")
        header = unified_header(number, len(inner) + TAG_LENGTH)
        sealed = self._aead.encrypt(self._nonce(number.sequence_number), inner, header)
        return self._masked(header, _LARGEST_NUMBER_LENGTH, sealed) + sealed


class TrafficOpeningKey(_TrafficKey):
    """Opens what the peer sends in one epoch."""

    __slots__ = ()

    def open(self, record: Record | Ciphertext, expected: int) -> Opened | None:
        """See `OpeningKey`."""
        if not isinstance(record, Ciphertext) or len(record.encrypted_record) < TAG_LENGTH:
            return None
        length = record.number_length
        header = self._masked(record.header, length, record.encrypted_record)
        number = reconstruct(int.from_bytes(header[1 : 1 + length], "big"), 8 * length, expected)
        try:
            inner = self._aead.decrypt(self._nonce(number), record.encrypted_record, header)
        except InvalidTag:
            return None
        # Behind the content, which may be empty, its type, and behind that any padding.
        content = inner.rstrip(b"\0")
        return Opened(content[-1] if content else 0, number, content[:-1])


def reconstruct(truncated: int, bits: int, expected: int) -> int:
    """The sequence number closest to `expected` that ends in `truncated` (RFC 9147 4.2.2)."""
    size = 1 << bits
    candidate = expected - expected % size + truncated
    if candidate > expected + size // 2 and candidate >= size:
        return candidate - size
    if candidate < expected - size // 2:
        return candidate + size
    return candidate
