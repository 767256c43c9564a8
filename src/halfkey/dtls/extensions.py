"""Extension blocks, and the content of each extension, in all messages of both versions.

An extension is declared here once, reader beside writer; which message may carry it is the
business of whoever handles that message.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from halfkey.codec import Reader, Writer, encode_vector, whole_vector
from halfkey.errors import CodecError

Extensions = Mapping[int, bytes]
"""Content by type, in wire order; unknown types included."""

_EXTENSION_HEADER = struct.Struct(">HH")

UNCOMPRESSED_POINT_FORMAT = 0
RENEGOTIATION_INFO_INITIAL = b"\0"
"""RFC 5746 section 3.2: an empty renegotiated_connection, for a first handshake."""


def read_optional_extensions(reader: Reader) -> dict[int, bytes]:
    """Reads the block that ends a hello; it may be missing (RFC 5246 section 7.4.1.2).

    Raises:
        CodecError: as `read_extensions`.
    """
    return read_extensions(reader) if reader.remaining else {}


def read_extensions(reader: Reader) -> dict[int, bytes]:
    """Reads ``Extension extensions<0..2^16-1>``.

    Raises:
        CodecError: malformed, or a type that comes twice.
    """
    extensions: dict[int, bytes] = {}
    block = reader.vector(2)
    position, end = 0, len(block)
    # Without a Reader: strangers make us read many of these.
    while position < end:
        start = position + _EXTENSION_HEADER.size
        if start > end:
            raise CodecError("the header of an extension is cut short")
        extension_type, length = _EXTENSION_HEADER.unpack_from(block, position)
        position = start + length
        if position > end:
            raise CodecError("an extension is cut short")
        if extension_type in extensions:
            raise CodecError("an extension comes twice")
        extensions[extension_type] = block[start:position]
    return extensions


def write_optional_extensions(writer: Writer, extensions: Extensions) -> None:
    """Writes the block that ends a hello, or nothing if there is no extension."""
    if extensions:
        write_extensions(writer, extensions)


def write_extensions(writer: Writer, extensions: Extensions) -> None:
    """Writes the block."""
    writer.write(encode_extensions(extensions))


def encode_extensions(extensions: Extensions) -> bytes:
    """The block."""
    listed = [_EXTENSION_HEADER.pack(one, len(what)) + what for one, what in extensions.items()]
    return encode_vector(2, b"".join(listed))


def read_uint16_list(reader: Reader) -> tuple[int, ...]:
    """Takes ``uint16 list<2..2^16-2>``."""
    return uint16s(reader.vector(2, 2))


def uint16s(data: bytes) -> tuple[int, ...]:
    """The numbers in what a vector of uint16 holds.

    Raises:
        CodecError: there is a byte too many.
    """
    if len(data) % 2:
        raise CodecError("a list of uint16 has an odd length")
    return struct.unpack(f">{len(data) // 2}H", data)


def encode_uint16_list(codes: Iterable[int]) -> bytes:
    """cipher_suites, supported_groups (RFC 8446 section 4.2.7), signature_algorithms (4.2.3)."""
    listed = tuple(codes)
    return encode_vector(2, struct.pack(f">{len(listed)}H", *listed))


def decode_uint16_list(content: bytes) -> tuple[int, ...]:
    """The counterpart of `encode_uint16_list`."""
    return uint16s(whole_vector(content, 2, 2))


def encode_uint8_list(codes: Iterable[int]) -> bytes:
    """ec_point_formats (RFC 8422 5.1.2), supported_ekt_ciphers in ClientHello (RFC 8870 5.2.1)."""
    return encode_vector(1, bytes(codes))


def decode_uint8_list(content: bytes) -> tuple[int, ...]:
    """The counterpart of `encode_uint8_list`."""
    return tuple(whole_vector(content, 1, 1))


def encode_use_srtp(profiles: Iterable[int], mki: bytes = b"") -> bytes:
    """use_srtp (RFC 5764 section 4.1.1)."""
    return encode_uint16_list(profiles) + encode_vector(1, mki)


def decode_use_srtp(content: bytes) -> tuple[tuple[int, ...], bytes]:
    """The counterpart of `encode_use_srtp`: profiles and srtp_mki."""
    reader = Reader(content)
    profiles, mki = read_uint16_list(reader), reader.vector(1)
    reader.finish()
    return profiles, mki


def encode_selected_ekt_cipher(cipher: int) -> bytes:
    """supported_ekt_ciphers of a server (RFC 8870 section 5.2.1): one cipher, no list."""
    return Writer().uint8(cipher).getvalue()


def decode_selected_ekt_cipher(content: bytes) -> int:
    """The counterpart of `encode_selected_ekt_cipher`."""
    reader = Reader(content)
    cipher = reader.uint8()
    reader.finish()
    return cipher


def encode_external_session_id(session_id: bytes) -> bytes:
    """external_session_id (RFC 8844 section 4.3)."""
    return encode_vector(1, session_id)


def decode_external_session_id(content: bytes) -> bytes:
    """The counterpart of `encode_external_session_id`."""
    return whole_vector(content, 1, 20)


def encode_external_id_hash(binding_hash: bytes) -> bytes:
    """external_id_hash (RFC 8844 section 3.2); empty where no identity is asserted."""
    return encode_vector(1, binding_hash)


def decode_external_id_hash(content: bytes) -> bytes:
    """The counterpart of `encode_external_id_hash`: 32 bytes, or none at all."""
    binding_hash = whole_vector(content, 1, 0, 32)
    if len(binding_hash) not in (0, 32):
        raise CodecError("an external_id_hash has 0 or 32 bytes")
    return binding_hash


def encode_offered_versions(versions: Iterable[int]) -> bytes:
    """supported_versions in ClientHello (RFC 8446 section 4.2.1)."""
    listed = tuple(versions)
    return encode_vector(1, struct.pack(f">{len(listed)}H", *listed))


def decode_offered_versions(content: bytes) -> tuple[int, ...]:
    """The counterpart of `encode_offered_versions`."""
    return uint16s(whole_vector(content, 1, 2))


def encode_uint16(code: int) -> bytes:
    """A server's supported_versions (RFC 8446 4.2.1); key_share in HelloRetryRequest (4.2.8)."""
    return code.to_bytes(2, "big")


def decode_uint16(content: bytes) -> int:
    """The counterpart of `encode_uint16`."""
    reader = Reader(content)
    code = reader.uint16()
    reader.finish()
    return code


def encode_cookie(cookie: bytes) -> bytes:
    """cookie (RFC 8446 section 4.2.2)."""
    return encode_vector(2, cookie)


def decode_cookie(content: bytes) -> bytes:
    """The counterpart of `encode_cookie`."""
    return whole_vector(content, 2, 1)


class KeyShareEntry(NamedTuple):
    """A public key, or an encapsulation, and the group that it belongs to (RFC 8446 4.2.8)."""

    group: int
    key_exchange: bytes

    def encode(self) -> bytes:
        """key_share in ServerHello."""
        return self.group.to_bytes(2, "big") + encode_vector(2, self.key_exchange)

    @classmethod
    def read(cls, reader: Reader) -> KeyShareEntry:
        """Takes one entry."""
        return cls(reader.uint16(), reader.vector(2, 1))

    @classmethod
    def decode(cls, content: bytes) -> KeyShareEntry:
        """The counterpart of `encode`."""
        reader = Reader(content)
        entry = cls.read(reader)
        reader.finish()
        return entry


def encode_key_shares(entries: Iterable[KeyShareEntry]) -> bytes:
    """key_share in ClientHello (RFC 8446 section 4.2.8), where it may be empty."""
    return encode_vector(2, b"".join(entry.encode() for entry in entries))


def decode_key_shares(content: bytes) -> tuple[KeyShareEntry, ...]:
    """The counterpart of `encode_key_shares`."""
    block = Reader(whole_vector(content, 2))
    entries = []
    while block.remaining:
        entries.append(KeyShareEntry.read(block))
    return tuple(entries)
