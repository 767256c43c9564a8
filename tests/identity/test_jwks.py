"""Fetching keys, against real servers on loopback: bounded, and only where it is told to."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc.jwk import RSAKey

from halfkey.identity.envelope import IdentityAssertion
from halfkey.identity.jwks import (
    MAXIMUM_AGE,
    MINIMUM_INTERVAL,
    REFRESH_INTERVAL,
    FetchedKeys,
)
from halfkey.identity.keyset import MAXIMUM_KEY_SET
from halfkey.identity.oidc import LoginKey
from halfkey.pki import make_certificate
from tests.identity.helpers import CLAIMS, NOW, forge

KEY = RSAKey.generate_key(2048)


class Provider:
    """A provider's two documents, and how often each was asked for."""

    def __init__(self) -> None:
        self.issuer = ""
        self.names = ["r"]
        self.configuration: dict[str, Any] = {}
        self.answers: dict[str, web.Response] = {}
        self.asked: list[str] = []

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/{path:.*}", self._answer)
        return application

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if request.path in self.answers:
            return self.answers[request.path]
        if request.path == "/.well-known/openid-configuration":
            usual = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks"}
            return web.json_response(usual | self.configuration)
        keys = [KEY.as_dict(private=False) | {"kid": name} for name in self.names]
        return web.json_response({"keys": keys})


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    made = Provider()
    async with TestServer(made.application(), host="127.0.0.1") as server:
        made.issuer = f"http://127.0.0.1:{server.port}"
        yield made


def assertion(issuer: str, key_id: str = "r") -> IdentityAssertion:
    token = forge(KEY, {"alg": "RS256", "kid": key_id}, {"iss": issuer})
    return LoginKey().sign(CLAIMS, token, issuer)


async def test_keys_are_fetched_once_and_again_in_time(provider: Provider) -> None:
    wanted = assertion(provider.issuer)
    async with FetchedKeys([provider.issuer]) as keys:
        assert keys.key_set(provider.issuer, NOW) is None
        await keys.prepare(wanted, NOW)
        found = keys.key_set(provider.issuer, NOW)
        assert found is not None
        assert found.find("r", "RS256") is not None
        assert provider.asked == ["/.well-known/openid-configuration", "/jwks"]
        await keys.prepare(wanted, NOW + REFRESH_INTERVAL - 1)
        assert len(provider.asked) == 2
        await keys.prepare(wanted, NOW + REFRESH_INTERVAL)
        assert len(provider.asked) == 4
        assert keys.failures == {provider.issuer: 0}


async def test_an_unknown_key_is_asked_for_but_not_at_a_participants_rate(
    provider: Provider,
) -> None:
    async with FetchedKeys([provider.issuer]) as keys:
        await keys.prepare(assertion(provider.issuer), NOW)
        provider.names.append("new")
        for number in range(50):
            await keys.prepare(assertion(provider.issuer, f"n{number}"), NOW + 1)
        assert len(provider.asked) == 2
        await keys.prepare(assertion(provider.issuer, "new"), NOW + MINIMUM_INTERVAL)
        assert len(provider.asked) == 4
        found = keys.key_set(provider.issuer, NOW + MINIMUM_INTERVAL)
        assert found is not None
        assert found.find("new", "RS256") is not None


async def test_only_configured_issuers_are_asked(provider: Provider) -> None:
    async with FetchedKeys(["https://login.example"]) as keys:
        await keys.prepare(assertion(provider.issuer), NOW)
        assert keys.key_set(provider.issuer, NOW) is None
        assert provider.asked == []
    async with FetchedKeys([provider.issuer]) as keys:  # the control
        await keys.prepare(assertion(provider.issuer), NOW)
        assert len(provider.asked) == 2


async def test_known_keys_outlive_a_fault_for_a_day(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = assertion(provider.issuer)
    async with FetchedKeys([provider.issuer]) as keys:
        await keys.prepare(wanted, NOW)
        provider.configuration["issuer"] = "https://evil.example\nsecond line"
        later = NOW + MAXIMUM_AGE
        await keys.prepare(wanted, later)
        assert keys.failures == {provider.issuer: 1}
        assert "names another issuer" in caplog.messages[-1]
        assert keys.key_set(provider.issuer, later) is not None
        assert keys.key_set(provider.issuer, later + 1) is None
        # One attempt for each interval, and so one line in the log.
        await keys.prepare(wanted, later + 1)
        assert keys.failures == {provider.issuer: 1}
        provider.configuration.clear()
        await keys.prepare(wanted, later + MINIMUM_INTERVAL)
        assert keys.key_set(provider.issuer, later + MINIMUM_INTERVAL) is not None


CONFIGURATION = "/.well-known/openid-configuration"

FAULTS: list[tuple[dict[str, Any], dict[str, tuple[int, bytes, dict[str, str]]]]] = [
    ({"issuer": None}, {}),
    ({"jwks_uri": None}, {}),
    ({"jwks_uri": "http://keys.example/jwks"}, {}),
    ({"jwks_uri": "file:///etc/passwd"}, {}),
    ({"jwks_uri": "http://127.0.0.1:1/jwks"}, {}),
    ({"padding": "a" * MAXIMUM_KEY_SET}, {}),
    ({}, {CONFIGURATION: (404, b"", {})}),
    ({}, {CONFIGURATION: (200, b"not JSON", {})}),
    ({}, {CONFIGURATION: (200, b"[]", {})}),
    ({}, {CONFIGURATION: (302, b"", {"Location": "/elsewhere"})}),
    ({}, {"/jwks": (302, b"", {"Location": "/elsewhere"})}),
    ({}, {"/jwks": (500, json.dumps({"keys": [KEY.as_dict(private=False)]}).encode(), {})}),
    ({}, {"/jwks": (200, b'{"keys":[]}', {})}),
    ({}, {"/jwks": (200, b'{"keys":[],"keys":[]}', {})}),
    ({}, {"/jwks": (200, b'{"keys":[]}' + b" " * MAXIMUM_KEY_SET, {})}),
    ({}, {"/jwks": (200, b"not gzip", {"Content-Encoding": "gzip"})}),
]


@pytest.mark.parametrize(("configuration", "answers"), FAULTS)
async def test_a_provider_that_answers_otherwise_gives_no_key(
    provider: Provider,
    configuration: dict[str, Any],
    answers: dict[str, tuple[int, bytes, dict[str, str]]],
) -> None:
    provider.configuration = configuration
    for path, (status, body, headers) in answers.items():
        provider.answers[path] = web.Response(status=status, body=body, headers=headers)
    wanted = assertion(provider.issuer)
    async with FetchedKeys([provider.issuer]) as keys:
        await keys.prepare(wanted, NOW)
        assert keys.failures == {provider.issuer: 1}
        assert keys.key_set(provider.issuer, NOW) is None
        assert "/elsewhere" not in provider.asked
        # The control: the same provider, once it answers as it should.
        provider.configuration, provider.answers = {}, {}
        await keys.prepare(wanted, NOW + MINIMUM_INTERVAL)
        assert keys.key_set(provider.issuer, NOW + MINIMUM_INTERVAL) is not None


async def test_a_secure_issuers_keys_are_not_fetched_in_the_clear(
    provider: Provider, tmp_path: Path
) -> None:
    """What `is_safe_url` allows on loopback is not for an issuer that has TLS."""
    certificate, key = make_certificate(tmp_path, "provider")
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(certificate, key)
    clear, secure = provider.issuer, Provider()
    server = TestServer(secure.application(), host="127.0.0.1", scheme="https")
    await server.start_server(ssl=own)
    try:
        secure.issuer = f"https://127.0.0.1:{server.port}"
        secure.configuration["jwks_uri"] = f"{clear}/jwks"
        trust = ssl.create_default_context(cafile=certificate)
        async with FetchedKeys([secure.issuer], trust) as keys:
            await keys.prepare(assertion(secure.issuer), NOW)
            assert keys.failures == {secure.issuer: 1}
            assert (len(secure.asked), provider.asked) == (1, [])
            secure.configuration.clear()
            await keys.prepare(assertion(secure.issuer), NOW + MINIMUM_INTERVAL)
            assert keys.key_set(secure.issuer, NOW + MINIMUM_INTERVAL) is not None
    finally:
        await server.close()


async def test_nothing_is_fetched_before_it_is_open(provider: Provider) -> None:
    keys = FetchedKeys([provider.issuer])
    await keys.prepare(assertion(provider.issuer), NOW)
    assert keys.failures == {provider.issuer: 1}
    assert provider.asked == []
