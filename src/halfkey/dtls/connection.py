"""One DTLS association, without I/O."""

from __future__ import annotations

from collections.abc import Mapping

from halfkey.dtls.configuration import Configuration
from halfkey.dtls.events import Event
from halfkey.dtls.fingerprint import Fingerprint
from halfkey.ekt.messages import EKTKey


class Connection:
    """A DTLS association, client or server.

    After each call that takes `now`: drain `datagrams_to_send` and `next_event`, then arm one
    timer for `next_timer`.

    Args:
        configuration: what to offer, accept and expect.
        peer: an opaque identifier of the other side, which cookies are bound to.
    """

    def __init__(self, configuration: Configuration, peer: bytes) -> None:
        raise NotImplementedError

    @property
    def counters(self) -> Mapping[str, int]:
        """How often noise was dropped, by reason; the set of reasons is fixed."""
        raise NotImplementedError

    @property
    def is_connected(self) -> bool:
        """Whether the handshake is complete and the association not over."""
        raise NotImplementedError

    def start(self, now: float) -> None:
        """A client sends its first ClientHello; a server has nothing to do."""
        raise NotImplementedError

    def receive_datagram(self, data: bytes, now: float) -> None:
        """Takes what came from the peer; never raises for its content."""
        raise NotImplementedError

    def datagrams_to_send(self) -> list[bytes]:
        """Takes the datagrams that wait to be sent, in order."""
        raise NotImplementedError

    def next_timer(self) -> float | None:
        """When `handle_timer` wants to be called, or None."""
        raise NotImplementedError

    def handle_timer(self, now: float) -> None:
        """Retransmits or gives up, where that is due."""
        raise NotImplementedError

    def next_event(self) -> Event | None:
        """Takes the next event, or None."""
        raise NotImplementedError

    def set_peer_fingerprints(self, fingerprints: tuple[Fingerprint, ...], now: float) -> None:
        """Says which certificates are right, for a handshake that is held for want of it."""
        raise NotImplementedError

    def send_ekt_key(self, ekt_key: EKTKey, now: float) -> None:
        """Sends an EKTKey, after those that still wait; raises UsageError unless negotiated."""
        raise NotImplementedError

    def export_keying_material(
        self, label: bytes, length: int, context: bytes | None = None
    ) -> bytes:
        """Keying material for another protocol (RFC 5705 section 4)."""
        raise NotImplementedError

    def close(self, now: float) -> None:
        """Says close_notify, forgets every secret, and ends the association."""
        raise NotImplementedError
