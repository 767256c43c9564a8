"""What a connection is told before it starts."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from halfkey.dtls.certificate import Certificate
from halfkey.dtls.cookie import CookieSecrets
from halfkey.dtls.crypto.key_exchange import AVAILABLE_GROUPS
from halfkey.dtls.crypto.suites import of_version
from halfkey.dtls.fingerprint import Fingerprint
from halfkey.dtls.registries import (
    DTLS_1_2,
    DTLS_1_3,
    AlertDescription,
    CipherSuite,
    NamedGroup,
    ProtocolVersion,
)
from halfkey.ekt.messages import EKTCipher
from halfkey.errors import ConfigurationError
from halfkey.profiles import SRTPProtectionProfile

MINIMUM_PMTU = 256
SESSION_ID_LENGTHS = range(20, 256)
"""What an external_session_id may measure, in bytes (RFC 8844 section 4.3)."""

ID_HASH_LENGTHS = (0, 32)
"""What an external_id_hash may measure, in bytes (RFC 8844 section 3.2)."""


class Role(Enum):
    """Which side of the handshake a connection takes (in SDP: active, passive)."""

    CLIENT = "client"
    SERVER = "server"


class ClientHelloSummary(NamedTuple):
    """What a server's `select` may judge: a ClientHello whose cookie was good.

    Nothing in it is authenticated yet.

    Attributes:
        srtp_profiles: code points the client offers, in its order; unknown ones included.
        ekt_ciphers: code points the client offers, in its order; unknown ones included.
        external_session_id: the client's, or None if it sent none.
        external_id_hash: the client's, empty if it asserts no identity; None if it sent none.
        peer: the opaque identifier that the connection was made with.
    """

    srtp_profiles: tuple[int, ...]
    ekt_ciphers: tuple[int, ...]
    external_session_id: bytes | None
    external_id_hash: bytes | None
    peer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerParameters:
    """How a server answers one ClientHello.

    Attributes:
        certificate: our certificate for this client.
        srtp_profiles: what we accept, best first; the first that the client offers is taken.
        ekt_ciphers: likewise; empty for no EKT.
        external_session_id: ours (the tls-id of our answer), or None.
        external_id_hash: the SHA-256 of the identity assertion that we gave; empty for none.
        peer_fingerprints: the client's certificate must have one; None: not known yet, hold the
            handshake at Certificate until `Connection.set_peer_fingerprints`.
        peer_external_id_hash: what the client must have sent; None: anything or nothing will do.
    """

    certificate: Certificate
    srtp_profiles: tuple[SRTPProtectionProfile, ...]
    ekt_ciphers: tuple[EKTCipher, ...] = ()
    external_session_id: bytes | None = None
    external_id_hash: bytes = b""
    peer_fingerprints: tuple[Fingerprint, ...] | None = None
    peer_external_id_hash: bytes | None = None

    def __post_init__(self) -> None:
        _check(self.srtp_profiles, self.external_session_id, self.peer_fingerprints)
        _check_id_hashes(self.external_id_hash, self.peer_external_id_hash)


Select = Callable[[ClientHelloSummary], ServerParameters | AlertDescription | None]
"""Called once per handshake. None refuses with access_denied, an alert with that alert."""

Foresee = Callable[
    [ClientHelloSummary], tuple[tuple[SRTPProtectionProfile, ...], tuple[EKTCipher, ...]] | None
]
"""What `select` would accept, profiles and EKT ciphers, best first; None where it isn't known.

In DTLS 1.3 the cipher suite is settled with the HelloRetryRequest (RFC 8446 section 4.1.4), before
anything is known of whoever asks; and the suite has to fit the keys that it is to carry. So this
may be called for every ClientHello of anybody: it must be cheap, and change nothing.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The settings of one connection; frozen, and may be shared by many.

    Attributes:
        role: client or server.
        certificate: ours; a server with `select` needs none here.
        srtp_profiles: a client offers these, a server accepts them, best first.
        ekt_ciphers: likewise; empty for no EKT.
        external_session_id: our tls-id, 20 to 255 bytes, or None to send none.
        peer_fingerprints: the peer's certificate must have one; None: not known yet, hold the
            handshake at Certificate until `Connection.set_peer_fingerprints`.
        peer_external_session_id: what the peer must send; None: anything or nothing will do.
        external_id_hash: the SHA-256 of the identity assertion that we gave; empty for none.
        peer_external_id_hash: what the peer must send; None: anything or nothing will do.
        select: for a server: chooses all of the above by the ClientHello.
        foresee: for a server with `select`: what it is going to choose.
        versions: what we speak, in any order; the latest that both sides speak is taken.
        cookie_secrets: for a server: shared by its connections; None makes one of its own.
        pmtu: the size of the largest datagram to send, in bytes.
        cipher_suites: what we speak, best first; those whose key is shorter than what they would
            carry count as the last (RFC 8870 section 6). Each is for one of the versions.
        groups: the groups we speak, best first; the hybrid one is for DTLS 1.3 only. Keep P-256 in
            a client's: in TLS 1.2 that is also the leave to send a P-256 certificate (RFC 8422
            section 5.1).
        first_timeout: seconds before the first retransmission; doubles each time.
        maximum_transmissions: of one flight or ekt_key, before giving up.
        handshake_timeout: seconds that a handshake may last.
        random: the source of all randomness.
    """

    role: Role
    certificate: Certificate | None = None
    srtp_profiles: tuple[SRTPProtectionProfile, ...] = ()
    ekt_ciphers: tuple[EKTCipher, ...] = ()
    external_session_id: bytes | None = None
    peer_fingerprints: tuple[Fingerprint, ...] | None = None
    peer_external_session_id: bytes | None = None
    external_id_hash: bytes = b""
    peer_external_id_hash: bytes | None = None
    select: Select | None = None
    foresee: Foresee | None = None
    versions: tuple[ProtocolVersion, ...] = (DTLS_1_3, DTLS_1_2)
    cookie_secrets: CookieSecrets | None = None
    pmtu: int = 1200
    cipher_suites: tuple[CipherSuite, ...] = tuple(CipherSuite)
    groups: tuple[NamedGroup, ...] = AVAILABLE_GROUPS
    first_timeout: float = 0.4
    maximum_transmissions: int = 7
    handshake_timeout: float = 30.0
    random: Callable[[int], bytes] = os.urandom

    def __post_init__(self) -> None:
        for name in _SEQUENCES:  # a list, too, is frozen
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.pmtu < MINIMUM_PMTU:
            raise ConfigurationError(f"pmtu is {self.pmtu}; it must be {MINIMUM_PMTU} or more")
        if not self.versions:
            raise ConfigurationError("versions is empty; name one or more")
        for version in self.versions:
            if not self.suites_of(version):
                raise ConfigurationError(f"cipher_suites has none for {version.title}; name one")
            if not self.groups_of(version):
                raise ConfigurationError(f"groups has none for {version.title}; name one")
        if self.maximum_transmissions < 1:
            raise ConfigurationError("maximum_transmissions must be 1 or more")
        if self.select is not None:
            if self.role is Role.CLIENT:
                raise ConfigurationError("select is for servers; leave it out for a client")
            return
        if self.certificate is None:
            raise ConfigurationError("certificate is missing; use Certificate.generate()")
        _check(self.srtp_profiles, self.external_session_id, self.peer_fingerprints)
        _check_id_hashes(self.external_id_hash, self.peer_external_id_hash)

    def suites_of(self, version: ProtocolVersion) -> tuple[CipherSuite, ...]:
        """The cipher suites that we speak in a version, best first."""
        return of_version(self.cipher_suites, version)

    def groups_of(self, version: ProtocolVersion) -> tuple[NamedGroup, ...]:
        """The groups that we speak in a version, best first."""
        if version is DTLS_1_3:
            return self.groups
        return tuple(group for group in self.groups if not group.is_hybrid)

    def server_parameters(self) -> ServerParameters:
        """How a server without `select` answers everybody."""
        if self.certificate is None:
            raise ConfigurationError("certificate is missing; use Certificate.generate()")
        return ServerParameters(
            certificate=self.certificate,
            srtp_profiles=self.srtp_profiles,
            ekt_ciphers=self.ekt_ciphers,
            external_session_id=self.external_session_id,
            external_id_hash=self.external_id_hash,
            peer_fingerprints=self.peer_fingerprints,
        )


_SEQUENCES = ("srtp_profiles", "ekt_ciphers", "versions", "cipher_suites", "groups")
"""What a configuration names several of, and by which others remember what comes of them."""


def _check(
    profiles: tuple[SRTPProtectionProfile, ...],
    session_id: bytes | None,
    fingerprints: tuple[Fingerprint, ...] | None,
) -> None:
    if not profiles:
        raise ConfigurationError("srtp_profiles is empty; name one or more")
    if session_id is not None and len(session_id) not in SESSION_ID_LENGTHS:
        raise ConfigurationError("external_session_id must have 20 to 255 bytes")
    if fingerprints is not None and not fingerprints:
        raise ConfigurationError("peer_fingerprints is empty; give one, or None for 'not yet'")


def _check_id_hashes(own: bytes, peer: bytes | None) -> None:
    if len(own) not in ID_HASH_LENGTHS:
        raise ConfigurationError("external_id_hash must have 32 bytes, or none")
    if peer is not None and len(peer) not in ID_HASH_LENGTHS:
        raise ConfigurationError("peer_external_id_hash must have 32 bytes, or none")
