"""The runner's framing: datagrams and a clock over one TCP connection (packet_adapter.go)."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Self

_UINT32 = struct.Struct("!I")
_UINT64 = struct.Struct("!Q")
NO_TIMEOUT = (1 << 64) - 1
"""In `ExpectTimeout`: no timer is armed."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A datagram."""

    data: bytes


@dataclass(frozen=True, slots=True)
class AdvanceClock:
    """Time passes with nothing received, in nanoseconds; to be acknowledged before it does."""

    duration: int


@dataclass(frozen=True, slots=True)
class SetMTU:
    """The size of the largest datagram to send, in bytes."""

    mtu: int


@dataclass(frozen=True, slots=True)
class ExpectTimeout:
    """The timer must be due after so many nanoseconds, or not armed (`NO_TIMEOUT`)."""

    duration: int


@dataclass(frozen=True, slots=True)
class SetTimeout:
    """The first timeout of a flight, in milliseconds."""

    duration: int


Command = Packet | AdvanceClock | SetMTU | ExpectTimeout | SetTimeout
_PACKET, _ACKNOWLEDGEMENT = b"P", b"t"
_COMMANDS = {
    b"T": (AdvanceClock, _UINT64),
    b"M": (SetMTU, _UINT32),
    b"E": (ExpectTimeout, _UINT64),
    b"U": (SetTimeout, _UINT32),
}


class Wire:
    """A shim's end of a connection to the runner."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream

    @classmethod
    def connect(cls, port: int, shim_id: int, *, ipv6: bool = False) -> Self:
        """Connects to a runner on this machine, and says which test it is for."""
        stream = socket.create_connection(("::1" if ipv6 else "127.0.0.1", port))
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.sendall(struct.pack("<Q", shim_id))
        return cls(stream)

    def send(self, datagram: bytes) -> None:
        """Sends a datagram."""
        self._stream.sendall(_PACKET + _UINT32.pack(len(datagram)) + datagram)

    def acknowledge(self) -> None:
        """Answers `AdvanceClock`."""
        self._stream.sendall(_ACKNOWLEDGEMENT)

    def receive(self) -> Command | None:
        """The next command; None when the runner is through."""
        opcode = self._read(1)
        if not opcode:
            return None
        if opcode == _PACKET:
            return Packet(self._read(_UINT32.unpack(self._read(4))[0]))
        kind, number = _COMMANDS[opcode]
        return kind(*number.unpack(self._read(number.size)))

    def close(self) -> None:
        """Ends the connection once the runner has read everything."""
        try:
            self._stream.shutdown(socket.SHUT_WR)
            while self._stream.recv(4096):
                pass
        except OSError:
            pass  # the runner was quicker
        self._stream.close()

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            try:
                chunk = self._stream.recv(length - len(data))
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                break
            data += chunk
        return data
