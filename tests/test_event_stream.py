"""Server-sent events: what is written is read, however it is cut; bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.errors import CodecError
from halfkey.event_stream import COMMENT, MAXIMUM_EVENT, ServerSentEvent, read_events

EVENTS = st.builds(
    ServerSentEvent,
    st.from_regex(r"[a-z-]{1,20}", fullmatch=True),
    st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=4),
)


async def cut(stream: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(stream), size):
        yield stream[start : start + size]


async def read(stream: bytes, size: int = 1 << 20) -> list[ServerSentEvent]:
    return [event async for event in read_events(cut(stream, size))]


@given(st.lists(EVENTS, max_size=5), st.integers(1, 40), st.booleans())
async def test_events_come_back(events: list[ServerSentEvent], size: int, crlf: bool) -> None:
    stream = COMMENT + COMMENT.join(event.encode() for event in events)
    assert await read(stream.replace(b"\n", b"\r\n") if crlf else stream, size) == events


async def test_fields_of_the_standard() -> None:
    stream = b'retry: 5\nid: 1\ndata:{"a":\ndata: 1}\n\nevent: x\n\nevent: y\ndata: {}\n\ndata: {"b'
    assert await read(stream) == [ServerSentEvent("message", {"a": 1}), ServerSentEvent("y", {})]


@given(st.binary(max_size=80))
async def test_junk_raises_codec_errors_only(junk: bytes) -> None:
    try:
        found = await read(b"data: {}\n\n" + junk + b"\n\n")
    except CodecError:
        return
    assert found[0] == ServerSentEvent("message", {})


@pytest.mark.parametrize("data", [b"1", b"[]", b"{", b'"x"', b"[" * 100_000])
async def test_data_that_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        await read(b"data: " + data + b"\n\n")


async def test_an_event_without_end_is_refused() -> None:
    with pytest.raises(CodecError, match="too long"):
        await read(b"data: " + b" " * MAXIMUM_EVENT)
