"""What several commands take: addresses, certificates, bundles; and how they are checked."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from halfkey.errors import ConfigurationError
from halfkey.hosts import is_host
from halfkey.profiles import DOUBLE_128, DOUBLE_256, SRTPProtectionProfile

if TYPE_CHECKING:
    from halfkey.dtls.registries import NamedGroup, ProtocolVersion

Address = tuple[str, int]

Certificate = Annotated[Path, typer.Option(help="PEM file: the role's own certificate.")]
Key = Annotated[Path, typer.Option(help="PEM file: its private key.")]
Supervised = Annotated[
    bool, typer.Option("--supervised", hidden=True, help="Speak JSON lines; see cli/supervised.py.")
]

HYBRID = "hybrid"
PROFILES = {"128": DOUBLE_128, "256": DOUBLE_256}


def address(text: str, option: str) -> Address:
    """Reads HOST:PORT; an IPv6 host stands in brackets.

    Raises:
        ConfigurationError: it is no such thing.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigurationError(
            f"{option} {text}: give HOST:PORT, for example 127.0.0.1:7000 (port 0 takes a free one)"
        )
    if not is_host(host):
        raise ConfigurationError(f"{option} {text!r}: no host can have that name; give another")
    return host, int(port)


def shown(place: Address) -> str:
    """An address as `address` reads it."""
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def profile(text: str) -> SRTPProtectionProfile:
    """Reads 128 or 256.

    Raises:
        ConfigurationError: it is neither.
    """
    if text not in PROFILES:
        raise ConfigurationError(f"--profile {text}: give 128 or 256")
    return PROFILES[text]


def required_dtls(
    text: str | None,
) -> tuple[tuple[ProtocolVersion, ...], tuple[NamedGroup, ...]]:
    """Reads which version of DTLS is required, and which key exchange; with none, any.

    Raises:
        ConfigurationError: there is no such version, or no hybrid on this machine.
    """
    # The engine: only where it is to run.
    from halfkey.dtls.crypto.key_exchange import AVAILABLE_GROUPS
    from halfkey.dtls.registries import DTLS_1_3, ProtocolVersion

    versions = {version.title.removeprefix("DTLS "): version for version in ProtocolVersion}
    if text is None:
        return tuple(ProtocolVersion), AVAILABLE_GROUPS
    if text == HYBRID:
        groups = tuple(group for group in AVAILABLE_GROUPS if group.is_hybrid)
        if not groups:
            raise ConfigurationError(
                f"--dtls {HYBRID}: the cryptography package has no ML-KEM here; "
                "install one that has, or give 1.3"
            )
        return (DTLS_1_3,), groups
    if text not in versions:
        raise ConfigurationError(f"--dtls {text}: give {', '.join(versions)} or {HYBRID}")
    return (versions[text],), AVAILABLE_GROUPS


def within(option: str, value: float, least: float, most: float) -> None:
    """Checks a number's range.

    Raises:
        ConfigurationError: it is outside.
    """
    if not least <= value <= most:
        raise ConfigurationError(f"{option} {value:g}: give a number from {least:g} to {most:g}")


def both(certificate: Path | None, key: Path | None, option: str) -> tuple[Path, Path] | None:
    """A certificate and its key, which are given together or not at all.

    Raises:
        ConfigurationError: one of them is missing.
    """
    if certificate is not None and key is not None:
        return certificate, key
    if certificate is None and key is None:
        return None
    raise ConfigurationError(f"{option}: a certificate and its key go together: give both")


def disclosure(descriptor: int) -> Callable[[Mapping[str, str | int]], None]:
    """What writes an Endpoint's secrets to a pipe that the demo handed down, a JSON line each.

    Raises:
        ConfigurationError: there is no such descriptor.
    """
    try:
        pipe = os.fdopen(descriptor, "w", buffering=1)
    except OSError as error:
        raise ConfigurationError(
            f"--disclose-secrets-to {descriptor}: no open descriptor ({error.strerror})"
        ) from error

    def disclose(secret: Mapping[str, str | int]) -> None:
        pipe.write(json.dumps(dict(secret)) + "\n")

    return disclose
