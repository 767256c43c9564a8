"""Wycheproof's vectors through our own code; see README.md for where they come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec

from halfkey.dtls.crypto.signatures import SIGNING_SCHEME, verify
from halfkey.dtls.crypto.suites import SUITES
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.registries import AlertDescription, CipherSuite, NamedGroup
from tests.reference import aes_key_wrap
from tests.reference.primitives import Refused
from tests.wycheproof.values import KEY_WRAP_REFUSAL, exchange, unwrapping
from tests.wycheproof.vectors import VARIABLE, Json, cases, octets

EXCHANGES = {
    "x25519_test": (NamedGroup.X25519, "ZeroSharedSecret"),
    "ecdh_secp256r1_ecpoint_test": (NamedGroup.SECP256R1, "CompressedPoint"),
}
"""With the flag of vectors that others may accept, and we don't."""

LONGEST_CIPHERTEXT = 264
"""Of an EKT Field: 251 bytes of plaintext at most (RFC 8870 section 4.1), wrapped."""

GCM = {
    128: SUITES[CipherSuite.ECDHE_ECDSA_WITH_AES_128_GCM_SHA256],
    256: SUITES[CipherSuite.ECDHE_ECDSA_WITH_AES_256_GCM_SHA384],
}


@pytest.mark.parametrize("name", EXCHANGES)
def test_key_exchange(name: str) -> None:
    group, refused_flag = EXCHANGES[name]
    seen = {True: 0, False: 0}
    for _, case in cases(name):
        public, private, shared = octets(case, "public", "private", "shared")
        is_refused = case["result"] == "invalid" or refused_flag in case["flags"]
        seen[is_refused] += 1
        if is_refused:
            with pytest.raises(ProtocolFault) as fault:
                exchange(group, private, public)
            assert fault.value.alert is AlertDescription.ILLEGAL_PARAMETER, case
        else:
            assert exchange(group, private, public) == shared, case
    assert all(seen.values())


def test_signatures() -> None:
    seen = {"valid": 0, "invalid": 0}
    for group, case in cases("ecdsa_secp256r1_sha256_test"):
        point = bytes.fromhex(group["publicKey"]["uncompressed"])
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        message, signature = octets(case, "msg", "sig")
        seen[case["result"]] += 1
        if case["result"] == "valid":
            verify(key, SIGNING_SCHEME, signature, message)
        else:
            with pytest.raises(ProtocolFault) as fault:
                verify(key, SIGNING_SCHEME, signature, message)
            assert fault.value.alert is AlertDescription.DECRYPT_ERROR, case
    assert all(seen.values())


def test_record_ciphers() -> None:
    seen = {"valid": 0, "invalid": 0}
    for group, case in cases("aes_gcm_test"):
        if (group["ivSize"], group["tagSize"]) != (96, 128) or group["keySize"] not in GCM:
            continue
        key, iv, aad, message, ciphertext, tag = octets(
            case, "key", "iv", "aad", "msg", "ct", "tag"
        )
        cipher = GCM[group["keySize"]].aead(key)
        seen[case["result"]] += 1
        if case["result"] == "valid":
            assert cipher.encrypt(iv, message, aad) == ciphertext + tag, case
            assert cipher.decrypt(iv, ciphertext + tag, aad) == message, case
        else:
            with pytest.raises(InvalidTag):
                cipher.decrypt(iv, ciphertext + tag, aad)
    assert all(seen.values())


def _unwrapped_by_reference(key: bytes, ciphertext: bytes) -> bytes | None:
    try:
        return aes_key_wrap.unwrap(key, ciphertext)
    except Refused:
        return None


def test_key_wrap() -> None:
    seen = {"valid": 0, "invalid": 0}
    for group, case in cases("aes_kwp_test"):
        key, message, ciphertext = octets(case, "key", "msg", "ct")
        is_valid = case["result"] == "valid"
        assert (_unwrapped_by_reference(key, ciphertext) == message) == is_valid, case
        # No EKT cipher has keys of 192 bits, and no EKT Field's ciphertext is longer.
        if group["keySize"] != 192 and len(ciphertext) <= LONGEST_CIPHERTEXT:
            seen[case["result"]] += 1
            assert (unwrapping(key, ciphertext) != KEY_WRAP_REFUSAL) == is_valid, case
    assert all(seen.values())


Place = Callable[[str], Any]


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Place:
    return lambda place: monkeypatch.setenv(VARIABLE, place)


def test_no_place_skips_and_says_how_to_name_one(named: Place) -> None:
    named("")
    with pytest.raises(pytest.skip.Exception, match="names no checkout"):
        list(cases("x25519_test"))


def test_a_place_without_vectors_fails(named: Place, tmp_path: Path) -> None:
    named(str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match=r"has no x25519_test\.json"):
        list(cases("x25519_test"))


def test_vectors_are_read_with_their_groups(named: Place, tmp_path: Path) -> None:
    named(str(tmp_path))
    (tmp_path / "data").mkdir()
    vectors = '{"testGroups": [{"keySize": 1, "tests": [{"ct": "0a"}, {"ct": ""}]}]}'
    (tmp_path / "data" / "made_up_test.json").write_text(vectors)
    read: list[tuple[Json, Json]] = list(cases("made_up_test"))
    assert [(group["keySize"], octets(case, "ct")) for group, case in read] == [
        (1, (b"\x0a",)),
        (1, (b"",)),
    ]
