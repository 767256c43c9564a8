"""Fetches the keys of configured OpenID providers (OpenID Connect Discovery 1.0, RFC 7517).

Only configured issuers are asked, over TLS, without following redirects, with bounds on time and
size, and no more often than `MINIMUM_INTERVAL` whatever participants send. Where a provider
doesn't answer, its last keys count for `MAXIMUM_AGE` and then no longer.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType

import aiohttp

from halfkey.errors import CodecError
from halfkey.http_body import read_body
from halfkey.identity.envelope import IdentityAssertion
from halfkey.identity.jose import parse_object
from halfkey.identity.keyset import MAXIMUM_KEY_SET, KeySet
from halfkey.identity.oidc import is_safe_url, wanted_key

REFRESH_INTERVAL = 3600
"""Seconds after which keys are fetched again at the next use."""

MINIMUM_INTERVAL = 30
"""Seconds between two attempts with one issuer, for a key that is not among those known."""

MAXIMUM_AGE = 24 * 3600
"""Seconds for which keys count when they can't be fetched again."""

TIMEOUT_SECONDS = 5.0
"""For one document."""

_DISCOVERY = "/.well-known/openid-configuration"
_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Known:
    """What is known of one issuer; times are Unix seconds."""

    keys: KeySet | None = None
    fetched_at: float = 0.0
    tried_at: float | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class FetchedKeys:
    """A `halfkey.identity.oidc.JWKSource` that fetches. Use it as an asynchronous context.

    Attributes:
        failures: attempts that failed, by issuer.

    Args:
        issuers: identifiers of the configured ones.
        trust: authorities of the providers' servers; the system's by default.
    """

    def __init__(self, issuers: Iterable[str], trust: ssl.SSLContext | None = None) -> None:
        self._known = {issuer: _Known() for issuer in issuers}
        self._trust = trust
        self._session: aiohttp.ClientSession | None = None
        self.failures = dict.fromkeys(self._known, 0)

    async def __aenter__(self) -> FetchedKeys:
        connector = aiohttp.TCPConnector(ssl=self._trust or True, limit=8)
        # The environment's proxies are not asked: they would be one more party to believe.
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def key_set(self, issuer: str, now: float) -> KeySet | None:
        """The keys as last fetched, unless that is too long ago."""
        known = self._known.get(issuer)
        if known is None or now - known.fetched_at > MAXIMUM_AGE:
            return None
        return known.keys

    async def prepare(self, assertion: IdentityAssertion, now: float) -> None:
        """Fetches what an assertion needs, where it is time. Call it before verifying.

        It raises nothing: an assertion whose key stays unknown is refused for that.

        Args:
            assertion: as it came.
            now: Unix time, seconds.
        """
        wanted = wanted_key(assertion)
        if wanted is None or wanted[0] not in self._known:
            return
        issuer, key_id, algorithm = wanted
        known = self._known[issuer]
        async with known.lock:
            if _is_due(known, key_id, algorithm, now):
                await self._refresh(issuer, known, now)

    async def _refresh(self, issuer: str, known: _Known, now: float) -> None:
        known.tried_at = now
        try:
            known.keys = await self._fetch(issuer)
            known.fetched_at = now
        except (aiohttp.ClientError, CodecError, OSError, TimeoutError) as fault:
            self.failures[issuer] += 1
            _logger.warning("no keys from %s: %s", issuer, _line(fault))

    async def _fetch(self, issuer: str) -> KeySet:
        document = parse_object(await self._get(issuer.rstrip("/") + _DISCOVERY))
        if document.get("issuer") != issuer:
            raise CodecError("its configuration names another issuer")
        address = document.get("jwks_uri")
        if not isinstance(address, str) or not is_safe_url(address):
            raise CodecError("its jwks_uri is no https address")
        if issuer.startswith("https:") and not address.startswith("https:"):
            raise CodecError("its jwks_uri is no https address")
        keys = KeySet.parse(await self._get(address))
        if not len(keys):
            raise CodecError("its JWK Set has no key for signatures")
        return keys

    async def _get(self, address: str) -> bytes:
        if self._session is None:
            raise CodecError("not open")
        async with self._session.get(address, allow_redirects=False) as response:
            if response.status != 200:
                raise CodecError(f"it answered {response.status}")
            try:
                return await read_body(response, MAXIMUM_KEY_SET)
            except ValueError as fault:
                raise CodecError(str(fault)) from None


def _is_due(known: _Known, key_id: str | None, algorithm: str, now: float) -> bool:
    # A clock that was set back makes it due as well.
    if known.tried_at is not None and 0 <= now - known.tried_at < MINIMUM_INTERVAL:
        return False
    if known.keys is None or not 0 <= now - known.fetched_at < REFRESH_INTERVAL:
        return True
    return known.keys.find(key_id, algorithm) is None


def _line(fault: Exception) -> str:
    """What went wrong, for the log: one line, of bounded length."""
    text = " ".join(str(fault).split())[:200]
    return "".join(c for c in text if c.isprintable()) or type(fault).__name__
