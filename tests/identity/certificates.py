"""Certificate authorities for the tests of PASSporTs."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from joserfc.jwk import ECKey

from halfkey.identity.certificates import TN_AUTHORIZATION_LIST
from tests.identity.helpers import NOW

DAY = datetime.timedelta(days=1)
AT_NOW = datetime.datetime.fromtimestamp(NOW, datetime.UTC)


def der(tag: int, *content: bytes) -> bytes:
    """One DER element."""
    whole = b"".join(content)
    size = len(whole).to_bytes((len(whole).bit_length() + 7) // 8 or 1, "big")
    return bytes([tag]) + (size if len(whole) < 128 else bytes([0x80 | len(size)]) + size) + whole


def one(number: str) -> bytes:
    """A TNEntry (RFC 8226 section 9) with one number."""
    return der(0xA2, der(0x16, number.encode()))


def number_range(start: str, count: int) -> bytes:
    """A TNEntry with a range."""
    return der(0xA1, der(0x30, der(0x16, start.encode()), der(0x02, bytes([count]))))


def provider(code: str) -> bytes:
    """A TNEntry with a service provider's code."""
    return der(0xA0, der(0x16, code.encode()))


def numbers(*entries: bytes) -> x509.ExtensionType:
    """The TNAuthList extension."""
    return x509.UnrecognizedExtension(TN_AUTHORIZATION_LIST, der(0x30, *entries))


def uris(*values: str) -> x509.ExtensionType:
    """Subject alternative names that are URIs."""
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(v) for v in values])


def domains(*values: str) -> x509.ExtensionType:
    """Subject alternative names that are DNS names."""
    return x509.SubjectAlternativeName([x509.DNSName(v) for v in values])


def key_usage(sign: bool, authority: bool) -> x509.KeyUsage:
    """A KeyUsage."""
    return x509.KeyUsage(sign, False, False, False, False, authority, authority, False, False)


@dataclass(frozen=True)
class Holder:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def jose(self) -> ECKey:
        """The key as joserfc wants it."""
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return ECKey.import_key(pem)


def issue(
    name: str,
    issuer: Holder | None = None,
    *extensions: x509.ExtensionType,
    authority: bool = False,
    curve: ec.EllipticCurve | None = None,
    sign: bool = True,
    since: datetime.datetime = AT_NOW - DAY,
    until: datetime.datetime = AT_NOW + DAY,
    critical: type[x509.ExtensionType] | None = None,
    instead: x509.ObjectIdentifier | None = None,
) -> Holder:
    """Issues a certificate: self-signed without an issuer, and without the extension `instead`."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
    )
    usual: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=authority, path_length=None), True),
        (key_usage(sign, authority), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False),
    ]
    for extension, is_critical in usual:
        if extension.oid != instead:
            builder = builder.add_extension(extension, critical=is_critical)
    for extension in extensions:
        is_critical = critical is not None and isinstance(extension, critical)
        builder = builder.add_extension(extension, critical=is_critical)
    return Holder(builder.sign(signer, hashes.SHA256()), key)


def signed_again(tbs: bytes, issuer: Holder) -> bytes:
    """A certificate (DER) of any content at all, rightly signed."""
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")  # ecdsa-with-SHA256
    signature = issuer.key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    return der(0x30, tbs, algorithm, der(0x03, b"\0", signature))
