"""Between the core and the world: moves datagrams and messages, arms one timer, tells events."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from halfkey._media import Switch
from halfkey.media_distributor.core import SUPPORTED_PROFILES, MediaDistributor
from halfkey.media_distributor.events import Event
from halfkey.media_distributor.path import SwitchPath
from halfkey.tunnel import (
    EndpointDisconnect,
    MediaDistributorTunnel,
    MediaKeys,
    TunneledDtls,
    TunnelTerminated,
    UnsupportedVersion,
)

Address = tuple[str, int]


class Driver:
    """Runs one `MediaDistributor` around one `Switch` in the running event loop.

    After every call of the core, call `settle`.

    Args:
        switch: the media socket; closed by `close`.
        is_hostile: see `MediaDistributor`.
        on_event: called with each event.
    """

    def __init__(self, switch: Switch, is_hostile: bool, on_event: Callable[[Event], None]) -> None:
        self.core = MediaDistributor(SwitchPath(switch), is_hostile)
        self._switch = switch
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._tunnel: TunnelProtocol | None = None
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
        for (host, port), data in self.core.datagrams_to_send():
            self._switch.send(host, port, data)
        if self._tunnel is not None:
            for message in self.core.tunnel_messages_to_send():
                self._tunnel.send(message)
            self._tunnel.flush()
        while (event := self.core.next_event()) is not None:
            self._on_event(event)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = self.core.next_timer()
        if at is not None:
            self._timer = self._loop.call_at(at, self._handle_timer)

    def statistics(self) -> dict[str, Any]:
        """The packet path's counters and the core's, with drops of both by reason."""
        packets = self._switch.statistics()
        dropped = Counter(packets["dropped"]) + self.core.drops()
        return {
            **packets,
            **self.core.statistics(),
            "dropped": dict(dropped),
            "tunnel": {"connected": self.core.is_tunnel_connected},
        }

    def captured(self) -> dict[int, bytes]:
        """By SSRC, the payload bytes that came last; empty unless they are kept."""
        return self._switch.captured()

    def tunnel_made(self, tunnel: TunnelProtocol) -> None:
        """A tunnel is established; it replaces an earlier one."""
        earlier, self._tunnel = self._tunnel, tunnel
        if earlier is not None:
            earlier.close()
        self.core.tunnel_connected(True)
        self.settle()

    def tunnel_lost(self, tunnel: TunnelProtocol) -> None:
        """A tunnel is gone."""
        if tunnel is self._tunnel:
            self._tunnel = None
            self.core.tunnel_connected(False)
            self.settle()

    def close(self) -> None:
        """Closes the tunnel and the media socket."""
        self._loop.remove_reader(self._switch.event_fd)
        if self._timer is not None:
            self._timer.cancel()
        if self._tunnel is not None:
            self._tunnel.close()
        self._switch.close()

    def _receive(self) -> None:
        now = self.now
        for host, port, data in self._switch.drain():
            self.core.receive_datagram(data, (host, port), now)
        self.settle()

    def _handle_timer(self) -> None:
        self._timer = None
        self.core.handle_timer(self.now)
        self.settle()


class TunnelProtocol(asyncio.Protocol):
    """One tunnel's TLS connection to a Key Distributor, whichever side dialled.

    Attributes:
        ended: done when the connection is gone.
        unsupported: the highest version that the Key Distributor knows, if it refused ours.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._tunnel = MediaDistributorTunnel(int(profile) for profile in SUPPORTED_PROFILES)
        self._transport: asyncio.Transport | None = None
        self._is_paused = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.unsupported: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is established: SupportedProfiles goes first."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._driver.tunnel_made(self)

    def data_received(self, data: bytes) -> None:
        """Hands on what came."""
        self._tunnel.receive_data(data, self._driver.now)
        while (event := self._tunnel.next_event()) is not None:
            if isinstance(event, MediaKeys | TunneledDtls | EndpointDisconnect):
                self._driver.core.receive_tunnel_message(event)
            elif isinstance(event, UnsupportedVersion):
                self.unsupported = event.highest_version
            elif isinstance(event, TunnelTerminated):
                self.close()
        self._driver.settle()

    def pause_writing(self) -> None:
        """The peer reads too slowly: what is to be sent waits in the tunnel, which bounds it."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._is_paused = False
        self.flush()

    def connection_lost(self, _: Exception | None) -> None:
        """The connection is gone."""
        self._driver.tunnel_lost(self)
        if not self.ended.done():
            self.ended.set_result(None)

    def send(self, message: TunneledDtls | EndpointDisconnect) -> None:
        """Queues a message."""
        if isinstance(message, TunneledDtls):
            self._tunnel.send_tunneled_dtls(message.association_id, message.dtls_message)
        else:
            self._tunnel.send_endpoint_disconnect(message.association_id)

    def flush(self) -> None:
        """Writes what waits, unless the peer reads too slowly."""
        if self._transport is not None and not self._is_paused:
            data = self._tunnel.data_to_send()
            if data and not self._transport.is_closing():
                self._transport.write(data)

    def close(self) -> None:
        """Closes the connection."""
        if self._transport is not None:
            self._transport.close()
