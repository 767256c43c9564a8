"""OpenID Connect: an ID token that names a key of the participant, and a proof by that key.

The participant makes a key, logs in with the key's thumbprint as ``nonce``, and signs claims with
the key; the ID token goes into the proof. An issuer that can bind keys puts the thumbprint into
``cnf`` instead (RFC 7800 section 3, ``jkt`` as in RFC 9449 section 6.1), and then only that counts.

Whoever gets the assertion can read the ID token. It opens nothing without the key, and its
audience should be the Key Distributor's and nobody else's.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from joserfc.jwk import OKPKey

from halfkey.errors import ConfigurationError
from halfkey.identity.claims import (
    CLOCK_SKEW,
    MAXIMUM_NAME,
    AssertionRefused,
    Binding,
    Claims,
    Person,
    check,
    check_conference,
)
from halfkey.identity.envelope import IdentityAssertion
from halfkey.identity.jose import UnverifiedToken, thumbprint
from halfkey.identity.keyset import ALGORITHMS, KeySet
from halfkey.identity.proof import FORMS, Proof, sign_proof

_FORM = FORMS["oidc"]
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_MAXIMUM_SUBJECT = 255  # OpenID Connect Core section 2
_MAXIMUM_ID_TOKEN = 8 * 1024  # characters: the proof around it has bounds too


class JWKSource(Protocol):
    """Knows the keys of issuers; see `halfkey.identity.jwks` for one that fetches them."""

    def key_set(self, issuer: str, now: float) -> KeySet | None:
        """The issuer's keys, or None where they aren't known, or not any longer.

        Args:
            issuer: as configured.
            now: Unix time, seconds.
        """


@dataclass(frozen=True, slots=True)
class Issuer:
    """An OpenID provider whose word counts.

    Attributes:
        issuer: its identifier, https; http only on loopback.
        audience: the client id under which participants log in, for this purpose only.
        roles: that its people may claim.
        conferences: that its people may join; `ANY_CONFERENCE` for whichever there is.
        algorithms: with which it may sign; of ``RS256``, ``ES256``, ``Ed25519``, ``EdDSA``.

    Raises:
        ConfigurationError: a value is of no use.
    """

    issuer: str
    audience: str
    roles: frozenset[str]
    conferences: frozenset[str]
    algorithms: frozenset[str] = frozenset({"RS256", "ES256"})

    def __post_init__(self) -> None:
        if not is_safe_url(self.issuer):
            raise ConfigurationError(
                f"issuer {self.issuer!r}: write an address 'https://...' without '?' and '#'"
            )
        if not self.audience or not self.roles or not self.conferences:
            raise ConfigurationError(
                f"issuer {self.issuer!r}: give a client id as audience, and at least one role and "
                "one conference"
            )
        if not self.algorithms or not self.algorithms <= ALGORITHMS:
            raise ConfigurationError(
                f"issuer {self.issuer!r}: algorithms are of {', '.join(sorted(ALGORITHMS))}"
            )

    @property
    def domain(self) -> str:
        """Host, and port if it has one: what an assertion's ``idp.domain`` must be."""
        return urlsplit(self.issuer).netloc


class LoginKey:
    """A participant's key, made for one login."""

    def __init__(self) -> None:
        self._key = OKPKey.generate_key("Ed25519")

    @property
    def thumbprint(self) -> str:
        """What to send as ``nonce`` when logging in (RFC 7638, SHA-256, base64url)."""
        return thumbprint(self._key)

    def sign(self, claims: Claims, id_token: str, issuer: str) -> IdentityAssertion:
        """Signs an assertion.

        Args:
            claims: to sign.
            id_token: that came of the login.
            issuer: the provider's identifier.

        Raises:
            CodecError: the ID token is too long, or the issuer no address.
        """
        token = sign_proof(_FORM, self._key, claims, members={"id_token": id_token})
        return IdentityAssertion(urlsplit(issuer).netloc, "oidc", token)

    def __repr__(self) -> str:
        return f"<LoginKey {self.thumbprint}>"


class Login:
    """A login that is done: what signs as the person who logged in.

    Args:
        key: made for this login.
        id_token: that came of it.

    Raises:
        AssertionRefused: the text is no ID token, or names another key.
    """

    def __init__(self, key: LoginKey, id_token: str) -> None:
        self.renew(key, id_token)

    def renew(self, key: LoginKey, id_token: str) -> None:
        """Takes the place of a login whose ID token has expired; see the class."""
        if len(id_token) > _MAXIMUM_ID_TOKEN:
            raise AssertionRefused("too_large")
        token = _id_token(id_token)
        issuer = token.hint("iss")
        if not isinstance(issuer, str) or not is_safe_url(issuer):
            raise AssertionRefused("issuer")
        named = {name: token.hint(name) for name in ("nonce", "cnf")}
        _check_key(
            {name: value for name, value in named.items() if value is not None}, key.thumbprint
        )
        self._key, self._id_token, self._issuer = key, id_token, issuer
        expires_at = token.hint("exp")
        self._expires_at = expires_at if isinstance(expires_at, int | float) else math.inf

    def has_expired(self, now: float) -> bool:
        """Whether nobody will believe the ID token any more (Unix time, seconds)."""
        return not now < self._expires_at

    def sign(self, claims: Claims) -> IdentityAssertion:
        """Signs an assertion."""
        return self._key.sign(claims, self._id_token, self._issuer)

    def __repr__(self) -> str:
        return f"<Login at {self._issuer}>"


class OIDCVerifier:
    """Verifies assertions of the kind ``oidc``.

    Args:
        issuers: configured.
        source: knows their keys.
    """

    protocol = "oidc"

    def __init__(self, issuers: Iterable[Issuer], source: JWKSource) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._source = source

    def verify(
        self, assertion: IdentityAssertion, expected: Binding, now: float
    ) -> tuple[Person, Claims]:
        """Says whom an assertion names; see `halfkey.identity.verifier.Verifier`."""
        if assertion.protocol != self.protocol:
            raise AssertionRefused("protocol")
        proof = Proof(assertion.assertion, _FORM)
        claims, members = proof.verified(proof.key_thumbprint)
        check(claims, expected, now)
        token = _id_token(members["id_token"])
        issuer = self._issuer(token, assertion.domain)
        payload = token.verified(self._key(token, issuer, now), issuer.algorithms)
        _check_id_token(payload, issuer, now)
        _check_key(payload, proof.key_thumbprint)
        check_conference(claims.conference, issuer.conferences)
        if claims.role not in issuer.roles:
            raise AssertionRefused("role")
        subject = _subject(payload)
        person = Person(
            identity=f"oidc:{issuer.issuer}#{subject}",
            name=_name(payload, subject),
            role=claims.role,
            kind="oidc",
            key_thumbprint=proof.key_thumbprint,
        )
        return person, claims

    def _issuer(self, token: UnverifiedToken, domain: str) -> Issuer:
        name = token.hint("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None or issuer.domain != domain:
            raise AssertionRefused("issuer")
        return issuer

    def _key(self, token: UnverifiedToken, issuer: Issuer, now: float) -> Any:
        algorithm = token.header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in issuer.algorithms:
            raise AssertionRefused("algorithm")
        keys = self._source.key_set(issuer.issuer, now)
        key = keys.find(token.header.get("kid"), algorithm) if keys is not None else None
        if key is None:
            raise AssertionRefused("key")
        return key


def wanted_key(assertion: IdentityAssertion) -> tuple[str, str | None, str] | None:
    """Whose key would be needed to verify an assertion: issuer, key id, algorithm.

    Nothing of it is verified: it is for a `JWKSource` that wants to fetch in time. None where the
    assertion is of another kind, or couldn't be verified with any key.
    """
    if assertion.protocol != OIDCVerifier.protocol:
        return None
    try:
        proof = Proof(assertion.assertion, _FORM)
        _, members = proof.verified(proof.key_thumbprint)
        token = _id_token(members["id_token"])
    except AssertionRefused:
        return None
    issuer, key_id, algorithm = token.hint("iss"), token.header.get("kid"), token.header.get("alg")
    if not isinstance(issuer, str) or not isinstance(algorithm, str):
        return None
    return issuer, key_id if isinstance(key_id, str) else None, algorithm


def is_safe_url(url: str) -> bool:
    """Whether keys may come from there: over TLS, or without leaving this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and len(url) <= 1024
    if not host or not plain or parts.username is not None or parts.query or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)


def _id_token(text: object) -> UnverifiedToken:
    if not isinstance(text, str):
        raise AssertionRefused("malformed")
    token = UnverifiedToken(text)
    # OpenID Connect doesn't ask for "typ"; an access token has another one (RFC 9068).
    kind = token.header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.upper() != "JWT":
        raise AssertionRefused("type")
    return token


def _check_id_token(payload: dict[str, Any], issuer: Issuer, now: float) -> None:
    """OpenID Connect Core section 3.1.3.7, with no audience beside ours.

    ``iss`` is right: the issuer was found by it, and its key has signed.
    """
    if payload.get("aud") not in (issuer.audience, [issuer.audience]):
        raise AssertionRefused("audience")
    if payload.get("azp", issuer.audience) != issuer.audience:
        raise AssertionRefused("audience")
    if now >= _time(payload, "exp") + CLOCK_SKEW:
        raise AssertionRefused("expired")
    if now < _time(payload, "iat") - CLOCK_SKEW:
        raise AssertionRefused("future")
    if "nbf" in payload and now < _time(payload, "nbf") - CLOCK_SKEW:
        raise AssertionRefused("future")


def _check_key(payload: dict[str, Any], key_thumbprint: str) -> None:
    named = payload.get("nonce")
    if "cnf" in payload:
        confirmation = payload["cnf"]
        named = confirmation.get("jkt") if isinstance(confirmation, dict) else None
    if not isinstance(named, str) or not hmac.compare_digest(
        named.encode("utf-8", "replace"), key_thumbprint.encode()
    ):
        raise AssertionRefused("key")


def _time(payload: dict[str, Any], name: str) -> float:
    value = payload.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AssertionRefused("malformed")
    if not math.isfinite(value) or not 0 <= value < 1 << 53:
        raise AssertionRefused("malformed")
    return value


def _subject(payload: dict[str, Any]) -> str:
    subject = payload.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= _MAXIMUM_SUBJECT:
        raise AssertionRefused("malformed")
    if not subject.isascii() or not subject.isprintable():
        raise AssertionRefused("malformed")
    return subject


def _name(payload: dict[str, Any], subject: str) -> str:
    for claim in ("name", "preferred_username"):
        name = payload.get(claim)
        if isinstance(name, str) and 1 <= len(name) <= MAXIMUM_NAME and name.isprintable():
            return name
    return subject[:MAXIMUM_NAME]
