"""The media of an Endpoint: SSRCs, an end-to-end key, and both halves of Double on its hop."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field

from halfkey._media import DoubleReceiver, DoubleSender, full_ekt_field
from halfkey.dtls.events import SRTPKeyingMaterial
from halfkey.media_distributor.conference import Allocation, Slot, Source
from halfkey.profiles import DOUBLE_128, DOUBLE_256, SRTPProtectionProfile

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
SPI = 0x1234
VP8 = 96
UFRAG, PASSWORD = "peer", "p" * 22


@dataclass
class Group:
    """What all Endpoints of a conference share: the EKTKey."""

    profile: SRTPProtectionProfile = DOUBLE_128
    ekt_key: bytes = field(default_factory=lambda: os.urandom(16))
    salt: bytes = field(default_factory=lambda: os.urandom(12))
    spi: int = SPI

    def __post_init__(self) -> None:
        if self.profile is DOUBLE_256 and len(self.ekt_key) == 16:
            self.ekt_key = os.urandom(32)

    @property
    def key_length(self) -> int:
        return self.profile.parameters.hop_profile.parameters.key_length

    def hop(self) -> SRTPKeyingMaterial:
        """Fresh keys of a hop: the outer halves."""
        return SRTPKeyingMaterial(*(os.urandom(n) for n in (self.key_length,) * 2 + (12, 12)))


class Offered:
    """What an Endpoint's offer says of its media: one audio and one video source, and slots.

    Args:
        number: what SSRCs and identifiers are made of.
        slots: how many audio slots, and as many for video.
    """

    def __init__(self, number: int, slots: int = 2) -> None:
        self.number = number
        self.audio, self.video = 1000 + number, 2000 + number
        self.opus = 100 + number
        self.level_id, self.mid_id = number, number + 5
        self.sources = (Source("a", "audio", self.audio), Source("v", "video", self.video))
        kinds = ("audio", "video")
        self.slots = tuple(Slot(f"{kind}{n}", kind) for n in range(slots) for kind in kinds)

    @property
    def extensions(self) -> dict[str, int]:
        return {LEVEL: self.level_id, MID: self.mid_id}

    @property
    def payload_types(self) -> dict[str, int]:
        return {"opus/48000/2": self.opus, "VP8/90000": VP8}

    def allocation(self) -> Allocation:
        """What the Focus asks for."""
        return Allocation(
            UFRAG, PASSWORD, self.sources, self.slots, self.extensions, self.payload_types
        )


class Media(Offered):
    """What is sent and received under keys.

    Args:
        number: see `Offered`.
        group: the conference's.
        hop: the hop's keys; of a double profile, the outer halves.
        slots: see `Offered`.
    """

    def __init__(self, number: int, group: Group, hop: SRTPKeyingMaterial, slots: int = 2) -> None:
        super().__init__(number, slots)
        self.group, self.hop = group, hop
        self.inner_key = os.urandom(group.key_length)
        self.sender = DoubleSender(group.profile, hop.client_write_key, hop.client_write_salt)
        self.receiver = DoubleReceiver(group.profile, hop.server_write_key, hop.server_write_salt)
        self.receiver.add_ekt_parameter_set(group.spi, group.ekt_key, group.salt)
        for ssrc in (self.audio, self.video):
            self.sender.set_inner_key(ssrc, self.inner_key, group.salt)

    def protect(self, ssrc: int, sequence_number: int, payload: bytes = b"opus") -> bytes:
        payload_type = self.opus if ssrc == self.audio else VP8
        head = struct.pack("!BBHII", 0x90, payload_type, sequence_number, 4711, ssrc)
        extension = struct.pack("!HHBB2x", 0xBEDE, 1, self.level_id << 4, 0x2A)
        group = self.group
        roc = self.sender.rollover_counter(ssrc, sequence_number)
        full = full_ekt_field(group.ekt_key, group.spi, 0, ssrc, roc, self.inner_key)
        return self.sender.protect(head + extension + payload, full)


def is_rtcp(datagram: bytes) -> bool:
    """RFC 5761 section 4, for datagrams that are media."""
    return 192 <= datagram[1] <= 223


def is_media(datagram: bytes) -> bool:
    """SRTP, and no RTCP (RFC 7983 section 7)."""
    return 128 <= datagram[0] <= 191 and not is_rtcp(datagram)
