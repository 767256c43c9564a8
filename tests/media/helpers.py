"""RTP packets of every shape, and contexts with known keys."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from halfkey._media import DoubleReceiver, DoubleSender, full_ekt_field

SHORT = b"\0"
SSRC = 0xDEADBEEF
SPI = 7
SALT_LENGTH = 12


@dataclass(frozen=True)
class Suite:
    """A double profile with all the keys that a test needs."""

    profile: int
    length: int

    @property
    def single(self) -> int:
        return self.profile - 2

    def key(self, label: str) -> bytes:
        return (label.encode() * self.length)[: self.length]

    def salt(self, label: str) -> bytes:
        return (label[::-1].encode() * SALT_LENGTH)[:SALT_LENGTH]

    def hop(self, label: str = "hop") -> tuple[int, bytes, bytes]:
        return self.profile, self.key(label), self.salt(label)

    def single_hop(self, label: str = "hop") -> tuple[int, bytes, bytes]:
        return self.single, self.key(label), self.salt(label)

    def sender(self, inner: str = "A", ssrc: int = SSRC, hop: str = "hop") -> DoubleSender:
        sender = DoubleSender(*self.hop(hop))
        sender.set_inner_key(ssrc, self.key(inner), self.salt("ekt"))
        return sender

    def receiver(self, hop: str = "hop", spi: int = SPI) -> DoubleReceiver:
        receiver = DoubleReceiver(*self.hop(hop))
        receiver.add_ekt_parameter_set(spi, self.key("kek"), self.salt("ekt"))
        return receiver

    def field(
        self, inner: str = "A", epoch: int = 0, roc: int = 0, spi: int = SPI, ssrc: int = SSRC
    ) -> bytes:
        return full_ekt_field(self.key("kek"), spi, epoch, ssrc, roc, self.key(inner))


SUITES = {"128": Suite(9, 16), "256": Suite(0xA, 32)}


def rtp(
    sequence_number: int = 1,
    *,
    ssrc: int = SSRC,
    payload_type: int = 96,
    marker: bool = False,
    timestamp: int = 0x01020304,
    csrcs: tuple[int, ...] = (),
    extension: bytes = b"",
    padding: bool = False,
    payload: bytes = b"some media",
) -> bytes:
    """An RTP packet. `extension` is whole, with its head; padding is part of `payload`."""
    first = 0x80 | padding << 5 | bool(extension) << 4 | len(csrcs)
    head = bytes([first, marker << 7 | payload_type]) + sequence_number.to_bytes(2, "big")
    head += timestamp.to_bytes(4, "big") + ssrc.to_bytes(4, "big")
    return head + b"".join(c.to_bytes(4, "big") for c in csrcs) + extension + payload


def header_length(packet: bytes) -> int:
    """Of the header with CSRCs and extension."""
    length = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        length += 4 + 4 * int.from_bytes(packet[length + 2 : length + 4], "big")
    return length


def synthetic(packet: bytes) -> bytes:
    """The synthetic packet of RFC 8723 section 5.1: no extension, X zero."""
    fixed = 12 + 4 * (packet[0] & 0x0F)
    return bytes([packet[0] & ~0x10]) + packet[1:fixed] + packet[header_length(packet) :]


def _words(form: int, data: bytes) -> bytes:
    data += bytes(-len(data) % 4)
    return form.to_bytes(2, "big") + (len(data) // 4).to_bytes(2, "big") + data


@st.composite
def one_byte_extensions(draw: st.DrawFn) -> bytes:
    elements = draw(st.lists(st.tuples(st.integers(1, 14), st.binary(min_size=1, max_size=16))))
    data = b"".join(bytes([n << 4 | len(value) - 1]) + value for n, value in elements)
    return _words(0xBEDE, data)


@st.composite
def two_byte_extensions(draw: st.DrawFn) -> bytes:
    element = st.tuples(st.integers(1, 255), st.binary(max_size=40))
    data = b"".join(
        bytes([n, len(value)]) + value for n, value in draw(st.lists(element, max_size=5))
    )
    return _words(0x1000 | draw(st.integers(0, 15)), data)


@st.composite
def packets(draw: st.DrawFn, sequence_number: int | None = None, ssrc: int = SSRC) -> bytes:
    """RTP packets: CSRCs, extensions of both forms, padding, empty payloads."""
    payload = draw(st.binary(max_size=200))
    padding = draw(st.booleans())
    if padding:
        count = draw(st.integers(1, 255))
        payload += bytes(count - 1) + bytes([count])
    return rtp(
        draw(st.integers(0, 0xFFFF)) if sequence_number is None else sequence_number,
        ssrc=ssrc,
        payload_type=draw(st.integers(0, 127)),
        marker=draw(st.booleans()),
        timestamp=draw(st.integers(0, 2**32 - 1)),
        csrcs=tuple(draw(st.lists(st.integers(0, 2**32 - 1), max_size=15))),
        extension=draw(st.just(b"") | one_byte_extensions() | two_byte_extensions()),
        padding=padding,
        payload=payload,
    )


SHAPES = {
    "plain": rtp(),
    "marker": rtp(marker=True),
    "csrcs": rtp(csrcs=(1, 2, 3)),
    "fifteen csrcs": rtp(csrcs=tuple(range(15))),
    "one-byte extension": rtp(extension=_words(0xBEDE, b"\x10\xff\x22mid")),
    "two-byte extension": rtp(extension=_words(0x1000, b"\x01\x00\x21\x03mid")),
    "empty extension": rtp(extension=_words(0xBEDE, b"")),
    "padding": rtp(padding=True, payload=b"media\0\0\3"),
    "padding alone": rtp(padding=True, payload=b"\0\0\0\4"),
    "empty payload": rtp(payload=b""),
    "csrcs and extension": rtp(csrcs=(9,), extension=_words(0xBEDE, b"\x32abc"), marker=True),
}
