"""What an identity assertion binds, whom it names, and why one is refused.

An assertion ties a person to one certificate, one association and one set of sources in one
conference, for a short time. `Binding` is what the verifier reads from the offer itself, `Claims`
is what the assertion says, and `check` holds one against the other.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from halfkey.dtls.fingerprint import Fingerprint
from halfkey.errors import CodecError, HalfkeyError

MAXIMUM_AGE = 60
"""Seconds after its time of issue for which an assertion is believed."""

CLOCK_SKEW = 30
"""Seconds by which the clocks of signer and verifier may differ, either way."""

MAXIMUM_SSRCS = 64

Reason = Literal[
    "algorithm",
    "audience",
    "certificate",
    "conference",
    "expired",
    "fingerprint",
    "future",
    "identity",
    "issuer",
    "key",
    "malformed",
    "protocol",
    "role",
    "scope",
    "signature",
    "ssrcs",
    "tls_id",
    "too_large",
    "type",
]

_EXPLANATIONS: dict[Reason, str] = {
    "algorithm": "its signature algorithm is not allowed here",
    "audience": "it was issued for somebody else",
    "certificate": "its certificate chain does not lead to a configured root",
    "conference": "it is for another conference",
    "expired": "it is too old, or what it rests on has expired",
    "fingerprint": "it is for another certificate",
    "future": "it was issued in the future",
    "identity": "its signer may not speak for that identity",
    "issuer": "its issuer is not a configured one",
    "key": "the key that signed it is not known here",
    "malformed": "it does not follow its format",
    "protocol": "its protocol is not accepted here",
    "role": "it claims another role",
    "scope": "who vouches for it may not speak for this conference",
    "signature": "its signature does not hold",
    "ssrcs": "it is for other SSRCs",
    "tls_id": "it is for another tls-id",
    "too_large": "it is larger than allowed",
    "type": "it is a statement of another type",
}

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TLS_ID = re.compile(r"[A-Za-z0-9+/_-]{20,255}")
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,128}")


class AssertionRefused(HalfkeyError):  # noqa: N818 (an outcome, not a fault of ours)
    """An identity assertion was refused.

    Attributes:
        reason: one of `Reason`, for counters and the audit log.

    The message is one line and holds nothing that the assertion's sender chose.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"the identity assertion was refused: {_EXPLANATIONS[reason]}")
        self.reason: Reason = reason


@dataclass(frozen=True, slots=True)
class Binding:
    """What a verifier wants an assertion to bind: read from the offer, never from the assertion.

    Attributes:
        conference: its name.
        fingerprint: of the participant's certificate.
        tls_id: the participant's (RFC 8842).
        ssrcs: those that the offer declares, in any order.
    """

    conference: str
    fingerprint: Fingerprint
    tls_id: str
    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Claims:
    """What one assertion binds.

    Attributes:
        conference: its name, 1 to 64 letters, digits, ``.``, ``_``, ``-``.
        role: in the conference; written like a conference name.
        fingerprint: of the participant's certificate.
        tls_id: the participant's (RFC 8842 section 4).
        ssrcs: of the sources that it will send, ascending, each once.
        issued_at: Unix time, seconds.
        nonce: 16 to 128 characters of base64url, fresh for each assertion.

    Raises:
        CodecError: a value is out of bounds.
    """

    conference: str
    role: str
    fingerprint: Fingerprint
    tls_id: str
    ssrcs: tuple[int, ...]
    issued_at: int
    nonce: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.conference):
            raise CodecError("a conference is named by 1 to 64 letters, digits, '.', '_', '-'")
        if not _NAME.fullmatch(self.role):
            raise CodecError("a role is named by 1 to 64 letters, digits, '.', '_', '-'")
        if not _TLS_ID.fullmatch(self.tls_id):
            raise CodecError("a tls-id has 20 to 255 letters, digits or +/-_")
        if not _NONCE.fullmatch(self.nonce):
            raise CodecError("a nonce has 16 to 128 characters of base64url")
        if not 0 <= self.issued_at < 1 << 53:
            raise CodecError("the time of issue is out of range")
        if len(self.ssrcs) > MAXIMUM_SSRCS:
            raise CodecError(f"an assertion binds at most {MAXIMUM_SSRCS} SSRCs")
        if any(not 0 <= ssrc < 1 << 32 for ssrc in self.ssrcs):
            raise CodecError("an SSRC has 32 bits")
        if list(self.ssrcs) != sorted(set(self.ssrcs)):
            raise CodecError("SSRCs are listed ascending, each once")

    @classmethod
    def of(cls, binding: Binding, role: str, issued_at: int, nonce: str | None = None) -> Claims:
        """Makes the claims for a binding.

        Args:
            binding: what the participant offers.
            role: that it claims.
            issued_at: Unix time, seconds.
            nonce: fresh and random; made here by default.
        """
        return cls(
            conference=binding.conference,
            role=role,
            fingerprint=binding.fingerprint,
            tls_id=binding.tls_id,
            ssrcs=tuple(sorted(set(binding.ssrcs))),
            issued_at=issued_at,
            nonce=nonce if nonce is not None else secrets.token_urlsafe(16),
        )

    @property
    def replayable_until(self) -> int:
        """Unix time after which no verifier believes them, so that the nonce may be forgotten."""
        return self.issued_at + MAXIMUM_AGE + CLOCK_SKEW


MAXIMUM_NAME = 64
"""Characters of a person's name; longer ones are cut."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a verified assertion names.

    Attributes:
        identity: ``invite:<id>``, ``tel:+49...``, ``sip:a@b`` or ``oidc:<issuer>#<subject>``.
        name: for people to read.
        role: in the conference.
        kind: the assertion's protocol.
        key_thumbprint: of the key that signed the proof (RFC 7638, SHA-256, base64url).
    """

    identity: str
    name: str
    role: str
    kind: Literal["invite", "passport", "oidc"]
    key_thumbprint: str


def check(claims: Claims, expected: Binding, now: float | None) -> None:
    """Holds claims against what the offer has.

    Args:
        claims: from an assertion whose signature was verified.
        expected: from the offer.
        now: Unix time, seconds. None leaves the age out: for whoever gets the assertion of
            somebody who joined long ago, and knows that time from elsewhere.

    Raises:
        AssertionRefused: they differ, or the claims are too old or too new.
    """
    if claims.conference != expected.conference:
        raise AssertionRefused("conference")
    if claims.fingerprint != expected.fingerprint:
        raise AssertionRefused("fingerprint")
    if claims.tls_id != expected.tls_id:
        raise AssertionRefused("tls_id")
    if set(claims.ssrcs) != set(expected.ssrcs):
        raise AssertionRefused("ssrcs")
    if now is not None:
        check_time(claims.issued_at, now)


def check_time(issued_at: int, now: float) -> None:
    """Refuses what is older than `MAXIMUM_AGE` or from the future, give or take `CLOCK_SKEW`.

    Raises:
        AssertionRefused: by ``"expired"`` or ``"future"``.
    """
    if now > issued_at + MAXIMUM_AGE + CLOCK_SKEW:
        raise AssertionRefused("expired")
    if now < issued_at - CLOCK_SKEW:
        raise AssertionRefused("future")


ANY_CONFERENCE = "*"


def check_conference(conference: str, admitted: Collection[str]) -> None:
    """Holds a conference against those that an authority's people may join.

    Args:
        conference: that an assertion is for.
        admitted: names; `ANY_CONFERENCE` for whichever there is.

    Raises:
        AssertionRefused: it isn't among them.
    """
    if conference not in admitted and ANY_CONFERENCE not in admitted:
        raise AssertionRefused("scope")
