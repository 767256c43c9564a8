from __future__ import annotations

import pytest

from halfkey.demux import PacketKind, classify


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        *((byte, PacketKind.STUN) for byte in (0, 1, 3)),
        *((byte, PacketKind.UNKNOWN) for byte in (4, 19)),
        *((byte, PacketKind.DTLS) for byte in (20, 22, 26, 63)),
        *((byte, PacketKind.UNKNOWN) for byte in (64, 79, 127, 192, 255)),
        *((byte, PacketKind.RTP) for byte in (128, 191)),
    ],
)
def test_first_byte_ranges_of_rfc_7983(first: int, kind: PacketKind) -> None:
    assert classify(bytes([first, 96])) is kind


@pytest.mark.parametrize(
    ("second", "kind"),
    [
        (191, PacketKind.RTP),
        (192, PacketKind.RTCP),
        (200, PacketKind.RTCP),
        (223, PacketKind.RTCP),
        (224, PacketKind.RTP),
    ],
)
def test_rtp_and_rtcp_are_told_apart_as_in_rfc_5761(second: int, kind: PacketKind) -> None:
    assert classify(bytes([0x80, second])) is kind


@pytest.mark.parametrize("datagram", [b"", b"\x80"])
def test_what_is_too_short_is_unknown(datagram: bytes) -> None:
    assert classify(datagram) is PacketKind.UNKNOWN
