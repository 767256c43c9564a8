"""Stateless cookies (RFC 6347 section 4.2.1)."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

COOKIE_LENGTH = 32


class CookieSecrets:
    """Two rotating secrets, shared by all of a server's connections.

    A cookie is an HMAC over who asked (`peer`) and the parameters of the ClientHello; a cookie
    made under the secret before the current one is still good. Secrets change as cookies are made
    and checked: there is no timer to arm.

    Args:
        lifetime: seconds for which a secret makes cookies; as long again it only checks them.
        random: the source of the secrets.
    """

    __slots__ = ("_current", "_lifetime", "_previous", "_random", "_since")

    def __init__(self, lifetime: float = 60.0, random: Callable[[int], bytes] = os.urandom) -> None:
        self._lifetime = lifetime
        self._random = random
        self._current = self._new()
        self._previous = self._new()
        self._since: float | None = None

    def make(self, peer: bytes, parameters: bytes, now: float) -> bytes:
        """A cookie for `peer`, bound to the ClientHello's `parameters`."""
        self._rotate(now)
        return _cookie(self._current, peer, parameters)

    def accepts(self, cookie: bytes, peer: bytes, parameters: bytes, now: float) -> bool:
        """Whether the cookie was made here, lately, for this peer and these parameters."""
        if len(cookie) != COOKIE_LENGTH:
            return False
        self._rotate(now)
        return any(
            hmac.compare_digest(cookie, _cookie(secret, peer, parameters))
            for secret in (self._current, self._previous)
        )

    def _rotate(self, now: float) -> None:
        if self._since is None:
            self._since = now
        periods = int((now - self._since) // self._lifetime)
        if periods < 1:
            return
        # After two lifetimes of silence neither secret is young enough to go on checking.
        self._previous = self._current if periods == 1 else self._new()
        self._current = self._new()
        self._since += periods * self._lifetime

    def _new(self) -> HMAC:
        """A secret, taken up as a key once: for each cookie it is copied."""
        return HMAC(self._random(32), hashes.SHA256())


def _cookie(secret: HMAC, peer: bytes, parameters: bytes) -> bytes:
    mac = secret.copy()
    mac.update(len(peer).to_bytes(4, "big") + peer + parameters)
    return mac.finalize()
