"""The reference against the vectors that its RFCs publish."""

import pytest

from tests.reference import aes_key_wrap, kdf, srtp
from tests.reference.double import (
    OriginalHeaderBlock,
    double_keys,
    prf_double,
    split_ohb,
)
from tests.reference.ekt import EktPlaintext, FullEktField, encrypt, extension_field, split_field
from tests.reference.kdf import SessionKeys, aes_cm_prf, derive, prf_input
from tests.reference.primitives import Refused, aead_encrypt
from tests.reference.tunnel import parse_message, supported_profiles


def test_rfc3711_b3_key_derivation() -> None:
    key = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139")
    salt = bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
    assert prf_input(kdf.SRTP_SALTING, salt).hex() == "0ec675ad498afee9b6960b3aabe6"
    assert derive(key, salt, kdf.SRTP_ENCRYPTION, 16).hex() == "c61e7a93744f39ee10734afe3ff7a087"
    assert derive(key, salt, kdf.SRTP_SALTING, 14).hex() == "30cbbc08863d8c85d49db34a9ae1"
    assert derive(key, salt, kdf.SRTP_AUTHENTICATION, 94) == bytes.fromhex(
        "CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE"
        "E049646C43D9327AD175578EF7227098 6371C10C9A369AC2F94A8C5FBCDDDC25"
        "6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2"
    )


def test_rfc6188_7_1_aes_256_cm_keystream() -> None:
    key = bytes.fromhex("57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98")
    keystream = aes_cm_prf(key, bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfd"), 1044512)
    assert keystream[:48] == bytes.fromhex(
        "92bdd28a93c3f52511c677d08b5515a4 9da71b2378a854f67050756ded165bac"
        "63c4868b7096d88421b563b8c94c9a31"
    )
    assert keystream[-48:] == bytes.fromhex(
        "cea518c90fd91ced9cbb18c078a54711 3dbc4814f4da5f00a08772b63c6a046d"
        "6eb246913062a16891433e97dd01a57f"
    )


def test_rfc6188_7_2_key_derivation() -> None:
    key = bytes.fromhex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6")
    salt = bytes.fromhex("3b04803de51ee7c96423ab5b78d2")
    assert derive(key, salt, kdf.SRTP_ENCRYPTION, 32) == bytes.fromhex(
        "5ba1064e30ec51613cad926c5a28ef73 1ec7fb397f70a960653caf06554cd8c4"
    )
    assert derive(key, salt, kdf.SRTP_SALTING, 14).hex() == "fa31791685ca444a9e07c6c64e93"
    assert derive(key, salt, kdf.SRTP_AUTHENTICATION, 20) == bytes.fromhex(
        "fd9c32d39ed5fbb5a9dc96b30818454d 1313dc05"
    )


def rfc7714_keys(length: int) -> SessionKeys:
    """The RFC's vectors begin at the session keys."""
    key, salt = bytes(range(length)), b"Quid pro quo"
    return SessionKeys(b"", b"", rtp_key=key, rtp_salt=salt, rtcp_key=key, rtcp_salt=salt)


RTP = bytes.fromhex(
    "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976"
    "69736120 696e2070 61727465 73207472 6573"
)
SRTP = {
    16: "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f"
    "42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
    32: "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3"
    "b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
}


@pytest.mark.parametrize("length", [16, 32], ids=["16.1", "16.2"])
def test_rfc7714_16_srtp(length: int) -> None:
    protected = srtp.protect(rfc7714_keys(length), RTP, roc=0)
    assert protected.nonce.hex(" ") == "51 75 3c 65 80 c2 72 6f 20 71 84 14"
    assert protected.aad == RTP[:12]
    assert protected.packet == bytes.fromhex(SRTP[length])
    assert srtp.unprotect(rfc7714_keys(length), protected.packet, roc=0).packet == RTP


def test_rfc7714_16_1_3_authentication_tagging() -> None:
    """Not a thing that SRTP does (section 8.2), but the RFC has it: all of it associated data."""
    nonce = bytes.fromhex("51753c6580c2726f20718414")
    tag = aead_encrypt(bytes(range(16)), nonce, b"", RTP)
    assert tag == bytes.fromhex("22493f82 d2bce397 e9d79e3b 19aa4216")


RTCP = bytes.fromhex(
    "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61"
    "deadbeef deadbeef deadbeef deadbeef deadbeef"
)
SRTCP = {
    "17.1": (
        16,
        True,
        "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1"
        "730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
    ),
    "17.2": (
        32,
        True,
        "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50 a2eaa5c1"
        "110555be 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4",
    ),
    "17.3": (16, False, RTCP.hex() + "841dd968 3dd78ec9 2ae58790 125f62b3 000005d4"),
    "17.4": (32, False, RTCP.hex() + "91db4afb feee5a97 8fab4393 ed2615fe 000005d4"),
}


@pytest.mark.parametrize(("length", "encrypt_flag", "expected"), SRTCP.values(), ids=SRTCP)
def test_rfc7714_17_srtcp(length: int, encrypt_flag: bool, expected: str) -> None:
    keys = rfc7714_keys(length)
    protected = srtp.protect_rtcp(keys, RTCP, index=0x5D4, encrypt=encrypt_flag)
    assert protected.nonce.hex(" ") == "51 75 24 05 52 03 72 6f 20 71 70 bb"
    assert protected.packet == bytes.fromhex(expected)
    assert srtp.unprotect_rtcp(keys, protected.packet).packet == RTCP


KEK = bytes.fromhex("5840df6e29b02af1 ab493b705bf16ea1 ae8338f4dcc176a8")
WRAPPED = {
    "c37b7e6492584340 bed1220780894115 5068f738": "138bdeaa9b8fa7fc 61f97742e72248ee"
    "5ae6ae5360d1ae6a 5f54f373fa543b6a",
    "466f7250617369": "afbeb0f07dfbf541 9200f2ccb50bb24f",
}


@pytest.mark.parametrize(("key_data", "expected"), WRAPPED.items())
def test_rfc5649_6_key_wrap(key_data: str, expected: str) -> None:
    wrapped = aes_key_wrap.wrap(KEK, bytes.fromhex(key_data))
    assert wrapped == bytes.fromhex(expected)
    assert aes_key_wrap.unwrap(KEK, wrapped) == bytes.fromhex(key_data)


@pytest.mark.parametrize("length", range(1, 41))
def test_key_wrap_refuses_every_flipped_octet(length: int) -> None:
    plaintext = bytes(range(length))
    wrapped = aes_key_wrap.wrap(KEK, plaintext)
    assert aes_key_wrap.unwrap(KEK, wrapped) == plaintext
    for at in range(len(wrapped)):
        changed = bytearray(wrapped)
        changed[at] ^= 1
        with pytest.raises(Refused, match="key_wrap"):
            aes_key_wrap.unwrap(KEK, bytes(changed))


def test_rfc8723_3_1_prf_double_is_both_halves_of_the_keys() -> None:
    """With one salt for both halves, PRF_double and the split keys are the same thing."""
    master_key, salt = bytes(range(32)), b"one salt too"
    keys = double_keys(master_key, salt + salt)
    x = prf_input(kdf.SRTP_ENCRYPTION, salt)
    assert prf_double(master_key, x, 32) == keys.inner.rtp_key + keys.outer.rtp_key


@pytest.mark.parametrize(
    ("ohb", "octets"),
    [
        (OriginalHeaderBlock(), "00"),
        (OriginalHeaderBlock(payload_type=96), "6002"),
        (OriginalHeaderBlock(sequence_number=0x1234), "123401"),
        (OriginalHeaderBlock(marker=False), "04"),
        (OriginalHeaderBlock(marker=True), "0c"),
        (OriginalHeaderBlock(96, 0x1234, marker=True), "6012340f"),
    ],
)
def test_rfc8723_4_original_header_block(ohb: OriginalHeaderBlock, octets: str) -> None:
    assert ohb.encode().hex() == octets
    assert split_ohb(bytes(16) + ohb.encode()) == (bytes(16), ohb)


@pytest.mark.parametrize(("key_length", "field_length"), [(16, 47), (32, 63)])
def test_rfc8870_4_1_full_ekt_field_length(key_length: int, field_length: int) -> None:
    ciphertext = encrypt(bytes(16), EktPlaintext(bytes(key_length), ssrc=1, roc=2))
    octets = FullEktField(ciphertext, spi=3, epoch=4).encode()
    assert len(octets) == field_length
    assert octets[-7:].hex() == f"0003000400{field_length:02x}02"
    assert split_field(b"packet" + octets) == (b"packet", octets)


def test_rfc8870_4_1_extension_ekt_field() -> None:
    octets = extension_field(b"data", message_type=7)
    assert octets.hex() == "64617461000707"
    assert split_field(b"packet" + octets) == (b"packet", octets)


def test_rfc9185_7_example_encoding() -> None:
    message = bytes.fromhex("0100070000040009000A")
    assert supported_profiles(0, [9, 0x0A]) == message
    assert parse_message(message)["protection_profiles"] == [9, 0x0A]


def test_rfc3711_3_3_1_index_round_the_wrap() -> None:
    counter = srtp.RolloverCounter()
    for sequence_number, roc in [(0xFFFE, 0), (0x0001, 1), (0xFFFF, 0), (0x0000, 1), (0x7FFF, 1)]:
        assert counter.estimate(sequence_number) == roc
        counter.check(roc, sequence_number)
        counter.update(roc, sequence_number)
    assert (counter.roc, counter.highest_sequence_number) == (1, 0x7FFF)
    with pytest.raises(Refused, match="replayed"):
        counter.check(1, 0x0000)
