"""Assertions that rest on a login at a real OpenID provider, its keys fetched over TLS."""

from __future__ import annotations

import dataclasses
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from halfkey.identity.claims import Claims, Reason
from halfkey.identity.jwks import MAXIMUM_AGE, FetchedKeys
from halfkey.identity.oidc import Issuer, LoginKey, OIDCVerifier
from halfkey.identity.verifier import Verifiers, check_possession
from tests.identity.helpers import BINDING, OTHER_BINDINGS, refuses
from tests.interop.oidc.provider import RunningProvider, running

ALGORITHMS = ["RS256", "ES256", "Ed25519", "EdDSA"]


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[RunningProvider]:
    async with running(tmp_path) as started:
        yield started


def configured(provider: RunningProvider, algorithm: str) -> Issuer:
    return Issuer(
        issuer=provider.issuer,
        audience=f"halfkey-{algorithm}",
        roles=frozenset({"participant"}),
        conferences=frozenset({BINDING.conference}),
        algorithms=frozenset({algorithm}),
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_login_becomes_an_assertion(provider: RunningProvider, algorithm: str) -> None:
    issuer, key, now = configured(provider, algorithm), LoginKey(), time.time()
    token = await provider.log_in("ada", issuer.audience, key.thumbprint)
    claims = Claims.of(BINDING, "participant", int(now))
    assertion = key.sign(claims, token, provider.issuer)
    async with FetchedKeys([provider.issuer], provider.trust) as keys:
        verifiers = Verifiers([OIDCVerifier([issuer], keys)])
        with refuses("key"):  # nobody fetched anything yet
            verifiers.verify(str(assertion), BINDING, now)
        await keys.prepare(assertion, now)
        person, verified = verifiers.verify(str(assertion), BINDING, now)
        assert verified == claims
        assert person.identity == f"oidc:{provider.issuer}#ada"
        assert (person.name, person.role, person.kind) == ("Name of ada", "participant", "oidc")
        assert person.key_thumbprint == key.thumbprint
        assert check_possession(assertion, key.thumbprint, BINDING) == claims
        hours = dataclasses.replace(claims, issued_at=int(now) + 4000)
        with refuses("expired"):  # the proof is fresh, the login is not
            verifiers.verify(str(key.sign(hours, token, provider.issuer)), BINDING, now + 4000)
        days = dataclasses.replace(claims, issued_at=int(now) + MAXIMUM_AGE)
        with refuses("key"):  # its keys were not fetched again for a day
            verifiers.verify(
                str(key.sign(days, token, provider.issuer)), BINDING, now + MAXIMUM_AGE + 1
            )


async def test_what_does_not_fit_the_login_is_refused(provider: RunningProvider) -> None:
    issuer, key, now = configured(provider, "ES256"), LoginKey(), time.time()
    token = await provider.log_in("ada", issuer.audience, key.thumbprint)
    elsewhere = await provider.log_in("ada", "another-service", key.thumbprint)
    claims = Claims.of(BINDING, "participant", int(now))
    good = key.sign(claims, token, provider.issuer)
    others: list[tuple[Reason, Issuer]] = [
        ("audience", dataclasses.replace(issuer, audience="halfkey")),
        ("algorithm", dataclasses.replace(issuer, algorithms=frozenset({"RS256"}))),
        ("issuer", dataclasses.replace(issuer, issuer=f"{provider.issuer}/x")),
        ("role", dataclasses.replace(issuer, roles=frozenset({"chair"}))),
    ]
    async with FetchedKeys([provider.issuer], provider.trust) as keys:
        verifier = OIDCVerifier([issuer], keys)
        await keys.prepare(good, now)
        assert verifier.verify(good, BINDING, now)[1] == claims
        with refuses("key"):  # a token that somebody else logged in for
            verifier.verify(LoginKey().sign(claims, token, provider.issuer), BINDING, now)
        with refuses("algorithm"):
            verifier.verify(key.sign(claims, elsewhere, provider.issuer), BINDING, now)
        both = dataclasses.replace(issuer, algorithms=frozenset({"ES256", "RS256"}))
        with refuses("audience"):
            OIDCVerifier([both], keys).verify(
                key.sign(claims, elsewhere, provider.issuer), BINDING, now
            )
        for reason, other in others:
            with refuses(reason):
                OIDCVerifier([other], keys).verify(good, BINDING, now)
        for reason, binding in OTHER_BINDINGS.items():
            with refuses(reason):
                verifier.verify(good, binding, now)


async def test_keys_come_only_from_a_server_that_is_believed(provider: RunningProvider) -> None:
    issuer, key, now = configured(provider, "RS256"), LoginKey(), time.time()
    token = await provider.log_in("ada", issuer.audience, key.thumbprint)
    good = key.sign(Claims.of(BINDING, "participant", int(now)), token, provider.issuer)
    async with FetchedKeys([provider.issuer], ssl.create_default_context()) as keys:
        await keys.prepare(good, now)
        assert keys.failures == {provider.issuer: 1}
        with refuses("key"):
            OIDCVerifier([issuer], keys).verify(good, BINDING, now)
    async with FetchedKeys([provider.issuer], provider.trust) as keys:
        await keys.prepare(good, now)
        assert keys.failures == {provider.issuer: 0}
        assert OIDCVerifier([issuer], keys).verify(good, BINDING, now)
