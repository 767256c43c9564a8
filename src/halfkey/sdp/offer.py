"""Offers: what an Endpoint asks for when it joins a conference.

An offer has one sendonly section for each source of the Endpoint, which declares the source's
SSRC, and recvonly sections, the slots, in which the Media Distributor places other participants'
sources. All share one bundle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from halfkey.errors import CodecError
from halfkey.sdp.attributes import Direction, ExtensionMap, Group, Setup, SourceAttribute
from halfkey.sdp.codecs import EXTENSION_IDS, MID, OPUS, VP8, Codec
from halfkey.sdp.description import Line, SessionDescription, attribute
from halfkey.sdp.media import (
    Media,
    NegotiatedCodec,
    Slot,
    Source,
    agreed_numbers,
    media_lines,
    origin,
    read_direction,
    text_of,
)
from halfkey.sdp.transport import Transport, bundle_mids

MAXIMUM_NAME_LENGTH = 64
"""The longest display name, in characters."""

# No address yet: the discard port at the unspecified address (RFC 8829 section 5.2.1).
_NO_CONNECTION = "IN IP4 0.0.0.0"
_DISCARD_PORT = 9

_JOINERS = "\u200c\u200d"

_PlannedSection = tuple[str, Direction, int | None]
"""Kind, direction and, of a source, the SSRC."""


@dataclass(frozen=True)
class Offer:
    """An offer that was checked.

    Attributes:
        description: the offer itself, every line of it; ``offer.text`` is what goes on the wire.
        name: the display name that the participant claims; may be empty.
        transport: the offerer's DTLS and ICE end.
        media: every media section, in order.
        bundle: the mids in use, the tagged one first; sections not named here are to be rejected.
        payload_types: by codec name, for example ``{"opus/48000/2": 111, "VP8/90000": 96}``.
        extensions: the ids of the header extensions in use, by URI.
        identity: the value of a=identity (RFC 8827), or None.
    """

    description: SessionDescription = field(repr=False)
    name: str
    transport: Transport
    media: tuple[Media, ...]
    bundle: tuple[str, ...]
    payload_types: dict[str, int]
    extensions: dict[str, int]
    identity: str | None = None

    @property
    def text(self) -> str:
        """The offer as it came, or as it is to be sent."""
        return str(self.description)

    @property
    def accepted(self) -> tuple[Media, ...]:
        """The sections in use, in the order of the offer."""
        return tuple(media for media in self.media if media.mid in self.bundle)

    @property
    def sources(self) -> tuple[Source, ...]:
        """The streams that the offerer will send."""
        return tuple(
            Source(media.mid, media.kind, ssrc) for media in self.accepted for ssrc in media.ssrcs
        )

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The sections in which the offerer will receive."""
        return tuple(
            Slot(media.mid, media.kind) for media in self.accepted if media.direction.receives
        )


def build_offer(
    *,
    session_id: int,
    transport: Transport,
    sources: Sequence[tuple[str, int]],
    audio_slots: int,
    video_slots: int,
    cname: str,
    name: str = "",
    identity: str | None = None,
    version: int = 1,
) -> Offer:
    """Makes the offer of an Endpoint that joins; mids are ``"0"``, ``"1"`` and so on.

    Args:
        session_id: random, below 2**63.
        transport: the Endpoint's end; its setup is actpass (RFC 8842 section 5.2).
        sources: kind (``"audio"``, ``"video"``) and SSRC of each stream that it will send.
        audio_slots: how many audio streams it will receive at once.
        video_slots: how many video streams it will receive at once.
        cname: its RTCP canonical name, random (RFC 7022).
        name: its display name, up to 64 printable characters; empty for none.
        identity: the value of a=identity, if it has an assertion.
        version: grows by one with each new offer of the session.

    Raises:
        CodecError: the arguments make no valid offer.
    """
    plan: list[_PlannedSection] = [
        *((kind, Direction.SENDONLY, ssrc) for kind, ssrc in sources),
        *[("audio", Direction.RECVONLY, None)] * audio_slots,
        *[("video", Direction.RECVONLY, None)] * video_slots,
    ]
    mids = tuple(str(index) for index in range(len(plan)))
    lines = [
        *origin(session_id, version),
        *([Line("i", name)] if name else []),
        Line("t", "0 0"),
        attribute("group", Group("BUNDLE", mids)),
        *([attribute("identity", identity)] if identity is not None else []),
        *transport.session_lines,
        *_sections(plan, transport, cname),
    ]
    return read_offer(text_of(lines))


def _sections(plan: Sequence[_PlannedSection], transport: Transport, cname: str) -> Iterator[Line]:
    """The media sections, of which the first is the tagged one."""
    for index, (kind, direction, ssrc) in enumerate(plan):
        yield from _section(_codec(kind), str(index), direction, tagged=index == 0)
        if index == 0:
            yield from transport.tagged_lines
        if ssrc is not None:
            yield attribute("ssrc", SourceAttribute(ssrc, "cname", cname))


def _codec(kind: str) -> Codec:
    for codec in (OPUS, VP8):
        if codec.kind == kind:
            return codec
    raise CodecError(f"{kind!r} is neither audio nor video")


def _section(codec: Codec, mid: str, direction: Direction, *, tagged: bool) -> list[Line]:
    """One section of an offer; only the first has a port of its own (RFC 9143 section 7.2)."""
    lines = media_lines(
        [NegotiatedCodec(codec, codec.payload_type, codec.feedback)],
        [ExtensionMap(EXTENSION_IDS[uri], uri) for uri in codec.extensions],
        mid=mid,
        direction=direction,
        port=_DISCARD_PORT if tagged else 0,
        connection=_NO_CONNECTION,
    )
    return lines if tagged else [*lines, attribute("bundle-only")]


def read_offer(text: bytes | str) -> Offer:
    """Reads and checks an offer.

    Raises:
        CodecError: it is malformed, or lacks what a PERC conference needs; the message is one
            line that says what.
    """
    description = SessionDescription.parse(text)
    default = read_direction(description.session.lines) or Direction.SENDRECV
    media = tuple(Media.read(section, default) for section in description.media)
    bundle = _usable_bundle(description, media)
    accepted = [section for section in media if section.mid in bundle]
    payload_types, extensions = agreed_numbers(accepted)
    sections = {m.mid: d for m, d in zip(media, description.media, strict=True)}
    transport = Transport.read(description, [sections[mid] for mid in bundle])
    offer = Offer(
        description=description,
        name=_display_name(description),
        transport=transport,
        media=media,
        bundle=bundle,
        payload_types=payload_types,
        extensions=extensions,
        identity=description.session.one("identity", str),
    )
    _check_perc(offer, sections[bundle[0]].has("rtcp-mux"))
    return offer


def _usable_bundle(description: SessionDescription, media: Sequence[Media]) -> tuple[str, ...]:
    """The mids of the sections that we can use, the tagged one first (RFC 9143 section 7.3.1)."""
    mids = [section.mid for section in media if section.mid]
    if len(set(mids)) != len(mids):
        raise CodecError("two sections have the same a=mid")
    grouped = bundle_mids(description)
    if not set(grouped) <= set(mids):
        raise CodecError("a=group:BUNDLE names a section that isn't there")
    usable = {section.mid for section in media if section.usable}
    own_port = {m.mid for m, d in zip(media, description.media, strict=True) if d.port}
    bundle = [mid for mid in grouped if mid in usable]
    tagged = next((mid for mid in bundle if mid in own_port), None)
    if tagged is None:
        raise CodecError("no section of the bundle can be used: none has a port and a known codec")
    bundle.remove(tagged)
    return (tagged, *bundle)


def is_display_name(name: str) -> bool:
    """Whether it is short enough, and holds nothing that a terminal or a page could trip over."""
    printable = all(c.isprintable() or c in _JOINERS for c in name)
    return printable and len(name) <= MAXIMUM_NAME_LENGTH


def _display_name(description: SessionDescription) -> str:
    """The session's ``i=`` line; what a terminal or a page could trip over is refused."""
    line = description.session.first("i")
    if line is None:
        return ""
    if not is_display_name(line.value):
        raise line.fault(f"i= isn't a name of at most {MAXIMUM_NAME_LENGTH} printable characters")
    return line.value


def _check_perc(offer: Offer, multiplexed: bool) -> None:
    """What a conference needs beyond valid SDP."""
    if not multiplexed:
        raise CodecError("the bundle lacks a=rtcp-mux")
    # RFC 9185 section 5.1: the Endpoint is the DTLS client.
    if offer.transport.setup is Setup.PASSIVE:
        raise CodecError("a=setup:passive can't be used: the Key Distributor is the DTLS server")
    ssrcs = [source.ssrc for source in offer.sources]
    if len(set(ssrcs)) != len(ssrcs):
        raise CodecError("two sections declare the same SSRC")
    for media in offer.accepted:
        if media.direction.sends and not media.ssrcs:
            raise CodecError(f"mid {media.mid}: a section that sends must declare its a=ssrc")
        if media.direction.receives and MID not in media.extension_ids:
            raise CodecError(f"mid {media.mid}: a section that receives needs a=extmap for {MID}")
