"""The proof that every kind of assertion carries: a JWS over `Claims` by the participant's key.

The three kinds differ in how that key leads to a person. That is what a Key Distributor looks
into; anybody else can check the proof against the key's thumbprint. All have the same members,
named as in RFC 8225 and RFC 7519 where these have a name:

    iat          time of issue
    jti          nonce
    mky          fingerprint of the participant's certificate
    conference, role, tls-id, ssrcs
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.jwk import ECKey, OKPKey

from halfkey.dtls.fingerprint import Fingerprint
from halfkey.errors import CodecError
from halfkey.identity.claims import MAXIMUM_SSRCS, AssertionRefused, Claims
from halfkey.identity.jose import UnverifiedToken, public_jwk, read_public_key, sign, thumbprint

_MEMBERS = {"conference", "iat", "jti", "mky", "role", "ssrcs", "tls-id"}
_HEXADECIMAL = re.compile(r"(?:[0-9A-F]{2}){32,64}")


@dataclass(frozen=True, slots=True)
class ProofForm:
    """How one kind of assertion writes its proof.

    Attributes:
        type: the header's ``typ``, so that no statement passes for one of another kind.
        algorithms: allowed.
        header: members that the header has besides ``alg``, ``jwk`` and ``typ``.
        members: that the payload has besides those of `Claims`.
    """

    type: str
    algorithms: tuple[str, ...]
    header: frozenset[str] = frozenset()
    members: frozenset[str] = frozenset()


FORMS = {
    "invite": ProofForm("halfkey-invite+jwt", ("Ed25519",)),
    "oidc": ProofForm("halfkey-oidc+jwt", ("Ed25519", "ES256"), members=frozenset({"id_token"})),
    "passport": ProofForm(
        "passport",
        ("ES256",),
        header=frozenset({"ppt", "x5u"}),
        members=frozenset({"dest", "orig"}),
    ),
}
"""By protocol."""


class Proof:
    """A proof whose form is right and whose signature nobody has checked yet.

    Attributes:
        header: of the JWS.
        key_thumbprint: of the key that it says it was signed by.

    Raises:
        AssertionRefused: the form is wrong.
    """

    def __init__(self, text: str, form: ProofForm) -> None:
        self._token = UnverifiedToken(text)
        self._token.require_canonical()
        self._form = form
        self.header = self._token.header
        algorithm = self.header.get("alg")
        if algorithm not in form.algorithms:
            raise AssertionRefused("algorithm")
        if self.header.get("typ") != form.type:
            raise AssertionRefused("type")
        if self.header.keys() != {"alg", "jwk", "typ"} | form.header:
            raise AssertionRefused("malformed")
        self._key = read_public_key(self.header["jwk"], algorithm)
        self.key_thumbprint = thumbprint(self._key)

    def verified(self, key_thumbprint: str) -> tuple[Claims, dict[str, Any]]:
        """Checks the signature.

        Args:
            key_thumbprint: of the key that must have signed, from a source that is believed.

        Returns:
            The claims, and the payload's other members by name.

        Raises:
            AssertionRefused: another key signed, or the signature or the payload is wrong.
        """
        if self.key_thumbprint != key_thumbprint:
            raise AssertionRefused("key")
        payload = self._token.verified(self._key, self._form.algorithms)
        if payload.keys() != _MEMBERS | self._form.members:
            raise AssertionRefused("malformed")
        try:
            claims = _read_claims(payload)
        except CodecError:
            raise AssertionRefused("malformed") from None
        return claims, {name: payload[name] for name in self._form.members}


def sign_proof(
    form: ProofForm,
    key: OKPKey | ECKey,
    claims: Claims,
    header: Mapping[str, object] | None = None,
    members: Mapping[str, object] | None = None,
) -> str:
    """Signs claims.

    Args:
        form: of the kind.
        key: private.
        claims: to sign.
        header: the form's other header members.
        members: the form's other payload members.

    Returns:
        The JWS.

    Raises:
        CodecError: it would be longer than any verifier takes.
    """
    algorithm = "Ed25519" if isinstance(key, OKPKey) else "ES256"
    whole = {"alg": algorithm, "jwk": public_jwk(key), "typ": form.type, **(header or {})}
    return sign(whole, {**_write_claims(claims), **(members or {})}, key)


def _write_claims(claims: Claims) -> dict[str, object]:
    # The digest has no colons here, unlike in SDP (RFC 8225 section 5.2.2).
    digest = claims.fingerprint.value.hex().upper()
    return {
        "conference": claims.conference,
        "iat": claims.issued_at,
        "jti": claims.nonce,
        "mky": [{"alg": claims.fingerprint.algorithm, "dig": digest}],
        "role": claims.role,
        "ssrcs": list(claims.ssrcs),
        "tls-id": claims.tls_id,
    }


def _read_claims(payload: Mapping[str, Any]) -> Claims:
    texts = {name: payload[name] for name in ("conference", "role", "tls-id", "jti")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise CodecError("a claim is not a string")
    if not _is_integer(payload["iat"]):
        raise CodecError("iat is not an integer")
    ssrcs = payload["ssrcs"]
    if not isinstance(ssrcs, list) or len(ssrcs) > MAXIMUM_SSRCS:
        raise CodecError("ssrcs is not a list, or too long")
    if not all(_is_integer(ssrc) for ssrc in ssrcs):
        raise CodecError("an SSRC is not an integer")
    return Claims(
        conference=texts["conference"],
        role=texts["role"],
        fingerprint=_read_media_keys(payload["mky"]),
        tls_id=texts["tls-id"],
        ssrcs=tuple(ssrcs),
        issued_at=payload["iat"],
        nonce=texts["jti"],
    )


def _read_media_keys(value: object) -> Fingerprint:
    # A participant has one certificate, so the array has one element.
    if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], dict):
        raise CodecError("mky is not an array of one object")
    key = value[0]
    if key.keys() != {"alg", "dig"} or not all(isinstance(text, str) for text in key.values()):
        raise CodecError("an element of mky has 'alg' and 'dig'")
    if not _HEXADECIMAL.fullmatch(key["dig"]):
        raise CodecError("dig is not hexadecimal in upper case")
    return Fingerprint(key["alg"], bytes.fromhex(key["dig"]))


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
