"""The plain AES-GCM profiles: round trips, refusals, RTCP, arguments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey._media import (
    DoubleReceiver,
    DoubleSender,
    SrtpReceiver,
    SrtpSender,
    derive_srtp_session_key,
    full_ekt_field,
)
from halfkey.errors import PacketRejected, UsageError
from tests.media.helpers import SHAPES, SSRC, SUITES, Suite, packets, rtp

suites = pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
REPORT = bytes.fromhex("81c8000c deadbeef") + bytes(44)


@given(suite=st.sampled_from(list(SUITES.values())), packet=packets())
def test_round_trip(suite: Suite, packet: bytes) -> None:
    protected = SrtpSender(*suite.single_hop()).protect(packet)
    assert len(protected) == len(packet) + 16
    assert SrtpReceiver(*suite.single_hop()).unprotect(protected) == packet


@suites
@pytest.mark.parametrize("packet", SHAPES.values(), ids=SHAPES)
def test_any_bit_flipped_or_cut_is_refused(suite: Suite, packet: bytes) -> None:
    receiver = SrtpReceiver(*suite.single_hop())
    protected = SrtpSender(*suite.single_hop()).protect(packet)
    for bit in range(8 * len(protected)):
        flipped = bytearray(protected)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PacketRejected):
            receiver.unprotect(bytes(flipped))
    for length in range(len(protected)):
        with pytest.raises(PacketRejected):
            receiver.unprotect(protected[:length])
    assert receiver.unprotect(protected) == packet
    with pytest.raises(PacketRejected, match="replayed"):
        receiver.unprotect(protected)


@suites
def test_any_bit_of_rtcp_flipped_or_cut_is_refused(suite: Suite) -> None:
    receiver = SrtpReceiver(*suite.single_hop())
    protected = SrtpSender(*suite.single_hop()).protect_rtcp(REPORT)
    assert len(protected) == len(REPORT) + 20
    for bit in range(8 * len(protected)):
        flipped = bytearray(protected)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PacketRejected):
            receiver.unprotect_rtcp(bytes(flipped))
    for length in range(len(protected)):
        with pytest.raises(PacketRejected):
            receiver.unprotect_rtcp(protected[:length])
    assert receiver.unprotect_rtcp(protected) == REPORT
    with pytest.raises(PacketRejected, match="replayed"):
        receiver.unprotect_rtcp(protected)


@suites
def test_rtcp_indices_count_by_ssrc(suite: Suite) -> None:
    sender, receiver = SrtpSender(*suite.single_hop()), SrtpReceiver(*suite.single_hop())
    other = REPORT[:4] + bytes(4) + REPORT[8:]
    sent = [(report, sender.protect_rtcp(report)) for report in (REPORT, REPORT, other)]
    assert [int.from_bytes(packet[-4:], "big") for _, packet in sent] == [
        1 << 31,
        1 << 31 | 1,
        1 << 31,
    ]
    for report, packet in reversed(sent):
        assert receiver.unprotect_rtcp(packet) == report


@suites
def test_keys_of_the_other_direction_open_nothing(suite: Suite) -> None:
    protected = SrtpSender(*suite.single_hop("here")).protect(rtp())
    with pytest.raises(PacketRejected, match="hop_authentication"):
        SrtpReceiver(*suite.single_hop("there")).unprotect(protected)


def test_a_direction_is_a_type() -> None:
    assert not {"unprotect", "unprotect_rtcp"} & set(dir(SrtpSender))
    assert not {"protect", "protect_rtcp"} & set(dir(SrtpReceiver))
    assert not any(name.startswith("unprotect") for name in dir(DoubleSender))
    assert not any(name.startswith("protect") for name in dir(DoubleReceiver))


@pytest.mark.parametrize("kind", [SrtpSender, SrtpReceiver, DoubleSender, DoubleReceiver])
def test_arguments(kind: type) -> None:
    first = 9 if kind in (DoubleSender, DoubleReceiver) else 7
    with pytest.raises(ValueError, match="profile 0x0001"):
        kind(1, bytes(16), bytes(12))
    with pytest.raises(ValueError, match="profile"):
        kind(16 - first, bytes(16), bytes(12))  # a double one for a single one and vice versa
    for profile, length in ((first, 16), (first + 1, 32)):
        kind(profile, bytes(length), bytes(12))
        with pytest.raises(ValueError, match="key's length"):
            kind(profile, bytes(length - 1), bytes(12))
        with pytest.raises(ValueError, match="key's length"):
            kind(profile, bytes(48 - length), bytes(12))
        with pytest.raises(ValueError, match="salt"):
            kind(profile, bytes(length), bytes(14))


def test_arguments_of_keys() -> None:
    sender, receiver = (
        DoubleSender(9, bytes(16), bytes(12)),
        DoubleReceiver(9, bytes(16), bytes(12)),
    )
    with pytest.raises(ValueError, match="key's length"):
        sender.set_inner_key(SSRC, bytes(32), bytes(12))
    with pytest.raises(ValueError, match="salt"):
        sender.set_inner_key(SSRC, bytes(16), bytes(11))
    with pytest.raises(ValueError, match="EKTKey"):
        receiver.add_ekt_parameter_set(1, bytes(24), bytes(12))
    with pytest.raises(ValueError, match="salt"):
        receiver.add_ekt_parameter_set(1, bytes(16), bytes(11))
    with pytest.raises(ValueError, match="EKTKey"):
        full_ekt_field(bytes(24), 1, 0, SSRC, 0, bytes(16))
    with pytest.raises(ValueError, match="key's length"):
        full_ekt_field(bytes(16), 1, 0, SSRC, 0, b"")
    with pytest.raises(ValueError, match="key's length"):
        derive_srtp_session_key(7, bytes(32), bytes(12))


def test_misuse() -> None:
    single, double = SrtpSender(7, bytes(16), bytes(12)), DoubleSender(9, bytes(16), bytes(12))
    with pytest.raises(UsageError, match="no inner key"):
        double.protect(rtp())
    with pytest.raises(ValueError, match="serves another layer"):
        double.set_inner_key(SSRC, bytes(16), bytes(12))  # one layer would take the other off
    double.set_inner_key(SSRC, b"\1" * 16, bytes(12))
    for protect in (single.protect, double.protect, double.protect_repair):
        with pytest.raises(UsageError, match="no RTP"):
            protect(rtp()[:11])
    for protect in (single.protect_rtcp, double.protect_rtcp):
        with pytest.raises(UsageError, match="RTCP"):
            protect(REPORT[:7])
    with pytest.raises(UsageError, match="RFC 8285"):
        double.protect(rtp(extension=b"\xab\xcd\0\0"))


_TAKERS = {"set_inner_key", "replace_hop_keys"}
"""The methods that take keys; none gives any."""


def test_nothing_secret_is_shown() -> None:
    suite = SUITES["128"]
    for thing in (suite.sender(), suite.receiver(), SrtpSender(*suite.single_hop())):
        assert "hop" not in repr(thing)
        assert not {name for name in dir(thing) if "key" in name} - _TAKERS
