"""The public keys of an OpenID provider, as its JWK Set lists them (RFC 7517 section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from halfkey.errors import CodecError
from halfkey.identity.claims import AssertionRefused
from halfkey.identity.jose import Key, decode_base64url, parse_object, read_public_key

MAXIMUM_KEY_SET = 64 * 1024
"""Bytes."""

MAXIMUM_KEYS = 64

_MINIMUM_MODULUS, _MAXIMUM_MODULUS = 256, 1024  # bytes; below it is weak, above it is slow

# By algorithm: how a key for it says so. EdDSA is what RFC 9864 calls Ed25519, with that curve.
_KINDS = {
    "RS256": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "Ed25519": ("OKP", "Ed25519"),
    "EdDSA": ("OKP", "Ed25519"),
}
_SAME = {"EdDSA": "Ed25519"}

ALGORITHMS = frozenset(_KINDS)
"""Those that an issuer may be configured with."""


@dataclass(frozen=True, slots=True)
class _Listed:
    key_id: str | None
    algorithm: str | None
    kind: tuple[str, str | None]
    key: Key


class KeySet:
    """Keys for signatures; those for anything else were left out.

    Args:
        jwks: the JWK Set, parsed.

    Raises:
        CodecError: it is no JWK Set, or has too many keys.
    """

    def __init__(self, jwks: dict[str, Any]) -> None:
        keys = jwks.get("keys")
        if not isinstance(keys, list) or len(keys) > MAXIMUM_KEYS:
            raise CodecError(f"'keys' is not a list of at most {MAXIMUM_KEYS}")
        read = (_read(jwk) for jwk in keys)
        self._listed = [listed for listed in read if listed is not None]

    @classmethod
    def parse(cls, data: bytes) -> KeySet:
        """Reads what a provider sent.

        Raises:
            CodecError: it is too long or no JWK Set.
        """
        if len(data) > MAXIMUM_KEY_SET:
            raise CodecError(f"the JWK Set is longer than {MAXIMUM_KEY_SET} bytes")
        return cls(parse_object(data))

    def __len__(self) -> int:
        return len(self._listed)

    def find(self, key_id: object, algorithm: str) -> Key | None:
        """The one key that may have signed, or None where there is none or more than one.

        Args:
            key_id: the token's ``kid``; None where it has none.
            algorithm: the token's ``alg``.
        """
        if algorithm not in _KINDS:
            return None
        name = _SAME.get(algorithm, algorithm)
        fitting = [
            one.key
            for one in self._listed
            if one.kind == _KINDS[algorithm]
            and one.algorithm in (None, name)
            and key_id in (None, one.key_id)
        ]
        return fitting[0] if len(fitting) == 1 else None


def _read(jwk: object) -> _Listed | None:
    """A key for signatures, or None: a set may hold what isn't for us."""
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig":
        return None
    kind, curve = jwk.get("kty"), jwk.get("crv")
    key_id, algorithm = jwk.get("kid"), jwk.get("alg")
    if not all(text is None or isinstance(text, str) for text in (kind, curve, key_id, algorithm)):
        return None
    if "key_ops" in jwk and jwk["key_ops"] != ["verify"]:
        return None
    key = _read_rsa(jwk) if kind == "RSA" else _read_curve(jwk)
    if key is None or kind is None:
        return None
    return _Listed(
        key_id, _SAME.get(algorithm or "", algorithm), (kind, None if kind == "RSA" else curve), key
    )


def _read_rsa(jwk: dict[str, Any]) -> Key | None:
    try:
        modulus, exponent = decode_base64url(jwk["n"]), decode_base64url(jwk["e"])
        fits = _MINIMUM_MODULUS <= len(modulus) <= _MAXIMUM_MODULUS and len(exponent) <= 4
        if not fits or modulus[0] == 0:
            return None
        key = RSAKey.import_key({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]})
        _ = key.public_key
    except (JoseError, CodecError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return key


def _read_curve(jwk: dict[str, Any]) -> Key | None:
    algorithm = {"P-256": "ES256", "Ed25519": "Ed25519"}.get(jwk.get("crv", ""))
    if algorithm is None:
        return None
    needed = {name: jwk.get(name) for name in ("kty", "crv", "x", "y") if name in jwk}
    try:
        return read_public_key(needed, algorithm)
    except AssertionRefused:
        return None
