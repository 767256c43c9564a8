"""Media sections as an offer or answer means them: direction, codecs, extensions, sources."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from halfkey.errors import CodecError
from halfkey.sdp.attributes import (
    Direction,
    ExtensionMap,
    FormatParameters,
    RTCPFeedback,
    RTPMap,
    SourceAttribute,
    parse_mid,
)
from halfkey.sdp.codecs import CODECS, PROTOCOL, Codec, find_codec
from halfkey.sdp.description import Line, MediaDescription, attribute

MAXIMUM_SOURCES = 8
"""The most SSRCs that one section may declare."""


@dataclass(frozen=True, slots=True)
class Source:
    """One stream that a participant sends: media section, kind and SSRC."""

    mid: str
    kind: str
    ssrc: int


@dataclass(frozen=True, slots=True)
class Slot:
    """One section in which a participant receives whatever the Media Distributor puts there."""

    mid: str
    kind: str


@dataclass(frozen=True, slots=True)
class NegotiatedCodec:
    """A codec of ours as a description offers it.

    Attributes:
        codec: the codec.
        payload_type: the description's number for it.
        feedback: of the codec's kinds of RTCP feedback, those that the description has.
    """

    codec: Codec
    payload_type: int
    feedback: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Media:
    """A media section.

    Attributes:
        mid: its identification tag; empty if it has none.
        kind: ``"audio"``, ``"video"`` or what else its ``m=`` line says.
        direction: from the writer's side.
        codecs: those known to us, by the writer's preference.
        extensions: the header extensions, known to us or not.
        ssrcs: the sources that the section declares, in order; empty unless the writer sends.
        rejected: whether the section is out of use: its port is 0 without a=bundle-only.
        protocol: of the ``m=`` line.
        formats: of the ``m=`` line, for repeating them in an answer that rejects the section.
    """

    mid: str
    kind: str
    direction: Direction
    codecs: tuple[NegotiatedCodec, ...]
    extensions: tuple[ExtensionMap, ...]
    ssrcs: tuple[int, ...]
    rejected: bool
    protocol: str
    formats: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether an answer can accept it, as far as it alone tells."""
        return bool(self.mid and self.codecs and self.protocol == PROTOCOL and not self.rejected)

    @property
    def extension_ids(self) -> dict[str, int]:
        """The ids of the header extensions that this section's codecs make use of."""
        known = {uri for negotiated in self.codecs for uri in negotiated.codec.extensions}
        return {e.uri: e.id for e in self.extensions if e.uri in known}

    @classmethod
    def read(cls, section: MediaDescription, default: Direction) -> Media:
        """Reads a section.

        Args:
            section: the section.
            default: the session's direction, which holds where the section has none.

        Raises:
            CodecError: an attribute that matters here is malformed, or stands twice. Of a section
                that is neither audio nor video only the mid and direction matter.
        """
        direction = read_direction(section.lines) or default
        known = any(codec.kind == section.kind for codec in CODECS)
        return cls(
            mid=section.one("mid", parse_mid) or "",
            kind=section.kind,
            direction=direction,
            codecs=_codecs(section) if known else (),
            extensions=_extensions(section) if known else (),
            ssrcs=_ssrcs(section) if known and direction.sends else (),
            rejected=section.port == 0 and not section.has("bundle-only"),
            protocol=section.protocol,
            formats=section.formats,
        )


def read_direction(lines: Iterable[Line]) -> Direction | None:
    """The direction that a section's lines state, or None.

    Raises:
        CodecError: they state two.
    """
    names = {direction.value for direction in Direction}
    stated = [line for line in lines if line.attribute_name in names]
    if len(stated) > 1:
        raise stated[1].fault("a section has one direction only")
    return Direction(stated[0].attribute_name) if stated else None


def _codecs(section: MediaDescription) -> tuple[NegotiatedCodec, ...]:
    """The section's codecs that we know, each once, in the order of the ``m=`` line."""
    maps = {str(rtpmap.payload_type): rtpmap for rtpmap in section.all("rtpmap", RTPMap.parse)}
    feedback = section.all("rtcp-fb", RTCPFeedback.parse)
    found: dict[str, NegotiatedCodec] = {}
    for number in section.formats:
        codec = find_codec(section.kind, maps[number].codec) if number in maps else None
        if codec is None or codec.name in found:
            continue
        said = {fb.feedback for fb in feedback if fb.payload_type in (None, int(number))}
        kept = tuple(kind for kind in codec.feedback if kind in said)
        found[codec.name] = NegotiatedCodec(codec, int(number), kept)
    return tuple(found.values())


def _extensions(section: MediaDescription) -> tuple[ExtensionMap, ...]:
    """The section's header extensions; neither an id nor a URI may stand twice."""
    extensions = section.all("extmap", ExtensionMap.parse)
    for unique in ({e.id for e in extensions}, {e.uri for e in extensions}):
        if len(unique) != len(extensions):
            raise section.lines[0].fault("a=extmap gives an id or a URI twice in the section")
    return extensions


def _ssrcs(section: MediaDescription) -> tuple[int, ...]:
    """The sources that the section declares, in order, each once."""
    ssrcs = tuple({source.ssrc: None for source in section.all("ssrc", SourceAttribute.parse)})
    if len(ssrcs) > MAXIMUM_SOURCES:
        raise section.lines[0].fault(f"the section declares more than {MAXIMUM_SOURCES} sources")
    return ssrcs


def agreed_numbers(media: Sequence[Media]) -> tuple[dict[str, int], dict[str, int]]:
    """The payload types and header extension ids of a bundle's sections, by codec name and URI.

    One transport carries them all, so a number means one thing (RFC 9143 sections 9.1 and 14), and
    here a thing has one number too: the Media Distributor rewrites by them.

    Raises:
        CodecError: two sections disagree.
    """
    payload_types: dict[str, int] = {}
    extensions: dict[str, int] = {}
    for section in media:
        for negotiated in section.codecs:
            _agree(payload_types, negotiated.codec.name, negotiated.payload_type, section)
        for uri, number in section.extension_ids.items():
            _agree(extensions, uri, number, section)
    return payload_types, extensions


def _agree(numbers: dict[str, int], name: str, number: int, section: Media) -> None:
    taken = {other: key for key, other in numbers.items()}
    if numbers.setdefault(name, number) != number or taken.get(number, name) != name:
        raise CodecError(f"mid {section.mid}: {name} is not numbered as elsewhere in the bundle")


def media_lines(
    codecs: Sequence[NegotiatedCodec],
    extensions: Sequence[ExtensionMap],
    *,
    mid: str,
    direction: Direction,
    port: int,
    connection: str,
) -> list[Line]:
    """The lines that every accepted section has, in an offer as in an answer.

    Args:
        codecs: at least one, all of one kind.
        extensions: the header extensions in use.
        mid: the section's identification tag.
        direction: from our side.
        port: of the ``m=`` line.
        connection: the ``c=`` line's value.
    """
    formats = " ".join(str(negotiated.payload_type) for negotiated in codecs)
    lines = [
        Line("m", f"{codecs[0].codec.kind} {port} {PROTOCOL} {formats}"),
        Line("c", connection),
        attribute("mid", mid),
        attribute(direction.value),
        attribute("rtcp-mux"),
        *(attribute("extmap", extension) for extension in extensions),
    ]
    for negotiated in codecs:
        lines += _codec_lines(negotiated)
    return lines


def _codec_lines(negotiated: NegotiatedCodec) -> list[Line]:
    number, codec = negotiated.payload_type, negotiated.codec
    lines = [attribute("rtpmap", f"{number} {codec.name}")]
    if codec.parameters:
        lines.append(attribute("fmtp", FormatParameters(number, codec.parameters)))
    return lines + [
        attribute("rtcp-fb", RTCPFeedback(number, kind)) for kind in negotiated.feedback
    ]


def origin(session_id: int, version: int) -> list[Line]:
    """The lines that open a description of ours; addresses in them mean nothing (RFC 8829 5.2.1).

    Args:
        session_id: random, below 2**63.
        version: grows by one with each new description of the session.
    """
    return [Line("v", "0"), Line("o", f"- {session_id} {version} IN IP4 127.0.0.1"), Line("s", "-")]


def text_of(lines: Iterable[Line]) -> str:
    """The lines as one text, each ended by CRLF."""
    return "".join(map(str, lines))
