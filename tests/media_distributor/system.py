"""Media Distributor and Key Distributor as services, a Focus's requests, and real Endpoints."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import aiohttp
from aioice import stun

from halfkey import dtls
from halfkey.demux import PacketKind, classify
from halfkey.ekt.messages import EKTCipher
from halfkey.ice import Credentials
from halfkey.key_distributor.service import serve as serve_key_distributor
from halfkey.media_distributor.events import Event
from halfkey.media_distributor.service import MediaDistributorOptions, serve
from halfkey.profiles import DOUBLE_128
from halfkey.tls import client_context
from tests.key_distributor.helpers import Certificates
from tests.media_distributor.media import Group, Media, Offered, is_media
from tests.media_distributor.stage import binding_request

TIMEOUT = 20.0
CONFERENCE = "c"

Address = tuple[str, int]


def options(certificates: Certificates, **changes: Any) -> MediaDistributorOptions:
    """A Media Distributor's, on ports that are free."""
    return MediaDistributorOptions(
        certificate=certificates.md[0],
        key=certificates.md[1],
        trusted_key_distributors=certificates.kd[0],
        trusted_focuses=certificates.focus[0],
        **changes,
    )


def focus_tls(certificates: Certificates) -> ssl.SSLContext:
    """The Focus's side towards the Media Distributor."""
    return client_context(certificates.md[0], *certificates.focus)


def session(tls: ssl.SSLContext) -> aiohttp.ClientSession:
    """An HTTPS client."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls))


@dataclass
class MediaDistributor:
    """One that runs, with its Focus's client."""

    addresses: dict[str, Address]
    focus: aiohttp.ClientSession
    events: list[Event] = field(default_factory=list)

    def url(self, path: str) -> str:
        host, port = self.addresses["control"]
        return f"https://{host}:{port}{path}"

    async def put(self, name: str, offered: Offered) -> tuple[int, dict[str, Any]]:
        """The Focus's request for a participant."""
        allocation = offered.allocation()
        body = asdict(allocation)
        async with self.focus.put(self.url(participant(name)), json=body) as response:
            return response.status, await response.json()

    async def remove(self, name: str) -> int:
        async with self.focus.delete(self.url(participant(name))) as response:
            return response.status

    async def statistics(self) -> dict[str, Any]:
        async with self.focus.get(self.url("/statistics")) as response:
            statistics: dict[str, Any] = await response.json()
            return statistics

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Asks for the statistics until they are as wanted."""
        async with asyncio.timeout(TIMEOUT):
            while not condition(now := await self.statistics()):  # noqa: ASYNC110 (asked over HTTPS)
                await asyncio.sleep(0.01)
            return now

    async def tunnel(self, connected: bool = True) -> None:
        await self.until(lambda now: now["tunnel"]["connected"] is connected)


@asynccontextmanager
async def media_distributor(
    certificates: Certificates, **changes: Any
) -> AsyncIterator[MediaDistributor]:
    """Runs one as long as the context is open."""
    events: list[Event] = []
    async with (
        serve(options(certificates, **changes), events.append) as addresses,
        session(focus_tls(certificates)) as focus,
    ):
        yield MediaDistributor(addresses, focus, events)


@dataclass
class KeyDistributor:
    """One that runs, with its Focus's client."""

    addresses: dict[str, Address]
    focus: aiohttp.ClientSession
    events: list[Any] = field(default_factory=list)

    async def admit(self, name: str, body: dict[str, str]) -> dict[str, str]:
        host, port = self.addresses["admission"]
        url = f"https://{host}:{port}{participant(name)}"
        async with self.focus.put(url, json=body) as response:
            assert response.status in (200, 201)
            admission: dict[str, str] = await response.json()
            return admission

    def of(self, kind: type) -> list[Any]:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def key_distributor(
    certificates: Certificates, **changes: Any
) -> AsyncIterator[KeyDistributor]:
    """Runs one as long as the context is open."""
    events: list[Any] = []
    async with (
        serve_key_distributor(certificates.options(**changes), events.append) as kd,
        session(certificates.dialling(certificates.focus)) as focus,
    ):
        yield KeyDistributor(kd.addresses, focus, events)


def participant(name: str) -> str:
    return f"/conferences/{CONFERENCE}/participants/{name}"


class Endpoint(asyncio.DatagramProtocol):
    """A UDP socket with connectivity checks, a DTLS client, and media under the keys of both.

    Args:
        number: see `Offered`; it also names the participant.
    """

    def __init__(self, number: int) -> None:
        self.name = f"P{number}"
        self.offered = Offered(number)
        self.media: Media | None = None
        self._certificate = dtls.Certificate.generate(self.name)
        self._tls_id = self.name.ljust(24, "-")
        self._keyed = asyncio.Event()
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        self._received: asyncio.Queue[bytes] = asyncio.Queue()
        self._connection: dtls.Connection | None = None
        self._completed: dtls.HandshakeCompleted | None = None
        self._credentials: Credentials | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._socket: asyncio.DatagramTransport | None = None
        self._target: Address = ("", 0)

    async def admit(self, kd: KeyDistributor, md: MediaDistributor) -> None:
        """What the Focus does before it answers: both requests."""
        body = {"fingerprint": str(self._certificate.fingerprint()), "tls_id": self._tls_id}
        admission = await kd.admit(self.name, body)
        configuration = dtls.Configuration(
            role=dtls.Role.CLIENT,
            certificate=self._certificate,
            srtp_profiles=(DOUBLE_128,),
            ekt_ciphers=(EKTCipher.AESKW128,),
            external_session_id=self._tls_id.encode(),
            peer_fingerprints=(dtls.Fingerprint.parse(admission["fingerprint"]),),
            peer_external_session_id=admission["tls_id"].encode(),
        )
        self._connection = dtls.Connection(configuration, b"md")
        status, answer = await md.put(self.name, self.offered)
        assert status in (200, 201)
        self._credentials = Credentials(answer["ice_ufrag"], answer["ice_pwd"])
        (candidate,) = answer["candidates"]
        self._target = candidate["address"], candidate["port"]

    async def check(self) -> None:
        """A connectivity check, and its answer."""
        assert self._credentials is not None
        if self._socket is None:
            host = "::1" if ":" in self._target[0] else "127.0.0.1"
            self._socket, _ = await self._loop.create_datagram_endpoint(
                lambda: self, local_addr=(host, 0)
            )
        self._socket.sendto(binding_request(self._credentials), self._target)
        answer = stun.parse_message(await asyncio.wait_for(self._answers.get(), TIMEOUT))
        assert answer.message_class is stun.Class.RESPONSE
        own = self._socket.get_extra_info("sockname")[:2]
        assert answer.attributes["XOR-MAPPED-ADDRESS"] == own

    def start(self) -> None:
        """Begins the DTLS handshake."""
        assert self._connection is not None
        self._connection.start(self._loop.time())
        self._settle()

    async def join(self, kd: KeyDistributor, md: MediaDistributor) -> None:
        """All of it, until there are keys."""
        await self.admit(kd, md)
        await self.check()
        self.start()
        await asyncio.wait_for(self._keyed.wait(), TIMEOUT)

    def send(self, sequence_number: int, payload: bytes) -> None:
        """An audio packet."""
        assert self.media is not None
        assert self._socket is not None
        packet = self.media.protect(self.media.audio, sequence_number, payload)
        self._socket.sendto(packet, self._target)

    async def received(self) -> bytes:
        """The next media packet, opened end to end."""
        assert self.media is not None
        packet = await asyncio.wait_for(self._received.get(), TIMEOUT)
        return self.media.receiver.unprotect(packet).packet

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._socket.close()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Hands on what came, by its kind (RFC 7983)."""
        kind = classify(data)
        if kind is PacketKind.STUN:
            self._answers.put_nowait(data)
        elif kind is PacketKind.DTLS and self._connection is not None:
            self._connection.receive_datagram(data, self._loop.time())
            self._settle()
        elif is_media(data):
            self._received.put_nowait(data)

    def _settle(self) -> None:
        assert self._connection is not None
        assert self._socket is not None
        for datagram in self._connection.datagrams_to_send():
            self._socket.sendto(datagram, self._target)
        while (event := self._connection.next_event()) is not None:
            self._take(event)
        if self._timer is not None:
            self._timer.cancel()
        at = self._connection.next_timer()
        self._timer = None if at is None else self._loop.call_at(at, self._handle_timer)

    def _take(self, event: dtls.Event) -> None:
        if isinstance(event, dtls.HandshakeCompleted):
            self._completed = event
        elif isinstance(event, dtls.EKTKeyReceived) and self._completed is not None:
            key = event.ekt_key
            group = Group(DOUBLE_128, key.ekt_key_value, key.master_salt, key.ekt_spi)
            outer = self._completed.keying_material.outer()
            self.media = Media(self.offered.number, group, outer)
            self._keyed.set()

    def _handle_timer(self) -> None:
        assert self._connection is not None
        self._connection.handle_timer(self._loop.time())
        self._settle()
