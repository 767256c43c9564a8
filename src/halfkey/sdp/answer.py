"""Answers: what a joining Endpoint is told.

The answer's DTLS identity is the Key Distributor's, its ICE end is the Media Distributor's: the
Endpoint's handshake passes through the latter to the former (RFC 9185 section 5.1).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field

from halfkey.errors import CodecError
from halfkey.sdp.attributes import Candidate, Direction, ExtensionMap, Group, Setup
from halfkey.sdp.description import Line, MediaDescription, SessionDescription, attribute
from halfkey.sdp.media import (
    Media,
    Slot,
    agreed_numbers,
    media_lines,
    origin,
    read_direction,
    text_of,
)
from halfkey.sdp.offer import Offer
from halfkey.sdp.transport import Transport, bundle_mids


@dataclass(frozen=True)
class Answer:
    """An answer that was checked against its offer.

    Attributes:
        description: the answer itself, every line of it; ``answer.text`` is what goes on the wire.
        transport: the Key Distributor's DTLS identity and the Media Distributor's ICE end.
        media: one section for each of the offer's, in the same order.
        payload_types: of the accepted codecs, by name.
        extensions: the ids of the accepted header extensions, by URI.
        identity: the Key Distributor's assertion (RFC 8827), or None.
    """

    description: SessionDescription = field(repr=False)
    transport: Transport
    media: tuple[Media, ...]
    payload_types: dict[str, int]
    extensions: dict[str, int]
    identity: str | None = None

    @property
    def text(self) -> str:
        """The answer as it came, or as it is to be sent."""
        return str(self.description)

    @property
    def accepted(self) -> tuple[Media, ...]:
        """The sections that are in use."""
        return tuple(media for media in self.media if not media.rejected)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The sections in which the offerer will receive: those in which the answerer sends."""
        return tuple(Slot(m.mid, m.kind) for m in self.accepted if m.direction.sends)


def build_answer(
    offer: Offer,
    *,
    session_id: int,
    fingerprint: str,
    tls_id: str,
    ice_ufrag: str,
    ice_pwd: str,
    candidates: Sequence[tuple[str, int]],
    identity: str | None = None,
    version: int = 1,
) -> Answer:
    """Makes the answer to an offer.

    Args:
        offer: what to answer.
        session_id: random, below 2**63.
        fingerprint: the Key Distributor's, ``"sha-256 AB:CD:..."``.
        tls_id: the Key Distributor's for this association.
        ice_ufrag: the Media Distributor's for this participant.
        ice_pwd: the Media Distributor's for this participant.
        candidates: the Media Distributor's addresses and ports, at least one, the best first.
        identity: the Key Distributor's assertion, if it has one.
        version: grows by one with each new answer of the session.

    Raises:
        CodecError: the arguments make no valid answer.
    """
    if not candidates:
        raise CodecError("an answer needs a candidate at least")
    hosts = tuple(Candidate.host(host, port, i) for i, (host, port) in enumerate(candidates))
    transport = Transport(
        fingerprint, tls_id, ice_ufrag, ice_pwd, Setup.PASSIVE, hosts, ice_lite=True
    )
    lines = [
        *origin(session_id, version),
        Line("t", "0 0"),
        attribute("group", Group("BUNDLE", offer.bundle)),
        *([attribute("identity", identity)] if identity is not None else []),
        *transport.session_lines,
    ]
    for media in offer.media:
        lines += _section(media, offer.bundle, transport)
    return read_answer(text_of(lines), offer)


def _section(media: Media, bundle: Sequence[str], transport: Transport) -> list[Line]:
    """What stands in the answer for one section of the offer."""
    if media.mid not in bundle:
        return _rejection(media)
    tagged = transport.tagged_lines if media.mid == bundle[0] else []
    return _acceptance(media, transport.candidates[0]) + tagged


def _rejection(media: Media) -> list[Line]:
    """A section with port 0, for one that can't be used (RFC 3264 section 6)."""
    line = Line("m", f"{media.kind} 0 {media.protocol} {' '.join(media.formats)}")
    mid = [attribute("mid", media.mid)] if media.mid else []
    return [line, Line("c", "IN IP4 0.0.0.0"), *mid, attribute(Direction.INACTIVE.value)]


def _acceptance(media: Media, default: Candidate) -> list[Line]:
    """A section of the bundle; the default destination is a candidate (RFC 8839 section 4.2.5)."""
    ids = media.extension_ids.items()
    return media_lines(
        media.codecs,
        [ExtensionMap(number, uri) for uri, number in ids],
        mid=media.mid,
        direction=media.direction.mirrored,
        port=default.port,
        connection=_connection(default.address),
    )


def _connection(address: str) -> str:
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        raise CodecError(f"{address!r} is no IP address") from None
    return f"IN IP{version} {address}"


def read_answer(text: bytes | str, offer: Offer) -> Answer:
    """Reads an answer and checks it against the offer that it answers.

    Raises:
        CodecError: it is malformed, answers another offer, or lacks what the offerer needs.
    """
    description = SessionDescription.parse(text)
    default = read_direction(description.session.lines) or Direction.SENDRECV
    media = tuple(Media.read(section, default) for section in description.media)
    _check_sections(offer, media)
    bundle = _bundle(description, media)
    payload_types, extensions = agreed_numbers([m for m in media if not m.rejected])
    _check_numbers("payload type", payload_types, offer.payload_types)
    _check_numbers("header extension", extensions, offer.extensions)
    transport = Transport.read(description, bundle)
    # RFC 8842 section 5.3: an answer decides. The Endpoint must be the DTLS client.
    if transport.setup is not Setup.PASSIVE:
        raise CodecError("the answer isn't a=setup:passive")
    if not transport.candidates:
        raise CodecError("the answer has no candidate that can be used")
    return Answer(
        description=description,
        transport=transport,
        media=media,
        payload_types=payload_types,
        extensions=extensions,
        identity=description.session.one("identity", str),
    )


def _check_sections(offer: Offer, media: Sequence[Media]) -> None:
    """One section for each of the offer's, of the same kind, that sends no more than was asked."""
    if len(media) != len(offer.media):
        raise CodecError(f"{len(offer.media)} sections were offered, {len(media)} answered")
    for index, (asked, given) in enumerate(zip(offer.media, media, strict=True)):
        if given.kind != asked.kind or given.protocol != asked.protocol:
            raise CodecError(f"section {index} of the answer isn't of the kind that was offered")
        if given.rejected:
            continue
        if given.mid != asked.mid or asked.mid not in offer.bundle or not given.codecs:
            raise CodecError(f"section {index} of the answer accepts what wasn't offered")
        sends = given.direction.sends and not asked.direction.receives
        if sends or (given.direction.receives and not asked.direction.sends):
            raise CodecError(f"section {index} of the answer has a direction that wasn't offered")


def _bundle(description: SessionDescription, media: Sequence[Media]) -> list[MediaDescription]:
    """The sections of the answer's bundle, the tagged one first: all that weren't rejected."""
    accepted = {m.mid: d for m, d in zip(media, description.media, strict=True) if not m.rejected}
    mids = bundle_mids(description)
    if not accepted or set(mids) != set(accepted):
        raise CodecError("the answer's bundle isn't made of the sections that it accepts")
    if not accepted[mids[0]].has("rtcp-mux"):
        raise CodecError("the answer's bundle lacks a=rtcp-mux")
    return [accepted[mid] for mid in mids]


def _check_numbers(what: str, given: dict[str, int], asked: dict[str, int]) -> None:
    """The offer's numbers hold in the answer too: both ends go by one map."""
    for name, number in given.items():
        if asked.get(name) != number:
            raise CodecError(f"the answer's {what} for {name} isn't the one that was offered")
