"""Fingerprints, certificates, and settings that are refused."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509 import load_der_x509_certificate

from halfkey.dtls import (
    AlertDescription,
    Certificate,
    Configuration,
    Fingerprint,
    Role,
    ServerParameters,
)
from halfkey.dtls.crypto.signatures import certificate_public_key
from halfkey.dtls.faults import Counters, ProtocolFault
from halfkey.dtls.fingerprint import matches_any
from halfkey.errors import CodecError, ConfigurationError
from halfkey.profiles import DOUBLE_128

DER = b"any bytes will do for a hash"


def pem(certificate: Certificate) -> tuple[bytes, bytes]:
    parsed = load_der_x509_certificate(certificate.der)
    key = certificate.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return parsed.public_bytes(Encoding.PEM), key


def test_the_sdp_form() -> None:
    fingerprint = Fingerprint.of(DER)
    assert fingerprint.value == hashlib.sha256(DER).digest()
    assert str(fingerprint) == "sha-256 " + hashlib.sha256(DER).digest().hex(":").upper()
    assert Fingerprint.parse(str(fingerprint)) == fingerprint
    assert Fingerprint.parse(" SHA-256 " + str(fingerprint)[8:].lower() + " ") == fingerprint
    assert fingerprint.matches(DER)
    assert not fingerprint.matches(DER + b"\0")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha-256",
        "sha-256 ",
        "sha-256 AB",
        "sha-1 " + ":".join(["AB"] * 20),
        "md5 " + ":".join(["AB"] * 16),
        "sha-256 " + ":".join(["AB"] * 31),
        "sha-256 " + ":".join(["AB"] * 33),
        "sha-256 " + "AB" * 32,
        "sha-256 " + ":".join(["XY"] * 32),
        "sha-256 " + ":".join(["AB"] * 32) + ":",
    ],
)
def test_malformed_or_weak_fingerprints(text: str) -> None:
    with pytest.raises(CodecError):
        Fingerprint.parse(text)


def test_the_strongest_hash_decides() -> None:
    right256, right512 = Fingerprint.of(DER), Fingerprint.of(DER, "sha-512")
    wrong256, wrong512 = Fingerprint.of(b"x"), Fingerprint.of(b"x", "sha-512")
    assert matches_any([right256], DER)
    assert matches_any([wrong256, right256], DER)
    assert matches_any([wrong256, right512], DER)
    assert not matches_any([right256, wrong512], DER)
    assert not matches_any([], DER)


def test_a_generated_certificate_is_self_signed() -> None:
    certificate = Certificate.generate("somebody")
    parsed = load_der_x509_certificate(certificate.der)
    parsed.verify_directly_issued_by(parsed)
    assert certificate.fingerprint().matches(certificate.der)
    assert certificate.der != Certificate.generate("somebody").der
    assert "private_key" not in repr(certificate)


def test_certificates_from_pem() -> None:
    certificate = Certificate.generate()
    assert Certificate.from_pem(*pem(certificate)).der == certificate.der


def test_pem_that_is_no_use() -> None:
    certificate, key = pem(Certificate.generate())
    other = pem(Certificate.generate())[1]
    p384 = ec.generate_private_key(ec.SECP384R1())
    edwards = ed25519.Ed25519PrivateKey.generate()
    wrong = [
        k.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) for k in (p384, edwards)
    ]
    for pair in [(b"", key), (certificate, b"?"), (certificate, other)]:
        with pytest.raises(ConfigurationError):
            Certificate.from_pem(*pair)
    for unusable in wrong:
        with pytest.raises(ConfigurationError):
            Certificate.from_pem(certificate, unusable)


@pytest.mark.parametrize(
    "der", [b"", b"0", bytes(100), b"0\x82\xff\xff", Certificate.generate().der[:-1]]
)
def test_unreadable_certificates(der: bytes) -> None:
    with pytest.raises(ProtocolFault) as caught:
        certificate_public_key(der)
    assert caught.value.alert is AlertDescription.BAD_CERTIFICATE


CLIENT = {
    "role": Role.CLIENT,
    "certificate": Certificate.generate(),
    "srtp_profiles": (DOUBLE_128,),
}


@pytest.mark.parametrize(
    "changes",
    [
        {"certificate": None},
        {"srtp_profiles": ()},
        {"pmtu": 255},
        {"cipher_suites": ()},
        {"groups": ()},
        {"maximum_transmissions": 0},
        {"external_session_id": b"x" * 19},
        {"external_session_id": b"x" * 256},
        {"external_id_hash": b"x" * 31},
        {"peer_external_id_hash": b"x" * 33},
        {"peer_fingerprints": ()},
        {"select": lambda summary: None},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_wrong_settings_name_themselves(changes: dict[str, object]) -> None:
    Configuration(**CLIENT)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=next(iter(changes))):
        Configuration(**{**CLIENT, **changes})  # type: ignore[arg-type]


def test_a_server_with_select_needs_nothing_else() -> None:
    Configuration(role=Role.SERVER, select=lambda summary: None)
    with pytest.raises(ConfigurationError):
        ServerParameters(certificate=Certificate.generate(), srtp_profiles=())


def test_counters_are_a_fixed_set() -> None:
    counters = Counters()
    assert len(counters) == len(list(counters)) == len(dict(counters))
    assert counters["replayed"] == 0
    with pytest.raises(KeyError):
        counters["what a peer might invent"]
