"""The Media Distributor under load: the real program, a process of its own, told who is there."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from halfkey._media import LoadGenerator
from halfkey.cli.arguments import address
from halfkey.cli.children import Child, ChildFailed, Children
from halfkey.cli.load.options import LoadOptions
from halfkey.cli.load.process import Usage, usage
from halfkey.cli.load.seats import Seat, codec, schedule, seats
from halfkey.cli.load.telling import tell
from halfkey.cli.load.traffic import Bursts
from halfkey.pki import make_certificate
from halfkey.sdp.codecs import EXTENSION_IDS, MID
from halfkey.tls import client_context

_ANSWER_TIMEOUT = 30.0
_LOOPBACK = "127.0.0.1:0"
_SPI = 1


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
    """A running Media Distributor that takes hop keys from us.

    Args:
        options: of the run.
        child: its process.
        session: HTTPS to its control API.
        url: of the control API.
        media: its media address.
    """

    def __init__(
        self,
        options: LoadOptions,
        child: Child,
        session: aiohttp.ClientSession,
        url: str,
        media: tuple[str, int],
    ) -> None:
        self._options = options
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

    async def admit_all(self, generator: LoadGenerator) -> None:
        """Tells both sides of everybody, with fresh keys."""
        tell(self._options, f"admitting {self._options.participants} participants")
        length = self._options.key_length
        ekt = [
            (_SPI, secrets.token_bytes(length), secrets.token_bytes(14))
            for _ in range(self._options.conferences)
        ]
        for seat in seats(self._options):
            hop = Hop.make(self._options.profile.value, length)
            at = generator.add(
                seat.number,
                client=hop.client,
                server=hop.server,
                ekt=ekt[seat.number],
                receives=seat.receives,
                stream=self._stream(seat),
            )
            await self._admit(seat, at, hop)

    def hand_back(self, participant: int, datagram: bytes) -> None:
        """Takes what isn't media, and means nothing: nobody has joined."""

    def check(self) -> None:
        """Nobody can be lost: there is no consent, and there are no associations."""

    def _stream(self, seat: Seat) -> tuple[int, bytes, int, Bursts, float] | None:
        if seat.stream is None:
            return None
        key = secrets.token_bytes(self._options.key_length)
        payload_type = codec(self._options).payload_type
        return seat.stream + 1, key, payload_type, *schedule(self._options, seat.stream)

    async def _admit(self, seat: Seat, at: tuple[str, int], hop: Hop) -> None:
        """Tells the Media Distributor of a participant: its address and hop keys."""
        keys = {
            "client_key": hop.client[0],
            "client_salt": hop.client[1],
            "server_key": hop.server[0],
            "server_salt": hop.server[1],
        }
        kind, sent = self._options.scenario.kind, codec(self._options)
        ssrc = None if seat.stream is None else seat.stream + 1
        slots = self._options.slots if seat.receives else 0
        body = {
            "ice_ufrag": secrets.token_hex(4),
            "ice_pwd": secrets.token_hex(16),
            "sources": [] if ssrc is None else [{"mid": "s", "kind": kind, "ssrc": ssrc}],
            "slots": [{"mid": f"{number}", "kind": kind} for number in range(slots)],
            "extensions": {MID: EXTENSION_IDS[MID]},
            "payload_types": {sent.name: sent.payload_type},
            "address": at[0],
            "port": at[1],
            "profile": hop.profile,
            **{field: base64.b64encode(value).decode() for field, value in keys.items()},
        }
        await self._ask("PUT", f"/direct/{seat.conference}/{seat.name}", body)

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
async def distributor(options: LoadOptions, credentials: Path) -> AsyncIterator[Distributor]:
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
                    *("--workers", str(options.workers)),
                    *("--certificate", str(own[0]), "--key", str(own[1])),
                    *("--trust-key-distributors", str(own[0]), "--trust-focuses", str(asking[0])),
                ],
                options.out / "md.log",
                lambda _: None,
            )
        )
        addresses = await child.ready()
        connector = aiohttp.TCPConnector(ssl=client_context(own[0], *asking))
        timeout = aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            media = address(addresses["media"], "media")
            yield Distributor(options, child, session, f"https://{addresses['control']}", media)
    finally:
        await children.stop()
