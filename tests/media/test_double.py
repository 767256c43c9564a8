"""Double (RFC 8723): round trips, what must be refused, what an application may believe."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey._media import SrtpReceiver, SrtpSender
from halfkey.errors import PacketRejected, UsageError
from tests.media.helpers import SHAPES, SHORT, SPI, SSRC, SUITES, Suite, header_length, packets, rtp

suites = pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
shapes = pytest.mark.parametrize("packet", SHAPES.values(), ids=SHAPES)
any_suite = st.sampled_from(list(SUITES.values()))


@given(suite=any_suite, packet=packets())
def test_round_trip(suite: Suite, packet: bytes) -> None:
    protected = suite.sender().protect(packet, suite.field())
    opened = suite.receiver().unprotect(protected)
    assert opened.packet == packet
    assert opened.ssrc == SSRC
    assert opened.inner_sequence_number == int.from_bytes(packet[2:4], "big")
    assert opened.inner_payload_type == packet[1] & 0x7F
    assert (opened.ekt_spi, opened.ekt_epoch, opened.new_key) == (SPI, 0, True)


@suites
@shapes
def test_lengths(suite: Suite, packet: bytes) -> None:
    """Inner tag, empty OHB, outer tag, and the EKT Field; the header stays in the clear."""
    protected = suite.sender().protect(packet)
    length = header_length(packet)
    assert len(protected) == len(packet) + 16 + 1 + 16 + 1
    assert protected[:length] == packet[:length]
    assert len(packet) == length or packet[length:] not in protected


@suites
@shapes
def test_any_bit_flipped_is_refused(suite: Suite, packet: bytes) -> None:
    sender, receiver = suite.sender(), suite.receiver()
    receiver.unprotect(sender.protect(rtp(0), suite.field()))
    protected = sender.protect(packet)
    for bit in range(8 * (len(protected) - 1)):
        flipped = bytearray(protected)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PacketRejected):
            receiver.unprotect(bytes(flipped))
    assert receiver.unprotect(protected).packet == packet  # none of them has changed a thing


@suites
@shapes
def test_any_truncation_is_refused(suite: Suite, packet: bytes) -> None:
    sender, receiver = suite.sender(), suite.receiver()
    receiver.unprotect(sender.protect(rtp(0), suite.field()))
    protected = sender.protect(packet)
    for length in range(len(protected)):
        with pytest.raises(PacketRejected):
            receiver.unprotect(protected[:length])
        if length < len(protected) - 1:
            with pytest.raises(PacketRejected):
                receiver.unprotect(protected[:length] + SHORT)
    assert receiver.unprotect(protected).packet == packet


@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    receiver = SUITES["128"].receiver()
    for open_it in (receiver.unprotect, receiver.unprotect_repair, receiver.unprotect_rtcp):
        with pytest.raises(PacketRejected):
            open_it(noise)


class Relay:
    """A Media Distributor's hop: it opens and seals the outer layer, by the plain profile."""

    def __init__(self, suite: Suite) -> None:
        self._receive = SrtpReceiver(*suite.single_hop("up"))
        self._send = SrtpSender(*suite.single_hop("down"))

    def open(self, protected: bytes) -> bytes:
        return self._receive.unprotect(protected[:-1])

    def seal(self, packet: bytes, field: bytes = SHORT) -> bytes:
        return self._send.protect(packet) + field


def header(packet: bytes, *, pt: int, seq: int, marker: bool) -> bytes:
    """The packet with other values of what a distributor may change."""
    return packet[:1] + bytes([marker << 7 | pt]) + seq.to_bytes(2, "big") + packet[4:]


CHANGES = {
    "nothing": (96, 300, True, "00"),
    "PT": (111, 300, True, "6002"),
    "SEQ": (96, 5, True, "012c01"),
    "M": (96, 300, False, "0c"),
    "all": (111, 5, False, "60012c0f"),
}


@suites
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_a_relay_may_change(suite: Suite, change: tuple[int, int, bool, str]) -> None:
    pt, seq, marker, ohb = change
    relay = Relay(suite)
    sent = rtp(300, marker=True, csrcs=(5,), extension=b"\xbe\xde\0\1\x10\xff\0\0")
    opened = relay.open(suite.sender(hop="up").protect(sent))
    extension = b"\xbe\xde\0\2\x23slot\0\0\0"
    changed = header(opened, pt=pt, seq=seq, marker=marker)
    changed = changed[:16] + extension + changed[24:-1] + bytes.fromhex(ohb)
    received = suite.receiver("down").unprotect(relay.seal(changed, suite.field()))
    # Section 5.3: PT and SEQ of the outer packet, its extensions as hints, the rest the sender's.
    expected = header(sent, pt=pt, seq=seq, marker=True)
    assert received.packet == expected[:16] + extension + expected[24:]
    assert (received.inner_sequence_number, received.inner_payload_type) == (300, 96)


@suites
def test_an_extension_can_be_taken_off(suite: Suite) -> None:
    relay = Relay(suite)
    sent = rtp(1, extension=b"\xbe\xde\0\1\x10\xff\0\0")
    opened = relay.open(suite.sender(hop="up").protect(sent))
    without = bytes([opened[0] & ~0x10]) + opened[1:12] + opened[20:]
    received = suite.receiver("down").unprotect(relay.seal(without, suite.field()))
    assert received.packet == rtp(1)


FORGERIES = {
    "timestamp": lambda p: p[:7] + bytes([p[7] ^ 1]) + p[8:],
    "CSRC": lambda p: p[:15] + bytes([p[15] ^ 1]) + p[16:],
    "CSRC count": lambda p: bytes([p[0] - 1]) + p[1:12] + p[16:],
    "padding bit": lambda p: bytes([p[0] ^ 0x20]) + p[1:],
    "PT without OHB": lambda p: header(p, pt=97, seq=300, marker=False),
    "SEQ without OHB": lambda p: header(p, pt=96, seq=301, marker=False),
    "M without OHB": lambda p: header(p, pt=96, seq=300, marker=True),
    "payload": lambda p: p[:16] + bytes([p[16] ^ 1]) + p[17:],
    "inner tag": lambda p: p[:-2] + bytes([p[-2] ^ 1]) + p[-1:],
}


@suites
@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_what_a_relay_may_not_change(suite: Suite, forge: object) -> None:
    assert callable(forge)
    relay = Relay(suite)
    opened = relay.open(suite.sender(hop="up").protect(rtp(300, csrcs=(5,))))
    with pytest.raises(PacketRejected, match="inner_authentication"):
        suite.receiver("down").unprotect(relay.seal(forge(opened), suite.field()))


@suites
@pytest.mark.parametrize("ohb", ["10", "20", "40", "80", "08", "e002", "0b", "ff"])
def test_original_header_blocks_that_can_not_be(suite: Suite, ohb: str) -> None:
    relay = Relay(suite)
    opened = relay.open(suite.sender(hop="up").protect(rtp(300)))
    forged = opened[:-1] + bytes.fromhex(ohb)
    with pytest.raises(PacketRejected, match="original_header_block"):
        suite.receiver("down").unprotect(relay.seal(forged, suite.field()))


@suites
@pytest.mark.parametrize("length", range(20))
def test_outer_payloads_too_short_for_an_inner_tag(suite: Suite, length: int) -> None:
    """By a distributor, which can seal what it likes."""
    sealed = Relay(suite).seal(rtp(1, payload=bytes(length)), suite.field())
    reason = "original_header_block" if length < 17 else "inner_authentication"
    with pytest.raises(PacketRejected, match=reason):
        suite.receiver("down").unprotect(sealed)


@suites
def test_a_relay_can_not_play_an_inner_packet_twice(suite: Suite) -> None:
    relay = Relay(suite)
    opened = relay.open(suite.sender(hop="up").protect(rtp(300)))
    receiver = suite.receiver("down")
    receiver.unprotect(relay.seal(opened, suite.field()))
    again = header(opened, pt=96, seq=301, marker=False)[:-1] + bytes.fromhex("012c01")
    with pytest.raises(PacketRejected, match="inner_replayed"):
        receiver.unprotect(relay.seal(again))


@suites
@shapes
def test_repair_mode(suite: Suite, packet: bytes) -> None:
    """Section 5.1, 7.1: the hop's layer alone, in the plain profile's form."""
    protected = suite.sender().protect_repair(packet)
    assert SrtpReceiver(*suite.single_hop()).unprotect(protected[:-1]) == packet
    receiver = suite.receiver()
    assert receiver.unprotect_repair(protected) == packet
    with pytest.raises(PacketRejected, match="replayed"):
        receiver.unprotect_repair(protected)


@suites
def test_retransmission(suite: Suite) -> None:
    """RFC 4588 as section 7.1 has it: the packet off the wire, in a repair packet of its own."""
    sender, receiver = suite.sender(), suite.receiver()
    receiver.unprotect(sender.protect(rtp(1), suite.field()))
    lost = sender.protect(rtp(2))[:-1]
    repair = rtp(900, ssrc=1, payload_type=97, payload=lost[2:4] + lost[12:])
    found = receiver.unprotect_repair(sender.protect_repair(repair))
    restored = lost[:2] + found[12:14] + lost[4:12] + found[14:]
    assert receiver.unprotect(restored + SHORT).packet == rtp(2)


@suites
def test_rtcp_is_under_the_hop_alone(suite: Suite) -> None:
    report = bytes.fromhex("80c90001 deadbeef")
    protected = suite.sender().protect_rtcp(report)
    assert SrtpReceiver(*suite.single_hop()).unprotect_rtcp(protected) == report
    assert suite.receiver().unprotect_rtcp(protected) == report


@suites
def test_no_index_is_protected_twice(suite: Suite) -> None:
    sender = suite.sender()
    for sequence_number in (5, 7, 6):
        sender.protect(rtp(sequence_number))
    for protect in (sender.protect, sender.protect_repair):
        for sequence_number in (5, 6, 7):
            with pytest.raises(UsageError, match="before"):
                protect(rtp(sequence_number, payload=b"other media"))
    sender.set_inner_key(SSRC, suite.key("B"), suite.salt("ekt"))
    with pytest.raises(UsageError, match="before"):
        sender.protect(rtp(5))  # the outer key is the same


@suites
def test_other_hop_keys_leave_what_is_end_to_end_as_it_is(suite: Suite) -> None:
    sender, receiver = suite.sender(), suite.receiver()
    receiver.unprotect(sender.protect(rtp(1), suite.field()))
    under_old_keys = sender.protect(rtp(2))
    _, key, salt = suite.hop("next")
    sender.replace_hop_keys(key, salt)
    receiver.replace_hop_keys(key, salt)
    assert receiver.unprotect(sender.protect(rtp(3))).packet == rtp(3)
    assert receiver.unprotect_rtcp(sender.protect_rtcp(bytes.fromhex("80c9000100000001")))
    with pytest.raises(PacketRejected, match="hop_authentication"):
        receiver.unprotect(under_old_keys)
    with pytest.raises(UsageError):
        sender.protect(rtp(3))  # an index is sealed once, whatever the hop's keys are


@suites
def test_hop_keys_that_served_before_are_refused(suite: Suite) -> None:
    sender, receiver = suite.sender(), suite.receiver()
    _, key, salt = suite.hop("next")
    for end in (sender, receiver):
        end.replace_hop_keys(key, salt)
        for label in ("hop", "next"):
            with pytest.raises(ValueError, match="served before"):
                end.replace_hop_keys(*suite.hop(label)[1:])
        with pytest.raises(ValueError, match="key"):
            end.replace_hop_keys(key[1:], salt)
