"""Which metrics each role has: a table a role, from names in its statistics to Prometheus's.

Labels have few values, all of them ours: a reason, a route, a status. What names a participant,
a source or a conference is no label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

COUNTER: Literal["counter"] = "counter"
GAUGE: Literal["gauge"] = "gauge"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    Attributes:
        kind: a counter only grows while the process lives.
        path: where the statistics have it; steps are parted by dots.
        name: in Prometheus's style, without the role's prefix and a counter's ``_total``.
        help: what it says, one line.
        label: of a figure by reason: how the reasons are called.
    """

    kind: Literal["counter", "gauge"]
    path: str
    name: str
    help: str
    label: str | None = None


KEY_DISTRIBUTOR = (
    Family(COUNTER, "associations", "associations", "DTLS handshakes completed, proofs right."),
    Family(COUNTER, "refused", "associations_refused", "Associations refused.", "reason"),
    Family(COUNTER, "ended", "associations_ended", "Associations that ended.", "reason"),
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
    Family(COUNTER, "sent_rtcp_packets", "rtcp_packets_sent", "RTCP packets of our own."),
    Family(COUNTER, "keyframe_requests", "keyframe_requests", "Key frames asked for."),
    Family(COUNTER, "dropped", "packets_dropped", "Packets and messages dropped.", "reason"),
    Family(GAUGE, "conferences", "conferences", "Conferences with somebody in."),
    Family(GAUGE, "participants", "participants", "Participants allocated."),
    Family(GAUGE, "associations", "associations_active", "DTLS associations carried."),
    Family(GAUGE, "sources_now", "sources", "Sources that media came from."),
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
