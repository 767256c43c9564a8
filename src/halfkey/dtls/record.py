"""Plaintext record framing (RFC 6347 section 4.1)."""

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
"""With no renegotiation, DTLS 1.2 knows two epochs."""
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


def encode_record(content_type: int, version: int, number: RecordNumber, fragment: bytes) -> bytes:
    """A record on the wire."""
    return HEADER.pack(content_type, version, number.packed, len(fragment)) + fragment


def split_datagram(data: bytes, counters: Counters) -> Iterator[Record]:
    """Yields the records of a datagram; what follows a malformed one is dropped and counted."""
    position, end = 0, len(data)
    while position < end:
        if end - position < HEADER_LENGTH:
            return counters.count(Noise.MALFORMED_RECORD)
        content_type, version, packed, length = HEADER.unpack_from(data, position)
        position += HEADER_LENGTH
        if version >> 8 != 0xFE or length > min(end - position, _MAXIMUM_CIPHERTEXT):
            return counters.count(Noise.MALFORMED_RECORD)
        number = RecordNumber(packed >> _EPOCH_SHIFT, packed & MAXIMUM_SEQUENCE_NUMBER)
        yield Record(content_type, version, number, data[position : position + length])
        position += length
    return None
