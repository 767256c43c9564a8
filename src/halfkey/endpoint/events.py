"""What an Endpoint tells its owner, and its counters as of one moment.

Those of people are `halfkey.vouching.standing`'s. The key events (`EKTKeyInstalled`,
`KeysSwitched`, `SendingStopped`) are those of `halfkey.endpoint.core`. Every `at` is in seconds of
the system's monotonic clock, which all processes of one machine share.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from halfkey.ekt.outbound import Kind
from halfkey.endpoint.aiortc_adapter import RemoteTrack
from halfkey.endpoint.core import EKTKeyInstalled, KeysSwitched, SendingStopped
from halfkey.endpoint.statistics import Position
from halfkey.vouching.standing import Event as PersonEvent


@dataclass(frozen=True, slots=True)
class Joined:
    """The Endpoint is in the conference, has its keys, and sends.

    Attributes:
        seconds: from the offer to the keys.
        ssrcs: what it sends, in the order in which tracks were added.
    """

    at: float
    seconds: float
    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """The Endpoint is in the waiting room, and goes on asking."""

    at: float


@dataclass(frozen=True, slots=True)
class TrackAdded:
    """The first packet of a source was opened; it is being decoded.

    Attributes:
        name: of its sender.
        unverified: why the name is no more than the Focus's word; None if the Key Distributor and
            the sender's own assertion say so too. See `halfkey.vouching.standing`.
    """

    participant_id: str
    name: str
    kind: Kind
    ssrc: int
    track: RemoteTrack
    unverified: str | None = None


@dataclass(frozen=True, slots=True)
class TrackRemoved:
    """A source is gone, and its track has ended."""

    participant_id: str
    ssrc: int


@dataclass(frozen=True, slots=True)
class Left:
    """The Endpoint has left; with `keep_listening` it still tries to open what arrives."""

    at: float


@dataclass(frozen=True, slots=True)
class Reassociating:
    """The Key Distributor has lost our association, or we an EKTKey; another handshake is begun.

    Media goes on under the keys in use.
    """

    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Reassociated:
    """Another handshake is complete, and an EKTKey came of it.

    Attributes:
        seconds: since `Reassociating`.
    """

    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Rejoining:
    """We have lost our place in the conference, and try to come back."""

    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Rejoined:
    """We are back, with another participation.

    Attributes:
        seconds: since `Rejoining`.
        ssrcs: what we send now, in the order in which tracks were added.
    """

    at: float
    seconds: float
    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Terminated:
    """We are out, not by our leaving, and may not come back."""

    reason: str
    at: float


Event = (
    Waiting
    | Joined
    | TrackAdded
    | TrackRemoved
    | EKTKeyInstalled
    | KeysSwitched
    | SendingStopped
    | Reassociating
    | Reassociated
    | Rejoining
    | Rejoined
    | Left
    | Terminated
    | PersonEvent
)


@dataclass(frozen=True, slots=True)
class RemoteStatistics:
    """What became of one remote SSRC; the counters are those of `ReceivedStream`.

    Attributes:
        name: of its sender, as of this moment.
        unverified: as in `TrackAdded`.
        last_frame_rtp_timestamp: of the packets that the latest decoded frame came in.
    """

    participant_id: str
    name: str
    unverified: str | None
    kind: Kind
    ssrc: int
    packets: int
    bytes: int
    frames: int
    decode_errors: int
    before_key: int
    e2e_failures: int
    e2e_failures_during_rekey: int
    ekt_spi: int | None
    ekt_epoch: int
    last_opened_at: float | None
    last_frame_at: float | None
    newest_opened: Position | None = None
    last_frame_rtp_timestamp: int | None = None


@dataclass(frozen=True, slots=True)
class EndpointStatistics:
    """An Endpoint's counters as of one moment.

    Attributes:
        at: the moment.
        ekt_spi: the SPI of the newest EKTKey, None before the first.
        sent: packets sent, by own SSRC.
        unsent: packets that could not be sealed or sent, by reason.
        packets_received: SRTP packets that arrived.
        packets_opened: those of them that opened end to end.
        frames_decoded: audio frames and pictures, of all sources.
        last_received_at: when an SRTP packet arrived last.
        last_opened_at: when one opened last.
        last_frame_at: when a frame was decoded last.
        rejections: packets refused, by reason.
        streams: one for each remote source that was ever in the roster.
    """

    at: float
    ekt_spi: int | None
    sent: dict[int, int]
    unsent: dict[str, int]
    packets_received: int
    packets_opened: int
    frames_decoded: int
    last_received_at: float | None
    last_opened_at: float | None
    last_frame_at: float | None
    rejections: dict[str, int]
    streams: tuple[RemoteStatistics, ...] = field(default=())
