"""What Wycheproof's vectors try, in a few values of our own for each class: always run.

Beside each stands what must be taken, so that nothing is refused for another reason.
"""

from __future__ import annotations

import hashlib

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from halfkey.dtls.crypto.signatures import SIGNING_SCHEME, sign, verify
from halfkey.dtls.crypto.suites import SUITES, SuiteParameters
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.registries import AlertDescription, NamedGroup
from tests.reference import aes_key_wrap
from tests.wycheproof.values import KEY_WRAP_REFUSAL, exchange, unwrapping

PRIVATE = bytes(range(1, 33))
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of P-256."""
P = 2**255 - 19

# --- points on P-256

OWN = ec.derive_private_key(5, ec.SECP256R1())
POINT = OWN.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
COMPRESSED = OWN.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
P384 = ec.derive_private_key(5, ec.SECP384R1()).public_key()


def test_a_point_on_the_curve_is_taken() -> None:
    theirs = ec.derive_private_key(int.from_bytes(PRIVATE, "big"), ec.SECP256R1())
    assert exchange(NamedGroup.SECP256R1, PRIVATE, POINT) == theirs.exchange(
        ec.ECDH(), OWN.public_key()
    )


@pytest.mark.parametrize(
    "public",
    [
        COMPRESSED,
        b"\x02" + POINT[1:],
        b"\x06" + POINT[1:],
        POINT[1:],
        POINT[:-1],
        POINT + b"\0",
        b"",
        b"\0",
        b"\x04" + bytes(64),
        POINT[:-1] + bytes([POINT[-1] ^ 1]),
        POINT[:33] + POINT[1:33],
        b"\x04" + b"\xff" * 64,
        P384.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        P384.public_bytes(Encoding.X962, PublicFormat.CompressedPoint),
    ],
    ids=[
        "compressed",
        "compressed with y",
        "hybrid",
        "without form",
        "short",
        "long",
        "empty",
        "infinity",
        "origin",
        "off the curve",
        "y is x",
        "coordinates above p",
        "of P-384",
        "of P-384, compressed",
    ],
)
def test_a_point_of_no_use_is_refused(public: bytes) -> None:
    _refused_exchange(NamedGroup.SECP256R1, public)


# --- X25519

LOW_ORDER = (
    0,
    1,
    int.from_bytes(
        bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"), "little"
    ),
    P - 1,
    P,
    P + 1,
)
"""Points whose multiples are zero for every private key (RFC 7748 section 6.1)."""


def test_an_x25519_key_is_taken() -> None:
    theirs = x25519.X25519PrivateKey.from_private_bytes(bytes(32))
    public = theirs.public_key().public_bytes_raw()
    ours = x25519.X25519PrivateKey.from_private_bytes(PRIVATE).public_key()
    assert exchange(NamedGroup.X25519, PRIVATE, public) == theirs.exchange(ours)


@pytest.mark.parametrize("value", LOW_ORDER, ids=range(len(LOW_ORDER)))
@pytest.mark.parametrize("top_bit", [0, 0x80])
def test_a_secret_of_zeros_is_refused(value: int, top_bit: int) -> None:
    public = bytearray(value.to_bytes(32, "little"))
    public[31] |= top_bit  # is masked (RFC 7748 section 5)
    _refused_exchange(NamedGroup.X25519, bytes(public))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_an_x25519_key_of_another_length_is_refused(length: int) -> None:
    _refused_exchange(NamedGroup.X25519, bytes([9]) * length)


def _refused_exchange(group: NamedGroup, public: bytes) -> None:
    with pytest.raises(ProtocolFault) as fault:
        exchange(group, PRIVATE, public)
    assert fault.value.alert is AlertDescription.ILLEGAL_PARAMETER


# --- ECDSA signatures

SIGNED = b"what was signed"
SIGNATURE = sign(OWN, SIGNED)
R, S = decode_dss_signature(SIGNATURE)


def _integer(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)
    return b"\x02" + bytes([len(content)]) + content


def _sequence(content: bytes) -> bytes:
    return b"\x30" + bytes([len(content)]) + content


def test_signatures_are_taken() -> None:
    verify(OWN.public_key(), SIGNING_SCHEME, SIGNATURE, SIGNED)
    verify(OWN.public_key(), SIGNING_SCHEME, _sequence(_integer(R) + _integer(S)), SIGNED)
    # ECDSA itself takes the other s as well; TLS has nothing that hangs on a signature's spelling.
    verify(OWN.public_key(), SIGNING_SCHEME, encode_dss_signature(R, N - S), SIGNED)


OUT_OF_RANGE = {
    f"r={name_r}, s={name_s}": (r, s)
    for name_r, r in {"right": R, "0": 0, "1": 1, "n": N, "r+n": R + N, "-r": -R}.items()
    for name_s, s in {"right": S, "0": 0, "n": N, "s+n": S + N, "-s": -S, "p": 2**256}.items()
    if (r, s) != (R, S)
}


@pytest.mark.parametrize(("r", "s"), OUT_OF_RANGE.values(), ids=OUT_OF_RANGE)
def test_integers_that_are_wrong_or_out_of_range_are_refused(r: int, s: int) -> None:
    _refused_signature(_sequence(_integer(r) + _integer(s)))


INTEGERS = _integer(R) + _integer(S)
OTHER_SPELLINGS = {
    "empty": b"",
    "no content": b"\x30\x00",
    "one integer": _sequence(_integer(R)),
    "three integers": _sequence(INTEGERS + _integer(1)),
    "bytes behind it": SIGNATURE + b"\0",
    "bytes in it": _sequence(INTEGERS + b"\0"),
    "short": SIGNATURE[:-1],
    "a length with a prefix": b"\x30\x81" + SIGNATURE[1:],
    "a length of two bytes": b"\x30\x82\x00" + SIGNATURE[1:],
    "a length without end": b"\x30\x80" + INTEGERS + b"\0\0",
    "a length that is too great": b"\x30" + bytes([SIGNATURE[1] + 1]) + SIGNATURE[2:],
    "an integer with a zero before it": _sequence(
        b"\x02" + bytes([INTEGERS[1] + 1]) + b"\0" + INTEGERS[2:]
    ),
    "an integer's length with a prefix": _sequence(b"\x02\x81" + INTEGERS[1:]),
    "an integer without content": _sequence(b"\x02\x00" + _integer(S)),
    "a set": b"\x31" + SIGNATURE[1:],
    "an octet string for an integer": _sequence(b"\x04" + INTEGERS[1:]),
    "a boolean for an integer": _sequence(b"\x01\x01\xff" + _integer(S)),
    "a real's infinity for an integer": _sequence(b"\x09\x01\x40" + _integer(S)),
    "r || s": R.to_bytes(32, "big") + S.to_bytes(32, "big"),
}


@pytest.mark.parametrize("signature", OTHER_SPELLINGS.values(), ids=OTHER_SPELLINGS)
def test_a_signature_has_one_spelling(signature: bytes) -> None:
    _refused_signature(signature)


def test_every_flipped_bit_of_a_signature_is_refused() -> None:
    for bit in range(8 * len(SIGNATURE)):
        flipped = bytearray(SIGNATURE)
        flipped[bit // 8] ^= 1 << bit % 8
        _refused_signature(bytes(flipped))


def _refused_signature(signature: bytes) -> None:
    with pytest.raises(ProtocolFault) as fault:
        verify(OWN.public_key(), SIGNING_SCHEME, signature, SIGNED)
    assert fault.value.alert is AlertDescription.DECRYPT_ERROR


# --- record protection

EVERY_SUITE = pytest.mark.parametrize("suite", SUITES.values(), ids=[one.name for one in SUITES])


@EVERY_SUITE
def test_every_flipped_bit_of_text_or_tag_is_refused(suite: SuiteParameters) -> None:
    """Whole records are spoilt in tests/dtls/test_record_layer.py."""
    cipher, nonce = suite.aead(bytes(range(suite.key_length))), bytes(12)
    sealed = cipher.encrypt(nonce, b"text", b"data")
    assert cipher.decrypt(nonce, sealed, b"data") == b"text"
    for bit in range(8 * len(sealed)):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InvalidTag):
            cipher.decrypt(nonce, bytes(flipped), b"data")
    for other in (*(sealed[:length] for length in range(len(sealed))), sealed + b"\0"):
        with pytest.raises(InvalidTag):
            cipher.decrypt(nonce, other, b"data")
    for another_nonce, data in ((nonce, b"date"), (bytes(11) + b"\1", b"data")):
        with pytest.raises(InvalidTag):
            cipher.decrypt(another_nonce, sealed, data)


@EVERY_SUITE
def test_a_nonce_without_length_is_refused(suite: SuiteParameters) -> None:
    cipher = suite.aead(bytes(suite.key_length))
    with pytest.raises(ValueError, match=r"[Nn]once"):
        cipher.encrypt(b"", b"text", b"")
    with pytest.raises((ValueError, InvalidTag)):
        cipher.decrypt(b"", bytes(20), b"")


# --- AES key wrap with padding

KEKS = pytest.mark.parametrize("kek", [bytes(range(16)), bytes(range(32))], ids=["128", "256"])


def _wrapped(kek: bytes, constant: int, length: int, padded: bytes) -> bytes:
    """What RFC 5649 makes of these, whether they go together or not."""
    value = constant.to_bytes(4, "big") + length.to_bytes(4, "big")
    return aes_key_wrap._wrap_blocks(kek, value, padded)


CONSTANT = 0xA65959A6
CONTENT = hashlib.sha256(b"content").digest()[:25]
PADDED = CONTENT + bytes(7)


@KEKS
def test_a_wrapped_key_is_opened(kek: bytes) -> None:
    wrapped = _wrapped(kek, CONSTANT, 25, PADDED)
    assert wrapped == aes_key_wrap.wrap(kek, CONTENT)
    assert unwrapping(kek, wrapped) == "ekt_plaintext"  # opened, and no EKT plaintext


FAULTS = {
    "length above": (CONSTANT, 33, PADDED),
    "length far above": (CONSTANT, 2**32 - 1, PADDED),
    "length of a block less": (CONSTANT, 24, CONTENT[:24] + bytes(8)),
    "length zero": (CONSTANT, 0, bytes(32)),
    "constant of unpadded key wrap": (0xA6A6A6A6, 0xA6A6A6A6, PADDED),
    "constant with a bit flipped": (CONSTANT ^ 1, 25, PADDED),
    **{
        f"padding byte {at}": (CONSTANT, 25, PADDED[:at] + b"\1" + PADDED[at + 1 :])
        for at in range(25, 32)
    },
}


@KEKS
@pytest.mark.parametrize(("constant", "length", "padded"), FAULTS.values(), ids=FAULTS)
def test_a_wrong_length_or_padding_is_refused(
    kek: bytes, constant: int, length: int, padded: bytes
) -> None:
    assert unwrapping(kek, _wrapped(kek, constant, length, padded)) == KEY_WRAP_REFUSAL


@KEKS
def test_a_ciphertext_of_another_length_is_refused(kek: bytes) -> None:
    wrapped = aes_key_wrap.wrap(kek, CONTENT)
    for length in (*range(1, len(wrapped)), len(wrapped) + 1, len(wrapped) + 8):
        assert unwrapping(kek, (wrapped + bytes(8))[:length]) == KEY_WRAP_REFUSAL
