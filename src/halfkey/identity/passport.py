"""PASSporTs (RFC 8225) with ``ppt`` "msec" (RFC 8862): telephone numbers and SIP URIs.

Beyond what RFC 8225 has, ours carry the claims of `halfkey.identity.proof` and in the header the
signer's public key as ``jwk``, so that a participant who has no copy of the certificates can still
check the proof. The key must be that of the certificate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from joserfc.jwk import ECKey

from halfkey.errors import CodecError
from halfkey.identity.certificates import (
    SigningCertificates,
    canonical_identity,
    certificate_key,
)
from halfkey.identity.claims import (
    MAXIMUM_NAME,
    AssertionRefused,
    Binding,
    Claims,
    Person,
    check,
    check_conference,
)
from halfkey.identity.envelope import IdentityAssertion
from halfkey.identity.jose import thumbprint
from halfkey.identity.proof import FORMS, Proof, sign_proof

EXTENSION = "msec"
"""The ``ppt`` header (RFC 8862 section 9)."""

_FORM = FORMS["passport"]
_URL = re.compile(r"https://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?/[!-~]{0,255}")
_TELEPHONE_NUMBER = re.compile(r"[1-9][0-9]{2,14}")

Certificates = Callable[[str], Sequence[x509.Certificate] | None]
"""Gives the chain behind an ``x5u`` address, the signer's first, or None. It fetches nothing."""


@dataclass(frozen=True, slots=True)
class PassportSigner:
    """Signs as somebody with a certificate.

    Attributes:
        key: private, P-256.
        certificate_url: of its certificate chain, https (``x5u``).
        identity: ``tel:+...`` or ``sip:...`` that the certificate speaks for.
        domain: of the conferences: who signs wants into ``sip:CONFERENCE@DOMAIN``.

    Raises:
        CodecError: the address or the identity can't be used.
    """

    key: ECKey
    certificate_url: str
    identity: str
    domain: str

    def __post_init__(self) -> None:
        if not _URL.fullmatch(self.certificate_url):
            raise CodecError("x5u is an https address with a path")
        if canonical_identity(self.identity) is None:
            raise CodecError("an identity is written 'tel:+493012345' or 'sip:user@domain'")

    def sign(self, claims: Claims) -> IdentityAssertion:
        """Signs an assertion."""
        identity = canonical_identity(self.identity) or ""
        number = identity.removeprefix("tel:+")
        token = sign_proof(
            _FORM,
            self.key,
            claims,
            header={"ppt": EXTENSION, "x5u": self.certificate_url},
            members={
                "dest": _destination(claims.conference, self.domain),
                "orig": {"tn": number} if number != identity else {"uri": identity},
            },
        )
        return IdentityAssertion(urlsplit(self.certificate_url).netloc, "passport", token)

    def __repr__(self) -> str:
        return f"<PassportSigner for {self.identity}>"


class PassportVerifier:
    """Verifies assertions of the kind ``passport``.

    Args:
        authorities: whose certificates count.
        certificates: gives the chain of an ``x5u`` address.
        domain: of this Key Distributor's conferences; see `PassportSigner`.
        roles: that such a participant may claim.
        conferences: that such a participant may join; `ANY_CONFERENCE` for whichever there is.
    """

    protocol = "passport"

    def __init__(
        self,
        authorities: SigningCertificates,
        certificates: Certificates,
        domain: str,
        roles: Collection[str],
        conferences: Collection[str],
    ) -> None:
        self._authorities = authorities
        self._certificates = certificates
        self._domain = domain
        self._roles = frozenset(roles)
        self.conferences = frozenset(conferences)

    def verify(
        self, assertion: IdentityAssertion, expected: Binding, now: float
    ) -> tuple[Person, Claims]:
        """Says whom an assertion names; see `halfkey.identity.verifier.Verifier`."""
        if assertion.protocol != self.protocol:
            raise AssertionRefused("protocol")
        proof = Proof(assertion.assertion, _FORM)
        certificate = self._certificate(proof.header, assertion.domain, now)
        key_thumbprint = thumbprint(certificate_key(certificate))
        claims, members = proof.verified(key_thumbprint)
        identity = _originator(members["orig"])
        if not self._authorities.may_speak_for(certificate, identity):
            raise AssertionRefused("identity")
        if members["dest"] != _destination(claims.conference, self._domain):
            raise AssertionRefused("audience")
        check(claims, expected, now)
        check_conference(claims.conference, self.conferences)
        if claims.role not in self._roles:
            raise AssertionRefused("role")
        name = identity.partition(":")[2][:MAXIMUM_NAME]
        return Person(identity, name, claims.role, "passport", key_thumbprint), claims

    def _certificate(self, header: dict[str, Any], domain: str, now: float) -> x509.Certificate:
        # RFC 8225 section 8.1: what an unknown extension demands is unknown as well.
        if header["ppt"] != EXTENSION:
            raise AssertionRefused("type")
        url = header["x5u"]
        if not isinstance(url, str) or not _URL.fullmatch(url):
            raise AssertionRefused("malformed")
        if urlsplit(url).netloc != domain:
            raise AssertionRefused("issuer")
        chain = self._certificates(url)
        if not chain:
            raise AssertionRefused("certificate")
        return self._authorities.verified(chain, now)


def _destination(conference: str, domain: str) -> dict[str, list[str]]:
    return {"uri": [f"sip:{conference}@{domain}"]}


def _originator(orig: object) -> str:
    """Reads ``orig``: exactly one identity (RFC 8225 section 5.2.1)."""
    if not isinstance(orig, dict) or len(orig) != 1:
        raise AssertionRefused("malformed")
    ((kind, value),) = orig.items()
    if not isinstance(value, str):
        raise AssertionRefused("malformed")
    if kind == "tn" and _TELEPHONE_NUMBER.fullmatch(value):
        return f"tel:+{value}"
    if kind == "uri" and value.startswith("sip") and canonical_identity(value) == value:
        return value
    raise AssertionRefused("malformed")
