"""ACK (RFC 9147 section 7), which RFC 8870 section 5.2.2 uses with DTLS 1.2 as well.

struct { uint64 epoch; uint64 sequence_number; } RecordNumber;
struct { RecordNumber record_numbers<0..2^16-1>; } ACK;
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from halfkey.codec import encode_vector, whole_vector
from halfkey.dtls.record import RecordNumber
from halfkey.errors import CodecError

_PREFIX_LENGTH = 2
_NUMBER = struct.Struct(">QQ")


@dataclass(frozen=True, slots=True)
class Ack:
    """Names records whose content was received and processed."""

    record_numbers: tuple[RecordNumber, ...]

    @staticmethod
    def capacity(room: int) -> int:
        """How many record numbers fit into so many bytes."""
        return (room - _PREFIX_LENGTH) // _NUMBER.size

    def encode(self) -> bytes:
        """The record's payload."""
        return encode_vector(
            _PREFIX_LENGTH, b"".join(_NUMBER.pack(*one) for one in self.record_numbers)
        )

    @classmethod
    def decode(cls, payload: bytes) -> Ack:
        """Reads a record's payload."""
        entries = whole_vector(payload, _PREFIX_LENGTH)
        if len(entries) % _NUMBER.size:
            raise CodecError("a record number is cut short")
        return cls(tuple(RecordNumber(*one) for one in _NUMBER.iter_unpack(entries)))
