"""TLS between the roles: TLS 1.3 only, and peers believed by a bundle of certificates.

A bundle (PEM) lists the very certificates that are believed, or the CAs that issue them. With
pinned certificates the name in them means nothing, so host names are checked only on request; a
bundle that holds a CA needs that check on the client's side.
"""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

from cryptography import x509

from halfkey.errors import ConfigurationError


def server_context(certificate: Path, key: Path, trusted: Path | None = None) -> ssl.SSLContext:
    """The server's side.

    Args:
        certificate: PEM, our own certificate, followed by its chain if it has one.
        key: PEM, its private key, unencrypted.
        trusted: PEM, the clients that are believed: a client without a certificate from this bundle
            is refused. None asks clients for no certificate.

    Raises:
        ConfigurationError: a file can't be read, isn't what it should be, or doesn't match.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context)
    # No resumption: a client proves itself anew on every connection.
    context.num_tickets = 0
    _load_own(context, certificate, key)
    if trusted is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_trusted(context, trusted)
    return context


def client_context(
    trusted: Path,
    certificate: Path | None = None,
    key: Path | None = None,
    *,
    check_hostname: bool = False,
) -> ssl.SSLContext:
    """The client's side.

    Args:
        trusted: PEM, the servers that are believed.
        certificate: PEM, our own certificate, if the server asks for one.
        key: PEM, its private key; together with `certificate` or not at all.
        check_hostname: whether the certificate must also name the host that was dialled; needed
            where `trusted` holds a CA.

    Raises:
        ConfigurationError: a file can't be read, isn't what it should be, or doesn't match.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _restrict(context)
    context.check_hostname = check_hostname
    context.verify_mode = ssl.CERT_REQUIRED
    _load_trusted(context, trusted)
    if certificate is not None and key is not None:
        _load_own(context, certificate, key)
    elif certificate is not None or key is not None:
        raise ConfigurationError("a TLS certificate and its key go together: give both or neither")
    return context


def system_context() -> ssl.SSLContext:
    """The client's side where the system's authorities say who a server is; names are checked."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _restrict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # A pinned certificate is a trust anchor although it is no CA and may have an issuer.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise ConfigurationError(
            f"{path}: can't read the {what} ({fault.strerror}); name a PEM file that exists "
            "and is readable"
        ) from None


def read_certificates(path: Path, what: str) -> list[x509.Certificate]:
    """The certificates of a PEM file, one or more.

    Args:
        path: the file.
        what: what it is for, such as ``"certificate"``.

    Raises:
        ConfigurationError: it can't be read, or holds none.
    """
    try:
        certificates = x509.load_pem_x509_certificates(_read(path, what))
    except ValueError:
        raise ConfigurationError(
            f"{path}: no certificate in it; the {what} must be in PEM form"
        ) from None
    return certificates


def _load_own(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    own = read_certificates(certificate, "certificate")[0]
    expiry = own.not_valid_after_utc
    if expiry < datetime.datetime.now(datetime.UTC):
        raise ConfigurationError(
            f"{certificate}: the certificate expired on {expiry:%Y-%m-%d}; make a new one"
        )
    _read(key, "private key")
    try:
        # An encrypted key must fail here: without a password OpenSSL would ask on the terminal.
        context.load_cert_chain(certificate, key, password=b"")
    except ssl.SSLError as fault:
        if fault.reason == "KEY_VALUES_MISMATCH":
            raise ConfigurationError(
                f"{key}: the private key doesn't belong to {certificate}; give the pair that does"
            ) from None
        raise ConfigurationError(
            f"{key}: not a private key that can be used; give an unencrypted PEM key"
        ) from None


def _load_trusted(context: ssl.SSLContext, trusted: Path) -> None:
    read_certificates(trusted, "bundle of trusted certificates")
    try:
        context.load_verify_locations(trusted)
    except ssl.SSLError:
        raise ConfigurationError(
            f"{trusted}: not a bundle of trusted certificates; list PEM certificates in it"
        ) from None
