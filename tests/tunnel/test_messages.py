"""Tunnel messages: the RFC's example, a message worked out by hand, round trips, truncations."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.errors import CodecError
from halfkey.tunnel import (
    EndpointDisconnect,
    MediaKeys,
    Message,
    SupportedProfiles,
    TunneledDtls,
    UnsupportedVersion,
)

ASSOCIATION = UUID("00112233-4455-4677-8899-aabbccddeeff")

uint8 = st.integers(0, 0xFF)
uint16 = st.integers(0, 0xFFFF)
vector = st.binary(min_size=1, max_size=255)

KINDS = [SupportedProfiles, UnsupportedVersion, MediaKeys, TunneledDtls, EndpointDisconnect]

messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(SupportedProfiles, uint8, st.lists(uint16, min_size=1, max_size=50).map(tuple)),
    st.builds(UnsupportedVersion, uint8),
    st.builds(
        MediaKeys, st.uuids(), uint16, st.binary(max_size=255), vector, vector, vector, vector
    ),
    st.builds(TunneledDtls, st.uuids(), st.binary(min_size=1, max_size=2000)),
    st.builds(EndpointDisconnect, st.uuids()),
)


def body(message: Message) -> bytes:
    """What follows msg_type and length, after checking both."""
    encoded = message.encode()
    assert encoded[0] == message.message_type
    assert int.from_bytes(encoded[1:3], "big") == len(encoded) - 3
    return encoded[3:]


def test_supported_profiles_is_the_example_of_rfc_9185_section_7() -> None:
    encoded = bytes.fromhex("0100070000040009000A")
    message = SupportedProfiles(0, (0x0009, 0x000A))
    assert message.encode() == encoded
    assert SupportedProfiles.decode(encoded[3:]) == message


def test_media_keys_by_hand() -> None:
    """Laid out by hand from RFC 9185 section 6.4."""
    message = MediaKeys(ASSOCIATION, 9, b"\x07", b"\xa1" * 2, b"\xb1" * 3, b"\xc1", b"\xd1" * 2)
    assert message.encode() == bytes.fromhex(
        "03 0020" + "00112233445546778899aabbccddeeff" + "0009"
        "01 07" + "02 a1a1" + "03 b1b1b1" + "01 c1" + "02 d1d1"
    )


def test_the_other_messages_by_hand() -> None:
    uuid = "00112233445546778899aabbccddeeff"
    assert UnsupportedVersion(3).encode() == bytes.fromhex("02 0001 03")
    assert TunneledDtls(ASSOCIATION, b"\x16\xfe").encode() == bytes.fromhex(
        "04 0014" + uuid + "0002 16fe"
    )
    assert EndpointDisconnect(ASSOCIATION).encode() == bytes.fromhex("05 0010" + uuid)


@given(messages)
def test_every_message_round_trips(message: Message) -> None:
    assert type(message).decode(body(message)) == message


@given(messages)
def test_every_truncation_and_every_trailing_byte_is_refused(message: Message) -> None:
    whole = body(message)
    for length in range(len(whole)):
        with pytest.raises(CodecError):
            type(message).decode(whole[:length])
    with pytest.raises(CodecError):
        type(message).decode(whole + b"\0")


@given(st.sampled_from(KINDS), st.binary(max_size=120))
def test_noise_is_refused_or_read_whole(kind: type[Message], noise: bytes) -> None:
    try:
        message = kind.decode(noise)
    except CodecError:
        return
    assert body(message) == noise


@pytest.mark.parametrize(
    ("kind", "noise"),
    [
        (SupportedProfiles, "00 0000"),  # no profile at all
        (SupportedProfiles, "00 0003 000900"),  # half a profile
        (TunneledDtls, "00" * 16 + "0000"),  # an empty datagram
        (MediaKeys, "00" * 16 + "0009 00" + "00" + "01aa01aa01aa"),  # an empty key
    ],
)
def test_bounds_of_vectors(kind: type[Message], noise: str) -> None:
    with pytest.raises(CodecError):
        kind.decode(bytes.fromhex(noise))


def test_keys_and_datagrams_stay_out_of_repr() -> None:
    keys = MediaKeys(ASSOCIATION, 9, b"", b"KEY1", b"KEY2", b"SALT1", b"SALT2")
    assert "KEY" not in repr(keys)
    assert "SALT" not in repr(keys)
    assert "DATA" not in repr(TunneledDtls(ASSOCIATION, b"DATA"))
