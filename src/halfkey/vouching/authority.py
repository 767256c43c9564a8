"""Signing and verifying the Key Distributor's statements (RFC 7515).

    statement = JWS, compact, ES256; header: alg, typ, x5c = [vouching certificate, authority]

The authority's certificate is believed by its hash. Not every certificate of the authority may
vouch: the one that does has `VOUCHING` as its one extended key usage, so that a server certificate
of the same authority, on an untrusted machine, can't.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry, deserialize_compact, serialize_compact

from halfkey.errors import CodecError, ConfigurationError
from halfkey.identity.jose import canonical, decode_base64url, parse_object
from halfkey.vouching.refusal import VouchRefused

VOUCHING = x509.ObjectIdentifier("2.25.27187773221832590429571094832916551067")
"""The extended key usage of a certificate that may vouch.

Ours: the arc of the UUID 14742cb6-50c4-48f0-b4af-fd00e861559b (ITU-T X.667 section 7), which needs
no registration.
"""

MAXIMUM_STATEMENT = 6 * 1024 * 1024
"""Characters of a whole statement: room for the longest roster."""

_ALGORITHM = "ES256"
_MAXIMUM_HEADER = 8 * 1024
_MAXIMUM_CERTIFICATE = 2 * 1024


class _Registry(JWSRegistry):
    max_header_length = _MAXIMUM_HEADER
    max_payload_length = MAXIMUM_STATEMENT


_REGISTRY = _Registry(algorithms=[_ALGORITHM], strict_check_header=False)


class Authority:
    """What the Key Distributor signs statements with.

    Attributes:
        ca_sha256: hash of the authority's certificate (DER), for links; 32 bytes.
        valid_until: when the first certificate of the chain expires, Unix time in seconds.

    Args:
        key: of the vouching certificate, P-256.
        chain: the vouching certificate, then the authority's.

    Raises:
        VouchRefused: no `Trust` would believe that chain, or the key is of another.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey, chain: list[x509.Certificate]) -> None:
        if len(chain) != 2:
            raise VouchRefused("certificate")
        ders = [one.public_bytes(serialization.Encoding.DER) for one in chain]
        self.ca_sha256 = hashlib.sha256(ders[1]).digest()
        self.valid_until = min(one.not_valid_after_utc for one in chain).timestamp()
        believed = _vouching_key(chain[0], chain[1], self.valid_until)
        if believed.public_numbers() != key.public_key().public_numbers():
            raise VouchRefused("signature")
        self._x5c = [base64.b64encode(der).decode() for der in ders]
        self._key = ECKey.import_key(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

    @classmethod
    def load(cls, chain: Path, key: Path, now: float | None = None) -> Authority:
        """Reads both from PEM files, such as `halfkey.pki.make_vouching_certificate` writes.

        Args:
            chain: the vouching certificate, followed by the authority's.
            key: unencrypted.
            now: Unix time, seconds; None accepts an expired chain, which no Endpoint will.

        Raises:
            ConfigurationError: a file is of no use; one line.
        """
        certificates = _load_chain(chain)
        try:
            authority = cls(_load_key(key), certificates)
        except VouchRefused as fault:
            raise ConfigurationError(
                f"{key}: the private key doesn't belong to {chain}; give the pair that does"
                if fault.reason == "signature"
                else f"{chain}: not a vouching certificate followed by its authority's; "
                "make one with 'halfkey pki'"
            ) from None
        if now is not None and now >= authority.valid_until:
            raise ConfigurationError(f"{chain}: the vouching certificate expired; make a new one")
        return authority

    def sign(self, typ: str, payload: Mapping[str, object]) -> str:
        """Signs a statement.

        Args:
            typ: its type.
            payload: JSON-able; written in the form of RFC 8225 section 9.

        Raises:
            CodecError: it has no such form, or is longer than any verifier takes.
        """
        header = json.loads(canonical({"alg": _ALGORITHM, "typ": typ, "x5c": self._x5c}))
        text = serialize_compact(header, canonical(payload), self._key, registry=_REGISTRY)
        if len(text) > MAXIMUM_STATEMENT:
            raise CodecError("the statement is too long")
        return text

    def __repr__(self) -> str:
        return f"<Authority {self.ca_sha256.hex()[:16]}>"


class Trust:
    """Believes statements under one certificate authority.

    Args:
        ca_sha256: hash of the authority's certificate (DER), 32 bytes, from a link.
    """

    def __init__(self, ca_sha256: bytes) -> None:
        if len(ca_sha256) != hashlib.sha256().digest_size:
            raise CodecError("the authority's hash has 32 bytes")
        self.ca_sha256 = ca_sha256

    def verify(self, text: str, typ: str, now: float) -> dict[str, Any]:
        """Says what a statement says; whether it is recent is the caller's to check.

        Args:
            text: the JWS, from anybody.
            typ: the type that it must have.
            now: Unix time in seconds, for the certificates' validity.

        Raises:
            VouchRefused: it doesn't hold, whatever it consists of.
        """
        if len(text) > MAXIMUM_STATEMENT:
            raise VouchRefused("too_large")
        header = _read_header(text)
        if header["alg"] != _ALGORITHM:
            raise VouchRefused("algorithm")
        if header["typ"] != typ:
            raise VouchRefused("type")
        # Nothing of the payload is parsed before it is known to be the Key Distributor's.
        payload = _signed_payload(text, self._key(header["x5c"], now))
        try:
            content = parse_object(payload)
            if canonical(content) != payload:
                raise VouchRefused("malformed")
        except CodecError:
            raise VouchRefused("malformed") from None
        return content

    def _key(self, x5c: object, now: float) -> ec.EllipticCurvePublicKey:
        if not isinstance(x5c, list) or len(x5c) != 2:
            raise VouchRefused("malformed")
        leaf_der, ca_der = (_decode_certificate(one) for one in x5c)
        if not hmac.compare_digest(hashlib.sha256(ca_der).digest(), self.ca_sha256):
            raise VouchRefused("authority")
        try:
            leaf, ca = map(x509.load_der_x509_certificate, (leaf_der, ca_der))
            if not all(_is_valid(one, now) for one in (leaf, ca)):
                raise VouchRefused("expired")
            return _vouching_key(leaf, ca, now)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise VouchRefused("certificate") from None


def _read_header(text: str) -> dict[str, Any]:
    encoded, _, rest = text.partition(".")
    if len(encoded) > _MAXIMUM_HEADER or rest.count(".") != 1:
        raise VouchRefused("malformed")
    try:
        raw = decode_base64url(encoded)
        header = parse_object(raw)
        if canonical(header) != raw or header.keys() != {"alg", "typ", "x5c"}:
            raise VouchRefused("malformed")
        for part in rest.split("."):
            decode_base64url(part)
    except CodecError:
        raise VouchRefused("malformed") from None
    return header


def _signed_payload(text: str, key: ec.EllipticCurvePublicKey) -> bytes:
    pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        return deserialize_compact(text, ECKey.import_key(pem), registry=_REGISTRY).payload
    except (JoseError, ValueError, TypeError):
        raise VouchRefused("signature") from None


def _decode_certificate(value: object) -> bytes:
    """Reads an element of x5c: base64 of DER, not base64url (RFC 7515 section 4.1.6)."""
    if not isinstance(value, str) or len(value) > _MAXIMUM_CERTIFICATE:
        raise VouchRefused("malformed")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise VouchRefused("malformed") from None


def _is_valid(certificate: x509.Certificate, now: float) -> bool:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begin.timestamp() <= now <= end.timestamp()


def _vouching_key(
    leaf: x509.Certificate, ca: x509.Certificate, now: float
) -> ec.EllipticCurvePublicKey:
    """Checks that the authority has made a certificate to vouch with; gives its key.

    Raises:
        VouchRefused: it has not.
    """
    leaf_policy = (
        verification.ExtensionPolicy.permit_all()
        .require_present(x509.ExtendedKeyUsage, verification.Criticality.CRITICAL, _may_vouch)
        .require_present(x509.BasicConstraints, verification.Criticality.CRITICAL, _is_no_ca)
        .require_present(x509.KeyUsage, verification.Criticality.CRITICAL, _may_sign)
    )
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store([ca]))
        .time(datetime.datetime.fromtimestamp(now, datetime.UTC))
        .max_chain_depth(0)
        .extension_policies(
            ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(), ee_policy=leaf_policy
        )
        .build_client_verifier()
    )
    try:
        verifier.verify(leaf, [])
    except verification.VerificationError:
        raise VouchRefused("certificate") from None
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise VouchRefused("certificate")
    return key


def _may_vouch(
    _policy: verification.Policy, _leaf: x509.Certificate, usage: x509.ExtendedKeyUsage
) -> None:
    # The only one: what vouches is no server on the network as well.
    if list(usage) != [VOUCHING]:
        raise ValueError("not a vouching certificate")


def _is_no_ca(
    _policy: verification.Policy, _leaf: x509.Certificate, constraints: x509.BasicConstraints
) -> None:
    if constraints.ca:
        raise ValueError("an authority vouches through a certificate of its own")


def _may_sign(_policy: verification.Policy, _leaf: x509.Certificate, usage: x509.KeyUsage) -> None:
    if not usage.digital_signature:
        raise ValueError("not for signatures")


def _load_chain(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as fault:
        raise ConfigurationError(
            f"{path}: can't read the vouching certificate ({fault.strerror}); "
            "name a PEM file that exists and is readable"
        ) from None
    except ValueError:
        raise ConfigurationError(
            f"{path}: no certificate in it; the vouching certificate must be in PEM form"
        ) from None


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as fault:
        raise ConfigurationError(
            f"{path}: can't read the private key ({fault.strerror}); "
            "name a PEM file that exists and is readable"
        ) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(
            f"{path}: not a private key that can be used; give an unencrypted PEM key"
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigurationError(f"{path}: not a P-256 key; make one with 'halfkey pki'")
    return key
