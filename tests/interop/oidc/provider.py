"""Starts the OpenID provider, and logs in there as a browser would."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import secrets
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp

from halfkey.pki import make_certificate

HERE = Path(__file__).parent
REDIRECT = "https://127.0.0.1/back"
_FILES = ("package.json", "package-lock.json", "provider.mjs")


async def installed() -> Path:
    """The folder with provider and packages, in the user's cache; installed where it is not there.

    Its name has the hash of the files, so that what is there is what they say.
    """
    contents = b"".join((HERE / name).read_bytes() for name in _FILES)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "halfkey-tests"
    folder = cache / f"oidc-{hashlib.sha256(contents).hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=cache))
    for name in _FILES:
        shutil.copy(HERE / name, fresh)
    npm = await asyncio.create_subprocess_exec(
        *("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"),
        cwd=fresh,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await npm.communicate()
    assert npm.returncode == 0, output.decode()
    try:
        await asyncio.to_thread(fresh.rename, folder)
    except OSError:  # another run was faster
        shutil.rmtree(fresh)
    return folder


@dataclass(frozen=True)
class RunningProvider:
    """A provider that answers.

    Attributes:
        issuer: its identifier.
        trust: that believes its certificate, and no other.
    """

    issuer: str
    trust: ssl.SSLContext

    async def log_in(self, subject: str, client_id: str, nonce: str) -> str:
        """Logs in by the authorization code flow with PKCE, and gives the ID token."""
        verifier = secrets.token_urlsafe(32)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        query = {
            "client_id": client_id,
            "redirect_uri": REDIRECT,
            "response_type": "code",
            "scope": "openid profile",
            "nonce": nonce,
            "login_hint": subject,
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        jar = aiohttp.CookieJar(unsafe=True)  # which is aiohttp's word for "also for addresses"
        connector = aiohttp.TCPConnector(ssl=self.trust)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=jar) as session:
            code = await self._authorize(session, query)
            form = {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": REDIRECT,
                "client_id": client_id,
                "code_verifier": verifier,
            }
            async with session.post(f"{self.issuer}/token", data=form) as response:
                assert response.status == 200, await response.text()
                return str((await response.json())["id_token"])

    async def _authorize(self, session: aiohttp.ClientSession, query: dict[str, str]) -> str:
        async with session.get(
            f"{self.issuer}/auth", params=query, allow_redirects=False
        ) as response:
            assert response.status == 303, await response.text()
            place = response.headers["Location"]
        while not place.startswith(REDIRECT):
            place = place if place.startswith("https:") else self.issuer + place
            async with session.get(place, allow_redirects=False) as response:
                assert response.status == 303, await response.text()
                place = response.headers["Location"]
        return parse_qs(urlsplit(place).query)["code"][0]


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[RunningProvider]:
    """Runs a provider; its certificate goes into the folder."""
    certificate, key = make_certificate(folder, "provider")
    place = await installed()
    process = await asyncio.create_subprocess_exec(
        *("node", "provider.mjs", str(certificate), str(key), REDIRECT),
        cwd=place,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = await process.stdout.readline()
        trust = ssl.create_default_context(cafile=str(certificate))
        yield RunningProvider(json.loads(line)["issuer"], trust)
    finally:
        process.stdin.close()
        await process.wait()
