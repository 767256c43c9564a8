"""Certificates for roles that have none yet: self-signed, P-256, on disk as PEM.

They are meant to be pinned: whoever shall believe one lists that very certificate in the bundle
that it gives to `halfkey.tls`. None of them may sign another.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from halfkey.errors import ConfigurationError

VALIDITY_DAYS = 365

_BACKDATED = datetime.timedelta(hours=1)  # a peer's clock may be behind ours
_NO_PASSWORD = serialization.NoEncryption()


def make_certificate(
    directory: Path, name: str, validity_days: int = VALIDITY_DAYS
) -> tuple[Path, Path]:
    """Makes a fresh key and a self-signed certificate for it, and writes both.

    Args:
        directory: an existing folder; files of the same name in it are replaced.
        name: for the subject and the file names: letters, digits, ``-``, ``_``, ``.``.
        validity_days: from now.

    Returns:
        The paths of the certificate and of the key; the latter is readable by its owner only.

    Raises:
        ConfigurationError: the name is of no use, or a file can't be written.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", name):
        raise ConfigurationError(
            f"certificate name {name!r}: use 1 to 63 letters, digits, '-', '_' or '.'"
        )
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(key, name, datetime.timedelta(days=validity_days))
    paths = directory / f"{name}.crt", directory / f"{name}.key"
    try:
        _write(paths[0], certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        _write(paths[1], _pem(key), 0o600)
    except OSError as fault:
        raise ConfigurationError(
            f"{fault.filename}: can't write a certificate there ({fault.strerror}); "
            "name a folder that exists and is writable"
        ) from None
    return paths


def _self_signed(
    key: ec.EllipticCurvePrivateKey, name: str, validity: datetime.timedelta
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    alternatives: list[x509.GeneralName] = [
        x509.DNSName(name.replace("_", "-")),
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    both_ways = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + validity)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both_ways), critical=False)
        .sign(key, hashes.SHA256())
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, _NO_PASSWORD)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replaces the file, so that an older one's wider permissions don't live on."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
