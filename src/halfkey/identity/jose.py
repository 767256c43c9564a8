"""JSON Web Signatures in one strict form: compact, bounded, from a list of algorithms.

`joserfc` does the cryptography. What comes before it is here: lengths are bounded before anything
is decoded, base64url has one spelling, no JSON member comes twice, and headers that would change
how a signature is checked are refused.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Mapping
from typing import Any

from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry, deserialize_compact, serialize_compact

from halfkey.errors import CodecError
from halfkey.identity.claims import AssertionRefused

Key = OKPKey | ECKey | RSAKey

MAXIMUM_TOKEN = 16 * 1024
"""Characters of a whole JWS, which bounds all that is in it."""

_MAXIMUM_HEADER = 2048

# Members of the header by which a signer could steer the verifier (RFC 7515 section 4.1.11,
# RFC 7797). None of them has a use here.
_STEERING = {"crit", "b64", "zip", "enc"}

# The curve is part of the choice: "ES256" with a P-384 key is nobody's algorithm.
_CURVES = {"Ed25519": ("OKP", "Ed25519", 32, ("x",)), "ES256": ("EC", "P-256", 32, ("x", "y"))}


class _Registry(JWSRegistry):
    max_header_length = _MAXIMUM_HEADER
    max_payload_length = MAXIMUM_TOKEN

    def get_alg(self, name: str) -> Any:
        # The list given is the whole list. The library's own says of "EdDSA" that its name is
        # out of use (RFC 9864), once for each token of a provider that uses it.
        if not self.allowed or name not in self.allowed or name not in self.algorithms:
            raise UnsupportedAlgorithmError(f"{name} is not allowed here")
        return self.algorithms[name]


def canonical(value: object) -> bytes:
    """Writes JSON as RFC 8225 section 9 wants it: one text for one value.

    Raises:
        CodecError: the value has no such form (a lone surrogate, a NaN).
    """
    try:
        text = json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
        )
        return text.encode()
    except (ValueError, TypeError, RecursionError):
        raise CodecError("the value has no canonical JSON form") from None


def parse_object(data: bytes) -> dict[str, Any]:
    """Reads a JSON object in which no member comes twice, at any depth.

    Raises:
        CodecError: the bytes are no such object.
    """
    try:
        value = json.loads(
            data.decode(), object_pairs_hook=_without_duplicates, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise CodecError("not JSON, or a member comes twice") from None
    if not isinstance(value, dict):
        raise CodecError("not a JSON object")
    return value


def decode_base64url(text: str) -> bytes:
    """Reads unpadded base64url, in its one spelling (RFC 7515 section 2).

    Raises:
        CodecError: the text is not that.
    """
    try:
        raw = text.encode("ascii")
        data = base64.b64decode(raw + b"=" * (-len(raw) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise CodecError("not base64url") from None
    if encode_base64url(data) != text:
        raise CodecError("not the one spelling of base64url")
    return data


def encode_base64url(data: bytes) -> str:
    """Writes unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class UnverifiedToken:
    """A JWS whose signature nobody has checked yet.

    Attributes:
        header: the protected header. Use it to find the key, and for nothing else.

    Raises:
        AssertionRefused: the text is no JWS of the strict form.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAXIMUM_TOKEN:
            raise AssertionRefused("too_large")
        parts = text.split(".")
        if len(parts) != 3 or len(parts[0]) > _MAXIMUM_HEADER:
            raise AssertionRefused("malformed")
        try:
            header, payload, _ = (decode_base64url(part) for part in parts)
            self.header = parse_object(header)
            self._payload = parse_object(payload)
        except CodecError:
            raise AssertionRefused("malformed") from None
        self._raw = header, payload
        self._text = text
        if _STEERING & self.header.keys():
            raise AssertionRefused("malformed")

    def hint(self, name: str) -> object:
        """A member of the payload that nobody vouches for yet, to find the key by."""
        return self._payload.get(name)

    def require_canonical(self) -> None:
        """Refuses header and payload unless they are in the form of RFC 8225 section 9."""
        try:
            written = canonical(self.header), canonical(self._payload)
        except CodecError:
            raise AssertionRefused("malformed") from None
        if written != self._raw:
            raise AssertionRefused("malformed")

    def verified(self, key: Key, algorithms: Collection[str]) -> dict[str, Any]:
        """Checks the signature, and gives the payload.

        Args:
            key: public; found by the caller, not taken from the token on its word.
            algorithms: those allowed with it; the header's must be one of them.

        Raises:
            AssertionRefused: by ``"algorithm"`` or ``"signature"``.
        """
        if self.header.get("alg") not in set(algorithms) - {"none"}:
            raise AssertionRefused("algorithm")
        registry = _Registry(algorithms=list(algorithms), strict_check_header=False)
        try:
            deserialize_compact(self._text, key, registry=registry)
        except (JoseError, ValueError, TypeError):
            raise AssertionRefused("signature") from None
        return self._payload


def sign(header: Mapping[str, object], payload: Mapping[str, object], key: Key) -> str:
    """Signs a JWS whose header and payload are in the form of RFC 8225 section 9.

    Args:
        header: with ``alg``, ``Ed25519`` or ``ES256``.
        payload: any JSON object.
        key: private, of that algorithm.

    Raises:
        CodecError: the result would be longer than any verifier takes.
    """
    ordered = json.loads(canonical(header))
    registry = _Registry(algorithms=[*_CURVES], strict_check_header=False)
    try:
        token = serialize_compact(ordered, canonical(payload), key, registry=registry)
    except JoseError:
        raise CodecError("the header does not fit the key") from None
    if len(token) > MAXIMUM_TOKEN or token.index(".") > _MAXIMUM_HEADER:
        raise CodecError("the assertion is too long")
    return token


def read_public_key(jwk: object, algorithm: str) -> OKPKey | ECKey:
    """Reads a JWK that is a public key of an algorithm and nothing more.

    Raises:
        AssertionRefused: by ``"algorithm"`` or ``"key"``.
    """
    if algorithm not in _CURVES:
        raise AssertionRefused("algorithm")
    kind, curve, size, coordinates = _CURVES[algorithm]
    if not isinstance(jwk, dict) or jwk.keys() != {"kty", "crv", *coordinates}:
        raise AssertionRefused("key")
    if (jwk["kty"], jwk["crv"]) != (kind, curve):
        raise AssertionRefused("key")
    try:
        if any(len(decode_base64url(jwk[name])) != size for name in coordinates):
            raise AssertionRefused("key")
        key = (OKPKey if kind == "OKP" else ECKey).import_key(jwk)
        _ = key.public_key  # a point that is not on the curve is found out here
    except (JoseError, CodecError, ValueError, TypeError, AttributeError):
        raise AssertionRefused("key") from None
    return key


def public_jwk(key: OKPKey | ECKey) -> dict[str, str]:
    """The public half as a JWK with its required members only (RFC 7638 section 3.2)."""
    jwk = key.as_dict(private=False)
    return {name: str(jwk[name]) for name in ("crv", "kty", "x", "y") if name in jwk}


def thumbprint(key: Key) -> str:
    """The key's RFC 7638 thumbprint: SHA-256, base64url, 43 characters."""
    return str(key.thumbprint())


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a member comes twice")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
