"""Which targets a run of `make bench-load` met: worked out from its own figures alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from benchmarks import churn
from benchmarks.report import Row
from benchmarks.run_load import Report
from benchmarks.saturation import RECEIVERS, Measured, went_through
from halfkey.cli.load.traffic import video

TEXT = """\
## Targets

What was aimed at, and what the measurements below make of it. `because` says what can be worked out
of the same figures where a target was missed; a machine with fewer cores than threads at work has
to miss some. A run that lost more than 1%, or whose generator fell behind, shows nothing of what a
load costs."""

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
        _ratio("livestream", RECEIVERS, RATIO_VIDEO, [*loads.values(), one.half], half),
        _ratio("livestream", 500, RATIO_VIDEO, list(loads.values()), half),
        _ratio("audio", 500, RATIO_AUDIO, list(loads.values()), 0.0),
        _rate(one, loads),
        _flat("cost from 10 to 1,000 receivers", _same_load(loads, "conferences", 1)),
        _flat("cost from 1 to 200 conferences", _same_load(loads, "receivers", 10)),
        _latency(one),
        _no_loss(one),
        _even_loss(one),
        *(_kept(flood, one.found.rate) for flood in floods),
        _second_worker(one, two),
        _stall(stalls),
    ]


def _row(target: str, limit: str, measured: str, met: bool | None, because: str) -> Row:
    """`met` is None where that can't be said."""
    said = {True: "met", False: "**not met**", None: "**not shown**"}[met]
    return {
        "target": target,
        "limit": limit,
        "measured": measured,
        "": said,
        "because": "" if met else because,
    }


def _where(reports: Sequence[Report], met: bool, because: str) -> tuple[bool | None, str]:
    """The same, if all of these are the loads that were asked for."""
    if all(one["generator"]["kept_up"] for one in reports):
        return met, because
    return None, "the generator couldn't keep its schedule"


def _not_measured(target: str, limit: str) -> Row:
    return _row(target, limit, "not measured", False, "no row of this run has it")


def _ratio(
    scenario: str, receivers: int, most: float, reports: Sequence[Report], least_load: float
) -> Row:
    """The worst ratio of loads with one conference, from that load on, of which little was lost."""
    target, limit = f"{scenario} to {receivers}: cost over the floor", f"{most:g}"
    wanted = scenario, receivers, 1
    found = [
        one for one in reports if (one["scenario"], one["receivers"], one["conferences"]) == wanted
    ]
    if not found:
        return _not_measured(target, limit)
    # Of a load that was not offered exactly, a little less is as good.
    enough = [one for one in found if one["offered_pps"] >= 0.99 * least_load and went_through(one)]
    if not enough:
        because = f"no row with at least half of saturation ({least_load:,.0f}/s) went through"
        return _row(target, limit, "", None, because)
    worst = max(enough, key=lambda one: float(one["ratio_to_floor"]))
    ratio, load = worst["ratio_to_floor"], worst["offered_pps"]
    beyond = worst["cpu_us_per_forwarded_packet"] - most * worst["floor_us_per_packet"]
    because = f"{beyond:.2f} us a packet more than {limit} times the floor"
    return _row(target, limit, f"{ratio:.2f} at {load:,.0f}/s", ratio <= most, because)


def _rate(one: Measured, loads: Mapping[str, Report]) -> Row:
    """By the row that offers as much, for longer than a step of the search for saturation takes."""
    target, limit = f"one worker, livestream to {RECEIVERS}: forwarded", f"{RATE:,.0f}/s"
    wanted = "livestream", RECEIVERS, 1, 1
    names = "scenario", "receivers", "conferences", "workers"
    same = [load for load in loads.values() if tuple(load[name] for name in names) == wanted]
    found = [load for load in same if load["offered_pps"] >= RATE]
    if not found:
        return _not_measured(target, limit)
    best = max(found, key=lambda load: float(load["forwarded_pps"]))
    rate, lost = best["forwarded_pps"], best["lost"] / best["offered"]
    because = (
        f"the Media Distributor had {best['md_cpu_share']:.0%} of a core; in steps of some seconds "
        f"up to {one.found.rate:,.0f}/s went through"
    )
    met = rate >= RATE and went_through(best)
    return _row(target, limit, f"{rate:,.0f}/s, {lost:.2%} lost", *_where([best], met, because))


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
    if not all(went_through(one) for one in reports):
        return _row(target, limit, measured, None, "not all of these loads went through")
    return _row(target, limit, measured, spread <= FLAT, because)


def _latency(one: Measured) -> Row:
    latency, floor = one.half["latency_us"]["p99"], one.half["floor_us_per_packet"]
    alone = KEYFRAME * RECEIVERS * floor
    because = (
        f"for one keyframe to all, the floor alone takes {alone:,.0f} us ({KEYFRAME} packets x "
        f"{RECEIVERS} receivers x {floor:.2f} us), and {KEYFRAMES:.1%} of the packets are in one"
    )
    if alone < LATENCY_US / 2:
        because = "the floor of a keyframe to all doesn't explain it"
    target, limit = "added latency at half of saturation (p99)", f"{LATENCY_US:,.0f} us"
    met = latency <= LATENCY_US
    return _row(target, limit, f"{latency:,.0f} us", *_where([one.half], met, because))


def _no_loss(one: Measured) -> Row:
    lost, offered = one.most["lost"], one.most["offered"]
    because = (
        f"{one.most['lost_before_receivers']:,} didn't leave the Media Distributor, "
        f"{one.most['lost_at_receivers']:,} found the generator's sockets full"
    )
    measured = f"{lost:,} of {offered:,}"
    target = "lost at 80% of saturation"
    return _row(target, "none", measured, *_where([one.most], lost == 0, because))


def _even_loss(one: Measured) -> Row:
    beyond = one.found.beyond
    loss = beyond["loss_of_a_receiver"]
    because = (
        f"{beyond['lost_at_receivers']:,} of {beyond['lost']:,} lost packets "
        "found the generator's sockets full"
    )
    target = "loss of a receiver past saturation: most less least"
    measured = f"{loss['most'] - loss['least']:.2%} ({loss['least']:.2%} to {loss['most']:.2%})"
    met, because = _where([beyond], loss["most"] - loss["least"] <= EVEN, because)
    return _row(target, f"{EVEN:.0%} of its packets", measured, met, because)


def _kept(report: Report, saturation: float) -> Row:
    flood = report["flood"]
    share, kept = report["offered_pps"] / saturation, flood["kept_share"] or 0.0
    because = (
        f"{os.cpu_count()} cores for the worker, the Media Distributor's Python, the generator and "
        f"the flood of {flood['sent_pps']:,.0f} datagrams a second"
    )
    target = f"packets kept under a flood ({flood['kind']}) at {share:.0%} of saturation"
    met, because = _where([report, flood], kept >= KEPT, because)
    if not went_through(report):
        met, because = None, "the load didn't go through without the flood either"
    return _row(target, f"{KEPT:.0%}", f"{kept:.1%}", met, because)


def _second_worker(one: Measured, two: Measured) -> Row:
    """What is known of either is a load that went through and one that didn't."""
    beyond = two.found.beyond
    least = two.found.rate / one.found.beyond["offered_pps"]
    most = beyond["offered_pps"] / one.found.rate
    because = (
        f"at the next load two workers had {beyond['md_cpu_share']:.0%} of a core; the machine has "
        f"{os.cpu_count()} cores, and the generator takes one"
    )
    target, limit = "a second worker", f"{SECOND_WORKER:g} times"
    measured = f"{least:.2f} to {most:.2f} times"
    if least >= SECOND_WORKER or most < SECOND_WORKER:
        met, because = _where([one.found.beyond, beyond], least >= SECOND_WORKER, because)
        return _row(target, limit, measured, met, because)
    return _row(target, limit, measured, None, because)


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
