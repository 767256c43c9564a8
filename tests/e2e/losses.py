"""A network between Endpoints and a Media Distributor that loses media on its way down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from halfkey.demux import PacketKind, classify
from halfkey.serving import Address

EVERY = 6
"""One packet in so many is lost."""


class LossyNetwork(asyncio.DatagramProtocol):
    """Stands where Endpoints think the Media Distributor is, and has a socket for each of them.

    Attributes:
        lossy: the SSRCs of which packets are lost, each at most once: what is sent again arrives.
        lost: how many were lost.
        repeats: how many of these came again, bit for bit, and went on.
    """

    def __init__(self, distributor: Address) -> None:
        self.lossy: set[int] = set()
        self.lost = 0
        self.repeats = 0
        self._distributor = distributor
        self._ways: dict[Address, asyncio.DatagramTransport] = {}
        self._waiting: dict[Address, list[bytes]] = {}
        self._gone: set[bytes] = set()
        self._passed = 0
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """From an Endpoint: goes on from a port of its own, as through a NAT."""
        if way := self._ways.get(addr):
            way.sendto(data)
            return
        self._waiting.setdefault(addr, []).append(data)
        if len(self._waiting[addr]) == 1:
            task = asyncio.get_running_loop().create_task(self._open(addr))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self, endpoint: Address) -> None:
        way, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Way(self, endpoint), remote_addr=self._distributor
        )
        self._ways[endpoint] = way
        for data in self._waiting.pop(endpoint):
            way.sendto(data)

    def pass_down(self, data: bytes, endpoint: Address) -> None:
        """From the Media Distributor to an Endpoint, or to nobody."""
        if data in self._gone:
            self._gone.discard(data)
            self.repeats += 1
        elif self._loses(data):
            self._gone.add(data)
            self.lost += 1
            return
        assert self._transport is not None
        self._transport.sendto(data, endpoint)

    def _loses(self, data: bytes) -> bool:
        is_media = classify(data) is PacketKind.RTP
        if not is_media or int.from_bytes(data[8:12], "big") not in self.lossy:
            return False
        self._passed += 1
        return self._passed % EVERY == 0

    def close(self) -> None:
        for way in self._ways.values():
            way.close()
        if self._transport is not None:
            self._transport.close()


class _Way(asyncio.DatagramProtocol):
    def __init__(self, network: LossyNetwork, endpoint: Address) -> None:
        self._network, self._endpoint = network, endpoint

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._network.pass_down(data, self._endpoint)


@asynccontextmanager
async def lossy_network(host: str, distributor: Address) -> AsyncIterator[LossyNetwork]:
    """On another address of loopback, and on the port that the Media Distributor has on its own."""
    loop = asyncio.get_running_loop()
    _, network = await loop.create_datagram_endpoint(
        lambda: LossyNetwork(distributor), local_addr=(host, distributor[1])
    )
    try:
        yield network
    finally:
        network.close()
