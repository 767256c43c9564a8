"""The transcript of a handshake (RFC 6347 section 4.2.6; RFC 8446 section 4.4.1, RFC 9147 5.2)."""

from __future__ import annotations

from halfkey.dtls.messages.framing import encode_message, encode_tls_message
from halfkey.dtls.registries import DTLS_1_3, HandshakeType, ProtocolVersion


class Transcript:
    """All handshake messages so far, as if unfragmented.

    In DTLS 1.2 they count with message_seq and fragment fields, in 1.3 without.

    Args:
        version: says which.
    """

    __slots__ = ("_data", "_latest", "_version")

    def __init__(self, version: ProtocolVersion) -> None:
        self._version = version
        self._data = bytearray()
        self._latest = 0

    def add(self, message_type: int, message_seq: int, body: bytes) -> None:
        """Appends a message."""
        self._latest = len(self._data)
        if self._version is DTLS_1_3:
            self._data += encode_tls_message(message_type, body)
        else:
            self._data += encode_message(message_type, message_seq, body)

    def add_retry(self, first_hash: bytes, retry_request: bytes) -> None:
        """Begins with the hash of the first ClientHello, and the body of a HelloRetryRequest."""
        self._data.clear()
        self.add(HandshakeType.MESSAGE_HASH, 0, first_hash)
        self.add(HandshakeType.SERVER_HELLO, 0, retry_request)

    def all(self) -> bytes:
        """Every message."""
        return bytes(self._data)

    def before_latest(self) -> bytes:
        """Every message but the latest: what that one signs or proves."""
        return bytes(self._data[: self._latest])
