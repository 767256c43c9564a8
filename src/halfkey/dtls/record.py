"""Record framing: the header of RFC 6347 section 4.1, and the unified one of RFC 9147 section 4.

DTLS 1.3 has the former for plain text, and the latter for all that it protects.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from halfkey.dtls.faults import Counters, Noise

HEADER = struct.Struct("!BHQH")
HEADER_LENGTH = HEADER.size
MAXIMUM_PLAINTEXT = 1 << 14
_MAXIMUM_CIPHERTEXT = MAXIMUM_PLAINTEXT + 2048
_EPOCH_SHIFT = 48

PLAINTEXT_EPOCH = 0
PROTECTED_EPOCH = 1
"""Of DTLS 1.2, which with no renegotiation knows two epochs."""
HANDSHAKE_EPOCH = 2
APPLICATION_EPOCH = 3
"""Of DTLS 1.3, where each KeyUpdate brings another (RFC 9147 section 6.1)."""
MAXIMUM_SEQUENCE_NUMBER = (1 << _EPOCH_SHIFT) - 1


class RecordNumber(NamedTuple):
    """What names a record: what an ACK lists and a nonce is made from."""

    epoch: int
    sequence_number: int

    @property
    def packed(self) -> int:
        """The 64 bits of a DTLS 1.2 record header."""
        return self.epoch << _EPOCH_SHIFT | self.sequence_number


class Record(NamedTuple):
    """A record as it stands in a datagram; `fragment` may be encrypted."""

    content_type: int
    version: int
    number: RecordNumber
    fragment: bytes


class Ciphertext(NamedTuple):
    """A DTLSCiphertext as it stands in a datagram: its record number is encrypted.

    Attributes:
        header: the unified header, 2 to 5 bytes.
        encrypted_record: what follows.
    """

    header: bytes
    encrypted_record: bytes

    @property
    def epoch_bits(self) -> int:
        """The two low-order bits of the epoch."""
        return self.header[0] & _EPOCH_BITS

    @property
    def number_length(self) -> int:
        """How many bytes of the sequence number there are, after the first byte."""
        return 2 if self.header[0] & _LONG_NUMBER else 1


_FIXED_MASK, _FIXED_BITS = 0xE0, 0x20
_CONNECTION_ID, _LONG_NUMBER, _WITH_LENGTH, _EPOCH_BITS = 0x10, 0x08, 0x04, 0x03
_UNIFIED_HEADER = struct.Struct("!BHH")
UNIFIED_HEADER_LENGTH = _UNIFIED_HEADER.size
_MAXIMUM_ENCRYPTED_RECORD = MAXIMUM_PLAINTEXT + 256
"""RFC 8446 section 5.2."""


def unified_header(number: RecordNumber, length: int) -> bytes:
    """The header that we send: no connection id, 16 bits of sequence number, and the length."""
    first = _FIXED_BITS | _LONG_NUMBER | _WITH_LENGTH | number.epoch & _EPOCH_BITS
    return _UNIFIED_HEADER.pack(first, number.sequence_number & 0xFFFF, length)


def encode_record(content_type: int, version: int, number: RecordNumber, fragment: bytes) -> bytes:
    """A record on the wire."""
    return HEADER.pack(content_type, version, number.packed, len(fragment)) + fragment


def split_datagram(data: bytes, counters: Counters) -> Iterator[Record | Ciphertext]:
    """Yields the records of a datagram; what follows a malformed one is dropped and counted."""
    position, end = 0, len(data)
    while position < end:
        # RFC 9147 section 4.1: the first byte tells.
        is_unified = data[position] & _FIXED_MASK == _FIXED_BITS
        taken = (_take_ciphertext if is_unified else _take_record)(data, position)
        if taken is None:
            return counters.count(Noise.MALFORMED_RECORD)
        record, position = taken
        yield record
    return None


def _take_record(data: bytes, position: int) -> tuple[Record, int] | None:
    start = position + HEADER_LENGTH
    if len(data) < start:
        return None
    content_type, version, packed, length = HEADER.unpack_from(data, position)
    end = start + length
    if version >> 8 != 0xFE or end > len(data) or length > _MAXIMUM_CIPHERTEXT:
        return None
    number = RecordNumber(packed >> _EPOCH_SHIFT, packed & MAXIMUM_SEQUENCE_NUMBER)
    return Record(content_type, version, number, data[start:end]), end


def _take_ciphertext(data: bytes, position: int) -> tuple[Ciphertext, int] | None:
    """None also for a connection id: we negotiate none (RFC 9147 section 9)."""
    first = data[position]
    length_at = position + (3 if first & _LONG_NUMBER else 2)
    start = length_at + (2 if first & _WITH_LENGTH else 0)
    if first & _CONNECTION_ID or len(data) < start:
        return None
    # Without a length a record takes all that is left.
    length = (
        int.from_bytes(data[length_at:start], "big") if start > length_at else len(data) - start
    )
    end = start + length
    if end > len(data) or length > _MAXIMUM_ENCRYPTED_RECORD:
        return None
    return Ciphertext(data[position:start], data[start:end]), end
