"""Key frames are told by the payload descriptor and header of RFC 7741."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction

import pytest
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpSendParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from halfkey.endpoint.payload import begins_intra_picture
from halfkey.endpoint.picture import Picture

KEY, DELTA = b"\x00", b"\x01"
NOON = datetime(2024, 5, 6, 12)


def packet(payload: bytes, first: int = 0x80, between: bytes = b"") -> bytes:
    return bytes([first]) + bytes(11) + between + payload


@pytest.mark.parametrize(
    "descriptor",
    [
        b"\x10",
        b"\x90\x00",
        b"\x90\x80\x11",
        b"\x90\x80\x91\x22",
        b"\x90\xc0\x11\x33",
        b"\x90\xe0\x91\x22\x33\x44",
        b"\x90\x20\x44",
        b"\x90\x10\x44",
        b"\x90\x40\x33",
    ],
)
def test_every_form_of_the_descriptor(descriptor: bytes) -> None:
    assert begins_intra_picture(packet(descriptor + KEY))
    assert not begins_intra_picture(packet(descriptor + DELTA))


def test_only_the_start_of_the_first_partition_counts() -> None:
    assert not begins_intra_picture(packet(b"\x00" + KEY))
    assert not begins_intra_picture(packet(b"\x11" + KEY))


def test_csrcs_and_header_extensions_are_passed_over() -> None:
    extension = b"\xbe\xde\x00\x01" + b"\x10a\x00\x00"
    assert begins_intra_picture(packet(b"\x10" + KEY, 0x82, b"cscrcsrc"))
    assert begins_intra_picture(packet(b"\x10" + KEY, 0x91, b"csrc" + extension))
    assert not begins_intra_picture(packet(b"\x10" + DELTA, 0x91, b"csrc" + extension))


def test_the_encoder_s_own_packets() -> None:
    encoder, extensions = Vp8Encoder(), HeaderExtensionsMap()
    mid = "urn:ietf:params:rtp-hdrext:sdes:mid"
    extensions.configure(
        RTCRtpSendParameters(headerExtensions=[RTCRtpHeaderExtensionParameters(1, mid)])
    )
    picture = Picture("Alice", 0, 640, 360)
    found = []
    for number in range(6):
        frame = picture.frame(number, NOON)
        frame.pts, frame.time_base = number, Fraction(1, 15)
        payloads, _ = encoder.encode(frame, force_keyframe=number == 3)
        for position, payload in enumerate(payloads):
            rtp = RtpPacket(payload=payload)
            rtp.extensions.mid = "1"
            if begins_intra_picture(rtp.serialize(extensions)):
                found.append((number, position))
    assert found == [(0, 0), (3, 0)]


@given(st.binary(max_size=40))
def test_nothing_raises(data: bytes) -> None:
    begins_intra_picture(b"\x91" + data)
