from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.ekt.messages import EKTCipher, EKTKey
from halfkey.errors import CodecError


@st.composite
def ekt_keys(draw: st.DrawFn) -> tuple[EKTKey, EKTCipher]:
    cipher = draw(st.sampled_from(EKTCipher))
    length = cipher.key_length
    key = EKTKey(
        draw(st.binary(min_size=length, max_size=length)),
        draw(st.binary(min_size=12, max_size=256)),
        draw(st.integers(0, 2**16 - 1)),
        draw(st.integers(0, 2**24 - 1)),
    )
    return key, cipher


def test_the_wire_form_worked_out_by_hand() -> None:
    """RFC 8870 section 5.2.2, with the two-byte prefixes that a ceiling of 256 takes."""
    key = EKTKey(bytes(range(16)), bytes(range(0xA0, 0xAC)), 0x0102, 0x010203)
    assert key.encode().hex() == (
        "0010000102030405060708090a0b0c0d0e0f" + "000ca0a1a2a3a4a5a6a7a8a9aaab" + "0102" + "010203"
    )


@given(ekt_keys())
def test_round_trip(pair: tuple[EKTKey, EKTCipher]) -> None:
    key, cipher = pair
    assert EKTKey.decode(key.encode(), cipher) == key


@given(ekt_keys(), st.data())
def test_truncation_and_trailing_bytes_are_refused(
    pair: tuple[EKTKey, EKTCipher], data: st.DataObject
) -> None:
    key, cipher = pair
    body = key.encode()
    with pytest.raises(CodecError):
        EKTKey.decode(body[: data.draw(st.integers(0, len(body) - 1))], cipher)
    with pytest.raises(CodecError):
        EKTKey.decode(body + b"\0", cipher)


def test_a_key_of_the_other_cipher_is_refused() -> None:
    body = EKTKey(bytes(16), bytes(12), 1, 60).encode()
    assert EKTKey.decode(body, EKTCipher.AESKW128).ekt_spi == 1
    with pytest.raises(CodecError, match="doesn't fit AESKW256"):
        EKTKey.decode(body, EKTCipher.AESKW256)


def test_a_salt_too_short_for_srtp_is_refused_and_a_longer_one_truncated() -> None:
    with pytest.raises(CodecError, match="too short"):
        EKTKey.decode(EKTKey(bytes(16), bytes(11), 1, 60).encode(), EKTCipher.AESKW128)
    long = EKTKey(bytes(16), bytes(range(20)), 1, 60)
    assert long.master_salt == bytes(range(12))


def test_repr_shows_no_secret() -> None:
    key = EKTKey(b"K" * 16, b"S" * 12, 7, 60)
    assert "KKKK" not in repr(key)
    assert "SSSS" not in repr(key)
    assert "ekt_spi=7" in repr(key)
