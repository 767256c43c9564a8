"""Telling apart what shares one UDP 5-tuple (RFC 7983 section 7, RFC 5761 section 4)."""

from __future__ import annotations

from enum import Enum


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
