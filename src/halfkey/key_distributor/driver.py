"""Between the core and the connections: moves bytes, arms one timer, hands events on."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from halfkey.engine_timer import EngineTimer
from halfkey.errors import HalfkeyError
from halfkey.key_distributor.core import KeyDistributor
from halfkey.key_distributor.events import Event
from halfkey.key_distributor.guarding import ENDING
from halfkey.serving import Connection

TUNNELS_PER_MEDIA_DISTRIBUTOR = 16

T = TypeVar("T")


class KeyDistributorFailed(HalfkeyError):  # noqa: N818 (a state)
    """What is asked for was not done: the Key Distributor does nothing any more."""

    def __init__(self) -> None:
        super().__init__(
            "the Key Distributor can't write its audit log or state, so it admits nobody and gives "
            "no key; see its log"
        )


class Driver:
    """Runs one `KeyDistributor` in the running event loop.

    After every call of the core that takes a time, call `settle`.

    Args:
        core: the Key Distributor.
        on_event: called with each of its events.
        commit: called when all events were told and before anything is sent: what must be on the
            disk before a key leaves is written there.
        afterwards: called when everything was sent: what takes long and no key waits for.

    Attributes:
        failed: done with the exception if the core, an event, `commit` or `afterwards` raised one.
            Then nothing more is sent, and every connection is closed: media goes on, and no key
            leaves.
    """

    def __init__(
        self,
        core: KeyDistributor,
        on_event: Callable[[Event], None],
        commit: Callable[[], None] = lambda: None,
        afterwards: Callable[[], None] = lambda: None,
    ) -> None:
        self.core = core
        self._on_event = on_event
        self._commit = commit
        self._afterwards = afterwards
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._timer = EngineTimer(self._handle_timer)
        self._protocols: dict[int, TunnelProtocol] = {}
        self._of_media_distributor: Counter[bytes] = Counter()

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self._loop.time()

    def settle(self) -> None:
        """Tells what happened, sends what is to be sent, and arms the timer."""
        if self.failed.done():
            return
        try:
            while (event := self.core.next_event()) is not None:
                self._on_event(event)
            self._commit()
            self._send()
            self._afterwards()
        except ENDING:
            raise
        except BaseException as fault:
            # Fails closed whatever it is: what waits to be sent may hold keys nobody knows of.
            self._fail(fault)
            return
        self._timer.arm(self.core.next_timer())

    def receive(self, tunnel_id: int, data: bytes) -> None:
        """Hands on what came on a connection."""
        self._step(lambda: self.core.receive_data(tunnel_id, data, self.now))

    def check(self) -> None:
        """Raises `KeyDistributorFailed` if it has: then nothing that is asked for happens."""
        if self.failed.done():
            raise KeyDistributorFailed

    def _send(self) -> None:
        for tunnel_id in self.core.tunnels_to_send():
            protocol = self._protocols.get(tunnel_id)
            if protocol is not None:
                protocol.flush()

    def open(self, protocol: TunnelProtocol, media_distributor: bytes) -> int | None:
        """Notes a connection; None if its Media Distributor has too many already."""
        if self._of_media_distributor[media_distributor] >= TUNNELS_PER_MEDIA_DISTRIBUTOR:
            return None
        self._of_media_distributor[media_distributor] += 1
        tunnel_id = self.core.open_tunnel(media_distributor)
        self._protocols[tunnel_id] = protocol
        return tunnel_id

    def lost(self, tunnel_id: int, media_distributor: bytes) -> None:
        """Notes the loss of a connection."""
        self._of_media_distributor[media_distributor] -= 1
        del self._protocols[tunnel_id]
        self._step(lambda: self.core.close_tunnel(tunnel_id, self.now))

    def close(self) -> None:
        """Closes every connection and disarms the timer."""
        self._timer.close()
        for protocol in list(self._protocols.values()):
            protocol.close()

    def _abort(self) -> None:
        """Ends every connection at once, without what waits to be written.

        One that can't be ended keeps none of the others, and nothing is written to it any more.
        """
        self._timer.close()
        for protocol in list(self._protocols.values()):
            with contextlib.suppress(Exception):
                protocol.abort()

    def _handle_timer(self) -> None:
        self._step(lambda: self.core.handle_timer(self.now))

    def do(self, step: Callable[[], T]) -> T:
        """Has the core do something that it doesn't refuse, and settles.

        Nothing makes the core raise then. If something did, a rekey could be left half done and
        somebody who is out keep a key that is in use: rather no key leaves any more.

        Raises:
            KeyDistributorFailed: it was not done, or can't be put on record.
        """
        self.check()
        try:
            result = step()
        except ENDING:
            raise
        except BaseException as fault:
            self._fail(fault)
            raise KeyDistributorFailed from fault
        self.settle()
        self.check()
        return result

    def _step(self, step: Callable[[], None]) -> None:
        with contextlib.suppress(KeyDistributorFailed):
            self.do(step)

    def _fail(self, fault: BaseException) -> None:
        if isinstance(fault, StopIteration) or not isinstance(fault, Exception):
            # No future takes the one, and nobody expects the others.
            told = RuntimeError(f"the core raised {type(fault).__name__}")
            told.__cause__ = fault
            fault = told
        self.failed.set_exception(fault)
        self._abort()


class TunnelProtocol(Connection):
    """One tunnel's TLS connection, whichever side dialled."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver = driver
        self._tunnel_id: int | None = None
        self._media_distributor = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is established, and with it who the Media Distributor is."""
        super().connection_made(transport)
        if self._transport is None:
            return
        self._media_distributor = _identity(self._transport)
        if self._media_distributor:
            self._tunnel_id = self._driver.open(self, self._media_distributor)
        if self._tunnel_id is None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Hands on what came."""
        super().data_received(data)
        if self._tunnel_id is not None:
            self._driver.receive(self._tunnel_id, data)

    def connection_lost(self, fault: Exception | None) -> None:
        """The connection is gone."""
        if self._tunnel_id is not None:
            self._driver.lost(self._tunnel_id, self._media_distributor)
            self._tunnel_id = None
        super().connection_lost(fault)

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def flush(self) -> None:
        """Writes what waits, unless the peer reads too slowly; closes what is over."""
        if self._transport is None or self._tunnel_id is None or self._driver.failed.done():
            return
        is_over = self._driver.core.is_over(self._tunnel_id)
        if (not self._is_paused or is_over) and not self._transport.is_closing():
            data = self._driver.core.data_to_send(self._tunnel_id)
            if data:
                self._transport.write(data)
            if is_over:
                self._transport.close()


def _identity(transport: asyncio.Transport) -> bytes:
    """The hash of the certificate that the peer proved; empty if it has none."""
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    return hashlib.sha256(certificate).digest() if certificate else b""
