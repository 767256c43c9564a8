"""A conference to measure in: each role a process of its own on loopback, and light Endpoints here.

The Key Distributor has a state folder, so its audit log is synced to the disk before a key leaves,
and it vouches for the roster. The Media Distributor is started hostile: it goes on forwarding to
whoever was taken out, so that it is the rekey alone that shuts somebody out.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from halfkey._media import UnprotectedPacket
from halfkey.cli.children import Child, Children
from halfkey.endpoint.client import FocusClient
from halfkey.endpoint.core import EKTKeyInstalled, KeysSwitched
from halfkey.endpoint.light import LightEndpoint
from halfkey.endpoint.transport import TransportEvent
from halfkey.event_stream import read_events
from halfkey.identity.invite import Invite, InviteSecret
from halfkey.identity.link import Link
from halfkey.key_distributor.places import STATE_FILE
from halfkey.key_distributor.store import Store
from halfkey.pki import make_authority, make_certificate, make_vouching_certificate
from halfkey.tls import client_context

NAME = "benchmark"
ROLES = {"kd": "Key Distributor", "md": "Media Distributor", "focus": "Focus"}

_LOOPBACK = "127.0.0.1:0"
_SENT_AT = struct.Struct(">d")
_PADDING = bytes(52)
_RTP_HEADER = 12
_PAGE, _TICK = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")


class Servers:
    """Key Distributor, Media Distributor and Focus, as processes.

    Attributes:
        focus: speaks with the Focus.
        links: one for each person invited.
        acknowledged_after: by SPI, the seconds from the Key Distributor's decision to the last
            acknowledgement, as it says itself.

    Args:
        folder: for keys, state and logs; nobody else's to read.
        people: how many to invite.
    """

    def __init__(self, folder: Path, people: int) -> None:
        self._folder = folder
        self._people = people
        self._children = Children()
        self._stack = AsyncExitStack()
        self._pids: dict[str, int] = {}
        self._admission = ""
        self.focus: FocusClient
        self.links: list[Link] = []
        self._participants: dict[str, str] = {}
        self.acknowledged_after: dict[int, float] = {}

    async def __aenter__(self) -> Servers:
        try:
            await self._start()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def remove(self, person: int) -> None:
        """Has the Key Distributor take a person out, and returns with its answer.

        By then the new key is made, on record, and written to the tunnel.
        """
        participant = self._participants[f"invite:i{person}"]
        url = f"{self._admission}/conferences/{NAME}/participants/{participant}"
        async with self._session.delete(url) as response:
            response.raise_for_status()

    def usage(self, role: str) -> tuple[float, float]:
        """A role's seconds of CPU so far, and its resident memory in MB."""
        process = Path("/proc") / str(self._pids[role])
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        seconds = (int(fields[11]) + int(fields[12])) / _TICK
        resident = int((process / "statm").read_text().split()[1]) * _PAGE / 1e6
        return seconds, resident

    # Inside

    async def _start(self) -> None:
        folder = self._folder
        for name in ("kd", "md", "focus", "operator"):
            make_certificate(folder, name)
        make_vouching_certificate(folder, make_authority(folder, "authority"), "vouching")
        self._bundle("focuses", "focus", "operator")
        secrets = self._invite()
        kd = await self._run(
            *("kd", "--tunnel-listen", _LOOPBACK, "--admission-listen", _LOOPBACK),
            *("--trust-media-distributors", self._path("md.crt")),
            *("--trust-focuses", self._path("focuses"), "--state", self._path("state")),
            *("--vouching-certificate", self._path("vouching.crt")),
            *("--vouching-key", self._path("vouching.key")),
        )
        self._admission = f"https://{kd['admission']}"
        md = await self._run(
            *("md", "--media-listen", _LOOPBACK, "--control-listen", _LOOPBACK, "--hostile"),
            *("--key-distributor", kd["tunnel"], "--trust-focuses", self._path("focuses")),
            *("--trust-key-distributors", self._path("kd.crt")),
        )
        focus = await self._run(
            *("focus", "--listen", _LOOPBACK, "--key-distributor", self._admission),
            *("--media-distributor", f"https://{md['control']}"),
            *("--trust-key-distributors", self._path("kd.crt")),
            *("--trust-media-distributors", self._path("md.crt")),
        )
        await self._connect(f"https://{focus['focus']}", f"https://{md['control']}", secrets)

    async def _connect(self, focus: str, control: str, secrets: list[InviteSecret]) -> None:
        folder = self._folder
        authority, own = _sha256(folder / "authority.crt"), _sha256(folder / "focus.crt")
        self.links = [
            Link(focus, NAME, secret, authority, own, f"Person {number}", "participant")
            for number, secret in enumerate(secrets)
        ]
        self.focus = FocusClient(focus, NAME, own)
        self._stack.push_async_callback(self.focus.close)
        servers = self._bundle("servers", "kd", "md")
        tls = client_context(servers, folder / "operator.crt", folder / "operator.key")
        self._session = await self._stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls))
        )
        async with asyncio.timeout(20):
            while not await self._tunnel_is_up(control):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        following = asyncio.create_task(self._follow())
        self._stack.callback(following.cancel)

    async def _follow(self) -> None:
        """Takes the Key Distributor's events: who is who, and how rekeys went."""
        unlimited = aiohttp.ClientTimeout(total=None)
        async with self._session.get(f"{self._admission}/events", timeout=unlimited) as response:
            async for event in read_events(response.content.iter_any()):
                data = event.data
                if event.name == "admitted":
                    self._participants[data["identity"]] = data["participant"]
                elif event.name == "rekeyed":
                    self.acknowledged_after[data["spi"]] = data["ms"] / 1000

    async def _tunnel_is_up(self, control: str) -> bool:
        async with self._session.get(f"{control}/statistics") as response:
            return bool((await response.json())["tunnel"]["connected"])

    async def _run(self, role: str, *arguments: str) -> dict[str, str]:
        own = "--certificate", self._path(f"{role}.crt"), "--key", self._path(f"{role}.key")
        log = self._folder / f"{role}.log"
        child = Child(ROLES[role], [role, *arguments, *own], log, lambda _: None)
        await self._children.start(child)
        addresses = await child.ready()
        self._pids[role] = child.pid
        return addresses

    def _invite(self) -> list[InviteSecret]:
        """Writes the invites into the Key Distributor's state, before it starts."""
        state = self._folder / "state"
        state.mkdir(mode=0o700)
        store = Store(state / STATE_FILE)
        secrets = [InviteSecret.make(NAME) for _ in range(self._people)]
        for number, secret in enumerate(secrets):
            person = f"Person {number}", "participant", secret.thumbprint
            store.add_invite(Invite(f"i{number}", NAME, *person))
        store.close()
        return secrets

    def _path(self, name: str) -> str:
        return str(self._folder / name)

    def _bundle(self, name: str, *members: str) -> Path:
        path = self._folder / name
        path.write_text("".join((self._folder / f"{one}.crt").read_text() for one in members))
        return path

    async def _close(self) -> None:
        await self._stack.aclose()
        await self._children.stop()


def _sha256(certificate: Path) -> bytes:
    parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
    return parsed.fingerprint(hashes.SHA256())


class Member:
    """One light Endpoint, what it heard, and when its keys changed; seconds are the loop's.

    Attributes:
        endpoint: it.
        newest: by SSRC, when the latest packet was sent of those that it could open.
        installed: by SPI, when it got that EKTKey.
        switched: by SPI, when it began to send under that EKTKey.

    Args:
        link: what it joins by.
        rate: packets each second that it sends; 0 for none.
        slots: how many others it hears.
    """

    def __init__(self, link: Link, rate: float, slots: int) -> None:
        self.endpoint = LightEndpoint(
            link, sends=rate > 0, slots=slots, on_opened=self._opened, on_event=self._happened
        )
        self.newest: dict[int, float] = {}
        self.installed: dict[int, float] = {}
        self.switched: dict[int, float] = {}
        self._interval = 1 / rate if rate else 0.0
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.TimerHandle | None = None

    async def join(self, focus: FocusClient) -> None:
        """Joins, and begins to send."""
        await self.endpoint.join(focus)
        if self._interval:
            self._send(self._loop.time())

    async def close(self) -> None:
        """Ends it."""
        if self._next is not None:
            self._next.cancel()
        await self.endpoint.close()

    def _send(self, due: float) -> None:
        """Sends a packet with the time in it, and sees to the next; late ones aren't made up."""
        now = self._loop.time()
        self.endpoint.send(_SENT_AT.pack(now) + _PADDING)
        due = max(due + self._interval, now)
        self._next = self._loop.call_at(due, self._send, due)

    def _opened(self, opened: UnprotectedPacket) -> None:
        header = _RTP_HEADER
        if opened.packet[0] & 0x10:  # the hop's header extension (RFC 3550 section 5.3.1)
            header += 4 + 4 * int.from_bytes(opened.packet[14:16], "big")
        (sent_at,) = _SENT_AT.unpack_from(opened.packet, header)
        self.newest[opened.ssrc] = max(sent_at, self.newest.get(opened.ssrc, 0.0))

    def _happened(self, event: TransportEvent) -> None:
        if isinstance(event, EKTKeyInstalled):
            self.installed[event.spi] = event.at
        elif isinstance(event, KeysSwitched):
            self.switched.setdefault(event.spi, event.at)


async def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Waits for a condition.

    Raises:
        RuntimeError: it took too long; then there is nothing to measure.
    """
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 (what is awaited has no event of its own)
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise RuntimeError(f"{what}: not within {seconds:g} s") from None
