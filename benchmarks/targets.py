"""Which targets a run of `make bench-load` met: worked out from its own figures alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from benchmarks import churn
from benchmarks.report import Row
from benchmarks.run_load import Report
from benchmarks.saturation import RECEIVERS, Measured
from halfkey.cli.load.traffic import video

TEXT = """\
## Targets

What was aimed at, and what the measurements below make of it. `because` says what can be worked out
of the same figures where a target was missed; a machine with fewer cores than threads at work has
to miss some."""

_COUNTS = [count for _, _, count in video().bursts]
KEYFRAME, KEYFRAMES = max(_COUNTS), max(_COUNTS) / sum(_COUNTS)
"""Packets of the largest burst, and the share of all packets that are in one."""

SAME_LOAD = "--load 300000"
"""What those loads have whose costs are compared with each other."""

RATIO_VIDEO, RATIO_AUDIO, FLAT, SECOND_WORKER = 1.5, 2.0, 1.2, 1.8
RATE, LATENCY_US, KEPT, EVEN = 600_000.0, 1_000.0, 0.9, 0.01


def rows(
    loads: Mapping[str, Report],
    saturations: Sequence[Measured],
    floods: Sequence[Report],
    stalls: churn.Stalls,
) -> list[Row]:
    """A row for each target.

    Args:
        loads: the report of each load, by its arguments.
        saturations: with one worker, and with two.
        floods: reports of runs under each kind of flood.
        stalls: rounds with and without joins and leaves.
    """
    one, two = saturations
    half = one.found.rate / 2
    return [
        _ratio("livestream", 50, RATIO_VIDEO, loads, half),
        _ratio("livestream", 500, RATIO_VIDEO, loads, half),
        _ratio("audio", 500, RATIO_AUDIO, loads, 0.0),
        _rate(one),
        _flat("cost from 10 to 1,000 receivers", _same_load(loads, "conferences", 1)),
        _flat("cost from 1 to 200 conferences", _same_load(loads, "receivers", 10)),
        _latency(one),
        _no_loss(one),
        _even_loss(one),
        *(_kept(flood, one.found.rate) for flood in floods),
        _second_worker(one, two),
        _stall(stalls),
    ]


def _row(
    target: str, limit: str, measured: str, met: bool, because: str, under: Report | None = None
) -> Row:
    """`under` is the report of the load, if it has to be the load that was asked for."""
    said = "met" if met else "**not met**"
    if under is not None and not under["generator"]["kept_up"]:
        met, said = False, "**not shown**"
        because = "the generator couldn't keep its schedule"
    return {
        "target": target,
        "limit": limit,
        "measured": measured,
        "": said,
        "because": "" if met else because,
    }


def _not_measured(target: str, limit: str) -> Row:
    return _row(target, limit, "not measured", False, "no row of this run has it")


def _ratio(
    scenario: str, receivers: int, most: float, loads: Mapping[str, Report], least_load: float
) -> Row:
    """The worst ratio of rows with one conference, from that load on; else of the one with most."""
    target, limit = f"{scenario} to {receivers}: cost over the floor", f"{most:g}"
    wanted = scenario, receivers, 1
    found = [
        one
        for one in loads.values()
        if (one["scenario"], one["receivers"], one["conferences"]) == wanted
    ]
    if not found:
        return _not_measured(target, limit)
    enough = [one for one in found if one["forwarded_pps"] >= least_load]
    worst = max(enough or found[-1:], key=lambda one: float(one["ratio_to_floor"]))
    ratio, load = worst["ratio_to_floor"], worst["offered_pps"]
    measured = f"{ratio:.2f} at {load:,.0f}/s"
    if not enough:
        measured += f", less than half of saturation ({least_load:,.0f}/s)"
    beyond = worst["cpu_us_per_forwarded_packet"] - most * worst["floor_us_per_packet"]
    because = f"{beyond:.2f} us a packet more than {limit} times the floor"
    return _row(target, limit, measured, ratio <= most, because, worst)


def _rate(one: Measured) -> Row:
    beyond = one.found.beyond
    because = f"the Media Distributor had {beyond['md_cpu_share']:.0%} of a core at the next load"
    measured = f"{one.found.rate:,.0f}/s"
    target = f"one worker, livestream to {RECEIVERS}: forwarded"
    met = one.found.rate >= RATE
    return _row(target, f"{RATE:,.0f}/s", measured, met, because)


def _same_load(loads: Mapping[str, Report], fixed: str, value: int) -> list[Report]:
    """Livestreams with one worker and the same load, in which one number is always the same."""
    wanted = "livestream", 1, value
    same = (report for load, report in loads.items() if SAME_LOAD in load)
    return [one for one in same if (one["scenario"], one["workers"], one[fixed]) == wanted]


def _flat(target: str, reports: Sequence[Report]) -> Row:
    limit = f"{FLAT - 1:.0%}"
    costs = [float(one["cpu_us_per_forwarded_packet"]) for one in reports]
    floors = [float(one["floor_us_per_packet"]) for one in reports]
    if len(costs) < 2:
        return _not_measured(target, limit)
    spread = max(costs) / min(costs)
    apart = max(floors) / min(floors) - 1
    because = f"the floor itself differs by {apart:.0%} among these {len(costs)} rows"
    measured = f"{spread - 1:.0%} ({min(costs):.2f} to {max(costs):.2f} us)"
    return _row(target, limit, measured, spread <= FLAT, because)


def _latency(one: Measured) -> Row:
    latency, floor = one.half["latency_us"]["p99"], one.half["floor_us_per_packet"]
    alone = KEYFRAME * RECEIVERS * floor
    because = (
        f"for one keyframe to all, the floor alone takes {alone:,.0f} us ({KEYFRAME} packets x "
        f"{RECEIVERS} receivers x {floor:.2f} us), and {KEYFRAMES:.1%} of the packets are in one"
    )
    return _row(
        "added latency at half of saturation (p99)",
        f"{LATENCY_US:,.0f} us",
        f"{latency:,.0f} us",
        latency <= LATENCY_US,
        because,
        one.half,
    )


def _no_loss(one: Measured) -> Row:
    lost, offered = one.most["lost"], one.most["offered"]
    because = (
        f"{one.most['lost_before_receivers']:,} didn't leave the Media Distributor, "
        f"{one.most['lost_at_receivers']:,} found the generator's sockets full"
    )
    measured = f"{lost:,} of {offered:,}"
    target = "lost at 80% of saturation"
    return _row(target, "none", measured, lost == 0, because, one.most)


def _even_loss(one: Measured) -> Row:
    loss = one.found.beyond["loss_of_a_receiver"]
    because = (
        f"{one.found.beyond['lost_at_receivers']:,} of {one.found.beyond['lost']:,} lost packets "
        "found the generator's sockets full"
    )
    return _row(
        "loss of a receiver past saturation: most less least",
        f"{EVEN:.0%} of its packets",
        f"{loss['most'] - loss['least']:.2%} ({loss['least']:.2%} to {loss['most']:.2%})",
        loss["most"] - loss["least"] <= EVEN,
        because,
    )


def _kept(report: Report, saturation: float) -> Row:
    flood = report["flood"]
    share, kept = report["offered_pps"] / saturation, flood["kept_share"] or 0.0
    because = (
        f"{os.cpu_count()} cores for the worker, the Media Distributor's Python, the generator and "
        f"the flood of {flood['sent_pps']:,.0f} datagrams a second"
    )
    target = f"packets kept under a flood ({flood['kind']}) at {share:.0%} of saturation"
    return _row(target, f"{KEPT:.0%}", f"{kept:.1%}", kept >= KEPT, because, flood)


def _second_worker(one: Measured, two: Measured) -> Row:
    ratio, beyond = two.found.rate / one.found.rate, two.found.beyond
    because = (
        f"at the next load two workers had {beyond['md_cpu_share']:.0%} of a core; the machine has "
        f"{os.cpu_count()} cores, and the generator takes one"
    )
    measured = f"{ratio:.2f} times"
    met = ratio >= SECOND_WORKER
    return _row("a second worker", f"{SECOND_WORKER:g} times", measured, met, because)


def _stall(stalls: churn.Stalls) -> Row:
    alone, changed = stalls.p99(stalls.alone), stalls.p99(stalls.changed)
    return _row(
        f"joins and leaves in a conference of {churn.RECEIVERS:,}: more added latency (p99)",
        f"{stalls.batch_us:,.0f} us, the floor of one packet to all",
        f"{changed - alone:+,.0f} us ({alone:,.0f} without, {changed:,.0f} with)",
        changed - alone <= stalls.batch_us,
        f"{os.cpu_count()} cores for the worker, the Media Distributor's Python that lets in, the "
        "generator, and who asks",
    )
