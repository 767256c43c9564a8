"""ECDSA signatures and the public keys that verify them (RFC 8422 section 5.4, RFC 8446 4.2.3)."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.registries import AlertDescription, SignatureScheme

SUPPORTED_SCHEMES = tuple(SignatureScheme)
"""What we verify, best first; we sign with the first of them only."""

SIGNING_SCHEME = SignatureScheme.ECDSA_SECP256R1_SHA256

_HASHES: dict[int, hashes.HashAlgorithm] = {
    SignatureScheme.ECDSA_SECP256R1_SHA256: hashes.SHA256(),
    SignatureScheme.ECDSA_SECP384R1_SHA384: hashes.SHA384(),
}

_CURVES: dict[int, type[ec.EllipticCurve]] = {
    SignatureScheme.ECDSA_SECP256R1_SHA256: ec.SECP256R1,
    SignatureScheme.ECDSA_SECP384R1_SHA384: ec.SECP384R1,
}


def sign(private_key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """Signs by `SIGNING_SCHEME`; deterministic (RFC 6979), so that a run replays exactly."""
    algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    return private_key.sign(data, algorithm)


def verify(
    public_key: ec.EllipticCurvePublicKey, scheme: int, signature: bytes, data: bytes
) -> None:
    """Checks a signature.

    Raises:
        ProtocolFault: illegal_parameter for a scheme that we didn't offer, decrypt_error for a
            signature that is wrong.
    """
    algorithm = _HASHES.get(scheme)
    if algorithm is None:
        raise ProtocolFault(AlertDescription.ILLEGAL_PARAMETER, "signature scheme not offered")
    try:
        public_key.verify(signature, data, ec.ECDSA(algorithm))
    except InvalidSignature as error:
        raise ProtocolFault(AlertDescription.DECRYPT_ERROR, "wrong signature") from error


def check_curve(public_key: ec.EllipticCurvePublicKey, scheme: int) -> None:
    """In DTLS 1.3 a scheme also names the curve, which 1.2 leaves open (RFC 8446 section 4.2.3).

    Raises:
        ProtocolFault: illegal_parameter.
    """
    curve = _CURVES.get(scheme)
    if curve is not None and not isinstance(public_key.curve, curve):
        raise ProtocolFault(AlertDescription.ILLEGAL_PARAMETER, "signature scheme of another curve")


def certificate_public_key(der: bytes) -> ec.EllipticCurvePublicKey:
    """The key of a certificate.

    Raises:
        ProtocolFault: bad_certificate if it can't be read, unsupported_certificate if its key is
            not ECDSA on P-256 or P-384.
    """
    try:
        key = x509.load_der_x509_certificate(der).public_key()
    except Exception as error:  # the library names no base for what a certificate can make it raise
        raise ProtocolFault(AlertDescription.BAD_CERTIFICATE, "unreadable certificate") from error
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(
        key.curve, ec.SECP256R1 | ec.SECP384R1
    ):
        return key
    raise ProtocolFault(AlertDescription.UNSUPPORTED_CERTIFICATE, "unsupported certificate key")
