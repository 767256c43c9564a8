"""Typed values of the SDP attributes that Halfkey acts on.

Each is a small frozen class with `parse` and ``str()`` side by side, or a function where the value
is a plain string. Every parser raises `CodecError` and nothing else; `Section.all` and
`Section.one` add the number of the line.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import Enum

from halfkey.errors import CodecError
from halfkey.sdp.description import is_token

SHA_256 = "sha-256"

_DIGEST_LENGTHS = {SHA_256: 32, "sha-384": 48, "sha-512": 64}
_FINGERPRINT = re.compile(r"(?P<hash>[A-Za-z0-9-]+) +(?P<digest>[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})*)")
_TLS_ID = re.compile(r"[A-Za-z0-9+/_-]{20,255}")
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_RTPMAP = re.compile(r"([0-9]{1,3}) ([^\s/]+)/([0-9]{1,9})(?:/([0-9]{1,3}))?")
_FMTP = re.compile(r"([0-9]{1,3}) (.+)")
_FEEDBACK = re.compile(r"([0-9]{1,3}|\*) (.+)")
_EXTMAP = re.compile(r"([0-9]{1,5})(?:/(sendonly|recvonly|sendrecv|inactive))? ([^\s]+)(?: (.+))?")
_SSRC = re.compile(r"([0-9]{1,10}) ([^\s:]+)(?::(.*))?")
_CANDIDATE = re.compile(
    r"(?P<foundation>[A-Za-z0-9+/]{1,32}) (?P<component>[0-9]{1,3}) (?P<transport>[^\s]+)"
    r" (?P<priority>[0-9]{1,10}) (?P<address>[^\s]+) (?P<port>[0-9]{1,5})"
    r" typ (?P<type>[^\s]+)(?P<rest>(?: [^\s]+ [^\s]+)*)"
)


class Direction(Enum):
    """Who sends in a media section, from its writer's side (RFC 8866 section 6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def mirrored(self) -> Direction:
        """The same flow from the other side (RFC 3264 section 6.1)."""
        return _MIRRORED.get(self, self)

    @property
    def sends(self) -> bool:
        """Whether the writer of the section sends."""
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        """Whether the writer of the section receives."""
        return self in (Direction.SENDRECV, Direction.RECVONLY)


_MIRRORED = {
    Direction.SENDONLY: Direction.RECVONLY,
    Direction.RECVONLY: Direction.SENDONLY,
}


class Setup(Enum):
    """The DTLS roles that a description's writer can take (RFC 8842 section 5)."""

    ACTPASS = "actpass"
    ACTIVE = "active"
    PASSIVE = "passive"

    @classmethod
    def parse(cls, value: str) -> Setup:
        """Reads a=setup; ``holdconn`` has no use with DTLS (RFC 8842 section 5.1)."""
        try:
            return cls(value)
        except ValueError:
            raise CodecError("a=setup is none of actpass, active, passive") from None


@dataclass(frozen=True, slots=True)
class RTPMap:
    """a=rtpmap (RFC 8866 section 6.6): what a payload type carries.

    Attributes:
        payload_type: 0 to 127.
        encoding: the codec's name as written; compare without regard to case.
        clock_rate: in Hz.
        channels: audio channels, None where the line doesn't say.
    """

    payload_type: int
    encoding: str
    clock_rate: int
    channels: int | None = None

    @classmethod
    def parse(cls, value: str) -> RTPMap:
        """Reads the value of a=rtpmap."""
        match = _RTPMAP.fullmatch(value)
        if match is None or int(match[1]) > 127:
            raise CodecError("a=rtpmap is malformed")
        return cls(int(match[1]), match[2], int(match[3]), int(match[4]) if match[4] else None)

    def __str__(self) -> str:
        return f"{self.payload_type} {self.codec}"

    @property
    def codec(self) -> str:
        """The codec without its number, for example ``opus/48000/2``."""
        channels = "" if self.channels is None else f"/{self.channels}"
        return f"{self.encoding}/{self.clock_rate}{channels}"


@dataclass(frozen=True, slots=True)
class FormatParameters:
    """a=fmtp (RFC 8866 section 6.15); `parameters` are the codec's own, unread."""

    payload_type: int
    parameters: str

    @classmethod
    def parse(cls, value: str) -> FormatParameters:
        """Reads the value of a=fmtp."""
        match = _FMTP.fullmatch(value)
        if match is None or int(match[1]) > 127:
            raise CodecError("a=fmtp is malformed")
        return cls(int(match[1]), match[2])

    def __str__(self) -> str:
        return f"{self.payload_type} {self.parameters}"


@dataclass(frozen=True, slots=True)
class RTCPFeedback:
    """a=rtcp-fb (RFC 4585 section 4.2); `payload_type` None stands for ``*``, all of them."""

    payload_type: int | None
    feedback: str

    @classmethod
    def parse(cls, value: str) -> RTCPFeedback:
        """Reads the value of a=rtcp-fb."""
        match = _FEEDBACK.fullmatch(value)
        if match is None or (match[1] != "*" and int(match[1]) > 127):
            raise CodecError("a=rtcp-fb is malformed")
        return cls(None if match[1] == "*" else int(match[1]), match[2])

    def __str__(self) -> str:
        return f"{'*' if self.payload_type is None else self.payload_type} {self.feedback}"


@dataclass(frozen=True, slots=True)
class ExtensionMap:
    """a=extmap (RFC 8285 section 8).

    Attributes:
        id: 1 to 14 fit one-byte headers, up to 255 two-byte ones.
        uri: names the header extension.
        direction: None where the line doesn't say.
        parameters: the extension's own, unread; empty if none.
    """

    id: int
    uri: str
    direction: Direction | None = None
    parameters: str = ""

    @classmethod
    def parse(cls, value: str) -> ExtensionMap:
        """Reads the value of a=extmap; ids above 255, which RFC 8285 keeps for offers of more
        extensions than ids, are refused."""
        match = _EXTMAP.fullmatch(value)
        if match is None or not 1 <= int(match[1]) <= 255:
            raise CodecError("a=extmap is malformed")
        direction = Direction(match[2]) if match[2] else None
        return cls(int(match[1]), match[3], direction, match[4] or "")

    def __str__(self) -> str:
        direction = "" if self.direction is None else f"/{self.direction.value}"
        parameters = f" {self.parameters}" if self.parameters else ""
        return f"{self.id}{direction} {self.uri}{parameters}"


@dataclass(frozen=True, slots=True)
class SourceAttribute:
    """a=ssrc (RFC 5576 section 4.1): one attribute of one source, such as its cname."""

    ssrc: int
    name: str
    value: str | None = None

    @classmethod
    def parse(cls, value: str) -> SourceAttribute:
        """Reads the value of a=ssrc."""
        match = _SSRC.fullmatch(value)
        if match is None or int(match[1]) > 0xFFFFFFFF:
            raise CodecError("a=ssrc is malformed")
        return cls(int(match[1]), match[2], match[3])

    def __str__(self) -> str:
        return f"{self.ssrc} {self.name}{'' if self.value is None else ':' + self.value}"


@dataclass(frozen=True, slots=True)
class Group:
    """a=group (RFC 5888 section 5): media sections that belong together, by their mids."""

    semantics: str
    mids: tuple[str, ...]

    @classmethod
    def parse(cls, value: str) -> Group:
        """Reads the value of a=group."""
        semantics, *mids = value.split(" ")
        if not is_token(semantics) or not all(map(is_token, mids)):
            raise CodecError("a=group is malformed")
        return cls(semantics, tuple(mids))

    def __str__(self) -> str:
        return " ".join((self.semantics, *self.mids))


@dataclass(frozen=True, slots=True)
class Candidate:
    """a=candidate (RFC 8839 section 5.1).

    Attributes:
        foundation: equal for candidates that are likely to share their fate.
        component: 1 for RTP and, with rtcp-mux, RTCP.
        transport: ``"udp"``, in lower case.
        priority: 1 to 2**31 - 1.
        address: an IP address in text, or a name, which must not be resolved.
        port: 0 to 65535.
        type: ``"host"``, ``"srflx"``, ``"prflx"`` or ``"relay"``.
        extensions: the name and value pairs after the type, raddr and rport among them.
    """

    foundation: str
    component: int
    transport: str
    priority: int
    address: str
    port: int
    type: str = "host"
    extensions: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, value: str) -> Candidate:
        """Reads the value of a=candidate."""
        match = _CANDIDATE.fullmatch(value)
        if match is None or not (
            1 <= int(match["component"]) <= 256
            and 1 <= int(match["priority"]) < 2**31
            and int(match["port"]) <= 0xFFFF
        ):
            raise CodecError("a=candidate is malformed")
        rest = match["rest"].split()
        return cls(
            match["foundation"],
            int(match["component"]),
            match["transport"].lower(),
            int(match["priority"]),
            match["address"],
            int(match["port"]),
            match["type"],
            tuple(zip(rest[::2], rest[1::2], strict=True)),
        )

    @classmethod
    def host(cls, address: str, port: int, index: int = 0) -> Candidate:
        """A host candidate of ours, the `index`-th in our preference (RFC 8445 section 5.1.2)."""
        priority = (126 << 24) + ((65535 - index) << 8) + 255
        return cls(str(index + 1), 1, "udp", priority, address, port)

    def __str__(self) -> str:
        extensions = "".join(f" {name} {value}" for name, value in self.extensions)
        return (
            f"{self.foundation} {self.component} {self.transport} {self.priority}"
            f" {self.address} {self.port} typ {self.type}{extensions}"
        )

    @property
    def is_address(self) -> bool:
        """Whether the address is an IP address: others must be ignored (RFC 8839 5.1)."""
        try:
            ipaddress.ip_address(self.address)
        except ValueError:
            return False
        return True


def parse_fingerprint(value: str) -> str:
    """Reads a=fingerprint (RFC 8122 section 5) into one form: ``sha-256 AB:CD:...``.

    The case of both parts is made the usual one. A digest of the wrong length, or a hash that is
    not of the SHA-2 family from 256 bits on, is refused.
    """
    match = _FINGERPRINT.fullmatch(value)
    if match is None:
        raise CodecError("a=fingerprint is malformed")
    name, digest = match["hash"].lower(), match["digest"].upper()
    length = _DIGEST_LENGTHS.get(name)
    if length is None:
        raise CodecError("a=fingerprint has a hash that isn't accepted; use sha-256")
    if digest.count(":") + 1 != length:
        raise CodecError("a=fingerprint has the wrong length for its hash")
    return f"{name} {digest}"


def parse_tls_id(value: str) -> str:
    """Reads a=tls-id (RFC 8842 section 4)."""
    return _matched(_TLS_ID, value, "a=tls-id isn't 20 to 255 letters, digits or +/-_")


def parse_ice_ufrag(value: str) -> str:
    """Reads a=ice-ufrag (RFC 8839 section 5.4)."""
    return _matched(_UFRAG, value, "a=ice-ufrag isn't 4 to 256 letters, digits or +/")


def parse_ice_pwd(value: str) -> str:
    """Reads a=ice-pwd (RFC 8839 section 5.4)."""
    return _matched(_PASSWORD, value, "a=ice-pwd isn't 22 to 256 letters, digits or +/")


def parse_mid(value: str) -> str:
    """Reads a=mid (RFC 5888 section 4), kept to what a one-byte header extension can carry."""
    if not is_token(value) or len(value) > 16:
        raise CodecError("a=mid isn't a token of at most 16 characters")
    return value


def _matched(pattern: re.Pattern[str], value: str, fault: str) -> str:
    if pattern.fullmatch(value) is None:
        raise CodecError(fault)
    return value
