from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.codec import Reader, Writer, encode_vector, whole_vector
from halfkey.errors import CodecError

SIZES = {1: "uint8", 2: "uint16", 3: "uint24", 4: "uint32", 8: "uint64"}


@given(st.sampled_from(sorted(SIZES)), st.data())
def test_integers_round_trip_in_network_byte_order(size: int, data: st.DataObject) -> None:
    value = data.draw(st.integers(0, 256**size - 1))
    written = getattr(Writer(), SIZES[size])(value).getvalue()
    assert written == value.to_bytes(size, "big")
    reader = Reader(written)
    assert getattr(reader, SIZES[size])() == value
    reader.finish()


@pytest.mark.parametrize("size", SIZES)
def test_a_truncated_integer_is_refused(size: int) -> None:
    with pytest.raises(CodecError):
        getattr(Reader(bytes(size - 1)), SIZES[size])()


@given(st.binary(max_size=300), st.binary(max_size=9))
def test_vectors_round_trip(content: bytes, after: bytes) -> None:
    reader = Reader(Writer().vector(2, content).write(after).getvalue())
    assert reader.vector(2) == content
    assert reader.rest() == after


@given(st.binary(min_size=1, max_size=40), st.data())
def test_a_truncated_vector_is_refused(content: bytes, data: st.DataObject) -> None:
    whole = Writer().vector(1, content).getvalue()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(CodecError):
        Reader(whole[:cut]).vector(1)


@pytest.mark.parametrize("length", [1, 5])
def test_a_vector_outside_its_bounds_is_refused(length: int) -> None:
    data = Writer().vector(1, bytes(length)).getvalue()
    with pytest.raises(CodecError, match="outside its bounds"):
        Reader(data).vector(1, minimum=2, maximum=4)
    with pytest.raises(CodecError, match="outside its bounds"):
        whole_vector(data, 1, minimum=2, maximum=4)


@given(st.sampled_from([1, 2, 3]), st.binary(max_size=255))
def test_a_vector_by_itself_is_as_within_others(prefix: int, content: bytes) -> None:
    whole = encode_vector(prefix, content)
    assert whole == Writer().vector(prefix, content).getvalue()
    assert whole_vector(whole, prefix) == content
    for wrong in (*(whole[:length] for length in range(len(whole))), whole + b"x"):
        with pytest.raises(CodecError):
            whole_vector(wrong, prefix)


def test_a_block_refuses_what_was_not_read_of_it() -> None:
    writer = Writer()
    with writer.block(2) as inner:
        inner.uint8(7).uint8(8)
    with Reader(writer.getvalue()).block(2) as block:
        assert (block.uint8(), block.uint8()) == (7, 8)
    with (
        pytest.raises(CodecError, match="1 bytes left over"),
        Reader(writer.getvalue()).block(2) as block,
    ):
        block.uint8()


def test_a_value_that_does_not_fit_is_our_own_fault() -> None:
    with pytest.raises(OverflowError):
        Writer().uint8(256)
    with pytest.raises(OverflowError):
        Writer().vector(1, bytes(256))
    with pytest.raises(OverflowError):
        encode_vector(1, bytes(256))
