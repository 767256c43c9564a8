"""halfkey._media beside the reference, on packets that nobody chose."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from halfkey._media import DoubleReceiver, DoubleSender
from halfkey.errors import PacketRejected
from tests.reference import double, ekt, rtp
from tests.reference.endpoint import ReceivingEndpoint
from tests.reference.primitives import Refused
from tests.reference.rtp import RtpPacket
from tests.vectors.media_contexts import EKT_KEY, SHORT, SPI, full_field, new_receiver

SSRC = 0x5EED

elements = st.lists(st.tuples(st.integers(1, 14), st.binary(min_size=1, max_size=16)), max_size=4)
extensions = st.one_of(
    st.just(b""), elements.map(rtp.one_byte_extensions), elements.map(rtp.two_byte_extensions)
)
packets = st.builds(
    RtpPacket,
    marker=st.booleans(),
    payload_type=st.integers(0, 127),
    sequence_number=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 2**32 - 1),
    ssrc=st.just(SSRC),
    csrcs=st.lists(st.integers(0, 2**32 - 1), max_size=15).map(tuple),
    extension=extensions,
    payload=st.binary(max_size=64),
)
changes = st.fixed_dictionaries(
    {},
    optional={
        "payload_type": st.integers(0, 127),
        "sequence_number": st.integers(0, 0xFFFF),
        "marker": st.booleans(),
        "extension": extensions,
    },
)
profiles = st.sampled_from([9, 10])


def keys_of(profile: int, hop: int) -> double.DoubleKeys:
    """One inner half for all hops, another outer half for each."""
    length = 16 if profile == 9 else 32
    return double.double_keys(
        bytes(range(length)) + bytes([hop] * length), bytes(23) + bytes([hop])
    )


def reference_receiver(profile: int, keys: double.DoubleKeys) -> ReceivingEndpoint:
    parameters = {SPI: ekt.EktParameterSet(EKT_KEY, keys.inner.master_salt)}
    processing = ekt.InboundProcessing(parameters, len(keys.inner.master_key))
    return ReceivingEndpoint(keys.outer, processing)


def outcomes(
    ours: DoubleReceiver, theirs: ReceivingEndpoint, packet: bytes
) -> tuple[bytes | None, bytes | None]:
    """What each opens the packet to; None: refused."""
    try:
        opened = ours.unprotect(packet).packet
    except PacketRejected:
        opened = None
    try:
        return opened, theirs.receive(packet).believed
    except Refused:
        return opened, None


@given(profile=profiles, packet=packets)
@settings(deadline=None)
def test_protect(profile: int, packet: RtpPacket) -> None:
    keys = keys_of(profile, 1)
    sender = DoubleSender(profile, keys.outer.master_key, keys.outer.master_salt)
    sender.set_inner_key(SSRC, keys.inner.master_key, keys.inner.master_salt)
    expected = double.protect(keys, packet.encode(), 0, 0).outer.packet
    assert sender.protect(packet.encode()) == expected + SHORT


@given(profile=profiles, packet=packets, hops=st.lists(changes, max_size=3))
@settings(deadline=None)
def test_relayed_and_received(profile: int, packet: RtpPacket, hops: list[dict[str, Any]]) -> None:
    keys = keys_of(profile, 1)
    data = double.protect(keys, packet.encode(), 0, 0).outer.packet
    for count, changed in enumerate(hops, 2):
        after = keys_of(profile, count)
        relayed = double.relay(
            keys.outer, after.outer, data, receive_roc=0, send_roc=0, changes=changed
        )
        keys, data = after, relayed.sealed.packet
    delivered = data + full_field(keys, SSRC, 0)
    opened, expected = outcomes(
        new_receiver(profile, keys), reference_receiver(profile, keys), delivered
    )
    assert opened == expected is not None
    assert rtp.parse(expected).payload == packet.payload


@given(
    profile=profiles,
    packet=packets,
    at=st.integers(0, 400),
    bit=st.integers(0, 7),
    cut=st.integers(0, 80),
    full=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_tampered(profile: int, packet: RtpPacket, at: int, bit: int, cut: int, full: bool) -> None:
    """A bit flipped anywhere, in the EKTField too, or octets cut off; then the intact packet."""
    keys = keys_of(profile, 1)
    ours, theirs = new_receiver(profile, keys), reference_receiver(profile, keys)
    first = replace(packet, sequence_number=(packet.sequence_number or 1) - 1)
    for before in {first.sequence_number: first, packet.sequence_number: packet}.values():
        sent = double.protect(keys, before.encode(), 0, 0).outer.packet
        sent += full_field(keys, SSRC, 0) if full or before is first else SHORT
        tampered = bytearray(sent[: len(sent) - cut])
        if tampered:
            tampered[at % len(tampered)] ^= 1 << bit
        opened, expected = outcomes(ours, theirs, bytes(tampered))
        assert opened == expected
        opened, expected = outcomes(ours, theirs, sent)
        assert opened == expected


@given(
    profile=profiles,
    inner=st.binary(max_size=40),
    ohb=st.binary(max_size=5),
    sequence_number=st.integers(0, 0xFFFF),
)
@settings(deadline=None)
def test_whatever_a_relay_seals(
    profile: int, inner: bytes, ohb: bytes, sequence_number: int
) -> None:
    """A relay that has the outer keys can put anything inside: it opens to nothing."""
    keys = keys_of(profile, 1)
    header = RtpPacket(False, 0, sequence_number, 0, SSRC).header()
    sealed = double.protect_repair(keys, header + inner + ohb, 0).outer.packet
    delivered = sealed + full_field(keys, SSRC, 0)
    opened, expected = outcomes(
        new_receiver(profile, keys), reference_receiver(profile, keys), delivered
    )
    assert opened is expected is None


@given(
    profile=profiles,
    start=st.integers(0, 0xFFFF),
    leaps=st.lists(st.integers(1, 0x7FFF), min_size=1, max_size=12),
    inner_start=st.integers(0, 2**31),
)
@settings(deadline=None)
def test_rollover(profile: int, start: int, leaps: list[int], inner_start: int) -> None:
    """Leaps of less than half of the sequence numbers, round the wrap several times.

    The receiver came late: its hop begins at ROC 0 and the sender's ROC is anything. Of each two
    packets the later one arrives first.
    """
    keys = keys_of(profile, 1)
    sender = DoubleSender(profile, keys.outer.master_key, keys.outer.master_salt)
    sender.set_inner_key(SSRC, keys.inner.master_key, keys.inner.master_salt)
    ours, theirs = new_receiver(profile, keys), reference_receiver(profile, keys)
    index = start
    for count, leap in enumerate([0, *leaps]):
        index += leap
        packet = RtpPacket(False, 0, index & 0xFFFF, count, SSRC).encode()
        roc = index >> 16
        assert sender.rollover_counter(SSRC, index & 0xFFFF) == roc
        assert sender.protect(packet)[:-1] == double.protect(keys, packet, roc, roc).outer.packet

        late = RtpPacket(False, 0, (index - 1) & 0xFFFF, count, SSRC).encode()
        late_roc = (index - 1) >> 16
        field = full_field(keys, SSRC, inner_start + roc) if count == 0 else SHORT
        for data, its_roc in ((packet, roc), (late, late_roc)):
            if its_roc < 0 or (data is late and leap == 1):
                continue
            sealed = double.protect(keys, data, inner_start + its_roc, its_roc).outer.packet
            opened, expected = outcomes(ours, theirs, sealed + field)
            assert opened == expected == data
