"""What a Key Distributor grants, and the bounds on what it holds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from halfkey.dtls import NamedGroup, ProtocolVersion
from halfkey.dtls.crypto.key_exchange import AVAILABLE_GROUPS
from halfkey.ekt.messages import EKTCipher
from halfkey.errors import ConfigurationError
from halfkey.profiles import DOUBLE_128, DOUBLE_256, SRTPProtectionProfile

MINIMUM_TTL, MAXIMUM_TTL = 10, 0xFFFFFF
MINIMUM_REKEY_INTERVAL = 1.0

TTL_SHARE = 0.8
"""The part of an EKTKey's life after which it is replaced, so that none expires in use."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The Key Distributor's settings.

    Attributes:
        profiles: double profiles, the most wanted first; a conference keeps the one that its first
            participant got.
        dtls_versions: what is spoken with Endpoints; the latest that both speak is taken.
        dtls_groups: the groups of the key exchange, best first; the hybrid is for DTLS 1.3 only,
            and keeps out who lacks it where it is the only one.
        ttl: the life of an EKTKey in seconds (RFC 8870 section 5.2.2: 24 bits).
        rekey_interval: seconds between rekeys on the timer; None leaves it to the ttl.
        handshake_age: seconds that an association may take to complete its handshake.
        orphan_age: seconds that an association outlives the loss of its Media Distributor's tunnel.
        admission_age: seconds that an admission stands without an association: enough to come, and
            to come back after a restart or a break, with every pause that the ways there make. As
            much again where at the end no tunnel is there by which it could.
        half_open_per_media_distributor: handshakes under way at once by one Media Distributor.
        half_open: handshakes under way at once in all.
        handshakes_per_participant: that may begin for one participant within `handshake_age` while
            they are scarce; each costs us a signature and a key exchange before anybody has proved
            anything.
        handshakes_unrationed: that may begin in all within `handshake_age` until they are scarce.
            They also are while half of those are under way that may be. Before, nobody is held to
            a share: all in a conference know each other's tls-ids, and could use up another's.
        participants: admitted participants per conference.
        conferences: conferences at once.
    """

    profiles: tuple[SRTPProtectionProfile, ...] = (DOUBLE_128, DOUBLE_256)
    dtls_versions: tuple[ProtocolVersion, ...] = tuple(ProtocolVersion)
    dtls_groups: tuple[NamedGroup, ...] = AVAILABLE_GROUPS
    ttl: int = 3600
    rekey_interval: float | None = None
    handshake_age: float = 30.0
    orphan_age: float = 30.0
    admission_age: float = 300.0
    half_open_per_media_distributor: int = 512
    half_open: int = 2048
    handshakes_per_participant: int = 8
    handshakes_unrationed: int = 1024
    participants: int = 1000
    conferences: int = 10_000

    def check(self) -> None:
        """Raises `ConfigurationError`, in one line, for what can't be granted."""
        if not self.profiles or not all(profile.is_double for profile in self.profiles):
            raise ConfigurationError(
                "profiles: name one double SRTP protection profile or more (128 or 256)"
            )
        if not MINIMUM_TTL <= self.ttl <= MAXIMUM_TTL:
            raise ConfigurationError(
                f"--ekt-ttl {self.ttl}: choose {MINIMUM_TTL} to {MAXIMUM_TTL} seconds"
            )
        if self.rekey_interval is not None and not _is_at_least(
            MINIMUM_REKEY_INTERVAL, self.rekey_interval
        ):
            raise ConfigurationError(
                f"--rekey-interval {self.rekey_interval}: choose {MINIMUM_REKEY_INTERVAL:g} "
                "seconds or more, or none"
            )
        for name in ("handshake_age", "orphan_age", "admission_age"):
            if not _is_at_least(0, getattr(self, name)):
                raise ConfigurationError(
                    f"{name} {getattr(self, name)}: choose a number of seconds from 0"
                )

    @property
    def key_life(self) -> tuple[float, str]:
        """Seconds after which an EKTKey is replaced, and the reason to give."""
        before_ttl = TTL_SHARE * self.ttl
        if self.rekey_interval is not None and self.rekey_interval <= before_ttl:
            return self.rekey_interval, "timer"
        return before_ttl, "ttl"


def _is_at_least(least: float, value: float) -> bool:
    """Also false for what is no number, or has no end."""
    return math.isfinite(value) and value >= least


@dataclass(frozen=True, slots=True)
class ConferencePolicy:
    """What holds for one conference besides.

    Attributes:
        media_distributors: SHA-256 of the certificates of the Media Distributors that may serve it;
            None for every one that may have a tunnel.
        rekey_on_join: whether who joins gets a new key, and so can't open what was sent before.
        waiting_room: whether an operator lets each participant in.
    """

    media_distributors: frozenset[bytes] | None = None
    rekey_on_join: bool = False
    waiting_room: bool = False


@dataclass(frozen=True, slots=True)
class Suite:
    """What all participants of one conference share: without it they can't read each other.

    Attributes:
        profile: the SRTP protection profile.
        cipher: the EKT cipher.
    """

    profile: SRTPProtectionProfile
    cipher: EKTCipher


def choose_suite(
    wanted: tuple[SRTPProtectionProfile, ...],
    profiles: tuple[int, ...],
    media_distributor_profiles: tuple[int, ...],
    ciphers: tuple[int, ...],
) -> Suite | str:
    """Chooses the profile that all three share (RFC 9185 section 5.4), and an EKT cipher for it.

    Args:
        wanted: ours, the most wanted first.
        profiles: the Endpoint's use_srtp list.
        media_distributor_profiles: from SupportedProfiles.
        ciphers: the Endpoint's supported_ekt_ciphers list.

    Returns:
        The suite, or why there is none: ``"no_common_profile"`` or ``"no_ekt_cipher"``.
    """
    shared = [p for p in wanted if p in profiles and p in media_distributor_profiles]
    for profile in shared:
        for cipher in EKTCipher:
            # RFC 8870 section 6: as long as the SRTP cipher's key, or longer.
            long_enough = cipher.key_length >= profile.parameters.hop_profile.parameters.key_length
            if long_enough and cipher in ciphers:
                return Suite(profile, cipher)
    return "no_ekt_cipher" if shared else "no_common_profile"
