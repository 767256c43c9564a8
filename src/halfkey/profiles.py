"""SRTP protection profiles (RFC 5764 section 4.1.2, RFC 7714 section 14.2, RFC 8723 section 10.1).

One table row per profile: whoever needs a length or asks whether a profile is a double one reads
it here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class SRTPProtectionProfile(IntEnum):
    """The profiles that Halfkey speaks, by their registered code points."""

    AEAD_AES_128_GCM = 0x0007
    AEAD_AES_256_GCM = 0x0008
    DOUBLE_AEAD_AES_128_GCM_AEAD_AES_128_GCM = 0x0009
    DOUBLE_AEAD_AES_256_GCM_AEAD_AES_256_GCM = 0x000A

    @property
    def parameters(self) -> ProfileParameters:
        """The profile's row of the table."""
        return _TABLE[self]

    @property
    def is_double(self) -> bool:
        """Whether the profile has an inner (end-to-end) and an outer (hop-by-hop) half."""
        return self.parameters.hop_profile is not self


@dataclass(frozen=True, slots=True)
class ProfileParameters:
    """The lengths of a profile's master key and salt, in bytes, and its outer half.

    Attributes:
        key_length: the SRTP master key, both halves for a double profile.
        salt_length: the SRTP master salt, both halves for a double profile.
        hop_profile: the single profile of the hop-by-hop half; the profile itself if not double.
    """

    key_length: int
    salt_length: int
    hop_profile: SRTPProtectionProfile


_P = SRTPProtectionProfile
_TABLE: dict[SRTPProtectionProfile, ProfileParameters] = {
    _P.AEAD_AES_128_GCM: ProfileParameters(16, 12, _P.AEAD_AES_128_GCM),
    _P.AEAD_AES_256_GCM: ProfileParameters(32, 12, _P.AEAD_AES_256_GCM),
    _P.DOUBLE_AEAD_AES_128_GCM_AEAD_AES_128_GCM: ProfileParameters(32, 24, _P.AEAD_AES_128_GCM),
    _P.DOUBLE_AEAD_AES_256_GCM_AEAD_AES_256_GCM: ProfileParameters(64, 24, _P.AEAD_AES_256_GCM),
}

DOUBLE_128 = SRTPProtectionProfile.DOUBLE_AEAD_AES_128_GCM_AEAD_AES_128_GCM
DOUBLE_256 = SRTPProtectionProfile.DOUBLE_AEAD_AES_256_GCM_AEAD_AES_256_GCM
