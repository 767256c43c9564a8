"""SDP (RFC 8866) with offer and answer (RFC 3264) for PERC conferences, without I/O.

An Endpoint calls `build_offer`, sends ``offer.text``, and gives what comes back to `read_answer`.
The Focus calls `read_offer` and `build_answer`. Whatever a peer sends, these functions raise
`halfkey.errors.CodecError` and nothing else.
"""

from halfkey.sdp.answer import Answer, build_answer, read_answer
from halfkey.sdp.attributes import Candidate, Direction, ExtensionMap, Setup
from halfkey.sdp.codecs import (
    ABS_SEND_TIME,
    EXTENSION_IDS,
    MID,
    OPUS,
    SSRC_AUDIO_LEVEL,
    VP8,
    Codec,
)
from halfkey.sdp.description import Line, MediaDescription, Section, SessionDescription
from halfkey.sdp.media import Media, NegotiatedCodec, Slot, Source
from halfkey.sdp.offer import Offer, build_offer, read_offer
from halfkey.sdp.transport import Transport

__all__ = [
    "ABS_SEND_TIME",
    "EXTENSION_IDS",
    "MID",
    "OPUS",
    "SSRC_AUDIO_LEVEL",
    "VP8",
    "Answer",
    "Candidate",
    "Codec",
    "Direction",
    "ExtensionMap",
    "Line",
    "Media",
    "MediaDescription",
    "NegotiatedCodec",
    "Offer",
    "Section",
    "SessionDescription",
    "Setup",
    "Slot",
    "Source",
    "Transport",
    "build_answer",
    "build_offer",
    "read_answer",
    "read_offer",
]
