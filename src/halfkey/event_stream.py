"""Server-sent events (the HTML standard, section 9.2): writing them, and reading them bounded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Any

from halfkey.errors import CodecError

CONTENT_TYPE = "text/event-stream"

COMMENT = b":\n\n"
"""What keeps a quiet stream alive; readers ignore it."""

MAXIMUM_EVENT = 8 * 1024 * 1024
"""The longest event that is read, in bytes: room for the vouched roster of a large conference."""


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event.

    Attributes:
        name: its type; ``"message"`` where the stream names none.
        data: a JSON object.
    """

    name: str
    data: dict[str, Any]

    def encode(self) -> bytes:
        """The event on the wire."""
        return f"event: {self.name}\ndata: {json.dumps(self.data)}\n\n".encode()


async def read_events(chunks: AsyncIterable[bytes]) -> AsyncIterator[ServerSentEvent]:
    """Reads events out of a byte stream as they are complete; those without data are passed over.

    Raises:
        CodecError: an event is too long, or its data is no JSON object.
    """
    buffer = bytearray()
    async for chunk in chunks:
        # CR may end a line too, but no writer that we read uses it alone.
        buffer += chunk.replace(b"\r", b"")
        while (end := buffer.find(b"\n\n")) >= 0:
            event = _read_event(bytes(buffer[:end]))
            del buffer[: end + 2]
            if event is not None:
                yield event
        if len(buffer) > MAXIMUM_EVENT:
            raise CodecError("an event is too long")


def _read_event(block: bytes) -> ServerSentEvent | None:
    """One event out of its lines, or None if it has no data."""
    name, data = "message", list[bytes]()
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"data":
            data.append(value)
    if not data:
        return None
    try:
        content = json.loads(b"\n".join(data))
    except (ValueError, RecursionError):
        raise CodecError("an event's data is no JSON") from None
    if not isinstance(content, dict):
        raise CodecError("an event's data is no JSON object")
    return ServerSentEvent(name, content)
