"""Which metrics each role has: a table a role, from names in its statistics to Prometheus's.

Labels have few values, all of them ours: a reason, a route, a status. What names a participant,
a source or a conference is no label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

COUNTER: Literal["counter"] = "counter"
GAUGE: Literal["gauge"] = "gauge"
HISTOGRAM: Literal["histogram"] = "histogram"

_SECONDS = (50e-6, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25)
_POWERS_OF_TWO = tuple(float(2**power) for power in range(11))


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    Attributes:
        kind: a counter only grows while the process lives; a histogram's figures are those of a
            `halfkey.operations.distribution.Distribution`.
        path: where the statistics have it; steps are parted by dots.
        name: in Prometheus's style, without the role's prefix and a counter's ``_total``.
        help: what it says, one line.
        label: of a figure by reason: how the reasons are called.
        buckets: of a histogram: the bounds up to which is counted.
    """

    kind: Literal["counter", "gauge", "histogram"]
    path: str
    name: str
    help: str
    label: str | None = None
    buckets: tuple[float, ...] = ()


KEY_DISTRIBUTOR = (
    Family(COUNTER, "associations", "associations", "DTLS handshakes completed, proofs right."),
    Family(COUNTER, "refused", "associations_refused", "Associations refused.", "reason"),
    Family(COUNTER, "ended", "associations_ended", "Associations that ended.", "reason"),
    Family(COUNTER, "faults", "association_faults", "Associations that a fault of ours ended."),
    Family(COUNTER, "dropped", "messages_dropped", "Tunnel messages that led nowhere.", "reason"),
    Family(COUNTER, "noise", "dtls_dropped", "What DTLS dropped in silence.", "reason"),
    Family(COUNTER, "ekt_keys_issued", "ekt_keys_issued", "EKTKeys given to Endpoints."),
    Family(
        COUNTER, "ekt_keys_acknowledged", "ekt_keys_acknowledged", "EKTKeys that Endpoints hold."
    ),
    Family(COUNTER, "rekeys", "rekeys", "EKT keys that replaced another one."),
    Family(GAUGE, "associations_now", "associations_active", "Associations at the moment."),
    Family(GAUGE, "half_open_now", "handshakes_active", "Handshakes under way."),
    Family(GAUGE, "conferences_now", "conferences", "Conferences with somebody admitted."),
    Family(GAUGE, "participants_now", "participants", "Participants admitted."),
    Family(GAUGE, "tunnels_now", "tunnels", "Tunnels with Media Distributors."),
)

MEDIA_DISTRIBUTOR = (
    Family(COUNTER, "received_packets", "packets_received", "Media packets that arrived."),
    Family(
        COUNTER,
        "handed_over_packets",
        "packets_handed_over",
        "Media packets that came to another worker first.",
    ),
    Family(COUNTER, "forwarded_packets", "packets_forwarded", "Media packets sent on."),
    Family(
        COUNTER,
        "retransmitted_packets",
        "packets_retransmitted",
        "Media packets sent again to who lost them.",
    ),
    Family(COUNTER, "retransmitted_bytes", "bytes_retransmitted", "Their bytes."),
    Family(
        COUNTER,
        "retransmission_cache_hits",
        "retransmission_cache_hits",
        "Packets asked for again that were kept.",
    ),
    Family(
        COUNTER,
        "retransmission_cache_misses",
        "retransmission_cache_misses",
        "Packets asked for again that were sent once and kept no more.",
    ),
    Family(
        COUNTER,
        "retransmission_cache_refusals",
        "retransmission_cache_refusals",
        "Video packets that were not kept, for want of memory.",
    ),
    Family(COUNTER, "sent_rtcp_packets", "rtcp_packets_sent", "RTCP packets of our own."),
    Family(
        COUNTER, "answered_checks", "stun_checks_answered", "Checks that packet workers answered."
    ),
    Family(COUNTER, "keyframe_requests", "keyframe_requests", "Key frames asked for."),
    Family(COUNTER, "dropped", "packets_dropped", "Packets and messages dropped.", "reason"),
    Family(
        HISTOGRAM,
        "added_latency",
        "added_latency_seconds",
        "From a packet's arrival in the kernel to its leaving, for each forwarded one.",
        buckets=_SECONDS,
    ),
    Family(
        HISTOGRAM,
        "received_at_once",
        "datagrams_received_at_once",
        "Datagrams that a worker found in one turn.",
        buckets=_POWERS_OF_TWO,
    ),
    Family(
        HISTOGRAM,
        "sent_at_once",
        "messages_sent_at_once",
        "Messages that the kernel took by one call.",
        buckets=_POWERS_OF_TWO,
    ),
    Family(
        HISTOGRAM,
        "segments",
        "segments_in_a_message",
        "Datagrams that were one message to the kernel.",
        buckets=_POWERS_OF_TWO,
    ),
    Family(GAUGE, "conferences", "conferences", "Conferences with somebody in."),
    Family(GAUGE, "participants", "participants", "Participants allocated."),
    Family(GAUGE, "associations", "associations_active", "DTLS associations carried."),
    Family(GAUGE, "sources_now", "sources", "Sources that media came from."),
    Family(
        GAUGE,
        "retransmission_cache_bytes",
        "retransmission_cache_bytes",
        "Memory taken for what may be sent again.",
    ),
    Family(GAUGE, "sources_lost", "sources_packets_lost", "Packets lost on the way here, by now."),
    Family(GAUGE, "tunnel.connected", "tunnel_up", "Whether there is a tunnel: 1 or 0."),
)

FOCUS = (
    Family(GAUGE, "conferences", "conferences", "Conferences with somebody in."),
    Family(GAUGE, "participants", "participants", "Participants, by how far they are.", "state"),
    Family(GAUGE, "followers", "event_streams", "Streams of conference events that are followed."),
    Family(
        GAUGE, "reachable", "distributor_up", "Whether it answered lately: 1 or 0.", "distributor"
    ),
)

BY_ROLE = {"kd": KEY_DISTRIBUTOR, "md": MEDIA_DISTRIBUTOR, "focus": FOCUS}
