"""JWK Sets: what is for us is found by one name, what is not is left out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from halfkey.errors import CodecError
from halfkey.identity.keyset import MAXIMUM_KEY_SET, MAXIMUM_KEYS, KeySet
from tests.identity.helpers import decode, encode


def public(key: RSAKey | ECKey | OKPKey, **more: Any) -> dict[str, Any]:
    """The public JWK, with other members."""
    return dict(key.as_dict(private=False)) | more


RSA = public(RSAKey.generate_key(2048), kid="r")
EC = public(ECKey.generate_key("P-256"), kid="e")
OKP = public(OKPKey.generate_key("Ed25519"), kid="o")


@pytest.mark.parametrize(
    ("jwk", "algorithm"), [(RSA, "RS256"), (EC, "ES256"), (OKP, "Ed25519"), (OKP, "EdDSA")]
)
def test_a_key_is_found_by_its_name_and_algorithm(jwk: dict[str, Any], algorithm: str) -> None:
    keys = KeySet({"keys": [RSA, EC, OKP]})
    found = keys.find(jwk["kid"], algorithm)
    assert found is not None
    assert found is keys.find(None, algorithm)  # the only one of its kind
    assert not found.is_private
    others = {"RS256", "ES256", "Ed25519", "EdDSA"} - {algorithm}
    if jwk is OKP:
        others -= {"Ed25519", "EdDSA"}
    for other in (*others, "none", "HS256", "RS512"):
        assert keys.find(jwk["kid"], other) is None
    for name in ("x", "", 7, ["r"]):
        assert keys.find(name, algorithm) is None


def test_one_of_two_is_nobodys() -> None:
    other = public(RSAKey.generate_key(2048), kid="s")
    assert KeySet({"keys": [RSA, other]}).find("s", "RS256") is not None
    assert KeySet({"keys": [RSA, other]}).find(None, "RS256") is None
    assert KeySet({"keys": [RSA, other | {"kid": "r"}]}).find("r", "RS256") is None


@pytest.mark.parametrize(
    ("jwk", "algorithm"),
    [
        (RSA | {"use": "enc"}, "RS256"),
        (RSA | {"alg": "RS512"}, "RS256"),
        (RSA | {"alg": 7}, "RS256"),
        (RSA | {"kid": 7}, "RS256"),
        (RSA | {"key_ops": ["encrypt"]}, "RS256"),
        (RSA | {"e": 3}, "RS256"),
        (RSA | {"n": RSA["n"] + "="}, "RS256"),
        ({name: RSA[name] for name in ("kty", "kid", "n")}, "RS256"),
        (RSA | {"n": "_" * 170 + "8"}, "RS256"),
        (RSA | {"n": "_" * 1368}, "RS256"),
        (public(ECKey.generate_key("P-384"), kid="e"), "ES256"),
        (EC | {"y": EC["x"]}, "ES256"),
        (EC | {"x": encode(b"\0" + decode(EC["x"]))}, "ES256"),
        (EC | {"crv": ["P-256"]}, "ES256"),
        (public(OKPKey.generate_key("X25519"), kid="o"), "EdDSA"),
        (OKP | {"x": OKP["x"][:-2]}, "Ed25519"),
        (OctKey.generate_key(256).as_dict(), "HS256"),
        ("text", "RS256"),
        ({}, "RS256"),
    ],
)
def test_what_is_not_for_us_is_left_out(jwk: Any, algorithm: str) -> None:
    assert len(KeySet({"keys": [RSA, EC, OKP]})) == 3
    name = jwk.get("kid") if isinstance(jwk, dict) else None
    assert KeySet({"keys": [jwk]}).find(name, algorithm) is None


def test_right_hints_are_taken() -> None:
    keys = KeySet(
        {
            "keys": [
                RSA | {"alg": "RS256", "use": "sig", "key_ops": ["verify"], "x5t": "x"},
                OKP | {"alg": "EdDSA"},
            ]
        }
    )
    assert keys.find("r", "RS256") is not None
    assert keys.find("o", "EdDSA") is not None
    assert keys.find("o", "Ed25519") is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[],"keys":[]}',
        json.dumps({"keys": [{}] * (MAXIMUM_KEYS + 1)}).encode(),
        b'{"keys":[]}' + b" " * MAXIMUM_KEY_SET,
        b"[" * 5000,
    ],
)
def test_what_is_no_set_is_refused(data: bytes) -> None:
    assert len(KeySet.parse(json.dumps({"keys": [RSA] * MAXIMUM_KEYS}).encode())) == MAXIMUM_KEYS
    with pytest.raises(CodecError):
        KeySet.parse(data)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([RSA, EC, OKP]), st.sampled_from(sorted({*RSA, *EC, "use", "alg"})), values)
def test_any_member_may_be_anything(jwk: dict[str, Any], member: str, value: Any) -> None:
    keys = KeySet({"keys": [jwk | {member: value}, value]})
    assert len(keys) <= 1


@given(st.binary())
def test_any_bytes_are_a_codec_error(data: bytes) -> None:
    with pytest.raises(CodecError):
        KeySet.parse(data)
