"""Our own certificate: self-signed, ECDSA on P-256, known to peers by its fingerprint."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from halfkey.dtls.fingerprint import Fingerprint
from halfkey.errors import ConfigurationError

# Nobody judges these certificates by date; the dates only keep picky parsers content.
_NOT_BEFORE = datetime(2020, 1, 1, tzinfo=UTC)
_LIFETIME = timedelta(days=365 * 50)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key.

    Attributes:
        der: the certificate.
        private_key: its ECDSA P-256 key; never shown by repr.
    """

    der: bytes
    private_key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def generate(cls, common_name: str = "halfkey") -> Certificate:
        """Makes a fresh key and a self-signed certificate for it."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_NOT_BEFORE)
            .not_valid_after(_NOT_BEFORE + _LIFETIME)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate.public_bytes(serialization.Encoding.DER), key)

    @classmethod
    def from_pem(cls, certificate: bytes, key: bytes) -> Certificate:
        """Reads a certificate and its unencrypted key.

        Raises:
            ConfigurationError: one of them can't be read, they don't belong together, or the key
                is not an ECDSA P-256 key.
        """
        try:
            parsed = x509.load_pem_x509_certificate(certificate)
            private_key = serialization.load_pem_private_key(key, password=None)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(
                "the DTLS certificate or key is not readable PEM; make both anew"
            ) from error
        if not isinstance(private_key, ec.EllipticCurvePrivateKey) or not isinstance(
            private_key.curve, ec.SECP256R1
        ):
            raise ConfigurationError("the DTLS key must be an ECDSA key on P-256; make one")
        if parsed.public_key() != private_key.public_key():
            raise ConfigurationError("the DTLS certificate and key don't belong together")
        return cls(parsed.public_bytes(serialization.Encoding.DER), private_key)

    def fingerprint(self) -> Fingerprint:
        """The SHA-256 fingerprint, for SDP."""
        return Fingerprint.of(self.der)
