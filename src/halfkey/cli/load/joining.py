"""Endpoints that join for real, and leave the media to the generator.

Link, offer, ICE, DTLS and EKT are a light Endpoint's own. When all have joined, each one's socket
and keys go to the generator; what comes to the socket and isn't media comes back from there, so
that consent (RFC 7675) goes on.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from halfkey._media import LoadGenerator
from halfkey.cli.arguments import address
from halfkey.cli.children import ChildFailed, Children
from halfkey.cli.load.options import LoadOptions
from halfkey.cli.load.process import Usage, usage
from halfkey.cli.load.seats import Seat, schedule, seats
from halfkey.cli.load.seats import codec as codec_of
from halfkey.cli.load.telling import line, tell
from halfkey.cli.servers import Servers
from halfkey.ekt.outbound import Kind
from halfkey.endpoint.client import FocusClient
from halfkey.endpoint.core import AssociationTerminated, EKTKeyInstalled
from halfkey.endpoint.light import LightEndpoint
from halfkey.endpoint.transport import ConsentLost, TransportEvent
from halfkey.errors import HalfkeyError
from halfkey.key_distributor.policy import MAXIMUM_TTL

_AT_ONCE = 8
_ANSWER_TIMEOUT = 30.0


class _Keys:
    """What an Endpoint's association has agreed on."""

    def __init__(self) -> None:
        self.hop: dict[str, tuple[bytes, bytes]] = {}
        self.ekt: tuple[int, bytes, bytes] = 0, b"", b""
        self.master: dict[int, bytes] = {}

    def disclosed(self, secret: Mapping[str, Any]) -> None:
        """Takes what an `Association` discloses; the latest of each is in use."""
        key = bytes.fromhex(secret["hex"])
        if secret["kind"] == "hop_master":
            self.hop[secret["side"]] = key, bytes.fromhex(secret["salt"])
        elif secret["kind"] == "kek":
            self.ekt = secret["spi"], key, bytes.fromhex(secret["salt"])
        elif secret["kind"] == "e2e_master":
            self.master[secret["ssrc"]] = key


class _Member:
    """One Endpoint.

    Args:
        seat: who it is.
        options: of the run.
        servers: that it joins by.
    """

    def __init__(self, seat: Seat, options: LoadOptions, servers: Servers) -> None:
        self.seat = seat
        self.fault = ""
        self._options = options
        self._keys = _Keys()
        self._is_lent = False
        kind: Kind = "video" if options.scenario.kind == "video" else "audio"
        self.endpoint = LightEndpoint(
            servers.link(seat.conference, seat.name),
            sends=seat.stream is not None,
            slots=options.slots if seat.receives else 0,
            on_event=self._happened,
            kind=kind,
            profile=options.profile,
            disclose=self._keys.disclosed,
        )

    def lend(self, generator: LoadGenerator) -> None:
        """Gives socket and keys to the generator."""
        lent, keys, ssrc = self.endpoint.lend_socket(), self._keys, self.endpoint.ssrc
        self._is_lent = True
        stream = None
        if ssrc is not None and self.seat.stream is not None:
            bursts, phase = schedule(self._options, self.seat.stream)
            payload_type = codec_of(self._options).payload_type
            stream = ssrc, keys.master[ssrc], payload_type, bursts, phase
        generator.add(
            self.seat.number,
            client=keys.hop["client"],
            server=keys.hop["server"],
            ekt=keys.ekt,
            receives=self.seat.receives,
            stream=stream,
            socket=lent.fileno(),
        )

    def _happened(self, event: TransportEvent) -> None:
        """Notes what makes the generator's keys or socket worthless."""
        if self.fault or not self._is_lent:
            return
        if isinstance(event, ConsentLost):
            self.fault = "the Media Distributor doesn't consent any more"
        elif isinstance(event, AssociationTerminated):
            self.fault = event.reason
        elif isinstance(event, EKTKeyInstalled):
            self.fault = "its conference has another EKTKey; somebody has left"


class Conferences:
    """All servers, and all who join.

    Args:
        options: of the run.
        servers: the running ones.
        children: their processes.
    """

    def __init__(self, options: LoadOptions, servers: Servers, children: Children) -> None:
        self._options = options
        self._servers = servers
        self._children = children
        self._members: list[_Member] = []
        self._taken: list[float] = []
        self._clients: dict[str, FocusClient] = {}
        self.media = address(servers.media_address, "media")

    def usage(self) -> Usage:
        """What the Media Distributor's process has used so far."""
        distributor = self._servers.media_distributor
        if distributor is None:
            raise ChildFailed("the Media Distributor was not started")
        return usage(distributor.pid)

    async def statistics(self) -> dict[str, Any]:
        """The Media Distributor's own counters."""
        return await self._servers.media_statistics()

    async def admit_all(self, generator: LoadGenerator) -> dict[str, Any]:
        """Has everybody join, and says how long it took.

        Raises:
            ChildFailed: somebody can't, or a server ended.
        """
        tell(self._options, f"joining {self._options.participants} participants")
        taken = self._taken
        began = time.monotonic()
        await self._unless_one_dies(self._join_all())
        seconds = time.monotonic() - began
        for member in self._members:
            member.lend(generator)
        cuts = statistics.quantiles(taken, n=100, method="inclusive") if len(taken) > 1 else taken
        return {
            "count": len(taken),
            "at_once": _AT_ONCE,
            "seconds": seconds,
            "join_ms": {"p50": statistics.median(taken) * 1e3, "p99": cuts[-1] * 1e3},
        }

    def hand_back(self, participant: int, datagram: bytes) -> None:
        """Takes what came to a participant's socket and isn't media."""
        self._members[participant].endpoint.hand_back(datagram)

    def check(self) -> None:
        """Raises `ChildFailed` where somebody isn't in any more as it joined."""
        for member in self._members:
            if member.fault:
                seat = member.seat
                raise ChildFailed(f"{seat.name} of {seat.conference}: {member.fault}")

    async def close(self) -> None:
        """Ends all Endpoints."""
        await asyncio.gather(*(member.endpoint.close() for member in self._members))
        for client in self._clients.values():
            await client.close()

    async def _unless_one_dies(self, work: Any) -> None:
        working = asyncio.ensure_future(work)
        dying = asyncio.ensure_future(self._children.first_death())
        try:
            await asyncio.wait([working, dying], return_when=asyncio.FIRST_COMPLETED)
            # What broke the joining may be that a server ended: that is the better reason.
            await (dying if dying.done() else working)
        finally:
            for one in (working, dying):
                one.cancel()
            await asyncio.gather(working, dying, return_exceptions=True)

    async def _join_all(self) -> None:
        """Some at once, in their order."""
        waiting = iter(list(seats(self._options)))
        with line(self._options) as show:

            async def one_after_the_other(waiting: Iterator[Seat]) -> None:
                for seat in waiting:
                    self._taken.append(await self._join(seat))
                    show(f"{len(self._taken):,} of {self._options.participants:,} have joined")

            tasks = [asyncio.create_task(one_after_the_other(waiting)) for _ in range(_AT_ONCE)]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _join(self, seat: Seat) -> float:
        """Has one join; gives the seconds until it had keys."""
        member = _Member(seat, self._options, self._servers)
        self._members.append(member)
        began = time.monotonic()
        try:
            await member.endpoint.join(self._client(seat.conference))
        except (HalfkeyError, OSError) as fault:
            raise ChildFailed(
                f"{seat.name} of {seat.conference} can't join, after {len(self._taken)} of "
                f"{self._options.participants} have: {fault} (logs: {self._options.out})"
            ) from fault
        return time.monotonic() - began

    def _client(self, conference: str) -> FocusClient:
        if conference not in self._clients:
            client = FocusClient(
                self._servers.focus_url, conference, self._servers.focus_fingerprint
            )
            self._clients[conference] = client
        return self._clients[conference]


@asynccontextmanager
async def conferences(options: LoadOptions, credentials: Path) -> AsyncIterator[Conferences]:
    """Starts Key Distributor, Media Distributor and Focus, each a process, and ends them.

    The EKTKeys live so long that no rekey falls into the run.

    Raises:
        ChildFailed: one of them doesn't become ready.
    """
    children = Children()
    servers = Servers(
        children,
        credentials,
        options.out,
        [(seat.conference, seat.name) for seat in seats(options)],
        kd=("--ekt-ttl", str(MAXIMUM_TTL)),
        md=("--workers", str(options.workers)),
        patience=_ANSWER_TIMEOUT,
    )
    try:
        await servers.start()
        running = Conferences(options, servers, children)
        try:
            yield running
        finally:
            await running.close()
    finally:
        await servers.close()
        await children.stop()
