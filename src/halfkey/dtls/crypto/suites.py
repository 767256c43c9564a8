"""What each cipher suite is made of; one table row per suite."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from halfkey.dtls.registries import DTLS_1_2, DTLS_1_3, CipherSuite, ProtocolVersion
from halfkey.ekt.messages import EKTCipher
from halfkey.profiles import SRTPProtectionProfile

AEAD = AESGCM | ChaCha20Poly1305


@dataclass(frozen=True, slots=True, eq=False)
class SuiteParameters:
    """A suite's algorithms and lengths: a row of the table, which is what it is by itself.

    Attributes:
        version: the version that it belongs to; none belongs to both.
        aead: the cipher.
        key_length: of its key, in bytes.
        iv_length: of the part of the nonce that comes from the key schedule, in bytes.
        explicit_nonce_length: of the part that each record carries, in bytes.
        hash: of the PRF (RFC 5246 section 5) or HKDF (RFC 8446 section 7.1).
        record_limit: how many records one key may seal (RFC 9147 section 4.5.3).
    """

    version: ProtocolVersion
    aead: type[AESGCM] | type[ChaCha20Poly1305]
    key_length: int
    iv_length: int
    explicit_nonce_length: int
    hash: hashes.HashAlgorithm
    record_limit: int


_GCM_RECORD_LIMIT = 23_726_566
"""2^24.5."""
_CHACHA_RECORD_LIMIT = 1 << 47

SUITES: dict[CipherSuite, SuiteParameters] = {
    CipherSuite.AES_128_GCM_SHA256: SuiteParameters(
        DTLS_1_3, AESGCM, 16, 12, 0, hashes.SHA256(), _GCM_RECORD_LIMIT
    ),
    CipherSuite.AES_256_GCM_SHA384: SuiteParameters(
        DTLS_1_3, AESGCM, 32, 12, 0, hashes.SHA384(), _GCM_RECORD_LIMIT
    ),
    CipherSuite.CHACHA20_POLY1305_SHA256: SuiteParameters(
        DTLS_1_3, ChaCha20Poly1305, 32, 12, 0, hashes.SHA256(), _CHACHA_RECORD_LIMIT
    ),
    CipherSuite.ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: SuiteParameters(
        DTLS_1_2, AESGCM, 16, 4, 8, hashes.SHA256(), _GCM_RECORD_LIMIT
    ),
    CipherSuite.ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: SuiteParameters(
        DTLS_1_2, AESGCM, 32, 4, 8, hashes.SHA384(), _GCM_RECORD_LIMIT
    ),
    CipherSuite.ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: SuiteParameters(
        DTLS_1_2, ChaCha20Poly1305, 32, 12, 0, hashes.SHA256(), _CHACHA_RECORD_LIMIT
    ),
}


@functools.lru_cache
def of_version(
    suites: tuple[CipherSuite, ...], version: ProtocolVersion
) -> tuple[CipherSuite, ...]:
    """Those suites that belong to a version, in their order.

    Remembered, like `by_strength`: the question is the same for every ClientHello.
    """
    return tuple(suite for suite in suites if SUITES[suite].version is version)


@functools.lru_cache
def by_strength(suites: tuple[CipherSuite, ...], key_length: int) -> tuple[CipherSuite, ...]:
    """Orders suites for keys that are to be carried; else their order stays.

    Those whose own key is as long as what they carry, or longer, stand first: what is wrapped is
    no stronger than its wrapping.

    Args:
        suites: the most wanted first.
        key_length: of what is carried, in bytes.
    """
    return tuple(sorted(suites, key=lambda suite: SUITES[suite].key_length < key_length))


def is_strong_enough(cipher: EKTCipher, profile: SRTPProtectionProfile, suite: CipherSuite) -> bool:
    """Whether an EKT cipher's key is as long as those of SRTP and of DTLS (RFC 8870 section 6)."""
    of_srtp = profile.parameters.hop_profile.parameters.key_length
    return cipher.key_length >= max(of_srtp, SUITES[suite].key_length)
