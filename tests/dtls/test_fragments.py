"""Reassembly: any cut, any order, and the bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.dtls.faults import Counters
from halfkey.dtls.fragments import (
    MAXIMUM_AHEAD,
    MAXIMUM_BYTES_AHEAD,
    MAXIMUM_MESSAGE,
    Reassembler,
)
from halfkey.dtls.messages.framing import Fragment
from halfkey.dtls.record import RecordNumber

FIRST = RecordNumber(0, 0)


def fragment(body: bytes, start: int, end: int, seq: int = 0, kind: int = 11) -> Fragment:
    return Fragment(kind, len(body), seq, start, body[start:end])


@given(
    body=st.binary(min_size=1, max_size=200),
    cuts=st.lists(st.tuples(st.integers(0, 199), st.integers(1, 60)), max_size=12),
    data=st.data(),
)
def test_any_overlapping_cuts_in_any_order(
    body: bytes, cuts: list[tuple[int, int]], data: st.DataObject
) -> None:
    pieces = [
        fragment(body, start, min(start + size, len(body)))
        for start, size in cuts
        if start < len(body)
    ]
    pieces += [fragment(body, at, min(at + 37, len(body))) for at in range(0, len(body), 37)]
    reassembler = Reassembler(Counters())
    for index, piece in enumerate(data.draw(st.permutations(pieces))):
        reassembler.add(piece, RecordNumber(0, index))
    message = reassembler.take(0)
    assert message is not None
    assert message.body == body
    assert reassembler.take(0) is None
    assert reassembler.held_bytes == 0


def test_order_is_by_message_seq() -> None:
    reassembler = Reassembler(Counters(), 3)
    for seq in (5, 4, 3):
        assert reassembler.take(0) is None
        reassembler.add(fragment(b"%d" % seq, 0, 1, seq), FIRST)
    bodies = [message.body for _ in range(3) if (message := reassembler.take(0))]
    assert bodies == [b"3", b"4", b"5"]
    assert reassembler.next_seq == 6


def test_an_empty_message_is_whole_at_once() -> None:
    reassembler = Reassembler(Counters())
    reassembler.add(Fragment(14, 0, 0, 0, b""), FIRST)
    message = reassembler.take(0)
    assert message is not None
    assert message.body == b""
    assert message.record_numbers == (FIRST,)


def test_type_and_length_must_agree() -> None:
    counters = Counters()
    reassembler = Reassembler(counters)
    reassembler.add(fragment(b"abcd", 0, 2), FIRST)
    reassembler.add(fragment(b"abcd", 2, 4, kind=12), FIRST)
    reassembler.add(fragment(b"abcde", 2, 4), FIRST)
    assert counters["fragment_mismatch"] == 2
    assert reassembler.take(0) is None
    reassembler.add(fragment(b"abcd", 2, 4), FIRST)
    message = reassembler.take(0)
    assert message is not None
    assert message.body == b"abcd"


def test_the_records_of_a_message_are_remembered_up_to_a_bound() -> None:
    """An ACK names them; one that is sent again and again fills no memory."""
    subject = Reassembler(Counters())
    body = bytes(10)
    for number in range(200):
        subject.add(fragment(body, 0, 5), RecordNumber(1, number))
    subject.add(fragment(body, 5, 10), RecordNumber(1, 200))
    message = subject.take(1)
    assert message is not None
    assert message.record_numbers == tuple(RecordNumber(1, number) for number in range(64))


@pytest.mark.parametrize("dropped", [0, 1, 2], ids=["first", "between", "last"])
def test_a_record_of_which_a_fragment_was_dropped_is_not_named(dropped: int) -> None:
    """RFC 9147 section 7: an ACK of it would say that the dropped one is here, too."""
    subject, spoilt = Reassembler(Counters()), RecordNumber(1, 1)
    subject.add(fragment(b"abcd", 0, 1), RecordNumber(1, 0))
    kept = [fragment(b"abcd", 1, 2), fragment(b"abcd", 2, 3)]
    for piece in [*kept[:dropped], fragment(b"x", 0, 1, MAXIMUM_AHEAD), *kept[dropped:]]:
        assert subject.add(piece, spoilt) is (piece in kept)
    assert not subject.has_kept(spoilt)
    subject.add(fragment(b"abcd", 3, 4), RecordNumber(1, 2))
    assert subject.has_kept(RecordNumber(1, 2))
    message = subject.take(1)
    assert message is not None
    assert message.body == b"abcd"
    assert message.record_numbers == (RecordNumber(1, 0), RecordNumber(1, 2))


def test_a_record_is_looked_for_once_however_much_of_it_is_dropped() -> None:
    """Else whoever is in could have us go through all that waits for each twelve bytes."""
    subject, spoilt = Reassembler(Counters()), RecordNumber(1, 1)
    subject.add(fragment(b"abcd", 0, 1), RecordNumber(1, 0))
    (held,) = subject._partials.values()
    numbers = held.record_numbers
    for _ in range(2):
        assert not subject.add(fragment(b"x", 0, 1, MAXIMUM_AHEAD), spoilt)
        assert held.record_numbers is not numbers
    numbers = held.record_numbers
    for _ in range(100):
        assert not subject.add(fragment(b"x", 0, 1, MAXIMUM_AHEAD), spoilt)
        assert held.record_numbers is numbers


def test_a_whole_message_stays_as_it_came_whatever_its_record_lost() -> None:
    subject = Reassembler(Counters())
    subject.add(fragment(b"abcd", 0, 4), FIRST)
    subject.add(fragment(b"x", 0, 1, MAXIMUM_AHEAD), FIRST)
    subject.add(fragment(b"efgh", 0, 4), RecordNumber(0, 1))
    message = subject.take(0)
    assert message is not None
    assert message.body == b"abcd"
    assert message.record_numbers == (RecordNumber(0, 1),)


def test_epochs_are_not_mixed() -> None:
    reassembler = Reassembler(Counters())
    reassembler.add(fragment(b"abcd", 0, 2), RecordNumber(0, 0))
    reassembler.add(fragment(b"abcd", 2, 4), RecordNumber(1, 0))
    assert reassembler.take(0) is None
    assert reassembler.take(1) is None
    reassembler.add(fragment(b"abcd", 0, 2), RecordNumber(1, 1))
    message = reassembler.take(1)
    assert message is not None
    assert message.record_numbers == (RecordNumber(1, 0), RecordNumber(1, 1))
    assert reassembler.held_bytes == 0  # the other epoch's half is forgotten, too


@pytest.mark.parametrize(
    ("length", "seq"),
    [(MAXIMUM_MESSAGE + 1, 0), (0xFFFFFF, 0), (1, MAXIMUM_AHEAD), (MAXIMUM_BYTES_AHEAD + 1, 1)],
)
def test_beyond_the_bounds_nothing_is_allocated(length: int, seq: int) -> None:
    counters = Counters()
    reassembler = Reassembler(counters)
    reassembler.add(Fragment(11, length, seq, 0, b"x"), FIRST)
    assert counters["reassembly_limit"] == 1
    assert reassembler.held_bytes == 0


def test_what_waits_can_not_starve_the_message_that_is_wanted() -> None:
    reassembler = Reassembler(Counters())
    for seq in range(1, MAXIMUM_AHEAD):
        reassembler.add(Fragment(11, 16 * 1024, seq, 0, b"x"), FIRST)
    assert reassembler.held_bytes <= MAXIMUM_BYTES_AHEAD
    reassembler.add(Fragment(11, MAXIMUM_MESSAGE, 0, 0, b"y" * MAXIMUM_MESSAGE), FIRST)
    assert reassembler.take(0) is not None


def test_gaps_are_bounded_and_a_full_retransmission_still_completes() -> None:
    counters = Counters()
    reassembler = Reassembler(counters)
    body = bytes(4000)
    for at in range(0, 4000, 2):
        reassembler.add(fragment(body, at, at + 1), FIRST)
    assert counters["reassembly_limit"] > 0
    assert reassembler.held_bytes == 4000
    reassembler.add(fragment(body, 0, 4000), FIRST)
    message = reassembler.take(0)
    assert message is not None
    assert len(message.record_numbers) <= 64


@given(
    many=st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(0, 2**24 - 1),
            st.integers(0, 12),
            st.integers(0, 2**24),
            st.integers(0, 1),
        ),
        max_size=40,
    )
)
def test_memory_is_bounded_whatever_comes(many: list[tuple[int, int, int, int, int]]) -> None:
    reassembler = Reassembler(Counters())
    for kind, length, seq, offset, epoch in many:
        within = offset % (length + 1)
        data = b"x" * min(length - within, 50)
        reassembler.add(Fragment(kind, length, seq, within, data), RecordNumber(epoch, 0))
        assert reassembler.held_bytes <= MAXIMUM_BYTES_AHEAD + 2 * MAXIMUM_MESSAGE
