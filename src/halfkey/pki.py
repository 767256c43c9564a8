"""Certificates for roles that have none yet: P-256, on disk as PEM.

Those of servers are self-signed and meant to be pinned: whoever shall believe one lists that very
certificate in the bundle that it gives to `halfkey.tls`. None of them may sign another.

What the Key Distributor vouches with is under an authority instead, so that links, which carry the
authority's hash, outlive it. The authority's key is needed for nothing else, and may be kept away
from the Key Distributor's machine.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from halfkey.errors import ConfigurationError
from halfkey.hosts import is_host
from halfkey.vouching.authority import VOUCHING

VALIDITY_DAYS = 365

AUTHORITY_VALIDITY_DAYS = 3650
"""An authority lives as long as the links that name it."""

_BACKDATED = datetime.timedelta(hours=1)  # a peer's clock may be behind ours
_NO_PASSWORD = serialization.NoEncryption()


def check(name: str, hosts: Iterable[str] = ()) -> None:
    """Sees whether a certificate could be made for these, before anything is made.

    Args:
        name: as for `make_certificate`.
        hosts: likewise.

    Raises:
        ConfigurationError: the name or a host is of no use.
    """
    _check_name(name)
    for host in hosts:
        _alternative(host)


def make_certificate(
    directory: Path,
    name: str,
    validity_days: int = VALIDITY_DAYS,
    hosts: Iterable[str] = (),
) -> tuple[Path, Path]:
    """Makes a fresh key and a self-signed certificate for it, and writes both.

    Args:
        directory: an existing folder; files of the same name in it are replaced.
        name: for the subject and the file names: letters, digits, ``-``, ``_``, ``.``.
        validity_days: from now.
        hosts: names and IP addresses that it is for, besides its name and this machine itself.

    Returns:
        The paths of the certificate and of the key; the latter is readable by its owner only.

    Raises:
        ConfigurationError: the name or a host is of no use, or a file can't be written.
    """
    _check_name(name)
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = [_alternative(host) for host in hosts]
    certificate = _self_signed(key, name, datetime.timedelta(days=validity_days), alternatives)
    return _write_pair(directory, name, [certificate], key)


def make_authority(
    directory: Path, name: str, validity_days: int = AUTHORITY_VALIDITY_DAYS
) -> tuple[Path, Path]:
    """Makes a certificate authority that signs certificates of `make_vouching_certificate`.

    Its certificates may sign no others (path length 0).

    Args:
        directory: an existing folder; files of the same name in it are replaced.
        name: as for `make_certificate`.
        validity_days: from now.

    Returns:
        The paths of the certificate and of the key; the latter is readable by its owner only.

    Raises:
        ConfigurationError: the name is of no use, or a file can't be written.
    """
    _check_name(name)
    key = ec.generate_private_key(ec.SECP256R1())
    begin, end = _validity(datetime.timedelta(days=validity_days))
    certificate = (
        _builder(_name(name), _name(name), key, begin, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _write_pair(directory, name, [certificate], key)


def make_vouching_certificate(
    directory: Path,
    authority: tuple[Path, Path],
    name: str,
    validity_days: int = VALIDITY_DAYS,
) -> tuple[Path, Path]:
    """Makes what a Key Distributor signs its statements with; see `halfkey.vouching.authority`.

    Args:
        directory: an existing folder; files of the same name in it are replaced.
        authority: its certificate and key, from `make_authority`.
        name: as for `make_certificate`; another than the authority's.
        validity_days: from now; ends with the authority's at the latest.

    Returns:
        The paths of the chain (the certificate, then the authority's) and of the key; the latter
        is readable by its owner only.

    Raises:
        ConfigurationError: the authority or the name is of no use, or a file can't be written.
    """
    _check_name(name)
    ca, ca_key = _load_authority(*authority)
    if _name(name) == ca.subject:
        raise ConfigurationError(f"certificate name {name!r}: it is the authority's; give another")
    key = ec.generate_private_key(ec.SECP256R1())
    begin, end = _validity(datetime.timedelta(days=validity_days))
    certificate = (
        _builder(_name(name), ca.subject, key, begin, min(end, ca.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([VOUCHING]), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    return _write_pair(directory, name, [certificate, ca], key)


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", name):
        raise ConfigurationError(
            f"certificate name {name!r}: use 1 to 63 letters, digits, '-', '_' or '.'"
        )


def _load_authority(
    certificate: Path, key: Path
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        ca = x509.load_pem_x509_certificate(certificate.read_bytes())
        ca_key = serialization.load_pem_private_key(key.read_bytes(), None)
    except OSError as fault:
        raise ConfigurationError(
            f"{fault.filename}: can't read the authority ({fault.strerror}); make one first"
        ) from None
    except (ValueError, TypeError):
        raise ConfigurationError(
            f"{certificate}, {key}: not a certificate and an unencrypted key in PEM form; "
            "give those of the authority"
        ) from None
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey) or ca.public_key() != ca_key.public_key():
        raise ConfigurationError(
            f"{key}: the private key doesn't belong to {certificate}; give the pair that does"
        )
    if not _is_authority(ca):
        raise ConfigurationError(
            f"{certificate}: not the certificate of an authority; make one first"
        )
    if ca.not_valid_after_utc <= datetime.datetime.now(datetime.UTC):
        raise ConfigurationError(
            f"{certificate}: the authority expired on {ca.not_valid_after_utc:%Y-%m-%d}; "
            "make a new one, and new links"
        )
    return ca, ca_key


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _self_signed(
    key: ec.EllipticCurvePrivateKey,
    name: str,
    validity: datetime.timedelta,
    others: list[x509.GeneralName],
) -> x509.Certificate:
    alternatives: list[x509.GeneralName] = [
        x509.DNSName(name.replace("_", "-")),
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    alternatives += [one for one in others if one not in alternatives]
    both_ways = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        _builder(_name(name), _name(name), key, *_validity(validity))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both_ways), critical=False)
        .sign(key, hashes.SHA256())
    )


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not is_host(host) or not re.fullmatch(r"[A-Za-z0-9*][A-Za-z0-9.-]{0,252}", host):
        raise ConfigurationError(f"host {host!r}: give a name or an IP address, without a port")
    return x509.DNSName(host)


def _validity(length: datetime.timedelta) -> tuple[datetime.datetime, datetime.datetime]:
    now = datetime.datetime.now(datetime.UTC)
    return now - _BACKDATED, now + length


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    begin: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write_pair(
    directory: Path,
    name: str,
    certificates: list[x509.Certificate],
    key: ec.EllipticCurvePrivateKey,
) -> tuple[Path, Path]:
    paths = directory / f"{name}.crt", directory / f"{name}.key"
    text = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)
    try:
        _write(paths[0], text, 0o644)
        _write(paths[1], _pem(key), 0o600)
    except OSError as fault:
        raise ConfigurationError(
            f"{fault.filename}: can't write a certificate there ({fault.strerror}); "
            "name a folder that exists and is writable"
        ) from None
    return paths


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, _NO_PASSWORD)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replaces the file, so that an older one's wider permissions don't live on."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def sha256_of(certificate: Path) -> bytes:
    """The hash by which links name a certificate: SHA-256 of the first one in a PEM file.

    Raises:
        ConfigurationError: there is none in it.
    """
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
    except OSError as fault:
        raise ConfigurationError(
            f"{certificate}: can't read the certificate ({fault.strerror}); "
            "name a PEM file that exists and is readable"
        ) from None
    except ValueError:
        raise ConfigurationError(f"{certificate}: no certificate in it; give a PEM file") from None
    return found.fingerprint(hashes.SHA256())
