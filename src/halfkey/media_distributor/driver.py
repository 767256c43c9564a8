"""Between the core and the world: moves datagrams and messages, arms one timer, tells events."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from halfkey._media import Switch
from halfkey.engine_timer import EngineTimer
from halfkey.errors import HalfkeyError
from halfkey.media_distributor.core import SUPPORTED_PROFILES, MediaDistributor
from halfkey.media_distributor.events import Event
from halfkey.media_distributor.path import SwitchPath
from halfkey.serving import Connection
from halfkey.tunnel import (
    EndpointDisconnect,
    MediaDistributorTunnel,
    MediaKeys,
    TunneledDtls,
    TunnelTerminated,
    UnsupportedVersion,
)
from halfkey.tunnel.messages import VERSION

MAXIMUM_TUNNELS = 8

_logger = logging.getLogger(__name__)

Address = tuple[str, int]


class Driver:
    """Runs one `MediaDistributor` around one `Switch` in the running event loop.

    After every call of the core, call `settle`.

    Args:
        switch: the media socket; closed by `close`.
        is_hostile: see `MediaDistributor`.
        on_event: called with each event.

    Attributes:
        failed: raises when the media path does: without one of its workers, some participants'
            media would go nowhere for as long as this runs on, and others' would go on.
    """

    def __init__(self, switch: Switch, is_hostile: bool, on_event: Callable[[Event], None]) -> None:
        self._switch, self._path = switch, SwitchPath(switch)
        self.core = MediaDistributor(self._path, is_hostile)
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._timer = EngineTimer(self._handle_timer)
        self._tunnels: list[TunnelProtocol] = []  # the one to send through is the last
        self._unsupported: int | None = None
        self._is_closed = False
        self.failed: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(switch.event_fd, self._receive)

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self._loop.time()

    @property
    def media_address(self) -> Address:
        """Where participants send."""
        return self._switch.local_address

    def settle(self) -> None:
        """Sends what is to be sent, tells what happened, and arms the timer."""
        if self._is_closed:
            return
        for (host, port), data in self.core.datagrams_to_send():
            self._path.send(host, port, data)
        for message in self.core.tunnel_messages_to_send():
            self._tunnels[-1].send(message)
        for tunnel in list(self._tunnels):
            tunnel.flush()
        while (event := self.core.next_event()) is not None:
            self._on_event(event)
        self._timer.arm(self.core.next_timer())

    def statistics(self) -> dict[str, Any]:
        """The packet path's counters and the core's, with drops of both by reason."""
        packets = self._switch.statistics()
        dropped = Counter(packets["dropped"]) + self.core.drops()
        return {
            **packets,
            **self.core.statistics(),
            "dropped": dict(dropped),
            "tunnel": {
                "connected": self.core.is_tunnel_connected,
                "unsupported_version": self._unsupported,
            },
        }

    def participants(self) -> list[dict[str, Any]]:
        """What the packet path counted of each participant, by number, and of its streams."""
        return self._switch.participants()

    def captured(self) -> dict[int, bytes]:
        """By SSRC, the payload bytes that came last; empty unless they are kept."""
        return self._switch.captured()

    def tunnel_made(self, tunnel: TunnelProtocol) -> bool:
        """A tunnel is there, and the one to send through; False if there are too many already.

        Any of several will do: RFC 9185 sections 5.3 and 5.4 bind an association to none.
        """
        if self._is_closed or len(self._tunnels) >= MAXIMUM_TUNNELS:
            return False
        if not self._tunnels:
            _logger.info("tunnel up")
        self._tunnels.append(tunnel)
        self.core.tunnel_connected(True)
        self.settle()
        return True

    def tunnel_lost(self, tunnel: TunnelProtocol) -> None:
        """A tunnel is gone, or about to go."""
        if tunnel in self._tunnels:
            self._tunnels.remove(tunnel)
            if not self._tunnels:
                _logger.info("tunnel down")
                self.core.tunnel_connected(False)
            self.settle()

    def receive_tunnel_message(
        self, message: MediaKeys | TunneledDtls | EndpointDisconnect
    ) -> None:
        """What a Key Distributor sent: it takes our version, then."""
        if self._is_closed:
            return
        self._unsupported = None
        self.core.receive_tunnel_message(message)

    def note_unsupported(self, highest_version: int) -> None:
        """A Key Distributor refused our version (RFC 9185 section 5.5): said once, not each time.

        There is no other version that we could use when the tunnel is tried again.
        """
        if highest_version != self._unsupported:
            self._unsupported = highest_version
            _logger.warning(
                "the Key Distributor refuses version %d of the tunnel and speaks up to version %d; "
                "the tunnel is tried again, with pauses",
                VERSION,
                highest_version,
            )

    def close(self) -> None:
        """Closes the tunnels and the media socket."""
        self._is_closed = True
        self._loop.remove_reader(self._switch.event_fd)
        self._timer.close()
        for tunnel in list(self._tunnels):
            tunnel.close()
        self._switch.close()

    def _receive(self) -> None:
        now = self.now
        try:
            drained = self._path.drain()
        except HalfkeyError as fault:
            self._loop.remove_reader(self._switch.event_fd)
            if not self.failed.done():
                self.failed.set_exception(fault)
            return
        for host, port, data in drained:
            self.core.receive_datagram(data, (host, port), now)
        self.settle()

    def _handle_timer(self) -> None:
        self.core.handle_timer(self.now)
        self.settle()


class TunnelProtocol(Connection):
    """One tunnel's TLS connection to a Key Distributor, whichever side dialled."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver = driver
        self._tunnel = MediaDistributorTunnel(int(profile) for profile in SUPPORTED_PROFILES)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is established: SupportedProfiles goes first."""
        super().connection_made(transport)
        if self._transport is None:
            return
        if not self._driver.tunnel_made(self):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Hands on what came."""
        super().data_received(data)
        self._tunnel.receive_data(data, self._driver.now)
        self._handle_events()
        self._driver.settle()

    def connection_lost(self, fault: Exception | None) -> None:
        """The connection is gone."""
        self._driver.tunnel_lost(self)
        super().connection_lost(fault)

    def send(self, message: TunneledDtls | EndpointDisconnect) -> None:
        """Queues a message."""
        if isinstance(message, TunneledDtls):
            self._tunnel.send_tunneled_dtls(message.association_id, message.dtls_message)
        else:
            self._tunnel.send_endpoint_disconnect(message.association_id)

    def flush(self) -> None:
        """Writes what waits, unless the peer reads too slowly; closes what is over."""
        if self._transport is not None and not self._is_paused:
            data = self._tunnel.data_to_send()
            if data and not self._transport.is_closing():
                self._transport.write(data)
        self._handle_events()

    def close(self) -> None:
        """Closes the connection."""
        super().close()
        self._driver.tunnel_lost(self)

    def _handle_events(self) -> None:
        while (event := self._tunnel.next_event()) is not None:
            if isinstance(event, MediaKeys | TunneledDtls | EndpointDisconnect):
                self._driver.receive_tunnel_message(event)
            elif isinstance(event, UnsupportedVersion):
                self._driver.note_unsupported(event.highest_version)
            elif isinstance(event, TunnelTerminated):
                self.close()
