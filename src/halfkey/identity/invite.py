"""Invites: a secret in a link, and an assertion signed by the key made from it.

The secret stays with the person invited. The Key Distributor keeps the public key, so that it can
verify and can't impersonate; every other participant can verify as well.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc.jwk import OKPKey

from halfkey.errors import CodecError, UsageError
from halfkey.identity.claims import AssertionRefused, Binding, Claims, Person, check
from halfkey.identity.envelope import IdentityAssertion
from halfkey.identity.jose import encode_base64url, public_jwk, thumbprint
from halfkey.identity.proof import FORMS, Proof, sign_proof

SECRET_BYTES = 16

DOMAIN = "invite.invalid"
"""No provider on the network stands behind an invite (RFC 2606 section 2)."""

_FORM = FORMS["invite"]
_CONTEXT = b"halfkey invite key 1\0"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class InviteSecret:
    """The secret of an invite, and the Ed25519 key that comes from it for its conference.

    Attributes:
        conference: for which alone the key is.

    Args:
        value: 16 random bytes.
        conference: the name of the conference.

    Raises:
        CodecError: the secret has another length.
    """

    def __init__(self, value: bytes, conference: str) -> None:
        if len(value) != SECRET_BYTES:
            raise CodecError(f"an invite's secret has {SECRET_BYTES} bytes")
        self.conference = conference
        self._value = value
        derive = HKDF(hashes.SHA256(), 32, salt=None, info=_CONTEXT + conference.encode())
        key = Ed25519PrivateKey.from_private_bytes(derive.derive(value))
        self._key = OKPKey.import_key(
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": encode_base64url(key.public_key().public_bytes_raw()),
                "d": encode_base64url(key.private_bytes_raw()),
            }
        )

    @classmethod
    def make(cls, conference: str) -> InviteSecret:
        """Makes a fresh one."""
        return cls(secrets.token_bytes(SECRET_BYTES), conference)

    @property
    def value(self) -> bytes:
        """The secret itself, for the link only."""
        return self._value

    @property
    def public_jwk(self) -> dict[str, str]:
        """What the Key Distributor keeps."""
        return public_jwk(self._key)

    @property
    def thumbprint(self) -> str:
        """Of the public key (RFC 7638, SHA-256, base64url)."""
        return thumbprint(self._key)

    def sign(self, claims: Claims) -> IdentityAssertion:
        """Signs an assertion.

        Raises:
            UsageError: the claims are for another conference.
        """
        if claims.conference != self.conference:
            raise UsageError("the invite is for another conference")
        return IdentityAssertion(DOMAIN, "invite", sign_proof(_FORM, self._key, claims))

    def __repr__(self) -> str:
        return f"<InviteSecret for {self.conference}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InviteSecret):
            return NotImplemented
        same = hmac.compare_digest(self._value, other._value)
        return same and self.conference == other.conference

    def __hash__(self) -> int:
        return hash(self.thumbprint)


@dataclass(frozen=True, slots=True)
class Invite:
    """What the Key Distributor keeps of an invite: no secret.

    Attributes:
        id: short and unique, for people and the audit log.
        conference: its name.
        name: of the person.
        role: that the person has there.
        thumbprint: of the public key, which the assertion itself carries.
        expires_at: Unix time, seconds; None for never.
        devices: how many may be in the conference at once.

    Raises:
        CodecError: a value is out of bounds.
    """

    id: str
    conference: str
    name: str
    role: str
    thumbprint: str
    expires_at: int | None = None
    devices: int = 1

    def __post_init__(self) -> None:
        for text in (self.id, self.conference, self.role):
            if not _NAME.fullmatch(text):
                raise CodecError("an invite's id, conference and role are [A-Za-z0-9._-]{1,64}")
        if not 1 <= len(self.name) <= 64 or not self.name.isprintable():
            raise CodecError("an invite's name has 1 to 64 printable characters")
        if not re.fullmatch(r"[A-Za-z0-9_-]{43}", self.thumbprint):
            raise CodecError("a thumbprint has 43 characters of base64url")
        if self.devices < 1:
            raise CodecError("an invite is for at least one device")

    @property
    def identity(self) -> str:
        """As in `Person`: whom an assertion under this invite names."""
        return f"invite:{self.id}"

    def has_expired(self, now: float) -> bool:
        """Whether nobody may come in by it any more.

        Args:
            now: Unix time, seconds.
        """
        return self.expires_at is not None and now >= self.expires_at


class InviteVerifier:
    """Verifies assertions of the kind ``invite``.

    Args:
        find: gives the invite of a key's thumbprint, or None where there is none or it was
            revoked.
    """

    protocol = "invite"

    def __init__(self, find: Callable[[str], Invite | None]) -> None:
        self._find = find

    def verify(
        self, assertion: IdentityAssertion, expected: Binding, now: float
    ) -> tuple[Person, Claims]:
        """Says whom an assertion names; see `halfkey.identity.verifier.Verifier`."""
        if (assertion.protocol, assertion.domain) != (self.protocol, DOMAIN):
            raise AssertionRefused("protocol")
        proof = Proof(assertion.assertion, _FORM)
        invite = self._find(proof.key_thumbprint)
        if invite is None:
            raise AssertionRefused("key")
        claims, _ = proof.verified(invite.thumbprint)
        if invite.conference != claims.conference:
            raise AssertionRefused("conference")
        check(claims, expected, now)
        if invite.has_expired(now):
            raise AssertionRefused("expired")
        if invite.role != claims.role:
            raise AssertionRefused("role")
        person = Person(
            identity=invite.identity,
            name=invite.name,
            role=invite.role,
            kind="invite",
            key_thumbprint=invite.thumbprint,
        )
        return person, claims
