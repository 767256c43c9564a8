"""Every message survives the way to the wire and back, and no truncation of one is accepted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.dtls import extensions as codec
from halfkey.dtls.messages import certificate_1_3
from halfkey.dtls.messages.ack import Ack
from halfkey.dtls.messages.alert import Alert
from halfkey.dtls.messages.certificate import (
    CertificateMessage,
    CertificateRequest,
    CertificateVerify,
)
from halfkey.dtls.messages.client_hello import ClientHello, cookie_and_parameters
from halfkey.dtls.messages.encrypted_extensions import EncryptedExtensions
from halfkey.dtls.messages.finished import Finished
from halfkey.dtls.messages.framing import Fragment, decode_fragments
from halfkey.dtls.messages.hello_verify_request import HelloVerifyRequest
from halfkey.dtls.messages.key_exchange import ClientKeyExchange, ServerKeyExchange
from halfkey.dtls.messages.key_update import KeyUpdate
from halfkey.dtls.messages.new_session_ticket import NewSessionTicket
from halfkey.dtls.messages.server_hello import ServerHello, ServerHelloDone
from halfkey.dtls.record import RecordNumber
from halfkey.errors import CodecError

uint8 = st.integers(0, 0xFF)
uint16 = st.integers(0, 0xFFFF)
uint64 = st.integers(0, 2**64 - 1)
random32 = st.binary(min_size=32, max_size=32)
opaque = st.binary(min_size=1, max_size=40)
codes = st.lists(uint16, min_size=1, max_size=6).map(tuple)
extensions = st.dictionaries(uint16, st.binary(max_size=20), max_size=4)
hellos = st.builds(
    ClientHello,
    uint16,
    random32,
    st.binary(max_size=32),
    st.binary(max_size=255),
    codes,
    opaque,
    extensions,
)
MESSAGES: dict[str, st.SearchStrategy[Any]] = {
    "ClientHello": hellos,
    "HelloVerifyRequest": st.builds(HelloVerifyRequest, uint16, st.binary(max_size=255)),
    "ServerHello": st.builds(
        ServerHello, uint16, random32, st.binary(max_size=32), uint16, uint8, extensions
    ),
    "ServerHelloDone": st.builds(ServerHelloDone),
    "Certificate": st.builds(CertificateMessage, st.lists(opaque, max_size=3).map(tuple)),
    "CertificateRequest": st.builds(
        CertificateRequest, opaque, codes, st.lists(opaque, max_size=2).map(tuple)
    ),
    "CertificateVerify": st.builds(CertificateVerify, uint16, opaque),
    "ServerKeyExchange": st.builds(ServerKeyExchange, uint16, opaque, uint16, opaque),
    "ClientKeyExchange": st.builds(ClientKeyExchange, opaque),
    "Finished": st.builds(Finished, st.binary(min_size=12, max_size=12)),
    "EncryptedExtensions": st.builds(EncryptedExtensions, extensions),
    "Certificate13": st.builds(
        certificate_1_3.CertificateMessage,
        st.binary(max_size=255),
        st.lists(st.builds(certificate_1_3.CertificateEntry, opaque, extensions), max_size=3).map(
            tuple
        ),
    ),
    "CertificateRequest13": st.builds(
        certificate_1_3.CertificateRequest, st.binary(max_size=255), extensions
    ),
    "KeyUpdate": st.builds(KeyUpdate, uint8),
    "NewSessionTicket": st.builds(
        NewSessionTicket,
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.binary(max_size=255),
        opaque,
        extensions,
    ),
    "KeyShareEntry": st.builds(codec.KeyShareEntry, uint16, opaque),
    "Alert": st.builds(Alert, uint8, uint8),
    "Ack": st.builds(Ack, st.lists(st.builds(RecordNumber, uint64, uint64), max_size=4).map(tuple)),
}
every_message = pytest.mark.parametrize("name", MESSAGES)


@every_message
@given(data=st.data())
def test_round_trip(name: str, data: st.DataObject) -> None:
    message = data.draw(MESSAGES[name])
    assert type(message).decode(message.encode()) == message


@every_message
@given(data=st.data())
def test_no_truncation_is_accepted(name: str, data: st.DataObject) -> None:
    message = data.draw(MESSAGES[name])
    encoded = message.encode()
    # A hello without its extensions block is whole (RFC 5246 section 7.4.1.2).
    whole = {len(encoded)}
    if isinstance(message, ClientHello | ServerHello) and message.extensions:
        block = 2 + sum(4 + len(content) for content in message.extensions.values())
        whole.add(len(encoded) - block)
    for length in set(range(len(encoded))) - whole:
        with pytest.raises(CodecError):
            type(message).decode(encoded[:length])


@every_message
@given(data=st.data(), extra=st.binary(min_size=1, max_size=4))
def test_no_trailing_byte_is_accepted(name: str, data: st.DataObject, extra: bytes) -> None:
    message = data.draw(MESSAGES[name])
    if isinstance(message, ClientHello | ServerHello) and not message.extensions:
        return  # what follows is then an extensions block, right or wrong
    with pytest.raises(CodecError):
        type(message).decode(message.encode() + extra)


@every_message
@given(body=st.binary(max_size=80))
def test_garbage_raises_nothing_but_codec_error(name: str, body: bytes) -> None:
    message_type = {
        "Certificate": CertificateMessage,
        "Certificate13": certificate_1_3.CertificateMessage,
        "CertificateRequest13": certificate_1_3.CertificateRequest,
        "KeyShareEntry": codec.KeyShareEntry,
    }.get(name, globals().get(name))
    assert message_type is not None
    try:
        message = message_type.decode(body)
    except CodecError:
        return
    assert message_type.decode(message.encode()) == message


@given(hello=hellos)
def test_a_cookie_is_bound_to_all_but_itself_and_the_extensions(hello: ClientHello) -> None:
    cookie, parameters = cookie_and_parameters(hello.encode())
    assert cookie == hello.cookie
    bare = ClientHello(
        hello.version,
        hello.random,
        hello.session_id,
        b"",
        hello.cipher_suites,
        hello.compression_methods,
        {},
    ).encode()
    at = 2 + 32 + 1 + len(hello.session_id)
    assert parameters == bare[:at] + bare[at + 1 :]


@given(hello=hellos, data=st.data())
def test_a_truncated_client_hello_has_no_cookie(hello: ClientHello, data: st.DataObject) -> None:
    body = hello.encode()
    needed = len(cookie_and_parameters(body)[1]) + 1 + len(hello.cookie)
    with pytest.raises(CodecError):
        cookie_and_parameters(body[: data.draw(st.integers(0, needed - 1))])


@st.composite
def fragments(draw: st.DrawFn) -> Fragment:
    body = draw(st.binary(max_size=50))
    offset = draw(st.integers(0, max(len(body) - 1, 0)))
    size = draw(st.integers(1, len(body) - offset)) if body else 0
    return Fragment(draw(uint8), len(body), draw(uint16), offset, body[offset : offset + size])


@given(several=st.lists(fragments(), min_size=1, max_size=4))
def test_fragments_round_trip(several: list[Fragment]) -> None:
    assert decode_fragments(b"".join(one.encode() for one in several)) == several


@given(fragment=fragments())
def test_truncated_fragments_are_refused(fragment: Fragment) -> None:
    encoded = fragment.encode()
    for length in range(len(encoded)):
        with pytest.raises(CodecError):
            decode_fragments(encoded[:length])


@pytest.mark.parametrize(
    ("length", "offset", "size"), [(4, 2, 3), (4, 5, 0), (4, 0, 0), (0, 0, 1), (0xFFFFFF, 0, 0)]
)
def test_fragments_outside_their_message_are_refused(length: int, offset: int, size: int) -> None:
    header = b"\x01" + length.to_bytes(3, "big") + b"\0\0"
    header += offset.to_bytes(3, "big") + size.to_bytes(3, "big")
    with pytest.raises(CodecError):
        decode_fragments(header + bytes(size))


def test_an_extension_that_comes_twice_is_refused() -> None:
    hello = ServerHello(0xFEFD, bytes(32), b"", 0xC02B, 0, {23: b""})
    encoded = hello.encode()
    with pytest.raises(CodecError):
        ServerHello.decode(encoded[:-6] + b"\0\x08" + 2 * b"\0\x17\0\0")


@given(profiles=codes, mki=st.binary(max_size=255))
def test_use_srtp_round_trip(profiles: tuple[int, ...], mki: bytes) -> None:
    assert codec.decode_use_srtp(codec.encode_use_srtp(profiles, mki)) == (profiles, mki)


@given(session_id=st.binary(min_size=20, max_size=255))
def test_external_session_id_round_trip(session_id: bytes) -> None:
    content = codec.encode_external_session_id(session_id)
    assert codec.decode_external_session_id(content) == session_id
    with pytest.raises(CodecError):
        codec.decode_external_session_id(content[:-1])


@given(binding_hash=st.sampled_from([b"", bytes(32), b"\xff" * 32]))
def test_external_id_hash_round_trip(binding_hash: bytes) -> None:
    content = codec.encode_external_id_hash(binding_hash)
    assert codec.decode_external_id_hash(content) == binding_hash
    with pytest.raises(CodecError):
        codec.decode_external_id_hash(content + b"\0")


@pytest.mark.parametrize("length", [1, 31, 33, 255])
def test_external_id_hash_of_another_length(length: int) -> None:
    with pytest.raises(CodecError):
        codec.decode_external_id_hash(bytes([length]) + bytes(length))


def test_extension_contents_by_hand() -> None:
    # RFC 5764 section 4.1.1: two profiles of 2 bytes each, then an empty srtp_mki.
    assert codec.encode_use_srtp([9, 10]) == bytes.fromhex("0004 0009 000a 00")
    # RFC 8870 section 5.2.1: a list in ClientHello, a bare value in ServerHello.
    assert codec.encode_uint8_list([1, 2]) == bytes.fromhex("02 01 02")
    assert codec.encode_selected_ekt_cipher(2) == b"\x02"
    # RFC 8844 section 4.3.
    assert codec.encode_external_session_id(b"x" * 20) == b"\x14" + b"x" * 20
    # RFC 8844 section 3.2.
    assert codec.encode_external_id_hash(b"") == b"\0"
    assert codec.encode_external_id_hash(b"x" * 32) == b"\x20" + b"x" * 32


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\0", b"\0\1\0\0", b"\0\2\0\x09", b"\0\2\0\x09\1", b"\0\2\0\x09\0\0"]
)
def test_malformed_use_srtp(content: bytes) -> None:
    with pytest.raises(CodecError):
        codec.decode_use_srtp(content)


def test_ack_by_hand() -> None:
    ack = Ack((RecordNumber(1, 2), RecordNumber(1, 0x0A0B0C0D0E0F)))
    assert ack.encode() == bytes.fromhex(
        "00200000000000000001 00000000000000020000000000000001 00000a0b0c0d0e0f"
    )


@given(versions=st.lists(uint16, min_size=1, max_size=127).map(tuple))
def test_supported_versions_round_trip(versions: tuple[int, ...]) -> None:
    content = codec.encode_offered_versions(versions)
    assert codec.decode_offered_versions(content) == versions
    for length in range(len(content)):
        with pytest.raises(CodecError):
            codec.decode_offered_versions(content[:length])


@given(cookie=opaque)
def test_cookie_round_trip(cookie: bytes) -> None:
    content = codec.encode_cookie(cookie)
    assert codec.decode_cookie(content) == cookie
    for length in range(len(content)):
        with pytest.raises(CodecError):
            codec.decode_cookie(content[:length])


@given(entries=st.lists(st.builds(codec.KeyShareEntry, uint16, opaque), max_size=3).map(tuple))
def test_key_shares_round_trip(entries: tuple[codec.KeyShareEntry, ...]) -> None:
    content = codec.encode_key_shares(entries)
    assert codec.decode_key_shares(content) == entries
    for length in range(len(content)):
        with pytest.raises(CodecError):
            codec.decode_key_shares(content[:length])


def test_extensions_of_1_3_by_hand() -> None:
    # RFC 8446 section 4.2.1: one byte of length, then versions; one version of a server.
    assert codec.encode_offered_versions([0xFEFC, 0xFEFD]) == bytes.fromhex("04 fefc fefd")
    assert codec.encode_uint16(0xFEFC) == bytes.fromhex("fefc")
    # Section 4.2.8: a list of group and key; a bare entry of a server.
    entry = codec.KeyShareEntry(0x1D, b"key")
    assert entry.encode() == bytes.fromhex("001d 0003 6b6579")
    assert codec.encode_key_shares([entry]) == bytes.fromhex("0007 001d 0003 6b6579")
    # Section 4.2.2.
    assert codec.encode_cookie(b"c") == bytes.fromhex("0001 63")


def test_messages_of_1_3_by_hand() -> None:
    assert EncryptedExtensions({}).encode() == bytes.fromhex("0000")
    assert KeyUpdate(1).encode() == b"\1"
    entry = certificate_1_3.CertificateEntry(b"der", {})
    assert certificate_1_3.CertificateMessage(b"", (entry,)).encode() == bytes.fromhex(
        "00 000008 000003 646572 0000"
    )
    request = certificate_1_3.CertificateRequest(b"", {13: bytes.fromhex("0002 0403")})
    assert request.encode() == bytes.fromhex("00 0008 000d 0004 0002 0403")
