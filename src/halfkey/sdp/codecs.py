"""What Halfkey's media sections can carry: codecs, header extensions, the RTP profile."""

from __future__ import annotations

from dataclasses import dataclass

PROTOCOL = "UDP/TLS/RTP/SAVPF"
"""RTP with feedback over DTLS-SRTP over UDP (RFC 5764 section 8)."""

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
SSRC_AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"

EXTENSION_IDS = {MID: 1, SSRC_AUDIO_LEVEL: 2, ABS_SEND_TIME: 3}
"""The ids that our offers give to header extensions; another's offer may choose others."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec that both ends of a section know.

    Attributes:
        kind: ``"audio"`` or ``"video"``.
        name: encoding, clock rate and channels, as in a=rtpmap: ``"opus/48000/2"``.
        payload_type: what our offers call it.
        parameters: its a=fmtp; empty if it has none.
        feedback: the kinds of RTCP feedback (RFC 4585) used with it.
        extensions: the URIs of the header extensions that its packets carry.
    """

    kind: str
    name: str
    payload_type: int
    parameters: str
    feedback: tuple[str, ...]
    extensions: tuple[str, ...]


OPUS = Codec(
    "audio",
    "opus/48000/2",
    111,
    "minptime=10;useinbandfec=1",
    (),
    (MID, SSRC_AUDIO_LEVEL, ABS_SEND_TIME),
)
VP8 = Codec("video", "VP8/90000", 96, "", ("nack", "nack pli", "ccm fir"), (MID, ABS_SEND_TIME))

CODECS = (OPUS, VP8)


def find_codec(kind: str, name: str) -> Codec | None:
    """The codec of that name, which is compared without regard to case (RFC 8866 6.6)."""
    for codec in CODECS:
        if codec.kind == kind and codec.name.lower() == name.lower():
            return codec
    return None
