"""Who may vouch, and what a statement must look like to be believed."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from halfkey.errors import CodecError, ConfigurationError
from halfkey.pki import make_authority, make_certificate, make_vouching_certificate
from halfkey.vouching.authority import MAXIMUM_STATEMENT, VOUCHING, Authority, Trust
from halfkey.vouching.refusal import VouchRefused
from tests.identity.helpers import compact, decode, forge, parts
from tests.vouching.world import authority, refuses, valid_now

TYPE = "test+jwt"
PAYLOAD = {"a": 1, "b": "Zoë"}


def trust() -> Trust:
    return Trust(authority().ca_sha256)


def verify(text: str) -> dict[str, Any]:
    return trust().verify(text, TYPE, valid_now())


def statement() -> str:
    return authority().sign(TYPE, PAYLOAD)


class Issuer:
    """A certificate authority that signs any leaf at all, and statements with it."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.now = datetime.datetime.now(datetime.UTC)
        self.ca = self.certificate(
            self.key,
            x509.BasicConstraints(ca=True, path_length=0),
            self.usage(key_cert_sign=True),
            x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()),
            subject="ca",
        )
        self.trust = Trust(hashlib.sha256(self.der(self.ca)).digest())

    def usage(self, **chosen: bool) -> x509.KeyUsage:
        names = (
            "digital_signature content_commitment key_encipherment data_encipherment "
            "key_agreement key_cert_sign crl_sign encipher_only decipher_only"
        )
        return x509.KeyUsage(**dict.fromkeys(names.split(), False) | chosen)

    def der(self, certificate: x509.Certificate) -> bytes:
        return certificate.public_bytes(serialization.Encoding.DER)

    def certificate(
        self,
        key: ec.EllipticCurvePrivateKey,
        *extensions: x509.ExtensionType,
        subject: str = "leaf",
        days: tuple[int, int] = (-1, 9),
        critical: bool = True,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now + datetime.timedelta(days=days[0]))
            .not_valid_after(self.now + datetime.timedelta(days=days[1]))
        )
        for extension in extensions:
            identifies = isinstance(extension, x509.SubjectKeyIdentifier)
            builder = builder.add_extension(extension, critical and not identifies)
        return builder.sign(self.key, hashes.SHA256())

    def vouching(self) -> x509.Certificate:
        """Another vouching certificate, whose key did not sign the statement."""
        return self.certificate(
            ec.generate_private_key(ec.SECP256R1()),
            x509.BasicConstraints(ca=False, path_length=None),
            self.usage(digital_signature=True),
            x509.ExtendedKeyUsage([VOUCHING]),
        )

    def verify(
        self,
        *,
        usages: list[x509.ObjectIdentifier] | None = None,
        ca: bool = False,
        signs: bool = True,
        more: tuple[x509.ExtensionType, ...] = (),
        critical: bool = True,
        days: tuple[int, int] = (-1, 9),
        chain: Callable[[bytes, bytes], list[bytes]] = lambda leaf, ca: [leaf, ca],
    ) -> dict[str, Any]:
        """Verifies a statement under a leaf made so."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self.certificate(
            key,
            x509.BasicConstraints(ca=ca, path_length=None),
            self.usage(digital_signature=signs, key_agreement=not signs),
            x509.ExtendedKeyUsage([VOUCHING] if usages is None else usages),
            *more,
            days=days,
            critical=critical,
        )
        x5c = [base64.b64encode(one).decode() for one in chain(self.der(leaf), self.der(self.ca))]
        text = forge(jwk(key), {"alg": "ES256", "typ": TYPE, "x5c": x5c}, {"a": 1})
        return self.trust.verify(text, TYPE, self.now.timestamp())


def jwk(key: ec.EllipticCurvePrivateKey) -> ECKey:
    form = serialization.PrivateFormat.PKCS8
    none = serialization.NoEncryption()
    return ECKey.import_key(key.private_bytes(serialization.Encoding.PEM, form, none))


def test_a_statement_says_what_was_signed() -> None:
    assert verify(statement()) == PAYLOAD
    assert "PRIVATE" not in repr(authority())


def test_another_authority_is_not_believed() -> None:
    with refuses("authority"):
        verify(authority("another").sign(TYPE, PAYLOAD))


def test_a_type_passes_for_no_other() -> None:
    with refuses("type"):
        trust().verify(statement(), "test", valid_now())


@pytest.mark.parametrize("days", [-400, 400])
def test_certificates_are_believed_in_their_time_only(days: int) -> None:
    with refuses("expired"):
        trust().verify(statement(), TYPE, valid_now() + days * 86400)


def test_only_a_vouching_certificate_vouches() -> None:
    issuer = Issuer()
    assert issuer.verify() == {"a": 1}
    server = ExtendedKeyUsageOID.SERVER_AUTH
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    bad: list[dict[str, Any]] = [
        {"usages": [server]},
        {"usages": [server, VOUCHING]},
        {"usages": [x509.ObjectIdentifier("2.5.29.37.0")]},
        {"ca": True},
        {"signs": False},
        {"critical": False},
        {"more": (unknown,)},
    ]
    for arguments in bad:
        with refuses("certificate"):
            issuer.verify(**arguments)
    with refuses("expired"):
        issuer.verify(days=(-9, -1))


def test_the_chain_is_exactly_certificate_and_authority() -> None:
    issuer = Issuer()
    with refuses("authority"):
        issuer.verify(chain=lambda leaf, ca: [ca, leaf])
    with refuses("signature"):
        issuer.verify(chain=lambda leaf, ca: [issuer.der(issuer.vouching()), ca])
    for length in (0, 1, 3):
        with refuses("malformed"):
            issuer.verify(chain=lambda leaf, ca, length=length: [leaf, ca, ca][:length])
    with refuses("certificate"):
        issuer.verify(chain=lambda leaf, ca: [ca, ca])
    with refuses("certificate"):
        issuer.verify(chain=lambda leaf, ca: [leaf + b"\0", ca])


def test_a_leaf_that_the_authority_did_not_sign_is_refused() -> None:
    issuer, other = Issuer(), Issuer()
    assert issuer.verify() == {"a": 1}
    other.ca, other.trust = issuer.ca, issuer.trust
    with refuses("certificate"):
        other.verify()


def resigned(header: dict[str, Any] | None = None, payload: bytes | None = None) -> str:
    """The statement with another header or payload, rightly signed by the same key."""
    old_header, old_payload = parts(statement())
    return forge(
        authority()._key,
        {**old_header, **(header or {})},
        compact(old_payload) if payload is None else payload,
    )


def test_only_es256_counts() -> None:
    assert verify(resigned(payload=b'{"a":1}')) == {"a": 1}
    for algorithm in ("none", "HS256", "ES384", "RS256", "EdDSA", "es256", None, 7):
        with refuses("algorithm"):
            verify(resigned({"alg": algorithm}))
    with refuses("malformed"):
        verify(resigned({"crit": ["exp"]}))


@pytest.mark.parametrize(
    "payload", [b"[]", b"{", b'{"a": 1}', b'{"b":1,"a":1}', b'{"a":1,"a":1}', b'{"a":NaN}', b"\xff"]
)
def test_a_payload_has_one_form(payload: bytes) -> None:
    with refuses("malformed"):
        verify(resigned(payload=payload))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_character_can_be_changed(data: st.DataObject) -> None:
    text = statement()
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(
        st.sampled_from("Aab0-_.=\u00e9\ud800 ").filter(lambda one: one != text[place])
    )
    with pytest.raises(VouchRefused):
        verify(text[:place] + other + text[place + 1 :])


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(), st.integers(0, 3000)))
def test_rubbish_and_pieces_are_refused(rubbish: str | int) -> None:
    text = rubbish if isinstance(rubbish, str) else statement()[:-1][:rubbish]
    with pytest.raises(VouchRefused):
        verify(text)


def test_sizes_are_bounded_before_anything_is_decoded() -> None:
    with refuses("too_large"):
        verify("A" * (MAXIMUM_STATEMENT + 1))
    with refuses("malformed"):
        verify("A" * 9000 + ".A.A")
    with refuses("malformed"):
        verify(resigned({"x5c": ["A" * 3000, parts(statement())[0]["x5c"][1]]}))
    with pytest.raises(CodecError, match="too long"):
        authority().sign(TYPE, {"a": "a" * MAXIMUM_STATEMENT})


def test_a_signature_of_another_statement_does_not_hold() -> None:
    one, other = statement(), authority().sign(TYPE, {"a": 2})
    with refuses("signature"):
        verify(one.rpartition(".")[0] + "." + other.rpartition(".")[2])
    assert json.loads(decode(other.split(".")[1])) == {"a": 2}


def test_a_statement_has_one_spelling() -> None:
    """What is signed over can't be written otherwise, nor can the signature."""
    header, _ = parts(statement())
    assert verify(forge(authority()._key, header, b"{}")) == {}
    spaced = forge(authority()._key, json.dumps(header, sort_keys=True).encode(), b"{}")
    with refuses("malformed"):
        verify(spaced)
    text = statement()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 64 bytes end in a character of which two bits count.
    other = text[:-1] + alphabet[alphabet.index(text[-1]) + 1]
    assert decode(other.split(".")[2]) == decode(text.split(".")[2])
    with refuses("malformed"):
        verify(other)


# Files


@pytest.fixture
def ca(tmp_path: Path) -> tuple[Path, Path]:
    return make_authority(tmp_path, "ca")


def test_files_are_read(ca: tuple[Path, Path], tmp_path: Path) -> None:
    pair = make_vouching_certificate(tmp_path, ca, "kd")
    loaded = Authority.load(*pair, now=datetime.datetime.now(datetime.UTC).timestamp())
    der = x509.load_pem_x509_certificate(ca[0].read_bytes()).public_bytes(
        serialization.Encoding.DER
    )
    assert loaded.ca_sha256 == hashlib.sha256(der).digest()


def fault(chain: Path, key: Path, now: float | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Authority.load(chain, key, now)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bad_files_are_named_with_the_fix(ca: tuple[Path, Path], tmp_path: Path) -> None:
    chain, key = make_vouching_certificate(tmp_path, ca, "kd")
    _, other = make_vouching_certificate(tmp_path, ca, "other")
    gone, noise = tmp_path / "gone", tmp_path / "noise"
    noise.write_text("noise")
    server, server_key = make_certificate(tmp_path, "server")
    assert "can't read" in fault(gone, key)
    assert "can't read" in fault(chain, gone)
    assert "no certificate" in fault(noise, key)
    assert "not a private key" in fault(chain, noise)
    assert "doesn't belong" in fault(chain, other)
    assert "not a vouching certificate" in fault(server, server_key)
    assert "not a vouching certificate" in fault(*ca)
    assert "expired" in fault(chain, key, valid_now() + 800 * 86400)
