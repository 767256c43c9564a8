"""What the runner needs of a connection beyond what Halfkey has.

The runner sends application data, and takes the answer to it as the sign that all is well. RTP has
no use for application data in DTLS, so the engine drops it; here it is handed to the shim. Where a
test says so, a server asks for no cookie. Nothing else of the engine is changed.
"""

from __future__ import annotations

from collections import deque

from halfkey.dtls import Configuration, Connection, CookieSecrets, Fingerprint
from halfkey.dtls.record import PLAINTEXT_EPOCH
from halfkey.dtls.record_layer import OpenedRecord
from halfkey.dtls.registries import ContentType

_HANDSHAKE_EPOCH = 2
"""Of DTLS 1.3 (RFC 9147 section 6.1); 1.2 has none of that number."""


class AnyCertificate(Fingerprint):
    """The fingerprint of every certificate: the runner doesn't say which is the right one."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("sha-512", bytes(64))

    def matches(self, der: bytes) -> bool:
        """Always."""
        return True


class NoCookies(CookieSecrets):
    """Takes any cookie for a good one, and so none."""

    __slots__ = ()

    def accepts(self, cookie: bytes, peer: bytes, parameters: bytes, now: float) -> bool:
        """Always."""
        return True


class DataConnection(Connection):
    """A connection that also carries application data.

    Attributes:
        received: the application data that came and wasn't taken yet.
    """

    __slots__ = ("received",)

    def __init__(self, configuration: Configuration, peer: bytes) -> None:
        super().__init__(configuration, peer)
        self.received: deque[bytes] = deque()

    def send(self, data: bytes) -> None:
        """Sends application data in one record."""
        self._channel.send_record(ContentType.APPLICATION_DATA, data)

    def _receive_record(self, record: OpenedRecord, now: float) -> None:
        if (
            record.content_type == ContentType.APPLICATION_DATA
            and record.number.epoch not in (PLAINTEXT_EPOCH, _HANDSHAKE_EPOCH)
            and self.is_connected
        ):
            self.received.append(record.payload)
        else:
            super()._receive_record(record, now)
