"""Handshake message fragments (RFC 6347 section 4.2.2).

struct {
    HandshakeType msg_type;
    uint24 length;
    uint16 message_seq;
    uint24 fragment_offset;
    uint24 fragment_length;
} Handshake header
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from halfkey.errors import CodecError

# A uint24 is its high byte and the two others.
_HEADER = struct.Struct(">BBHHBHBH")
HEADER_LENGTH = _HEADER.size


class Fragment(NamedTuple):
    """A part of a handshake message; `length` is that of the whole body."""

    message_type: int
    length: int
    message_seq: int
    offset: int
    data: bytes

    def __repr__(self) -> str:
        # The data may be an ekt_key.
        return f"Fragment({self.message_type}, {self.message_seq}, {self.offset}, {len(self.data)})"

    @property
    def is_whole(self) -> bool:
        """Whether it is all of its message."""
        return self.offset == 0 and len(self.data) == self.length

    @property
    def ends_message(self) -> bool:
        """Whether it has the last of its message."""
        return self.offset + len(self.data) == self.length

    def encode(self) -> bytes:
        """The fragment on the wire, header and data."""
        return (
            _header(self.message_type, self.length, self.message_seq, self.offset, len(self.data))
            + self.data
        )


def encode_tls_message(message_type: int, body: bytes) -> bytes:
    """A message as the transcript of DTLS 1.3 counts it (RFC 9147 section 5.2)."""
    return message_type.to_bytes(1, "big") + len(body).to_bytes(3, "big") + body


def encode_message(message_type: int, message_seq: int, body: bytes) -> bytes:
    """A message in one piece, as the transcript of DTLS 1.2 counts it (RFC 6347 section 4.2.6)."""
    return _header(message_type, len(body), message_seq, 0, len(body)) + body


def decode_fragments(payload: bytes) -> list[Fragment]:
    """Reads every fragment in a record's payload.

    Raises:
        CodecError: one is cut short, reaches beyond its message, or is empty but its message isn't.
    """
    fragments = []
    position, end = 0, len(payload)
    while position < end:
        fragment = _decode_at(payload, position)
        fragments.append(fragment)
        position += HEADER_LENGTH + len(fragment.data)
    if not fragments:
        raise CodecError("a handshake record without a fragment")
    return fragments


def _decode_at(payload: bytes, position: int) -> Fragment:
    start = position + HEADER_LENGTH
    if start > len(payload):
        raise CodecError("a fragment's header is cut short")
    message_type, l1, l2, message_seq, o1, o2, s1, s2 = _HEADER.unpack_from(payload, position)
    length, offset, size = l1 << 16 | l2, o1 << 16 | o2, s1 << 16 | s2
    if offset + size > length or (size == 0 and length):
        raise CodecError("a fragment doesn't lie within its message")
    if len(payload) - start < size:
        raise CodecError("a fragment is cut short")
    return Fragment(message_type, length, message_seq, offset, payload[start : start + size])


def _header(message_type: int, length: int, message_seq: int, offset: int, size: int) -> bytes:
    return _HEADER.pack(
        message_type,
        length >> 16,
        length & 0xFFFF,
        message_seq,
        offset >> 16,
        offset & 0xFFFF,
        size >> 16,
        size & 0xFFFF,
    )
