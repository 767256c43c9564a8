"""The tunnels to Media Distributors: which of them leads to an association, and what waits in it.

A Media Distributor may have several tunnels, and an association's messages may take any of them
(RFC 9185 sections 5.3 and 5.4). It is known by its certificate, not by its connection: so its
associations outlive the loss of one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from halfkey.key_distributor.association import Association
from halfkey.tunnel import (
    EndpointDisconnect,
    KeyDistributorTunnel,
    MediaKeys,
    State,
    SupportedProfiles,
    TunneledDtls,
)

MAXIMUM_OWED = 4096
"""EndpointDisconnects kept for a Media Distributor that no tunnel leads to; the oldest give way."""

ReceivedMessage = SupportedProfiles | TunneledDtls | EndpointDisconnect


@dataclass(eq=False, slots=True)
class Tunnel:
    """One tunnel.

    Attributes:
        id: ours, never used again.
        media_distributor: the hash of the Media Distributor's certificate.
        end: the protocol.
        profiles: from SupportedProfiles; None before that.
    """

    id: int
    media_distributor: bytes
    end: KeyDistributorTunnel = field(default_factory=KeyDistributorTunnel)
    profiles: tuple[int, ...] | None = None

    @property
    def is_usable(self) -> bool:
        """Whether messages can be sent on it."""
        return self.end.state is State.ESTABLISHED


class Tunnels:
    """All tunnels."""

    def __init__(self) -> None:
        self._tunnels: dict[int, Tunnel] = {}
        self._opened = 0
        self._waiting: set[int] = set()
        self._owed: dict[bytes, deque[UUID]] = {}

    def __len__(self) -> int:
        return len(self._tunnels)

    def open(self, media_distributor: bytes) -> Tunnel:
        """Notes a new connection from an authenticated Media Distributor."""
        self._opened += 1
        tunnel = Tunnel(self._opened, media_distributor)
        self._tunnels[tunnel.id] = tunnel
        return tunnel

    def get(self, tunnel_id: int) -> Tunnel | None:
        """The tunnel, unless it was closed."""
        return self._tunnels.get(tunnel_id)

    def close(self, tunnel: Tunnel) -> None:
        """Forgets a tunnel."""
        tunnel.end.close()
        self._tunnels.pop(tunnel.id, None)
        self._waiting.discard(tunnel.id)

    def reaches(self, media_distributor: bytes) -> bool:
        """Whether any usable tunnel leads to the Media Distributor."""
        return self._to(media_distributor) is not None

    def may_bring(self, media_distributor: bytes | None) -> bool:
        """Whether an Endpoint behind a Media Distributor, or behind any, can reach us."""
        usable = (one for one in self._tunnels.values() if one.is_usable)
        return any(media_distributor in (None, one.media_distributor) for one in usable)

    def receive(self, tunnel: Tunnel, data: bytes, now: float) -> Iterator[ReceivedMessage]:
        """Takes what came on a connection, and gives the messages in it."""
        tunnel.end.receive_data(data, now)
        self._waiting.add(tunnel.id)  # an answer to a bad version may wait
        while (event := tunnel.end.next_event()) is not None:
            if isinstance(event, SupportedProfiles):
                tunnel.profiles = event.protection_profiles
            if isinstance(event, ReceivedMessage):
                yield event

    def take_waiting(self) -> list[int]:
        """Takes the ids of tunnels in which something may wait to be sent."""
        waiting = sorted(self._waiting)
        self._waiting.clear()
        return waiting

    def send_dtls(self, association: Association, datagram: bytes) -> bool:
        """Sends a datagram towards the Endpoint; False if no tunnel leads there."""
        tunnel = self._for(association)
        if tunnel is not None:
            tunnel.end.send_tunneled_dtls(association.id, datagram)
        return tunnel is not None

    def send_media_keys(self, association: Association, keys: MediaKeys) -> bool:
        """Sends MediaKeys; False if no tunnel leads there."""
        tunnel = self._for(association)
        if tunnel is not None:
            tunnel.end.send_media_keys(keys)
        return tunnel is not None

    def send_disconnect(self, association: Association) -> bool:
        """Sends EndpointDisconnect; False if no tunnel leads there: then it is owed."""
        tunnel = self._for(association)
        if tunnel is not None:
            tunnel.end.send_endpoint_disconnect(association.id)
        else:
            owed = self._owed.setdefault(association.media_distributor, deque(maxlen=MAXIMUM_OWED))
            owed.append(association.id)
        return tunnel is not None

    def send_owed(self, tunnel: Tunnel) -> None:
        """Tells a Media Distributor that is back what ended meanwhile (RFC 9185 section 5.4)."""
        for association_id in self._owed.pop(tunnel.media_distributor, ()):
            tunnel.end.send_endpoint_disconnect(association_id)
            self._waiting.add(tunnel.id)

    def _for(self, association: Association) -> Tunnel | None:
        """The tunnel the association last came by, or another to the same Media Distributor."""
        tunnel = self._tunnels.get(association.tunnel)
        if tunnel is None or not tunnel.is_usable:
            tunnel = self._to(association.media_distributor)
        if tunnel is not None:
            self._waiting.add(tunnel.id)
        return tunnel

    def _to(self, media_distributor: bytes) -> Tunnel | None:
        usable = (one for one in self._tunnels.values() if one.is_usable)
        return next((one for one in usable if one.media_distributor == media_distributor), None)
