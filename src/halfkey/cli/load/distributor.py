"""The Media Distributor under load: the real program, a process of its own, told who is there."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from halfkey.cli.arguments import address
from halfkey.cli.children import Child, ChildFailed, Children
from halfkey.cli.load.process import Usage, usage
from halfkey.cli.load.seats import CODECS
from halfkey.pki import make_certificate
from halfkey.sdp.codecs import EXTENSION_IDS, MID
from halfkey.tls import client_context

_ANSWER_TIMEOUT = 30.0
_LOOPBACK = "127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class Hop:
    """A hop's keys and salts, as a Key Distributor would give them: the outer halves."""

    profile: int
    client: tuple[bytes, bytes]
    server: tuple[bytes, bytes]

    @classmethod
    def make(cls, profile: int, key_length: int) -> Hop:
        """Fresh ones."""

        def pair() -> tuple[bytes, bytes]:
            return secrets.token_bytes(key_length), secrets.token_bytes(12)

        return cls(profile, pair(), pair())

    def __repr__(self) -> str:
        return f"Hop(profile={self.profile:#06x})"


class Distributor:
    """A running Media Distributor.

    Args:
        child: its process.
        session: HTTPS to its control API.
        url: of the control API.
        media: its media address.
    """

    def __init__(
        self, child: Child, session: aiohttp.ClientSession, url: str, media: tuple[str, int]
    ) -> None:
        self._child = child
        self._session = session
        self._url = url
        self.media = media

    def usage(self) -> Usage:
        """What its process has used so far."""
        return usage(self._child.pid)

    async def statistics(self) -> dict[str, Any]:
        """Its own counters."""
        content: dict[str, Any] = await self._ask("GET", "/statistics", None)
        return content

    async def admit(
        self,
        name: tuple[str, str],
        at: tuple[str, int],
        hop: Hop,
        *,
        kind: str,
        ssrc: int | None,
        slots: int,
    ) -> None:
        """Tells it of a participant: (conference, participant), its address and hop keys.

        Args:
            name: conference and participant.
            at: the participant's address.
            hop: its keys.
            kind: ``"audio"`` or ``"video"``.
            ssrc: of what it sends; None for nothing.
            slots: how many streams it is sent.
        """
        keys = {
            "client_key": hop.client[0],
            "client_salt": hop.client[1],
            "server_key": hop.server[0],
            "server_salt": hop.server[1],
        }
        sources = [] if ssrc is None else [{"mid": "s", "kind": kind, "ssrc": ssrc}]
        body = {
            "ice_ufrag": secrets.token_hex(4),
            "ice_pwd": secrets.token_hex(16),
            "sources": sources,
            "slots": [{"mid": f"{number}", "kind": kind} for number in range(slots)],
            "extensions": {MID: EXTENSION_IDS[MID]},
            "payload_types": {CODECS[kind].name: CODECS[kind].payload_type},
            "address": at[0],
            "port": at[1],
            "profile": hop.profile,
            **{field: base64.b64encode(value).decode() for field, value in keys.items()},
        }
        await self._ask("PUT", "/direct/" + "/".join(name), body)

    async def remove(self, name: tuple[str, str]) -> None:
        """Takes a participant out again: (conference, participant)."""
        conference, participant = (quote(one, safe="") for one in name)
        await self._ask("DELETE", f"/conferences/{conference}/participants/{participant}", None)

    async def _ask(self, method: str, path: str, body: object) -> Any:
        try:
            async with self._session.request(method, self._url + path, json=body) as response:
                if response.status == 204:
                    return None
                content = await response.json()
                if response.status != 200:
                    raise ChildFailed(f"the Media Distributor refuses {path}: {content['error']}")
                return content
        except (aiohttp.ClientError, TimeoutError, ValueError) as fault:
            how = self._child.how_it_ended("lives")
            raise ChildFailed(
                f"the Media Distributor, which {how}, doesn't answer {path}: {fault}"
            ) from None


@asynccontextmanager
async def distributor(credentials: Path, log: Path, workers: int) -> AsyncIterator[Distributor]:
    """Starts one on loopback that takes hop keys from us, and ends it.

    Raises:
        ChildFailed: it doesn't become ready.
    """
    own, asking = make_certificate(credentials, "md"), make_certificate(credentials, "load")
    children = Children()
    try:
        child = await children.start(
            Child(
                "the Media Distributor",
                [
                    *("md", "--direct", "--media-listen", _LOOPBACK, "--control-listen", _LOOPBACK),
                    *("--workers", str(workers)),
                    *("--certificate", str(own[0]), "--key", str(own[1])),
                    *("--trust-key-distributors", str(own[0]), "--trust-focuses", str(asking[0])),
                ],
                log,
                lambda _: None,
            )
        )
        addresses = await child.ready()
        connector = aiohttp.TCPConnector(ssl=client_context(own[0], *asking))
        timeout = aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            media = address(addresses["media"], "media")
            yield Distributor(child, session, f"https://{addresses['control']}", media)
    finally:
        await children.stop()
