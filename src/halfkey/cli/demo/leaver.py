"""What the one who left understood of what was sealed after the others had changed keys.

Each Endpoint numbers its packets, and says at the change of keys which was the last one before it.
So it doesn't matter when the leaver comes to a packet, or how often it was sent: what counts is on
which side of the change it was sealed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from halfkey.endpoint.statistics import Position


@dataclass(frozen=True, slots=True)
class Understood:
    """What was understood of what came after the change of keys.

    0 is exact. Where it is more, it counts all that was understood of that source since the
    leaving, of which some may be older than the change.
    """

    packets_opened: int
    frames_decoded: int


def understood(
    last_before: Mapping[str, list[int] | None],
    before: Mapping[str, Mapping[str, Any]],
    after: Mapping[str, Mapping[str, Any]],
) -> Understood:
    """Compares how far the leaver got with where the others changed keys.

    Args:
        last_before: by SSRC of those who stayed, SEQ and timestamp of the last packet under the
            old keys; None for a source that never changed keys: then all of it counts.
        before: what the leaver said of each source when it left (`halfkey.endpoint.process`).
        after: what it said at the end.
    """
    packets = frames = 0
    for ssrc, source in after.items():
        if ssrc not in last_before:
            continue  # the leaver's own, or of no participant of ours
        change = last_before[ssrc]
        earlier = before.get(ssrc, {"packets": 0, "frames": 0})
        if _opened_after(source["newest_opened"], change):
            packets += source["packets"] - earlier["packets"]
        if _decoded_after(source["last_frame"], change):
            frames += source["frames"] - earlier["frames"]
    return Understood(packets, frames)


def _opened_after(newest: list[int] | None, change: list[int] | None) -> bool:
    if newest is None or change is None:
        return newest is not None
    return Position(*newest).is_after(Position(*change))


def _decoded_after(timestamp: int | None, change: list[int] | None) -> bool:
    # A frame that lies across the change counts as one before it: its packets are counted apart.
    if timestamp is None or change is None:
        return timestamp is not None
    return Position(0, timestamp).is_after(Position(0, change[1]))
