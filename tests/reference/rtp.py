"""The RTP packet of RFC 3550 section 5.1, as a record of its fields."""

from dataclasses import dataclass, replace

from tests.reference.primitives import Refused


@dataclass(frozen=True)
class RtpPacket:
    marker: bool
    payload_type: int
    sequence_number: int
    timestamp: int
    ssrc: int
    csrcs: tuple[int, ...] = ()
    padding: bool = False
    """The P bit alone: padding octets, with their count, are the end of `payload`."""
    extension: bytes = b""
    """The whole extension, with its 4-octet head. The X bit is set when this isn't empty."""
    payload: bytes = b""

    def header(self) -> bytes:
        first = 0x80 | self.padding << 5 | bool(self.extension) << 4 | len(self.csrcs)
        octets = bytes([first, self.marker << 7 | self.payload_type])
        octets += self.sequence_number.to_bytes(2) + self.timestamp.to_bytes(4)
        octets += self.ssrc.to_bytes(4)
        octets += b"".join(csrc.to_bytes(4) for csrc in self.csrcs)
        return octets + self.extension

    def encode(self) -> bytes:
        return self.header() + self.payload

    def without_extension(self) -> "RtpPacket":
        """X set to zero, and only the first 12 + 4 * CC octets of the header (RFC 8723 5.1)."""
        return replace(self, extension=b"")


def parse(packet: bytes) -> RtpPacket:
    if len(packet) < 12:
        raise Refused("malformed", "shorter than an RTP header")
    if packet[0] >> 6 != 2:
        raise Refused("malformed", "RTP version")
    end = 12 + 4 * (packet[0] & 0x0F)
    csrcs = packet[12:end]
    extension = b""
    if packet[0] & 0x10:
        if len(packet) < end + 4:
            raise Refused("malformed", "header extension")
        words = int.from_bytes(packet[end + 2 : end + 4])
        extension = packet[end : end + 4 + 4 * words]
        end += 4 + 4 * words
    if len(packet) < end:
        raise Refused("malformed", "header runs past the end")
    return RtpPacket(
        padding=bool(packet[0] & 0x20),
        marker=bool(packet[1] & 0x80),
        payload_type=packet[1] & 0x7F,
        sequence_number=int.from_bytes(packet[2:4]),
        timestamp=int.from_bytes(packet[4:8]),
        ssrc=int.from_bytes(packet[8:12]),
        csrcs=tuple(int.from_bytes(csrcs[at : at + 4]) for at in range(0, len(csrcs), 4)),
        extension=extension,
        payload=packet[end:],
    )


def one_byte_extensions(elements: list[tuple[int, bytes]]) -> bytes:
    """RFC 8285 section 4.2."""
    data = b"".join(bytes([ident << 4 | len(value) - 1]) + value for ident, value in elements)
    return _extension(0xBEDE, data)


def two_byte_extensions(elements: list[tuple[int, bytes]]) -> bytes:
    """RFC 8285 section 4.3, with appbits zero."""
    data = b"".join(bytes([ident, len(value)]) + value for ident, value in elements)
    return _extension(0x1000, data)


def _extension(profile: int, data: bytes) -> bytes:
    data += bytes(-len(data) % 4)
    return profile.to_bytes(2) + (len(data) // 4).to_bytes(2) + data
