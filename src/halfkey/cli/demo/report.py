"""What the demo found: the facts, the claims that they bear out or not, and the JSON document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from halfkey.operations.distribution import NOTHING, Distribution

AUDIO_FRAMES_PER_SECOND = 10.0
"""What a pair has to decode at least for "heard": a fifth of the 50 that are sent."""

VIDEO_FRAMES_PER_SECOND = 6.0
"""What a pair has to decode at least for "saw": well under the slowest camera's rate."""


@dataclass(slots=True)
class Received:
    """What one Endpoint made of one sender's packets.

    Attributes:
        audio_frames: audio frames decoded.
        video_frames: pictures decoded.
        e2e_failures: packets that passed the hop and failed end to end, outside a rekey.
        e2e_failures_during_rekey: likewise, while keys were changing.
    """

    audio_frames: int = 0
    video_frames: int = 0
    e2e_failures: int = 0
    e2e_failures_during_rekey: int = 0


@dataclass(slots=True)
class EndpointFacts:
    """One Endpoint at the end of the run; `received` is by the sender's name.

    `code` is the conference code that it knew last; None while it knew none.
    """

    name: str
    ssrcs: list[int] = field(default_factory=list)
    sent_packets: int = 0
    join_ms: float = 0.0
    received: dict[str, Received] = field(default_factory=dict)
    sending_spi: int | None = None
    code: str | None = None


@dataclass(slots=True)
class RekeyFacts:
    """The rekey that the leaver's departure caused.

    Attributes:
        reason: as the Key Distributor gave it.
        ms: from the leaving to the last Endpoint that sends under the new key; None if it never
            came to that.
        last_opened_ms: from the leaving until the leaver opened its last packet; below 0 if that
            was before. None if it never opened one.
        new_spi: the SPI of the new EKTKey.
        packets_to_leaver_after: packets that the Media Distributor still sent the leaver, after.
        packets_opened_by_leaver_after: packets sealed after the change of keys that the leaver
            could open; an upper bound if it isn't 0.
        frames_decoded_by_leaver_after: what it decoded of them; likewise.
    """

    reason: str = ""
    ms: float | None = None
    last_opened_ms: float | None = None
    new_spi: int | None = None
    packets_to_leaver_after: int = 0
    packets_opened_by_leaver_after: int = 0
    frames_decoded_by_leaver_after: int = 0


@dataclass(slots=True)
class TheftFacts:
    """The search of the Media Distributor's memory, and its two controls."""

    secrets_searched: int = 0
    secrets_found: int = 0
    searched_bytes: int = 0
    control_searched: int = 0
    control_found: int = 0
    kek_found_in_endpoint: bool = False


@dataclass(slots=True)
class Facts:
    """All that one run of the demo established; `kinds` is what everybody sent."""

    duration: float
    leaver: str
    kinds: frozenset[str] = frozenset({"audio", "video"})
    endpoints: dict[str, EndpointFacts] = field(default_factory=dict)
    rekey: RekeyFacts = field(default_factory=RekeyFacts)
    theft: TheftFacts = field(default_factory=TheftFacts)
    forwarded_packets: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    added_latency: Distribution = NOTHING
    associations: int = 0
    handshakes: dict[str, int] = field(default_factory=dict)
    ekt_keys_issued: int = 0
    rekeys: int = 0

    @property
    def stayers(self) -> list[str]:
        """Everyone but the leaver."""
        return [name for name in self.endpoints if name != self.leaver]

    def staying_pairs(self) -> Iterator[tuple[str, str, Received]]:
        """Every (receiver, sender) of which both stay, with what was received."""
        for receiver in self.stayers:
            for sender in self.stayers:
                if sender != receiver:
                    received = self.endpoints[receiver].received.get(sender, Received())
                    yield receiver, sender, received


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim, the figure that bears it out, and whether it does."""

    text: str
    figure: str
    holds: bool


def claims(facts: Facts) -> list[Claim]:
    """Every claim of the demo, in the order in which a reader wants them."""
    return [
        _everyone_was_received(facts),
        _everyone_knew_who_was_there(facts),
        _everyone_was_given_keys(facts),
        _nothing_failed_end_to_end(facts),
        _media_went_through_the_distributor(facts),
        _the_conference_was_rekeyed(facts),
        _the_leaver_was_shut_out(facts),
        _the_distributor_holds_no_secret(facts),
        _the_search_finds_what_is_there(facts),
    ]


def _everyone_was_received(facts: Facts) -> Claim:
    pairs = [received for _, _, received in facts.staying_pairs()]
    seconds = facts.duration
    # Of two participants one leaves and no pair stays: then who stays must have received the other
    # until then, and in the shares of a second that joining and leaving leave of it.
    if not pairs:
        pairs = [
            facts.endpoints[name].received.get(facts.leaver, Received()) for name in facts.stayers
        ]
        seconds = facts.duration / 3
    fewest = {
        "audio": min((pair.audio_frames for pair in pairs), default=0),
        "video": min((pair.video_frames for pair in pairs), default=0),
    }
    enough = {
        "audio": AUDIO_FRAMES_PER_SECOND * seconds,
        "video": VIDEO_FRAMES_PER_SECOND * seconds,
    }
    counted = " and ".join(f"{fewest[kind]} {kind}" for kind in sorted(facts.kinds))
    return Claim(
        "Everyone heard and saw everyone else",
        f"at least {counted} frames decoded on each of {len(pairs)} directed pairs",
        bool(pairs) and all(fewest[kind] >= enough[kind] for kind in facts.kinds),
    )


def _everyone_knew_who_was_there(facts: Facts) -> Claim:
    codes = {facts.endpoints[name].code for name in facts.stayers}
    (code,) = codes if len(codes) == 1 else (None,)
    shown = "codes differ, or are missing" if code is None else f'all have the code "{code}"'
    return Claim(
        "Everyone knew who was there, without believing the Focus",
        f"{shown} after {facts.leaver} left",
        code is not None,
    )


def _everyone_was_given_keys(facts: Facts) -> Claim:
    spoken = ", ".join(f"{count} by {what}" for what, count in sorted(facts.handshakes.items()))
    count = sum(facts.handshakes.values())
    return Claim(
        "Everyone got keys from the Key Distributor, through the Media Distributor",
        f"handshakes: {spoken or 'none'}",
        count == facts.associations and count >= len(facts.endpoints),
    )


def _nothing_failed_end_to_end(facts: Facts) -> Claim:
    failures = sum(
        received.e2e_failures
        for endpoint in facts.endpoints.values()
        for received in endpoint.received.values()
    )
    during = sum(
        received.e2e_failures_during_rekey
        for endpoint in facts.endpoints.values()
        for received in endpoint.received.values()
    )
    return Claim(
        "No packet failed end to end outside the rekey",
        f"{failures} failures; {during} while keys were changing",
        failures == 0,
    )


def _media_went_through_the_distributor(facts: Facts) -> Claim:
    dropped = sum(facts.dropped.values())
    p50, p99 = (facts.added_latency.quantile(share) for share in (0.5, 0.99))
    took = "" if p50 is None or p99 is None else f", in {p50 * 1e6:.0f} us ({p99 * 1e6:.0f} us p99)"
    return Claim(
        "The Media Distributor forwarded it all",
        f"{facts.forwarded_packets} packets forwarded{took}, {dropped} dropped",
        facts.forwarded_packets > 0,
    )


def _the_conference_was_rekeyed(facts: Facts) -> Claim:
    spis = {facts.endpoints[name].sending_spi for name in facts.stayers}
    everyone = facts.rekey.new_spi is not None and spis == {facts.rekey.new_spi}
    took = "never" if facts.rekey.ms is None else f"{facts.rekey.ms:.0f} ms"
    return Claim(
        f"When {facts.leaver} left, everyone changed keys",
        f"{took} from the leaving to the last sender under the new key (250 ms of it by rule)",
        everyone and facts.rekey.ms is not None,
    )


def _the_leaver_was_shut_out(facts: Facts) -> Claim:
    rekey = facts.rekey
    return Claim(
        f"{facts.leaver}, who went on listening, understood nothing",
        f"{rekey.packets_to_leaver_after} packets still came, "
        f"{rekey.packets_opened_by_leaver_after} could be opened, "
        f"{rekey.frames_decoded_by_leaver_after} frames were decoded; "
        f"the last packet that it could open came {_after(rekey.last_opened_ms)}",
        rekey.frames_decoded_by_leaver_after == 0
        and rekey.packets_opened_by_leaver_after == 0
        and rekey.packets_to_leaver_after > 0,
    )


def _after(ms: float | None) -> str:
    return "never" if ms is None else f"{ms:.0f} ms after the leaving"


def _the_distributor_holds_no_secret(facts: Facts) -> Claim:
    theft = facts.theft
    return Claim(
        "Whoever steals the media server gets no key",
        f"{theft.secrets_searched} EKT and end-to-end keys looked for in "
        f"{theft.searched_bytes / 1e6:.0f} MB of its memory, {theft.secrets_found} found",
        theft.secrets_found == 0 and theft.secrets_searched > 0,
    )


def _the_search_finds_what_is_there(facts: Facts) -> Claim:
    theft = facts.theft
    where = "is" if theft.kek_found_in_endpoint else "is NOT"
    return Claim(
        "The same search does find what is there",
        f"{theft.control_found} of {theft.control_searched} hop keys in the Media Distributor; "
        f"an EKT key {where} found in an Endpoint",
        theft.control_found >= 1 and theft.kek_found_in_endpoint,
    )


def _microseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e6, 1)


def document(facts: Facts) -> dict[str, Any]:
    """The document that ``--json`` prints and ``report.json`` holds."""
    joins = [endpoint.join_ms for endpoint in facts.endpoints.values()]
    made = claims(facts)
    return {
        "participants": [_participant(endpoint) for endpoint in facts.endpoints.values()],
        "conference_code": {one.name: one.code for one in facts.endpoints.values()},
        "join_ms": {
            "p50": round(median(joins), 1) if joins else None,
            "max": round(max(joins), 1) if joins else None,
        },
        "media_distributor": {
            "forwarded_packets": facts.forwarded_packets,
            "dropped": facts.dropped,
            "added_latency_us": {
                name: _microseconds(facts.added_latency.quantile(share))
                for name, share in (("p50", 0.5), ("p99", 0.99))
            },
            "secrets_searched": facts.theft.secrets_searched,
            "secrets_found": facts.theft.secrets_found,
            "control_found": facts.theft.control_found,
            "kek_found_in_endpoint": facts.theft.kek_found_in_endpoint,
        },
        "key_distributor": {
            "associations": facts.associations,
            "handshakes": facts.handshakes,
            "ekt_keys_issued": facts.ekt_keys_issued,
            "rekeys": facts.rekeys,
        },
        "rekey": {
            "reason": facts.rekey.reason,
            "ms": _rounded(facts.rekey.ms),
            "last_opened_ms": _rounded(facts.rekey.last_opened_ms),
            "leaver": facts.leaver,
            "packets_to_leaver_after": facts.rekey.packets_to_leaver_after,
            "packets_opened_by_leaver_after": facts.rekey.packets_opened_by_leaver_after,
            "frames_decoded_by_leaver_after": facts.rekey.frames_decoded_by_leaver_after,
        },
        "claims": [
            {"claim": claim.text, "figure": claim.figure, "holds": claim.holds} for claim in made
        ],
        "ok": all(claim.holds for claim in made),
    }


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)


def _participant(endpoint: EndpointFacts) -> Mapping[str, Any]:
    return {
        "name": endpoint.name,
        "ssrcs": endpoint.ssrcs,
        "sent_packets": endpoint.sent_packets,
        "received": {
            sender: {
                "audio_frames": received.audio_frames,
                "video_frames": received.video_frames,
                "e2e_failures": received.e2e_failures,
                "e2e_failures_during_rekey": received.e2e_failures_during_rekey,
            }
            for sender, received in endpoint.received.items()
        },
    }
