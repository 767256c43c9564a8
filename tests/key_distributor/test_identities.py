"""OpenID providers and PASSporTs that a Key Distributor is told to believe, over real HTTPS."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import RSAKey

from halfkey.audit.keys import PUBLIC_KEY_FILE, load_public_key
from halfkey.audit.reader import LogReader
from halfkey.audit.records import Refused
from halfkey.dtls import Fingerprint
from halfkey.errors import ConfigurationError
from halfkey.identity.claims import Binding, Claims
from halfkey.identity.envelope import IdentityAssertion
from halfkey.identity.oidc import LoginKey
from halfkey.identity.passport import PassportSigner
from halfkey.key_distributor.identities import Identities
from halfkey.key_distributor.places import AUDIT_FOLDER
from halfkey.key_distributor.service import serve
from halfkey.sdp import build_offer
from halfkey.sdp.transport import Transport
from tests.identity.certificates import DAY, Holder, issue, uris
from tests.identity.helpers import forge
from tests.key_distributor.helpers import Certificates, Running

KEY = RSAKey.generate_key(2048)
TODAY = datetime.datetime.now(datetime.UTC) - DAY
OIDC = '[[oidc]]\naudience = "a"\nroles = ["r"]\nconferences = ["*"]\n'
CHAIN_URL = "https://cr.example/alice.pem"


def claims(conference: str = "board") -> Claims:
    binding = Binding(conference, Fingerprint.of(os.urandom(8)), os.urandom(15).hex(), (7,))
    return Claims.of(binding, "participant", int(time.time()))


def request(bound: Claims, assertion: IdentityAssertion) -> dict[str, Any]:
    """What a Focus sends of somebody with that assertion."""
    transport = Transport(str(bound.fingerprint), bound.tls_id, "ufrag", "p" * 24)
    offer = build_offer(
        session_id=1,
        transport=transport,
        sources=[("audio", ssrc) for ssrc in bound.ssrcs],
        audio_slots=1,
        video_slots=0,
        cname="cname",
        identity=str(assertion),
    )
    return {
        "fingerprint": str(bound.fingerprint),
        "tls_id": bound.tls_id,
        "offer": offer.text,
        "assertion": str(assertion),
    }


@pytest.fixture
async def issuer() -> AsyncIterator[str]:
    """A provider's two documents."""

    async def configuration(_: web.Request) -> web.Response:
        return web.json_response({"issuer": url, "jwks_uri": f"{url}/jwks"})

    async def keys(_: web.Request) -> web.Response:
        return web.json_response({"keys": [KEY.as_dict(private=False) | {"kid": "k"}]})

    application = web.Application()
    application.router.add_get("/.well-known/openid-configuration", configuration)
    application.router.add_get("/jwks", keys)
    async with TestServer(application, host="127.0.0.1") as server:
        url = f"http://127.0.0.1:{server.port}"
        yield url


def oidc(issuer: str, bound: Claims, subject: str = "248289761001") -> IdentityAssertion:
    login = LoginKey()
    token = {
        "iss": issuer,
        "aud": "halfkey",
        "sub": subject,
        "name": "Alice",
        "iat": bound.issued_at,
        "exp": bound.issued_at + 300,
        "nonce": login.thumbprint,
    }
    return login.sign(bound, forge(KEY, {"alg": "RS256", "kid": "k"}, token), issuer)


@asynccontextmanager
async def believing(
    certificates: Certificates, identities: Path, **changes: object
) -> AsyncIterator[Running]:
    context = certificates.dialling(certificates.focus)
    settings = {"believe_focus": False, "identities": identities, **changes}
    options = certificates.options(**settings)
    async with (
        serve(options) as kd,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
    ):
        yield Running(kd.addresses, session)


async def admit(
    running: Running, body: dict[str, Any], name: str = "alice", conference: str = "board"
) -> tuple[int, str]:
    url = running.url(f"/conferences/{conference}/participants/{name}")
    async with running.focus.put(url, json=body) as response:
        return response.status, str((await response.json()).get("error", ""))


async def test_who_logs_in_with_a_provider_is_admitted(
    certificates: Certificates, tmp_path: Path, issuer: str
) -> None:
    path = tmp_path / "identities.toml"
    told = f'[[oidc]]\nissuer = "{issuer}"\naudience = "halfkey"\nroles = ["participant"]\n'
    path.write_text(told + 'conferences = ["board"]')
    async with believing(certificates, path) as running:
        bound = claims()
        assert (await admit(running, request(bound, oidc(issuer, bound))))[0] == 201
        host = replace(claims(), role="host")
        status, error = await admit(running, request(host, oidc(issuer, host)), "bob")
        assert (status, "another role" in error) == (403, True)
        other = claims()
        status, error = await admit(running, request(other, oidc("https://other", other)), "eve")
        assert (status, "issuer" in error) == (403, True)


@pytest.fixture
def root() -> Holder:
    return issue("STI root", authority=True, since=TODAY)


async def test_who_has_a_telephone_number_is_admitted(
    certificates: Certificates, tmp_path: Path, root: Holder
) -> None:
    alice = issue("alice", root, uris("sip:alice@example.org"), since=TODAY)
    (tmp_path / "roots.pem").write_bytes(root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "alice.pem").write_bytes(alice.certificate.public_bytes(Encoding.PEM))
    path = tmp_path / "identities.toml"
    path.write_text(
        '[passport]\nroots = "roots.pem"\ndomain = "meet.example"\nroles = ["participant"]\n'
        'conferences = ["board"]\n'
        f'[passport.certificates]\n"{CHAIN_URL}" = "alice.pem"\n'
    )
    signer = PassportSigner(alice.jose, CHAIN_URL, "sip:alice@example.org", "meet.example")
    stranger = replace(signer, identity="sip:bob@example.org")
    async with believing(certificates, path) as running:
        bound = claims()
        status, error = await admit(running, request(bound, stranger.sign(bound)))
        assert (status, "may not speak" in error) == (403, True)
        bound = claims()
        assert (await admit(running, request(bound, signer.sign(bound))))[0] == 201


@pytest.mark.parametrize("kind", ["oidc", "passport"])
async def test_an_authority_speaks_for_the_conferences_that_are_named(
    certificates: Certificates, tmp_path: Path, issuer: str, root: Holder, kind: str
) -> None:
    alice = issue("alice", root, uris("sip:alice@example.org"), since=TODAY)
    (tmp_path / "roots.pem").write_bytes(root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "alice.pem").write_bytes(alice.certificate.public_bytes(Encoding.PEM))
    path, state = tmp_path / "identities.toml", tmp_path / "state"
    state.mkdir()
    scope = 'roles = ["participant"]\nconferences = ["board"]\n'
    path.write_text(
        f'[[oidc]]\nissuer = "{issuer}"\naudience = "halfkey"\n{scope}'
        f'[passport]\nroots = "roots.pem"\ndomain = "meet.example"\n{scope}'
        f'[passport.certificates]\n"{CHAIN_URL}" = "alice.pem"\n'
    )
    signer = PassportSigner(alice.jose, CHAIN_URL, "sip:alice@example.org", "meet.example")

    def asserted(bound: Claims) -> dict[str, Any]:
        return request(bound, oidc(issuer, bound) if kind == "oidc" else signer.sign(bound))

    async with believing(certificates, path, state=state) as running:
        weekly = asserted(claims("weekly"))
        status, error = await admit(running, weekly, conference="weekly")
        assert (status, "may not speak for this conference" in error) == (403, True)
        assert (await admit(running, asserted(claims())))[0] == 201
    folder = state / AUDIT_FOLDER
    reader = LogReader(folder, load_public_key(folder / PUBLIC_KEY_FILE))
    noted = [record for _, record in reader.records() if isinstance(record, Refused)]
    assert [(one.reason, one.conference) for one in noted] == [("scope", "weekly")]


async def test_a_named_conference_is_theirs_also_where_the_focus_is_believed(
    certificates: Certificates, tmp_path: Path
) -> None:
    path = tmp_path / "identities.toml"
    path.write_text(f'{OIDC.replace("*", "board")}issuer = "https://id.example"')
    async with believing(certificates, path, believe_focus=True) as running:
        stranger = {"fingerprint": str(Fingerprint.of(b"stranger")), "tls_id": "t" * 24}
        status, error = await admit(running, stranger)
        assert (status, "join this conference by link" in error) == (409, True)
        assert (await admit(running, stranger, conference="open"))[0] == 201


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("oidc = 5", "oidc: write tables"),
        ("[[oidc]]\n", "[oidc] issuer: write a string"),
        (f'{OIDC}issuer = "ftp://x"', "https://"),
        ('[[oidc]]\nissuer = "https://x"\naudience = "a"\nroles = ["r"]', "conferences: write"),
        (f'{OIDC.replace("*", "a b")}issuer = "https://x"', "conferences: write"),
        ('[[oidc]]\nissuer = "https://x"\naudience = "a"\nroles = "r"', "write an array"),
        (f'{OIDC}issuer = "https://x"\nkey = 1', "no such"),
        ("passport = 5", "write a table"),
        ('[passport]\nroots = "gone.pem"', "[passport] roots: can't read"),
        (
            '[passport]\nroots = "ca.pem"\ndomain = "d"\nroles = ["r"]',
            "[passport] conferences: write",
        ),
        ('[passport]\nroots = "identities.toml"', "no certificate in identities.toml"),
        ("saml = true", "saml: there is no such setting"),
        ("[", "is no TOML"),
    ],
)
def test_what_is_wrong_is_named(
    certificates: Certificates, tmp_path: Path, content: str, told: str
) -> None:
    (tmp_path / "ca.pem").write_bytes(certificates.kd[0].read_bytes())
    path = tmp_path / "identities.toml"
    path.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        Identities.read(path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_file_believes_nobody_more_and_a_missing_one_is_told(tmp_path: Path) -> None:
    path = tmp_path / "identities.toml"
    path.write_text("")
    assert Identities.read(path) == Identities()
    with pytest.raises(ConfigurationError, match="can't be read"):
        Identities.read(tmp_path / "gone.toml")
