"""The reference against libsrtp, one layer at a time: Double is AES-GCM SRTP in AES-GCM SRTP."""

import pytest
from pylibsrtp import Policy, Session

from tests.reference import double, rtp, srtp
from tests.reference.kdf import session_keys
from tests.reference.rtp import RtpPacket

PROFILES = {16: Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 32: Policy.SRTP_PROFILE_AEAD_AES_256_GCM}
LENGTHS = pytest.mark.parametrize("length", PROFILES)


def libsrtp(master_key: bytes, master_salt: bytes, ssrc_type: int) -> Session:
    profile = PROFILES[len(master_key)]
    return Session(Policy(master_key + master_salt, ssrc_type=ssrc_type, srtp_profile=profile))


def keying(length: int) -> tuple[bytes, bytes]:
    return bytes(range(100, 100 + length)), bytes(range(200, 212))


BASE = RtpPacket(
    marker=True,
    payload_type=96,
    sequence_number=7,
    timestamp=0x01020304,
    ssrc=0xDEADBEEF,
    payload=b"some media",
)
PACKETS = {
    "plain": BASE,
    "csrcs": rtp.parse(b"\x83" + BASE.encode()[1:12] + bytes(range(12)) + b"media"),
    "one-byte extension": rtp.parse(
        b"\x90" + BASE.encode()[1:12] + rtp.one_byte_extensions([(1, b"0"), (2, b"a")]) + b"media"
    ),
    "two-byte extension": rtp.parse(
        b"\x90" + BASE.encode()[1:12] + rtp.two_byte_extensions([(1, b""), (2, b"mid")]) + b"media"
    ),
    "padding": rtp.parse(b"\xa0" + BASE.encode()[1:] + b"\0\0\0\4"),
    "empty payload": rtp.parse(BASE.header()),
}


@LENGTHS
@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS)
def test_srtp_both_ways(length: int, packet: RtpPacket) -> None:
    key, salt = keying(length)
    protected = srtp.protect(session_keys(key, salt), packet.encode(), roc=0).packet
    assert libsrtp(key, salt, Policy.SSRC_ANY_OUTBOUND).protect(packet.encode()) == protected
    assert libsrtp(key, salt, Policy.SSRC_ANY_INBOUND).unprotect(protected) == packet.encode()


@LENGTHS
def test_rollover_counter(length: int) -> None:
    key, salt = keying(length)
    theirs = libsrtp(key, salt, Policy.SSRC_ANY_OUTBOUND)
    counter = srtp.RolloverCounter()
    for sequence_number in (0xFFFE, 0xFFFF, 0, 1, 0x7000, 0xE000, 0x100):
        packet = b"\x80\x60" + sequence_number.to_bytes(2) + bytes(8) + b"media"
        roc = counter.estimate(sequence_number)
        ours = srtp.protect(session_keys(key, salt), packet, roc)
        counter.update(roc, sequence_number)
        assert theirs.protect(packet) == ours.packet
    assert counter.roc == 2


@LENGTHS
def test_srtcp_both_ways(length: int) -> None:
    key, salt = keying(length)
    keys = session_keys(key, salt)
    report = b"\x80\xc9\0\1" + BASE.ssrc.to_bytes(4)
    theirs = libsrtp(key, salt, Policy.SSRC_ANY_OUTBOUND)
    theirs.protect(BASE.encode())  # makes the stream; SRTCP goes by the stream's SSRC
    protected = theirs.protect_rtcp(report)
    opened = srtp.unprotect_rtcp(keys, protected)
    assert opened.packet == report
    index = int.from_bytes(protected[-4:]) & 0x7FFFFFFF
    assert srtp.protect_rtcp(keys, report, index).packet == protected


@LENGTHS
@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS)
def test_double_is_srtp_in_srtp(length: int, packet: RtpPacket) -> None:
    """RFC 8723 5.1 with libsrtp for both algorithms and only the headers made here."""
    key = bytes(range(2 * length))
    salt = bytes(range(60, 84))
    ours = double.protect(double.double_keys(key, salt), packet.encode(), 0, 0)

    inner = libsrtp(key[:length], salt[:12], Policy.SSRC_ANY_OUTBOUND)
    outer = libsrtp(key[length:], salt[12:], Policy.SSRC_ANY_OUTBOUND)
    synthetic = packet.without_extension()
    sealed = inner.protect(synthetic.encode())[len(synthetic.header()) :]
    assert outer.protect(packet.header() + sealed + b"\0") == ours.outer.packet
