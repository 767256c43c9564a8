"""Ephemeral key exchange (RFC 8422 section 5, RFC 7748)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.registries import AlertDescription, NamedGroup

_P256_POINT_LENGTH = 65
_UNCOMPRESSED = 0x04
# n of P-256 (FIPS 186-5, SP 800-186 section 3.2.1.3).
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# 64 bits more than the order has, so that the remainder is near enough uniform (FIPS 186-5 A.2.1).
_P256_SEED_LENGTH = 40


class KeyExchange(Protocol):
    """One ephemeral private key."""

    @property
    def public_key(self) -> bytes:
        """Our public key on the wire."""
        ...

    def exchange(self, peer_public_key: bytes) -> bytearray:
        """The premaster secret.

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


def generate(group: NamedGroup, random: Callable[[int], bytes]) -> KeyExchange:
    """A fresh private key in a group."""
    return _GROUPS[group](random)


def _unusable() -> ProtocolFault:
    return ProtocolFault(AlertDescription.ILLEGAL_PARAMETER, "unusable public key")


_GROUPS: dict[NamedGroup, Callable[[Callable[[int], bytes]], KeyExchange]] = {
    NamedGroup.X25519: _X25519,
    NamedGroup.SECP256R1: _P256,
}
