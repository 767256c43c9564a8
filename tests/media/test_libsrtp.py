"""libsrtp as the judge, one layer at a time: Double is AES-GCM SRTP in AES-GCM SRTP."""

from __future__ import annotations

import pytest
from pylibsrtp import Policy, Session

from halfkey._media import SrtpReceiver, SrtpSender
from halfkey.errors import PacketRejected
from tests.media.helpers import SHAPES, SSRC, SUITES, Suite, header_length, rtp, synthetic

suites = pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
shapes = pytest.mark.parametrize("packet", SHAPES.values(), ids=SHAPES)

PROFILES = {
    7: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    8: Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}


def libsrtp(profile: int, key: bytes, salt: bytes, *, inbound: bool = False) -> Session:
    ssrc_type = Policy.SSRC_ANY_INBOUND if inbound else Policy.SSRC_ANY_OUTBOUND
    policy = Policy(key + salt, ssrc_type=ssrc_type, srtp_profile=PROFILES[profile])
    return Session(policy)


def inner(suite: Suite, label: str = "A") -> tuple[int, bytes, bytes]:
    return suite.single, suite.key(label), suite.salt("ekt")


@suites
@shapes
def test_plain_both_ways(suite: Suite, packet: bytes) -> None:
    ours = SrtpSender(*suite.single_hop()).protect(packet)
    theirs = libsrtp(*suite.single_hop()).protect(packet)
    assert ours == theirs
    assert libsrtp(*suite.single_hop(), inbound=True).unprotect(ours) == packet
    assert SrtpReceiver(*suite.single_hop()).unprotect(theirs) == packet


@suites
def test_rollover(suite: Suite) -> None:
    ours, theirs = SrtpSender(*suite.single_hop()), libsrtp(*suite.single_hop())
    opener = SrtpReceiver(*suite.single_hop())
    judge = libsrtp(*suite.single_hop(), inbound=True)
    for number in (0xFFFE, 0xFFFF, 0, 0xFFFD, 1, 0x7000, 0xE000, 0x40, 0xFFF0, 0x100, 0xF0):
        expected = theirs.protect(rtp(number))
        assert ours.protect(rtp(number)) == expected
        assert opener.unprotect(expected) == judge.unprotect(expected) == rtp(number)


@suites
def test_rtcp_both_ways(suite: Suite) -> None:
    report = bytes.fromhex("80c90001") + SSRC.to_bytes(4, "big")
    ours, theirs = SrtpSender(*suite.single_hop()), libsrtp(*suite.single_hop())
    opener = SrtpReceiver(*suite.single_hop())
    judge = libsrtp(*suite.single_hop(), inbound=True)
    sent = [ours.protect_rtcp(report) for _ in range(3)]
    for packet in sent:
        assert judge.unprotect_rtcp(packet) == report
    # libsrtp's first index is 1, ours is 0 (RFC 3711 section 3.4).
    received = [theirs.protect_rtcp(report) for _ in range(2)]
    assert received == sent[1:]
    for packet in received:
        assert opener.unprotect_rtcp(packet) == report


def double_by_libsrtp(suite: Suite, packet: bytes) -> bytes:
    """RFC 8723 section 5.1: both algorithms by libsrtp, only the headers made here."""
    plain = synthetic(packet)
    sealed = libsrtp(*inner(suite)).protect(plain)[header_length(plain) :]
    header = packet[: header_length(packet)]
    return libsrtp(*suite.single_hop()).protect(header + sealed + b"\0")


@suites
@shapes
def test_double_is_the_same_by_libsrtp(suite: Suite, packet: bytes) -> None:
    theirs = double_by_libsrtp(suite, packet)
    assert suite.sender().protect(packet) == theirs + b"\0"
    assert suite.receiver().unprotect(theirs + suite.field()).packet == packet


@suites
@shapes
def test_libsrtp_opens_both_layers(suite: Suite, packet: bytes) -> None:
    protected = suite.sender().protect(packet)[:-1]
    outer = libsrtp(*suite.single_hop(), inbound=True).unprotect(protected)
    length = header_length(packet)
    assert outer[:length] == packet[:length]
    assert outer[-1:] == b"\0"
    sealed = synthetic(packet[:length]) + outer[length:-1]
    assert libsrtp(*inner(suite), inbound=True).unprotect(sealed) == synthetic(packet)


@suites
@shapes
def test_repair_mode_is_plain_srtp(suite: Suite, packet: bytes) -> None:
    protected = suite.sender().protect_repair(packet)
    assert protected == libsrtp(*suite.single_hop()).protect(packet) + b"\0"


@suites
def test_single_layer_is_no_double(suite: Suite) -> None:
    protected = libsrtp(*suite.single_hop()).protect(rtp(payload=bytes(40)))
    with pytest.raises(PacketRejected, match="inner_authentication"):
        suite.receiver().unprotect(protected + suite.field())
