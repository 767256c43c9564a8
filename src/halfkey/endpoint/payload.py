"""What the EKT schedule has to know of a packet before it is encrypted."""

from __future__ import annotations


def begins_intra_picture(packet: bytes) -> bool:
    """Whether an RTP packet with VP8 begins a key frame (RFC 7741 sections 4.2 and 4.3).

    False for whatever can't be read; only our own packets come here.
    """
    try:
        payload = _payload_offset(packet)
        descriptor = packet[payload]
        # S: start of a partition; the key frame flag stands in the first one, number 0.
        if not descriptor & 0x10 or descriptor & 0x0F:
            return False
        header = payload + _descriptor_length(packet, payload)
        return not packet[header] & 0x01
    except IndexError:
        return False


def _payload_offset(packet: bytes) -> int:
    """The length of the RTP header (RFC 3550 sections 5.1 and 5.3.1)."""
    offset = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        offset += 4 + 4 * int.from_bytes(packet[offset + 2 : offset + 4], "big")
    return offset


def _descriptor_length(packet: bytes, start: int) -> int:
    """The length of the VP8 payload descriptor (RFC 7741 figure 2)."""
    if not packet[start] & 0x80:
        return 1
    flags = packet[start + 1]
    length = 2
    if flags & 0x80:  # I: a picture id of one byte, or two
        length += 2 if packet[start + length] & 0x80 else 1
    length += flags >> 6 & 1  # L: TL0PICIDX
    return length + (1 if flags & 0x30 else 0)  # T or K: TID, Y, KEYIDX in one byte
