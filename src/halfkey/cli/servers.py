"""Three servers on loopback: their certificates, their start, and what they say when asked."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from halfkey.cli.children import Child, ChildFailed, Children, Message
from halfkey.errors import CodecError
from halfkey.event_stream import read_events
from halfkey.identity.invite import Invite, InviteSecret
from halfkey.identity.link import Link
from halfkey.key_distributor.places import STATE_FILE
from halfkey.key_distributor.store import Store
from halfkey.pki import make_authority, make_certificate, make_vouching_certificate, sha256_of
from halfkey.tls import client_context

ANSWER_TIMEOUT = 5.0
"""Seconds that a server has to answer a question, if nothing is said."""

_NAMES = {"kd": "the Key Distributor", "md": "the Media Distributor", "focus": "the Focus"}
_TUNNEL_ATTEMPTS, _TUNNEL_INTERVAL = 400, 0.05
_LOOPBACK = "127.0.0.1:0"


class Servers:
    """A Key Distributor, a Media Distributor and a Focus on loopback, each a process.

    Args:
        children: what starts and ends them.
        credentials: a folder for certificates and keys, for nobody else to read.
        logs: a folder for each one's stderr.
        invited: conference and name of each person who gets a link.
        on_key_event: called with the Key Distributor's events; None where nobody wants them.
        kd: more options of the Key Distributor.
        md: more options of the Media Distributor.
        patience: seconds that a server has to answer a question.
    """

    def __init__(
        self,
        children: Children,
        credentials: Path,
        logs: Path,
        invited: Iterable[tuple[str, str]] = (),
        on_key_event: Callable[[Message], None] | None = None,
        *,
        kd: Sequence[str] = (),
        md: Sequence[str] = (),
        patience: float = ANSWER_TIMEOUT,
    ) -> None:
        self._children = children
        self._credentials = credentials
        self._logs = logs
        self._on_key_event = on_key_event
        self._patience = patience
        self._options = {"kd": kd, "md": md, "focus": ()}
        self._invited = {who: InviteSecret.make(who[0]) for who in invited}
        self._certificates: dict[str, tuple[Path, Path]] = {}
        self._urls: dict[str, str] = {}
        self._session: aiohttp.ClientSession | None = None
        self._following: asyncio.Task[None] | None = None
        self.media_distributor: Child | None = None
        self.media_address = ""
        self.focus_url = ""

    def link(self, conference: str, name: str) -> Link:
        """The link of somebody who is invited; good once everything has started."""
        return Link(
            focus_url=self.focus_url,
            conference=conference,
            secret=self._invited[conference, name],
            authority=sha256_of(self._certificates["authority"][0]),
            focus=self.focus_fingerprint,
            name=name,
        )

    @property
    def focus_fingerprint(self) -> bytes:
        """SHA-256 of the Focus's certificate, once everything has started."""
        return sha256_of(self._certificates["focus"][0])

    async def start(self) -> None:
        """Starts all three and waits until the tunnel between the first two is up.

        Raises:
            ChildFailed: one of them didn't become ready.
        """
        for name in ("kd", "md", "focus", "observer"):
            self._certificates[name] = make_certificate(self._credentials, name)
        authority = make_authority(self._credentials, "authority")
        self._certificates["authority"] = authority
        self._certificates["vouching"] = make_vouching_certificate(
            self._credentials, authority, "vouching"
        )
        self._invite()
        await self._start_key_distributor()
        await self._start_media_distributor()
        await self._start_focus()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._observer_context()),
            timeout=aiohttp.ClientTimeout(total=self._patience),
        )
        if self._on_key_event is not None:
            following = self._follow_key_distributor(self._on_key_event)
            self._following = asyncio.create_task(following)
        await self._tunnel_is_up()

    def _own(self, name: str) -> list[str]:
        certificate, key = self._certificates[name]
        return ["--certificate", str(certificate), "--key", str(key)]

    def _trust(self, option: str, *names: str) -> list[str]:
        """An option that names a bundle of these roles' certificates, written here."""
        bundle = self._credentials / f"{'-'.join(names)}.bundle"
        bundle.write_text("".join(self._certificates[name][0].read_text() for name in names))
        return [option, str(bundle)]

    async def _start(self, role: str, arguments: list[str]) -> tuple[Child, Message]:
        log = self._logs / f"{role}.log"
        child = await self._children.start(
            Child(_NAMES[role], [role, *arguments, *self._options[role]], log, lambda _: None)
        )
        return child, await child.ready()

    @property
    def _state(self) -> Path:
        """Where the Key Distributor keeps what it remembers."""
        return self._credentials / "state"

    def _invite(self) -> None:
        """Puts the invites where the Key Distributor will find them when it starts."""
        self._state.mkdir(mode=0o700)
        store = Store(self._state / STATE_FILE)
        for number, ((conference, name), secret) in enumerate(self._invited.items()):
            store.add_invite(
                Invite(f"invite-{number}", conference, name, "participant", secret.thumbprint)
            )
        store.close()

    async def _start_key_distributor(self) -> None:
        chain, key = self._certificates["vouching"]
        _, addresses = await self._start(
            "kd",
            [
                *("--tunnel-listen", _LOOPBACK, "--admission-listen", _LOOPBACK),
                *("--state", str(self._state)),
                *("--vouching-certificate", str(chain), "--vouching-key", str(key)),
                *self._own("kd"),
                *self._trust("--trust-media-distributors", "md"),
                *self._trust("--trust-focuses", "focus", "observer"),
            ],
        )
        self._urls["kd"] = f"https://{addresses['admission']}"
        self._urls["tunnel"] = addresses["tunnel"]

    async def _start_media_distributor(self) -> None:
        self.media_distributor, addresses = await self._start(
            "md",
            [
                *("--media-listen", _LOOPBACK, "--control-listen", _LOOPBACK),
                *("--key-distributor", self._urls["tunnel"]),
                *self._own("md"),
                *self._trust("--trust-key-distributors", "kd"),
                *self._trust("--trust-focuses", "focus", "observer"),
            ],
        )
        self._urls["md"] = f"https://{addresses['control']}"
        self.media_address = addresses["media"]

    async def _start_focus(self) -> None:
        _, addresses = await self._start(
            "focus",
            [
                *("--listen", _LOOPBACK),
                *("--key-distributor", self._urls["kd"]),
                *("--media-distributor", self._urls["md"]),
                *self._own("focus"),
                *self._trust("--trust-key-distributors", "kd"),
                *self._trust("--trust-media-distributors", "md"),
            ],
        )
        self.focus_url = f"https://{addresses['focus']}"

    def _observer_context(self) -> ssl.SSLContext:
        _, bundle = self._trust("", "kd", "md")
        return client_context(Path(bundle), *self._certificates["observer"])

    async def _tunnel_is_up(self) -> None:
        for _ in range(_TUNNEL_ATTEMPTS):
            if (await self.media_statistics())["tunnel"]["connected"]:
                return
            await asyncio.sleep(_TUNNEL_INTERVAL)
        raise ChildFailed(
            "the Media Distributor and the Key Distributor found no way to each other"
        )

    async def media_statistics(self) -> dict[str, Any]:
        """The Media Distributor's statistics."""
        return await self._get("md", "/statistics")

    async def key_statistics(self) -> dict[str, Any]:
        """The Key Distributor's statistics."""
        return await self._get("kd", "/statistics")

    async def captured_payloads(self) -> dict[int, bytes]:
        """By SSRC, the latest payload bytes that the Media Distributor had in its hands."""
        captured = await self._get("md", "/captured")
        return {int(ssrc): base64.b64decode(text) for ssrc, text in captured.items()}

    async def _get(self, role: str, path: str) -> dict[str, Any]:
        if self._session is None:
            raise ChildFailed("the servers were not started")
        try:
            async with self._session.get(self._urls[role] + path) as response:
                response.raise_for_status()
                content: dict[str, Any] = await response.json()
                return content
        except TimeoutError:
            raise ChildFailed(
                f"{_NAMES[role]} did not answer {path} within {self._patience:g} s"
            ) from None
        except (aiohttp.ClientError, ValueError) as error:
            raise ChildFailed(f"{_NAMES[role]} did not answer {path}: {error}") from error

    async def _follow_key_distributor(self, on_event: Callable[[Message], None]) -> None:
        """Hands on the Key Distributor's server-sent events for as long as there are any."""
        if self._session is None:
            return
        unlimited = aiohttp.ClientTimeout(total=None)
        with contextlib.suppress(aiohttp.ClientError, CodecError):
            async with self._session.get(self._urls["kd"] + "/events", timeout=unlimited) as events:
                async for event in read_events(events.content.iter_any()):
                    on_event({"event": event.name, **event.data})

    async def close(self) -> None:
        """Ends the observer's connections; the processes are the children's to end."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
