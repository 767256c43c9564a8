"""Telling apart what shares one UDP 5-tuple (RFC 7983 section 7, RFC 5761 section 4).

RFC 9147 section 4.1 keeps the records of DTLS 1.3 within DTLS's range.
"""

from __future__ import annotations

from enum import Enum

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_RECORD_HEADER_LENGTH = 13
_UNIFIED_HEADER = b"\x20"
"""The least first byte of one; the greatest is the last that is DTLS's (RFC 7983)."""


class PacketKind(Enum):
    """What a datagram is, by its first bytes; never a statement that it is valid."""

    STUN = "stun"
    DTLS = "dtls"
    RTP = "rtp"
    RTCP = "rtcp"
    UNKNOWN = "unknown"


def classify(datagram: bytes) -> PacketKind:
    """Classifies a datagram by its first byte and, for version 2 of RTP, its second."""
    if not datagram:
        return PacketKind.UNKNOWN
    first = datagram[0]
    if first <= 3:
        return PacketKind.STUN
    if 20 <= first <= 63:
        return PacketKind.DTLS
    if 128 <= first <= 191 and len(datagram) >= 2:
        return PacketKind.RTCP if 192 <= datagram[1] <= 223 else PacketKind.RTP
    return PacketKind.UNKNOWN


def may_be_client_hello(datagram: bytes) -> bool:
    """Whether DTLS begins with a handshake record of epoch 0 that holds (part of) a ClientHello."""
    return (
        len(datagram) > _RECORD_HEADER_LENGTH
        and datagram[0] == _HANDSHAKE
        and not is_protected_dtls(datagram)
        and datagram[_RECORD_HEADER_LENGTH] == _CLIENT_HELLO
    )


def is_protected_dtls(datagram: bytes) -> bool:
    """Whether DTLS begins with a record that keys protect.

    That is one with the unified header of DTLS 1.3 (RFC 9147 section 4.1), or, in 1.2, one of
    another epoch than 0.
    """
    return datagram[:1] >= _UNIFIED_HEADER or datagram[3:5] != bytes(2)
