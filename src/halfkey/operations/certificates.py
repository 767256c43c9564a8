"""What an operator is told of certificates: whether they will do, and until when."""

from __future__ import annotations

from pathlib import Path

from halfkey.tls import read_certificates, server_context


def check_files(certificate: Path, key: Path, *bundles: Path) -> None:
    """Reads a role's certificate, its key, and the bundles of whom it believes.

    Raises:
        ConfigurationError: one of them won't do; the message names it.
    """
    for bundle in bundles:
        server_context(certificate, key, bundle)


def expiry(certificate: Path) -> float:
    """When a certificate ends, in Unix seconds.

    Raises:
        ConfigurationError: the file can't be read, or holds none.
    """
    own = read_certificates(certificate, "certificate")[0]
    return own.not_valid_after_utc.timestamp()
