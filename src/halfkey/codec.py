"""Reading and writing the presentation language of RFC 8446 section 3.

One reader and one writer serve the DTLS messages, the tunnel (RFC 9185) and EKTKey (RFC 8870).
Length-prefixed vectors are checked, and trailing bytes refused, here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from halfkey.errors import CodecError


class Reader:
    """Takes big-endian fields off the front of a byte string.

    Every method raises `CodecError` where the bytes run out or break a stated bound.
    """

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = bytes(data)
        self._position = 0

    @property
    def remaining(self) -> int:
        """The number of bytes not read yet."""
        return len(self._data) - self._position

    def read(self, length: int) -> bytes:
        """Takes exactly `length` bytes."""
        end = self._position + length
        data = self._data[self._position : end]
        if len(data) < length:
            raise CodecError(f"{length} bytes wanted, {self.remaining} left")
        self._position = end
        return data

    def uint(self, size: int) -> int:
        """Takes an unsigned integer of `size` bytes."""
        return int.from_bytes(self.read(size), "big")

    def uint8(self) -> int:
        """Takes a uint8."""
        return self.uint(1)

    def uint16(self) -> int:
        """Takes a uint16."""
        return self.uint(2)

    def uint24(self) -> int:
        """Takes a uint24."""
        return self.uint(3)

    def uint32(self) -> int:
        """Takes a uint32."""
        return self.uint(4)

    def uint64(self) -> int:
        """Takes a uint64."""
        return self.uint(8)

    def vector(self, prefix: int, minimum: int = 0, maximum: int | None = None) -> bytes:
        """Takes ``opaque field<minimum..maximum>`` whose length prefix has `prefix` bytes."""
        start = self._position + prefix
        length = int.from_bytes(self._data[self._position : start], "big")
        end = start + length
        if end > len(self._data):  # so, too, where the prefix itself is cut short
            raise CodecError(f"a vector is cut short, {self.remaining} bytes left")
        if length < minimum or (maximum is not None and length > maximum):
            raise _out_of_bounds(length)
        self._position = end
        return self._data[start:end]

    def rest(self) -> bytes:
        """Takes all that is left."""
        return self.read(self.remaining)

    def finish(self) -> None:
        """Raises unless every byte was read."""
        if self.remaining:
            raise CodecError(f"{self.remaining} bytes left over")

    def block(self, prefix: int, minimum: int = 0, maximum: int | None = None) -> Reader:
        """Reads inside a vector, in a ``with``: leaving it refuses what was not read."""
        return Reader(self.vector(prefix, minimum, maximum))

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, fault: type[BaseException] | None, *details: object) -> None:
        if fault is None:
            self.finish()


def whole_vector(data: bytes, prefix: int, minimum: int = 0, maximum: int | None = None) -> bytes:
    """The content of ``opaque field<minimum..maximum>``, where `data` is that field and no more.

    Raises:
        CodecError: as `Reader.vector` and `Reader.finish`.
    """
    length = len(data) - prefix
    if length < 0 or int.from_bytes(data[:prefix], "big") != length:
        raise CodecError("a vector is cut short, or has bytes left over behind it")
    if length < minimum or (maximum is not None and length > maximum):
        raise _out_of_bounds(length)
    return data[prefix:]


def encode_vector(prefix: int, data: bytes) -> bytes:
    """A length prefix of `prefix` bytes and `data`."""
    return len(data).to_bytes(prefix, "big") + data


def _out_of_bounds(length: int) -> CodecError:
    return CodecError(f"a vector of {length} bytes is outside its bounds")


class Writer:
    """Appends big-endian fields to a buffer; the counterpart of `Reader`.

    Values come from our own side, so a value out of bounds raises `OverflowError` or `ValueError`
    as a programming fault.
    """

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def getvalue(self) -> bytes:
        """All that was written so far."""
        return bytes(self._buffer)

    def write(self, data: bytes | bytearray | memoryview) -> Writer:
        """Appends raw bytes."""
        self._buffer += data
        return self

    def uint(self, value: int, size: int) -> Writer:
        """Appends an unsigned integer of `size` bytes."""
        self._buffer += value.to_bytes(size, "big")
        return self

    def uint8(self, value: int) -> Writer:
        """Appends a uint8."""
        return self.uint(value, 1)

    def uint16(self, value: int) -> Writer:
        """Appends a uint16."""
        return self.uint(value, 2)

    def uint24(self, value: int) -> Writer:
        """Appends a uint24."""
        return self.uint(value, 3)

    def uint32(self, value: int) -> Writer:
        """Appends a uint32."""
        return self.uint(value, 4)

    def uint64(self, value: int) -> Writer:
        """Appends a uint64."""
        return self.uint(value, 8)

    def vector(self, prefix: int, data: bytes | bytearray | memoryview) -> Writer:
        """Appends a length prefix of `prefix` bytes and `data`."""
        self._buffer += len(data).to_bytes(prefix, "big")
        self._buffer += data
        return self

    @contextmanager
    def block(self, prefix: int) -> Iterator[Writer]:
        """Writes a vector whose length is filled in on leaving the block."""
        inner = Writer()
        yield inner
        self.vector(prefix, inner._buffer)
