"""The Endpoint's ICE agent: aioice's, with the packets handed straight to a callback.

What of aioice's inner working is used here, and why:

- `get_component_candidates` is overridden. aioice never gathers loopback addresses, and its sockets
  hand one datagram to each turn of the event loop; ours empties the socket at each wake-up.
- `StunProtocol.datagram_received` is overridden. aioice tries to parse every datagram as STUN, and
  lets more than ValueError out of its parser; RFC 7983 tells the two apart by the first byte.
- `_nominated` is read, since `Connection.sendto` is a coroutine although it never waits.
- `query_consent` is overridden, so that losing consent stops the sending and not the listening.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
import socket
import string
from collections.abc import Callable, Sequence
from typing import Any

from aioice import Candidate, Connection
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import CONSENT_FAILURES, CONSENT_INTERVAL, StunProtocol
from aioice.stun import TransactionError

from halfkey.demux import PacketKind, classify
from halfkey.errors import HalfkeyError

_CHARACTERS = string.ascii_letters + string.digits
_UFRAG_LENGTH, _PWD_LENGTH = 8, 24
_RECEIVE_BUFFER = 1 << 20
_LARGEST_DATAGRAM = 1 << 16
_BATCH = 64
"""Datagrams taken at one wake-up at the most, so that timers and senders get their turn."""


class ICEFailedError(HalfkeyError):
    """No path to the Media Distributor was found."""


class _Outgoing(asyncio.DatagramTransport):
    """Sends by a socket that somebody else reads; stands where asyncio's transport stood."""

    def __init__(self, socket: socket.socket) -> None:
        super().__init__()
        self.socket = socket

    def sendto(self, data: bytes | bytearray | memoryview, addr: Any = None) -> None:
        """Sends at once; what there is no room for is lost, as on the network."""
        with contextlib.suppress(OSError):
            self.socket.sendto(data, addr)

    def close(self) -> None:
        """Closes our descriptor of it."""
        self.socket.close()


class _Protocol(StunProtocol):
    """One UDP socket; STUN goes to aioice, all else to the agent's callback."""

    def __init__(self, agent: ICEAgent, owned_socket: socket.socket) -> None:
        super().__init__(agent)
        self._agent = agent
        self._socket = owned_socket

    def datagram_received(self, data: bytes | str, addr: tuple[object, ...]) -> None:
        if isinstance(data, str):  # never so for a UDP socket
            return
        self.dispatch(data, addr)
        for _ in range(_BATCH):
            try:
                more, address = self._socket.recvfrom(_LARGEST_DATAGRAM)
            except OSError:  # nothing more, or an ICMP error, which says nothing about us
                return
            self.dispatch(more, address)

    def lend_socket(self) -> socket.socket:
        """Stops reading; gives the socket, by which we go on sending until we are closed."""
        if not isinstance(self.transport, _Outgoing):
            reading, self.transport = self.transport, _Outgoing(self._socket.dup())
            reading.close()
        return self.transport.socket

    def dispatch(self, data: bytes, address: tuple[object, ...]) -> None:
        """Takes one datagram."""
        kind = classify(data)
        if kind is PacketKind.STUN:
            try:
                super().datagram_received(data, address)
            except Exception:
                # Whatever aioice's parser or state trips over came from the network.
                self._agent.malformed += 1
        else:
            self._agent.received(kind, data, address)


class ICEAgent(Connection):
    """A controlling agent for one component and an ICE-lite peer.

    Args:
        receive: called with the kind and bytes of each datagram of the peer that isn't STUN.
        on_consent_lost: called once, when the peer has not consented for 30 s (RFC 7675).
    """

    def __init__(
        self,
        receive: Callable[[PacketKind, bytes], None],
        on_consent_lost: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            ice_controlling=True,
            local_username=_random(_UFRAG_LENGTH),
            local_password=_random(_PWD_LENGTH),
        )
        self.remote_is_lite = True
        self.malformed = 0
        self.foreign = 0
        self.consent_lost = False
        self._receive = receive
        self._on_consent_lost = on_consent_lost
        self._loopback = self._only_loopback = False

    async def connect_to(self, ufrag: str, pwd: str, candidates: Sequence[tuple[str, int]]) -> None:
        """Finds a path to one of the peer's addresses.

        Raises:
            ICEFailedError: there is none.
        """
        self.remote_username, self.remote_password = ufrag, pwd
        local = [ipaddress.ip_address(host).is_loopback for host, _ in candidates]
        self._loopback, self._only_loopback = any(local), all(local)
        await self.gather_candidates()
        for number, (host, port) in enumerate(candidates):
            await self.add_remote_candidate(_host_candidate(host, port, 65535 - number))
        await self.add_remote_candidate(None)
        try:
            await self.connect()
        except ConnectionError:
            places = ", ".join(f"{host} port {port}" for host, port in candidates)
            raise ICEFailedError(f"the Media Distributor doesn't answer at {places}") from None

    async def get_component_candidates(
        self,
        component: int,
        addresses: list[str],
        timeout: int = 5,  # noqa: ASYNC109 (aioice's signature; nothing here waits)
    ) -> list[Candidate]:
        """Opens a socket on each address of this machine; loopback too if the peer is there."""
        if self._loopback:
            addresses = [*([] if self._only_loopback else addresses), "127.0.0.1", "::1"]
        opened = [await self._open(component, address) for address in addresses]
        return [candidate for candidate in opened if candidate is not None]

    async def _open(self, component: int, address: str) -> Candidate | None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            own = socket.socket(family, socket.SOCK_DGRAM)
            own.setblocking(False)
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            own.bind((address, 0))
        except OSError:  # an address that went away, or a family that is turned off
            return None
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_datagram_endpoint(lambda: _Protocol(self, own), sock=own)
        host, port = own.getsockname()[:2]
        protocol.local_candidate = _host_candidate(host, port, 65535, component)
        self._protocols.append(protocol)
        return protocol.local_candidate

    async def query_consent(self) -> None:
        """Asks for consent for as long as there is any (RFC 7675); without it nothing is sent."""
        failures = 0
        while failures < CONSENT_FAILURES:
            await asyncio.sleep(CONSENT_INTERVAL * (0.8 + 0.4 * secrets.randbelow(1000) / 1000))
            for pair in list(self._nominated.values()):
                key = (self.remote_password or "").encode()
                try:
                    await pair.protocol.request(
                        self.build_request(pair, nominate=False),
                        pair.remote_addr,
                        integrity_key=key,
                        retransmissions=0,
                    )
                    failures = 0
                except TransactionError:
                    failures += 1
        self.consent_lost = True
        self._on_consent_lost()

    def received(self, kind: PacketKind, data: bytes, address: tuple[object, ...]) -> None:
        """Hands on what came from the peer's nominated address; all else is dropped."""
        pair = self._nominated.get(1)
        if pair is not None and pair.remote_addr == (address[0], address[1]):
            self._receive(kind, data)
        else:
            self.foreign += 1

    def lend_socket(self) -> socket.socket:
        """Gives the socket of the path in use to somebody else to read, and to send by, too.

        It stays ours: it is closed when we are. Consent goes on, as long as what comes and isn't
        media is handed back by `hand_back`.

        Raises:
            ICEFailedError: there is no path.
        """
        pair = self._nominated.get(1)
        if pair is None or not isinstance(pair.protocol, _Protocol):
            raise ICEFailedError("there is no path whose socket could be lent")
        return pair.protocol.lend_socket()

    def hand_back(self, datagram: bytes) -> None:
        """Takes a datagram of the peer's that came to the socket that was lent."""
        pair = self._nominated.get(1)
        if pair is not None and isinstance(pair.protocol, _Protocol):
            pair.protocol.dispatch(datagram, pair.remote_addr)

    def transmit(self, datagram: bytes) -> bool:
        """Sends at once; False where there is no path, or no consent any more."""
        pair = self._nominated.get(1)
        if pair is None or self.consent_lost:
            return False
        pair.protocol.transport.sendto(datagram, pair.remote_addr)
        return True


def _host_candidate(host: str, port: int, preference: int, component: int = 1) -> Candidate:
    return Candidate(
        foundation=candidate_foundation("host", "udp", host),
        component=component,
        transport="udp",
        priority=candidate_priority(component, "host", preference),
        host=host,
        port=port,
        type="host",
    )


def _random(length: int) -> str:
    return "".join(secrets.choice(_CHARACTERS) for _ in range(length))
