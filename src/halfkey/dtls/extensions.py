"""Extensions of ClientHello and ServerHello: the block, and each extension's content.

An extension is declared here once, reader beside writer; which message may carry it is the
business of client.py and server.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from halfkey.codec import Reader, Writer
from halfkey.errors import CodecError

Extensions = Mapping[int, bytes]
"""Content by type, in wire order; unknown types included."""

UNCOMPRESSED_POINT_FORMAT = 0
RENEGOTIATION_INFO_INITIAL = b"\0"
"""RFC 5746 section 3.2: an empty renegotiated_connection, for a first handshake."""


def read_extensions(reader: Reader) -> dict[int, bytes]:
    """Reads the block that ends a hello; it may be missing (RFC 5246 section 7.4.1.2).

    Raises:
        CodecError: malformed, or a type that comes twice.
    """
    extensions: dict[int, bytes] = {}
    if not reader.remaining:
        return extensions
    with reader.block(2) as block:
        while block.remaining:
            extension_type = block.uint16()
            if extension_type in extensions:
                raise CodecError("an extension comes twice")
            extensions[extension_type] = block.vector(2)
    return extensions


def write_extensions(writer: Writer, extensions: Extensions) -> None:
    """Writes the block, or nothing if there is no extension."""
    if not extensions:
        return
    with writer.block(2) as block:
        for extension_type, content in extensions.items():
            block.uint16(extension_type).vector(2, content)


def read_uint16_list(reader: Reader) -> tuple[int, ...]:
    """Takes ``uint16 list<2..2^16-2>``."""
    data = reader.vector(2, 2)
    if len(data) % 2:
        raise CodecError("a list of uint16 has an odd length")
    return tuple(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))


def encode_uint16_list(codes: Iterable[int]) -> bytes:
    """supported_groups (RFC 8422 section 5.1.1), signature_algorithms (RFC 5246 7.4.1.4.1)."""
    writer = Writer()
    with writer.block(2) as block:
        for code in codes:
            block.uint16(code)
    return writer.getvalue()


def decode_uint16_list(content: bytes) -> tuple[int, ...]:
    """The counterpart of `encode_uint16_list`."""
    reader = Reader(content)
    codes = read_uint16_list(reader)
    reader.finish()
    return codes


def encode_uint8_list(codes: Iterable[int]) -> bytes:
    """ec_point_formats (RFC 8422 5.1.2), supported_ekt_ciphers in ClientHello (RFC 8870 5.2.1)."""
    return Writer().vector(1, bytes(codes)).getvalue()


def decode_uint8_list(content: bytes) -> tuple[int, ...]:
    """The counterpart of `encode_uint8_list`."""
    reader = Reader(content)
    codes = reader.vector(1, 1)
    reader.finish()
    return tuple(codes)


def encode_use_srtp(profiles: Iterable[int], mki: bytes = b"") -> bytes:
    """use_srtp (RFC 5764 section 4.1.1)."""
    return Writer().write(encode_uint16_list(profiles)).vector(1, mki).getvalue()


def decode_use_srtp(content: bytes) -> tuple[tuple[int, ...], bytes]:
    """The counterpart of `encode_use_srtp`: profiles and srtp_mki."""
    reader = Reader(content)
    profiles, mki = read_uint16_list(reader), reader.vector(1)
    reader.finish()
    return profiles, mki


def encode_selected_ekt_cipher(cipher: int) -> bytes:
    """supported_ekt_ciphers in ServerHello (RFC 8870 section 5.2.1): one cipher, no list."""
    return Writer().uint8(cipher).getvalue()


def decode_selected_ekt_cipher(content: bytes) -> int:
    """The counterpart of `encode_selected_ekt_cipher`."""
    reader = Reader(content)
    cipher = reader.uint8()
    reader.finish()
    return cipher


def encode_external_session_id(session_id: bytes) -> bytes:
    """external_session_id (RFC 8844 section 4.3)."""
    return Writer().vector(1, session_id).getvalue()


def decode_external_session_id(content: bytes) -> bytes:
    """The counterpart of `encode_external_session_id`."""
    reader = Reader(content)
    session_id = reader.vector(1, 20)
    reader.finish()
    return session_id


def encode_external_id_hash(binding_hash: bytes) -> bytes:
    """external_id_hash (RFC 8844 section 3.2); empty where no identity is asserted."""
    return Writer().vector(1, binding_hash).getvalue()


def decode_external_id_hash(content: bytes) -> bytes:
    """The counterpart of `encode_external_id_hash`: 32 bytes, or none at all."""
    reader = Reader(content)
    binding_hash = reader.vector(1, 0, 32)
    reader.finish()
    if len(binding_hash) not in (0, 32):
        raise CodecError("an external_id_hash has 0 or 32 bytes")
    return binding_hash
