"""ACK (RFC 9147 section 7), which RFC 8870 section 5.2.2 uses with DTLS 1.2 as well.

struct { uint64 epoch; uint64 sequence_number; } RecordNumber;
struct { RecordNumber record_numbers<0..2^16-1>; } ACK;
"""

from __future__ import annotations

from dataclasses import dataclass

from halfkey.codec import Reader, Writer
from halfkey.dtls.record import RecordNumber

_PREFIX_LENGTH, _NUMBER_LENGTH = 2, 16


@dataclass(frozen=True, slots=True)
class Ack:
    """Names records whose content was received and processed."""

    record_numbers: tuple[RecordNumber, ...]

    @staticmethod
    def capacity(room: int) -> int:
        """How many record numbers fit into so many bytes."""
        return (room - _PREFIX_LENGTH) // _NUMBER_LENGTH

    def encode(self) -> bytes:
        """The record's payload."""
        writer = Writer()
        with writer.block(2) as entries:
            for number in self.record_numbers:
                entries.uint64(number.epoch).uint64(number.sequence_number)
        return writer.getvalue()

    @classmethod
    def decode(cls, payload: bytes) -> Ack:
        """Reads a record's payload."""
        reader = Reader(payload)
        numbers = []
        with reader.block(2) as entries:
            while entries.remaining:
                numbers.append(RecordNumber(entries.uint64(), entries.uint64()))
        reader.finish()
        return cls(tuple(numbers))
