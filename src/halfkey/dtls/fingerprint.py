"""Certificate fingerprints as SDP carries them (RFC 8122 section 5)."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes

from halfkey.errors import CodecError

# In order of preference, strongest last; md2, md5, sha-1 and sha-224 are not believed.
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha-256": hashes.SHA256(),
    "sha-384": hashes.SHA384(),
    "sha-512": hashes.SHA512(),
}
_STRENGTH = list(_HASHES)
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A hash of a certificate's DER form.

    Attributes:
        algorithm: ``"sha-256"``, ``"sha-384"`` or ``"sha-512"``.
        value: the hash, 32, 48 or 64 bytes.
    """

    algorithm: str
    value: bytes

    def __post_init__(self) -> None:
        expected = _HASHES.get(self.algorithm)
        if expected is None:
            raise CodecError(f"the fingerprint's hash function is not one of {_STRENGTH}")
        if len(self.value) != expected.digest_size:
            raise CodecError(f"a {self.algorithm} fingerprint has {expected.digest_size} bytes")

    @classmethod
    def of(cls, der: bytes, algorithm: str = "sha-256") -> Fingerprint:
        """Hashes a certificate."""
        return cls(algorithm, _digest(algorithm, der))

    @classmethod
    def parse(cls, text: str) -> Fingerprint:
        """Reads the SDP form, ``sha-256 AB:CD:...``; hexadecimal digits in either case.

        Raises:
            CodecError: the text is malformed, or its hash function unknown or too weak.
        """
        algorithm, separator, value = text.strip().partition(" ")
        if not separator or not _HEXADECIMAL.fullmatch(value.strip()):
            raise CodecError("a fingerprint is written 'sha-256 AB:CD:...'")
        return cls(algorithm.lower(), bytes.fromhex(value.strip().replace(":", "")))

    def __str__(self) -> str:
        return f"{self.algorithm} {self.value.hex(':').upper()}"

    def matches(self, der: bytes) -> bool:
        """Whether this is the fingerprint of the certificate; compared in constant time."""
        return hmac.compare_digest(self.value, _digest(self.algorithm, der))


def matches_any(fingerprints: Iterable[Fingerprint], der: bytes) -> bool:
    """Whether the certificate has one of the fingerprints.

    Where several hash functions are given, only those of the strongest count (RFC 8122 section 5),
    so that a weaker one added on the way gains nothing.
    """
    candidates = list(fingerprints)
    strongest = max((_STRENGTH.index(one.algorithm) for one in candidates), default=-1)
    chosen = [one for one in candidates if _STRENGTH.index(one.algorithm) == strongest]
    return any(one.matches(der) for one in chosen)


def _digest(algorithm: str, der: bytes) -> bytes:
    digest = hashes.Hash(_HASHES[algorithm])
    digest.update(der)
    return digest.finalize()
