"""Rollover counters and replay windows (RFC 3711 section 3.3), inner and outer apart."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey._media import SrtpReceiver, SrtpSender
from halfkey.errors import PacketRejected, UsageError
from tests.media.helpers import SSRC, SUITES, Suite, rtp

suites = pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)

WINDOW = 960


def protect_all(suite: Suite, indices: Iterable[int]) -> list[tuple[int, bytes]]:
    """Packets with these indices, in order; the first brings the key, Short EKT Fields follow."""
    sender = suite.sender()
    sent = []
    for index in indices:
        number = index & 0xFFFF
        assert sender.rollover_counter(SSRC, number) == index >> 16
        field = suite.field() if not sent else b"\0"
        sent.append((index, sender.protect(rtp(number), field)))
    return sent


@suites
def test_in_order_over_two_wraps(suite: Suite) -> None:
    receiver = suite.receiver()
    for index, packet in protect_all(suite, range(0x7FFF, 0x28000, 997)):
        assert receiver.unprotect(packet).inner_sequence_number == index & 0xFFFF


@suites
def test_out_of_order_around_the_wrap(suite: Suite) -> None:
    sent = protect_all(suite, range(0x10000 - 100, 0x10000 + 100))
    receiver = suite.receiver()
    receiver.unprotect(sent[0][1])
    for index, packet in sorted(sent[1:], key=lambda item: item[0] * 7919 % 211):
        assert receiver.unprotect(packet).inner_sequence_number == index & 0xFFFF
    for _, packet in sent:
        with pytest.raises(PacketRejected, match="replayed"):
            receiver.unprotect(packet)


@suites
def test_the_window(suite: Suite) -> None:
    sent = dict(protect_all(suite, range(2000)))
    receiver = suite.receiver()
    receiver.unprotect(sent[0])
    receiver.unprotect(sent[1999])
    receiver.unprotect(sent[1999 - WINDOW + 1])
    with pytest.raises(PacketRejected, match="too_old"):
        receiver.unprotect(sent[1999 - WINDOW])


@suites
def test_a_sender_refuses_what_lies_before_its_window(suite: Suite) -> None:
    sender = suite.sender()
    sender.protect(rtp(5000))
    sender.protect(rtp(5000 - WINDOW + 1))
    with pytest.raises(UsageError, match="too far back"):
        sender.protect(rtp(5000 - WINDOW))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60))
def test_loss_duplication_and_disorder(order: list[int]) -> None:
    """Whatever arrives, each packet opens exactly once."""
    suite = SUITES["128"]
    sent = protect_all(suite, range(0xFFF0, 0xFFF0 + 41))
    receiver = suite.receiver()
    receiver.unprotect(sent[0][1])
    seen = {0}
    for position in order:
        if position in seen:
            with pytest.raises(PacketRejected, match="replayed"):
                receiver.unprotect(sent[position][1])
        else:
            receiver.unprotect(sent[position][1])
            seen.add(position)


@suites
def test_the_inner_counter_comes_from_the_ekt_field(suite: Suite) -> None:
    """A late joiner: the hop's counter begins at 0, the sender's is at 1, and both wrap."""
    sender = suite.sender(hop="up")
    hop_in, hop_out = SrtpReceiver(*suite.single_hop("up")), SrtpSender(*suite.single_hop("down"))
    receiver = suite.receiver("down")
    for index in range(0, 0x1FFFE, 0x4000):
        hop_in.unprotect(sender.protect(rtp(index & 0xFFFF))[:-1])
    for step, number in enumerate((0xFFFE, 0xFFFF, 0, 1)):
        roc = sender.rollover_counter(SSRC, number)
        assert roc == (1 if number > 0x8000 else 2)
        opened = hop_in.unprotect(sender.protect(rtp(number))[:-1])
        field = suite.field(roc=roc) if step == 0 else b"\0"
        assert receiver.unprotect(hop_out.protect(opened) + field).packet == rtp(number)


@suites
def test_a_stream_that_was_away_comes_back_by_its_ekt_field(suite: Suite) -> None:
    """What a distributor didn't forward for long: the inner counter went on, the hop's didn't."""
    sender = suite.sender(hop="up")
    hop_in, hop_out = SrtpReceiver(*suite.single_hop("up")), SrtpSender(*suite.single_hop("down"))
    receiver = suite.receiver("down")
    first = hop_in.unprotect(sender.protect(rtp(0))[:-1])
    receiver.unprotect(hop_out.protect(first) + suite.field())
    for index in range(0x4000, 0x30000, 0x4000):
        hop_in.unprotect(sender.protect(rtp(index & 0xFFFF))[:-1])

    def forward(inner_number: int, outer_number: int, field: bytes) -> bytes:
        opened = hop_in.unprotect(sender.protect(rtp(inner_number))[:-1])
        ohb = opened[2:4] + b"\1"
        changed = opened[:2] + outer_number.to_bytes(2, "big") + opened[4:-1] + ohb
        return hop_out.protect(changed) + field

    with pytest.raises(PacketRejected, match="inner_authentication"):
        receiver.unprotect(forward(0xF000, 1, b"\0"))
    roc = sender.rollover_counter(SSRC, 0xF001)
    assert roc == 2
    back = receiver.unprotect(forward(0xF001, 2, suite.field(roc=roc)))
    assert (back.inner_sequence_number, back.new_key) == (0xF001, False)
    assert receiver.unprotect(forward(0xF002, 3, b"\0")).packet == rtp(3)


@suites
def test_an_old_ekt_field_takes_nothing_back(suite: Suite) -> None:
    """A distributor that replays the first field, with its low counter, does no harm."""
    receiver = suite.receiver()
    sent = protect_all(suite, range(0, 0x28000, 0x3000))
    old = suite.field(roc=0)
    receiver.unprotect(sent[0][1])
    for index, packet in sent[1:]:
        assert receiver.unprotect(packet[:-1] + old).inner_sequence_number == index & 0xFFFF
