"""The three servers as processes of their own, to be killed and started again at the same ports."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from halfkey.endpoint import Endpoint, EndpointOptions
from halfkey.endpoint.media import PictureTrack, ToneTrack, VideoShape, tone_of
from halfkey.identity.invite import Invite, InviteSecret
from halfkey.identity.link import Link
from halfkey.key_distributor.places import STATE_FILE
from halfkey.key_distributor.store import Store
from halfkey.pki import make_authority, make_certificate, make_vouching_certificate
from tests.e2e.system import sha256_of
from tests.ports import free_ports

CONFERENCE = "plenary"
SHAPE = VideoShape(160, 90, 15)
START_SECONDS = 60.0
INVITED = 8


class Server:
    """One role: `halfkey kd`, `md` or `focus`.

    Args:
        role: the command.
        arguments: of the command, with fixed ports.
    """

    def __init__(self, role: str, arguments: dict[str, Any]) -> None:
        self.role = role
        self.arguments = arguments
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts it, and waits until it listens."""
        words = [sys.executable, "-m", "halfkey", self.role, "--supervised"]
        for name, value in self.arguments.items():
            words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
        assert self._process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            line = await self._process.stdout.readline()
        assert "ready" in json.loads(line or b"{}"), f"{self.role} did not start"

    async def kill(self) -> None:
        """SIGKILL: nothing is said to anybody."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@dataclass
class Processes:
    """All of it."""

    folder: Path
    kd: Server
    md: Server
    focus: Server
    focus_url: str
    links: list[Link]
    endpoints: list[Endpoint] = field(default_factory=list)

    def endpoint(self, index: int, **options: Any) -> Endpoint:
        """An Endpoint ``P<index>``, by its link, that sends its test picture and tone."""
        endpoint = Endpoint(EndpointOptions.by_link(self.links[index], **options))
        endpoint.add_track(ToneTrack(tone_of(index)))
        endpoint.add_track(PictureTrack(f"P{index}", index, SHAPE))
        self.endpoints.append(endpoint)
        return endpoint


@asynccontextmanager
async def running_processes(
    folder: Path, *, focus_state: bool = True, identities: Path | None = None
) -> AsyncIterator[Processes]:
    """Everything up; what joined is closed at the end.

    Args:
        folder: for certificates and state.
        focus_state: whether the Focus remembers participations.
        identities: whose identity is believed besides invites, as a file.
    """
    made = _prepare(folder, focus_state=focus_state)
    if identities is not None:
        made.kd.arguments["identities"] = identities
    servers = made.kd, made.md, made.focus
    try:
        await asyncio.gather(*(server.start() for server in servers))
        yield made
    finally:
        await asyncio.gather(*(endpoint.close() for endpoint in made.endpoints))
        await asyncio.gather(*(server.kill() for server in servers))


def _prepare(folder: Path, *, focus_state: bool) -> Processes:
    for name in ("kd", "md", "focus"):
        make_certificate(folder, name)
    vouching = make_vouching_certificate(folder, make_authority(folder, "authority"), "vouching")
    tunnel, admission, control, media, listen = (f"127.0.0.1:{port}" for port in free_ports(5))
    states = folder / "kd-state", folder / "focus-state"
    for state in states:
        state.mkdir()

    def own(name: str) -> dict[str, Any]:
        return {"certificate": folder / f"{name}.crt", "key": folder / f"{name}.key"}

    def trust(**others: str) -> dict[str, Any]:
        return {
            f"trust-{whom.replace('_', '-')}": folder / f"{name}.crt"
            for whom, name in others.items()
        }

    kd = Server(
        "kd",
        {
            **own("kd"),
            **trust(media_distributors="md", focuses="focus"),
            "tunnel-listen": tunnel,
            "admission-listen": admission,
            "state": states[0],
            "vouching-certificate": vouching[0],
            "vouching-key": vouching[1],
        },
    )
    md = Server(
        "md",
        {
            **own("md"),
            **trust(key_distributors="kd", focuses="focus"),
            "key-distributor": tunnel,
            "media-listen": media,
            "control-listen": control,
        },
    )
    focus = Server(
        "focus",
        {
            **own("focus"),
            **trust(key_distributors="kd", media_distributors="md"),
            "key-distributor": f"https://{admission}",
            "media-distributor": f"https://{control}",
            "listen": listen,
            **({"state": states[1]} if focus_state else {}),
        },
    )
    url = f"https://{listen}"
    return Processes(folder, kd, md, focus, url, _invite(folder, states[0], url))


def _invite(folder: Path, state: Path, url: str) -> list[Link]:
    authority, focus = (sha256_of(folder / f"{name}.crt") for name in ("authority", "focus"))
    links = []
    store = Store(state / STATE_FILE)
    for index in range(INVITED):
        secret, name = InviteSecret.make(CONFERENCE), f"P{index}"
        store.add_invite(
            Invite(f"i{index}", CONFERENCE, name, "participant", secret.thumbprint, None, 1)
        )
        links.append(Link(url, CONFERENCE, secret, authority, focus, name))
    store.close()
    return links
