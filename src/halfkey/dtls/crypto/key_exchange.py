"""Ephemeral key exchange (RFC 8422 section 5, RFC 7748, draft-ietf-tls-ecdhe-mlkem).

Whoever begins makes a `KeyExchange` and sends its public key; whoever answers calls `respond`. Only
so can a key encapsulation mechanism be one of the groups.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.registries import AlertDescription, NamedGroup

_P256_POINT_LENGTH = 65
_UNCOMPRESSED = 0x04
# n of P-256 (FIPS 186-5, SP 800-186 section 3.2.1.3).
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# 64 bits more than the order has, so that the remainder is near enough uniform (FIPS 186-5 A.2.1).
_P256_SEED_LENGTH = 40
_X25519_LENGTH = 32
# FIPS 203: the seed is d and z; a ciphertext of ML-KEM-768.
_MLKEM_SEED_LENGTH = 64
_MLKEM768_CIPHERTEXT_LENGTH = 1088


class KeyExchange(Protocol):
    """One ephemeral private key."""

    @property
    def public_key(self) -> bytes:
        """Our public key on the wire."""
        ...

    def exchange(self, peer_public_key: bytes) -> bytearray:
        """The shared secret, of what the peer answered.

        Raises:
            ProtocolFault: illegal_parameter for a public key of no use.
        """
        ...


class _X25519:
    __slots__ = ("_private_key",)

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._private_key = x25519.X25519PrivateKey.from_private_bytes(random(32))

    @property
    def public_key(self) -> bytes:
        return self._private_key.public_key().public_bytes_raw()

    def exchange(self, peer_public_key: bytes) -> bytearray:
        try:
            peer = x25519.X25519PublicKey.from_public_bytes(peer_public_key)
            # Raises for an all-zero result, too (RFC 8422 section 5.11).
            return bytearray(self._private_key.exchange(peer))
        except ValueError as error:
            raise _unusable() from error


class _P256:
    __slots__ = ("_private_key",)

    def __init__(self, random: Callable[[int], bytes]) -> None:
        seed = int.from_bytes(random(_P256_SEED_LENGTH), "big")
        self._private_key = ec.derive_private_key(seed % (_P256_ORDER - 1) + 1, ec.SECP256R1())

    @property
    def public_key(self) -> bytes:
        return self._private_key.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )

    def exchange(self, peer_public_key: bytes) -> bytearray:
        # The library takes compressed points as well; RFC 8422 section 5.4 doesn't.
        if len(peer_public_key) != _P256_POINT_LENGTH or peer_public_key[0] != _UNCOMPRESSED:
            raise _unusable()
        try:
            peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), peer_public_key)
            return bytearray(self._private_key.exchange(ec.ECDH(), peer))
        except ValueError as error:
            raise _unusable() from error


class _X25519MLKEM768:
    """The hybrid: broken only if both of its parts are."""

    __slots__ = ("_mlkem", "_x25519")

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._mlkem = mlkem.MLKEM768PrivateKey.from_seed_bytes(random(_MLKEM_SEED_LENGTH))
        self._x25519 = _X25519(random)

    @property
    def public_key(self) -> bytes:
        return self._mlkem.public_key().public_bytes_raw() + self._x25519.public_key

    def exchange(self, peer_public_key: bytes) -> bytearray:
        if len(peer_public_key) != _MLKEM768_CIPHERTEXT_LENGTH + _X25519_LENGTH:
            raise _unusable()
        ciphertext, public_key = _split(peer_public_key)
        return bytearray(self._mlkem.decapsulate(ciphertext)) + self._x25519.exchange(public_key)

    @staticmethod
    def respond(public_key: bytes, random: Callable[[int], bytes]) -> tuple[bytes, bytearray]:
        """Encapsulates; what for is the library's own randomness, as it takes no other."""
        encapsulation_key, peer = _split(public_key)
        try:
            theirs = mlkem.MLKEM768PublicKey.from_public_bytes(encapsulation_key)
        except (
            ValueError
        ) as error:  # a length or a coefficient that is wrong (FIPS 203 section 7.2)
            raise _unusable() from error
        ours = _X25519(random)
        x25519_secret = ours.exchange(peer)
        mlkem_secret, ciphertext = theirs.encapsulate()
        return ciphertext + ours.public_key, bytearray(mlkem_secret) + x25519_secret


def _split(share: bytes) -> tuple[bytes, bytes]:
    return share[:-_X25519_LENGTH], share[-_X25519_LENGTH:]


def generate(group: NamedGroup, random: Callable[[int], bytes]) -> KeyExchange:
    """A fresh private key in a group."""
    return _GROUPS[group](random)


def respond(
    group: NamedGroup, peer_public_key: bytes, random: Callable[[int], bytes]
) -> tuple[bytes, bytearray]:
    """Our answer to a public key, and the shared secret.

    Raises:
        ProtocolFault: illegal_parameter for a public key of no use.
    """
    if group.is_hybrid:
        return _X25519MLKEM768.respond(peer_public_key, random)
    ours = generate(group, random)
    return ours.public_key, ours.exchange(peer_public_key)


def _unusable() -> ProtocolFault:
    return ProtocolFault(AlertDescription.ILLEGAL_PARAMETER, "unusable public key")


_GROUPS: dict[NamedGroup, Callable[[Callable[[int], bytes]], KeyExchange]] = {
    NamedGroup.X25519: _X25519,
    NamedGroup.SECP256R1: _P256,
}


def _has_mlkem() -> bool:
    """Whether the library's backend can do it."""
    try:
        mlkem.MLKEM768PrivateKey.from_seed_bytes(bytes(_MLKEM_SEED_LENGTH))
    except UnsupportedAlgorithm:
        return False
    return True


if _has_mlkem():
    _GROUPS = {NamedGroup.X25519MLKEM768: _X25519MLKEM768, **_GROUPS}

AVAILABLE_GROUPS = tuple(_GROUPS)
"""Every group that the library can do, best first."""
