"""The key that signs the log, and the public key that verifies it, as PEM files."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from halfkey.errors import ConfigurationError

PUBLIC_KEY_FILE = "public.pem"
"""In the log's folder, for convenience: who distrusts the folder brings a copy from elsewhere."""


def make_key(path: Path) -> Ed25519PrivateKey:
    """Makes a fresh signing key and writes it, readable by its owner only.

    Raises:
        ConfigurationError: the file is there already, or can't be written.
    """
    key = Ed25519PrivateKey.generate()
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    whole = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(pem)
                file.flush()
                os.fsync(file.fileno())
            # A link appears whole or not at all, and never in place of a file that is there.
            os.link(whole, path)
        finally:
            whole.unlink()
    except OSError as fault:
        raise ConfigurationError(
            f"{path}: can't write an audit key there ({fault.strerror}); name another file"
        ) from None
    return key


def load_key(path: Path) -> Ed25519PrivateKey:
    """Reads a signing key.

    Raises:
        ConfigurationError: there is none in the file.
    """
    try:
        key = serialization.load_pem_private_key(_read(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"{path}: holds no Ed25519 private key; name the audit key's file")
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """Reads the key that verifies.

    Raises:
        ConfigurationError: there is none in the file.
    """
    try:
        key = serialization.load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigurationError(
            f"{path}: holds no Ed25519 public key; name the one that belongs to the log"
        )
    return key


def public_pem(key: Ed25519PublicKey) -> bytes:
    """A public key as it is written."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise ConfigurationError(
            f"{path}: can't be read ({fault.strerror}); name a file that is there"
        ) from None
