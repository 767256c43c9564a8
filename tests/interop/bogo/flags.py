"""The flags that BoringSSL's runner gives a shim: which we know, and what they ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from halfkey.dtls.registries import DTLS_1_2, DTLS_1_3, NamedGroup, ProtocolVersion
from halfkey.profiles import SRTPProtectionProfile

_PROFILES = {
    "SRTP_AEAD_AES_128_GCM": SRTPProtectionProfile.AEAD_AES_128_GCM,
    "SRTP_AEAD_AES_256_GCM": SRTPProtectionProfile.AEAD_AES_256_GCM,
}
IGNORED = frozenset(
    {
        # How BoringSSL's interface is used; ours has one way only.
        "-async",
        "-implicit-handshake",
        "-no-op-extra-handshake",
        "-use-custom-verify-callback",
        "-use-early-callback",
        "-use-old-client-cert-callback",
        # What we always do.
        "-dtls",
        "-expect-extended-master-secret",
        "-expect-verify-result",
        "-require-any-client-certificate",
        "-verify-peer",
        # What we never do.
        "-expect-no-session",
        "-expect-no-session-id",
        "-no-ticket",
        "-no-tls1",
        "-no-tls11",
        "-renegotiate-freely",
    }
)
"""Flags without a value that change nothing for us."""
IGNORED_WITH_VALUE = frozenset(
    {
        "-expect-early-data-reason",  # we never send or take any
        "-trust-cert",  # a root: we know certificates by their fingerprints
    }
)
"""Flags with a value that change nothing for us."""


class UnimplementedError(Exception):
    """The runner asks for something that Halfkey doesn't do; the shim says so by exit status 89."""


@dataclass(slots=True)
class Settings:
    """What one run of the shim is asked for; each field is named for its flag."""

    port: int = 0
    shim_id: int = 0
    ipv6: bool = False
    is_handshaker_supported: bool = False
    server: bool = False
    no_cookie: bool = False
    cert_file: str = ""
    key_file: str = ""
    verify_fail: bool = False
    curves: list[NamedGroup] = field(default_factory=list)
    srtp_profiles: list[SRTPProtectionProfile] = field(default_factory=list)
    min_version: int = int(DTLS_1_2)
    max_version: int = int(DTLS_1_3)
    key_update: bool = False
    key_update_before_read: bool = False
    mtu: int = 0
    initial_timeout_duration_ms: int = 0
    shim_writes_first: bool = False
    shim_shuts_down: bool = False
    check_close_notify: bool = False
    send_alert: bool = False
    export_keying_material: int = 0
    export_label: str = ""
    export_context: str = ""
    use_export_context: bool = False
    expect_version: int = 0
    expect_hrr: bool = False
    expect_no_hrr: bool = False
    expect_peer_cert_file: str = ""

    @property
    def versions(self) -> tuple[ProtocolVersion, ...]:
        """The versions that may be spoken; those of DTLS count down."""
        hybrid_only = bool(self.curves) and all(group.is_hybrid for group in self.curves)
        spoken = (DTLS_1_3,) if hybrid_only else (DTLS_1_3, DTLS_1_2)
        return tuple(one for one in spoken if self.max_version <= one <= self.min_version)


def _group(value: str) -> NamedGroup:
    try:
        return NamedGroup(int(value))
    except ValueError as error:
        raise UnimplementedError(f"group {value}") from error


def _profiles(value: str) -> list[SRTPProtectionProfile]:
    try:
        return [_PROFILES[name] for name in value.split(":")]
    except KeyError as error:
        raise UnimplementedError(f"SRTP profile {error}") from error


_READERS: dict[type, Callable[[str], Any]] = {int: int, str: str}


def parse(arguments: Iterable[str]) -> Settings:
    """Reads the shim's command line.

    Raises:
        UnimplementedError: a flag that we don't know, or a value that we don't serve.
    """
    settings = Settings()
    remaining = iter(arguments)
    for flag in remaining:
        if flag in IGNORED_WITH_VALUE:
            next(remaining)
        elif flag not in IGNORED:
            _apply(settings, flag, remaining)
    return settings


def _apply(settings: Settings, flag: str, remaining: Iterator[str]) -> None:
    if flag == "-curves":
        return settings.curves.append(_group(next(remaining)))
    if flag == "-srtp-profiles":
        return settings.srtp_profiles.extend(_profiles(next(remaining)))
    if flag == "-no-tls13":
        settings.max_version = DTLS_1_2
        return None
    if flag == "-no-tls12":
        settings.min_version = DTLS_1_3
        return None
    name = flag[1:].replace("-", "_")
    kind = type(getattr(settings, name, None))
    if kind is bool:
        setattr(settings, name, True)
    elif kind in _READERS:
        setattr(settings, name, _READERS[kind](next(remaining)))
    else:
        raise UnimplementedError(flag)
    return None
