"""What a run says: one JSON document, and a few lines for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from halfkey.cli.load.options import LoadOptions
from halfkey.cli.load.process import Usage
from halfkey.cli.load.samples import Sample, memory
from halfkey.operations.distribution import Distribution

Figures = dict[str, Any]

_REFUSALS = (
    *("malformed", "unknown_protocol", "unknown_address", "replayed", "too_old"),
    *("stun_malformed", "hop_authentication"),
)
"""Reasons for which a packet of a flood is dropped when it was looked at."""


_UNSENT = "socket_full", "socket_refused"
"""Reasons for which a packet is dropped that was counted as forwarded before it was to leave."""

_NOT_SENT, _BEHIND_US, _LATE_US = 0.01, 20e3, 100e3
"""Where the generator's schedule counts as not kept: this share of what was due wasn't sent, and
the oldest of it was so late at the end; or one burst of a hundred was so late."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a Media Distributor counted during a run.

    Attributes:
        forwarded: packets that left it.
        unsent: packets that it had made, and that the system didn't take, by reason.
        dropped: packets and messages, by reason.
        latency: from a packet's arrival in its kernel to its leaving.
        segments: datagrams that were one message to the kernel.
    """

    forwarded: int
    unsent: dict[str, int]
    dropped: dict[str, int]
    latency: Distribution
    segments: Distribution

    @classmethod
    def between(cls, before: Figures, after: Figures) -> Self:
        """From its statistics at the beginning and at the end."""

        def since(name: str) -> Distribution:
            return Distribution.of(after[name]).since(Distribution.of(before[name]))

        dropped: dict[str, int] = dict(Counter(after["dropped"]) - Counter(before["dropped"]))
        unsent = {reason: dropped.get(reason, 0) for reason in _UNSENT}
        sealed = after["forwarded_packets"] - before["forwarded_packets"]
        return cls(
            max(sealed - sum(unsent.values()), 0),
            unsent,
            dropped,
            since("added_latency"),
            since("segments"),
        )


class Measured(NamedTuple):
    """A run from three sides.

    Attributes:
        came: what the generator says.
        counted: what the Media Distributor says.
        used: by its process meanwhile.
        samples: memory and what was missing, over the time.
    """

    came: Figures
    counted: Counted
    used: Usage
    samples: list[Sample]


def describe_flood(kind: str, alone: Measured, flooded: Measured) -> Figures:
    """What a flood cost, and what it cost the others: a run under it beside one without."""
    refused = sum(flooded.counted.dropped.get(reason, 0) for reason in _REFUSALS)
    forwarding = alone.used.cpu / max(alone.counted.forwarded, 1) * flooded.counted.forwarded
    cost = (flooded.used.cpu - forwarding) * 1e6
    shares = [one.came["received"] / max(one.came["offered"], 1) for one in (alone, flooded)]
    return {
        "kind": kind,
        "sent": flooded.came["flooded"],
        "sent_pps": flooded.came["flooded"] / flooded.came["seconds"],
        "refused": refused,
        "refused_pps": refused / flooded.came["seconds"],
        "cpu_us_per_refused_packet": cost / refused if refused else None,
        "kept_share": shares[1] / shares[0] if shares[0] else None,
        "latency_us": flooded.came["latency"],
        "behind_schedule_us": flooded.came["lateness"],
        "generator": describe_generator(flooded.came),
        "md_dropped": flooded.counted.dropped,
    }


def describe_generator(came: Figures) -> Figures:
    """Whether the generator kept its schedule: only then are the other figures a measurement."""
    not_sent = came["due"] - came["sent"]
    missed = not_sent > _NOT_SENT * came["due"] and came["behind"] > _BEHIND_US
    return {
        "kept_up": not missed and (came["lateness"]["p99"] or 0.0) <= _LATE_US,
        "due": came["due"],
        "sent": came["sent"],
        "not_sent": not_sent,
        "latest_us": max(came["behind"], came["lateness"]["longest"] or 0.0),
    }


def describe(options: LoadOptions, measured: Measured) -> Figures:
    """The report document of what was asked for and came of it."""
    came, counted, used, samples = measured
    ticks, forwarded = used.user + used.system, counted.forwarded
    cost = used.cpu * 1e6 / max(forwarded, 1)
    share = used.user / ticks if ticks else None
    return {
        "scenario": options.scenario.name,
        "conferences": options.conferences,
        "receivers": options.receivers,
        "speakers": options.speakers,
        "workers": options.workers,
        "profile": options.profile.value,
        "seconds": came["seconds"],
        "offered": came["offered"],
        "offered_pps": came["offered"] / came["seconds"],
        "forwarded": came["received"],
        "forwarded_pps": came["received"] / came["seconds"],
        "lost": came["offered"] - came["received"],
        "lost_before_receivers": max(came["offered"] - forwarded, 0),
        "md_unsent": counted.unsent,
        "lost_at_receivers": max(forwarded - came["received"], 0),
        "not_taken_from_senders": came["unsent"],
        "loss_of_a_receiver": dict(zip(("least", "most"), came["loss"], strict=True)),
        "duplicated": came["duplicated"],
        "reordered": came["reordered"],
        "latency_us": came["latency"],
        "latency_counts": {
            "receivers": _microseconds(Distribution.of(came["latencies"])),
            "worker": _microseconds(counted.latency),
        },
        "behind_schedule_us": came["lateness"],
        "generator": describe_generator(came),
        "cpu_us_per_forwarded_packet": cost,
        "cpu_us_user": None if share is None else cost * share,
        "cpu_us_system": None if share is None else cost * (1 - share),
        "md_cpu_share": used.cpu / came["seconds"],
        "md_rss_bytes": used.rss,
        "md_rss_bytes_at": memory(samples),
        "md_context_switches": used.switches,
        "md_dropped": counted.dropped,
        "md_added_latency_us": {
            name: None if (found := counted.latency.quantile(share)) is None else found * 1e6
            for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))
        },
        "md_datagrams_in_a_message": counted.segments.mean,
        "authenticated_samples": came["authenticated"],
        "authentication_failures": came["failed"],
        "samples": samples,
    }


def _microseconds(latencies: Distribution) -> list[tuple[float, int]]:
    return [(seconds * 1e6, count) for seconds, count in latencies.counts if count]


def add_floor(report: Figures, floor: tuple[float, float]) -> None:
    """Adds what can't be saved, and the ratio to it."""
    send, seal = floor
    report["floor_send_us"], report["floor_seal_us"] = send, seal
    report["floor_us_per_packet"] = send + seal
    report["ratio_to_floor"] = report["cpu_us_per_forwarded_packet"] / (send + seal)


def lines(report: Figures) -> list[tuple[str, str]]:
    """What a person reads: a name and what it is."""
    latency, cost = report["latency_us"], report["cpu_us_per_forwarded_packet"]
    told = _fell_behind("no measurement", report["generator"])
    told += _joins(report["joins"]) if "joins" in report else []
    told += [
        ("offered", f"{report['offered']:,} packets, {report['offered_pps']:,.0f} a second"),
        ("forwarded", f"{report['forwarded']:,}, {report['forwarded_pps']:,.0f} a second"),
        ("lost", _lost(report)),
        ("twice, or out of order", f"{report['duplicated']:,}, {report['reordered']:,}"),
        (
            "added latency",
            f"{_us(latency['p50'])} (p50), {_us(latency['p99'])} (p99), "
            f"{_us(latency['p99.9'])} (p99.9)",
        ),
        ("of it, in its worker", _worker(report)),
        ("behind the schedule", _schedule(report)),
        ("Media Distributor's CPU", f"{cost:.3f} us a packet{_parts(report)}"),
        (
            "its process",
            f"{report['md_cpu_share']:.0%} of a core, {report['md_rss_bytes'] / 2**20:.0f} MiB, "
            f"{report['md_context_switches']:,} context switches",
        ),
        ("its memory over the time", _memory(report["md_rss_bytes_at"])),
        (
            "opened through both layers",
            f"{report['authenticated_samples']:,}; {report['authentication_failures']:,} failed",
        ),
    ]
    if "flood" in report:
        told += _flood(report["flood"])
    if "ratio_to_floor" in report:
        told.append(
            (
                "the floor",
                f"{report['floor_us_per_packet']:.3f} us a packet ({report['floor_send_us']:.3f} "
                f"send, {report['floor_seal_us']:.3f} seal): {report['ratio_to_floor']:.2f} times",
            )
        )
    return told


def title(options: LoadOptions) -> str:
    """What was measured, in a line."""
    speakers = options.receivers if options.speakers is None else options.speakers
    each = f"{options.scenario.name}, {speakers} to {options.receivers}"
    many = f", {options.conferences} conferences" if options.conferences > 1 else ""
    workers = "one worker" if options.workers == 1 else f"{options.workers} workers"
    return f"{each}{many}: a Media Distributor with {workers}"


def rows(reports: Sequence[Figures]) -> tuple[list[str], list[list[str]]]:
    """A table of a sweep: its heads and rows."""
    heads = ["offered/s", "forwarded/s", "lost", "p50", "p99", "CPU us/packet", "of a core", "late"]
    heads.append("sent of due")
    cells = [
        [
            f"{one['offered_pps']:,.0f}",
            f"{one['forwarded_pps']:,.0f}",
            f"{one['lost'] / one['offered']:.2%}",
            _us(one["latency_us"]["p50"]),
            _us(one["latency_us"]["p99"]),
            f"{one['cpu_us_per_forwarded_packet']:.3f}",
            f"{one['md_cpu_share']:.0%}",
            _us(one["behind_schedule_us"]["p99"]),
            _sent(one["generator"]) + ("" if one["generator"]["kept_up"] else ": no measurement"),
        ]
        for one in reports
    ]
    return heads, cells


def _sent(generator: Figures) -> str:
    return f"{generator['sent'] / max(generator['due'], 1):.1%}"


def _fell_behind(name: str, generator: Figures) -> list[tuple[str, str]]:
    """A line that nobody can pass over, where figures are the generator's own."""
    if generator["kept_up"]:
        return []
    text = (
        "the generator couldn't keep its schedule: it sent "
        f"{_sent(generator)} of what was due, up to {generator['latest_us'] / 1e3:,.0f} ms late. "
        "The figures are its own, not the Media Distributor's; ask for less"
    )
    return [(name, text)]


def _schedule(report: Figures) -> str:
    generator = report["generator"]
    late = f"{_us(report['behind_schedule_us']['p99'])} (p99)"
    return f"{late}; {generator['not_sent']:,} of {generator['due']:,} due packets weren't sent"


def _memory(at: Figures) -> str:
    start, tenth, end = (at[name] / 2**20 for name in ("start", "tenth", "end"))
    return f"{start:.1f} MiB, after a tenth of it {tenth:.1f} MiB, at the end {end:.1f} MiB"


def _joins(joins: Figures) -> list[tuple[str, str]]:
    one = joins["join_ms"]
    text = (
        f"{joins['count']:,} in {joins['seconds']:.1f} s, {joins['at_once']} at once; "
        f"one {one['p50']:,.0f} ms (p50), {one['p99']:,.0f} ms (p99)"
    )
    return [("joined", text)]


def _lost(report: Figures) -> str:
    if not report["lost"]:
        return "0"
    loss = report["loss_of_a_receiver"]
    return (
        f"{report['lost']:,}: {report['lost_before_receivers']:,} before the receivers' sockets"
        f"{_unsent(report['md_unsent'])}, {report['lost_at_receivers']:,} there; of a receiver "
        f"{loss['least']:.1%} to {loss['most']:.1%}"
    )


def _unsent(unsent: Figures) -> str:
    full, refused = (unsent[reason] for reason in _UNSENT)
    if not full + refused:
        return ""
    return f" (the Media Distributor's own had no room for {full:,}, and refused {refused:,})"


def _parts(report: Figures) -> str:
    if report["cpu_us_user"] is None:
        return ""
    return f" ({report['cpu_us_user']:.3f} user, {report['cpu_us_system']:.3f} system)"


def _flood(flood: Figures) -> list[tuple[str, str]]:
    cost, kept = flood["cpu_us_per_refused_packet"], flood["kept_share"]
    return [
        (
            f"a flood ({flood['kind']})",
            f"{flood['sent']:,} packets, {flood['sent_pps']:,.0f} a second; "
            f"{flood['refused']:,} refused" + ("" if cost is None else f", {cost:.3f} us each"),
        ),
        (
            "under it",
            ("nothing to keep" if kept is None else f"{kept:.1%} of the packets came still")
            + f"; added latency {_us(flood['latency_us']['p99'])} (p99)",
        ),
        *_fell_behind("no measurement under it", flood["generator"]),
    ]


def _worker(report: Figures) -> str:
    added, datagrams = report["md_added_latency_us"], report["md_datagrams_in_a_message"]
    told = f"{_us(added['p50'])} (p50), {_us(added['p99'])} (p99), {_us(added['p99.9'])} (p99.9)"
    return told if datagrams is None else f"{told}; {datagrams:.1f} datagrams in a message"


def _us(time: float | None) -> str:
    return "none" if time is None else f"{time:,.0f} us"
