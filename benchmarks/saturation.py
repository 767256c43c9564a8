"""How much a Media Distributor forwards before it loses, with one worker and with two.

Loads grow by half until packets are lost (`halfkey load --sweep`); the last that lost no more than
1%, and that the generator made, is called saturation, which is as coarse as these steps. Then half
of it and 80% of it are run by themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.report import Row, table
from benchmarks.run_load import Report, run_load

RECEIVERS = 50
SCENARIO = ("livestream", "--receivers", str(RECEIVERS), "--direct")
MOST = 2_000_000
LOSS = 0.01
SWEEP_SECONDS = 2.0
HALVINGS = 2
"""Loads between the last that went through and the first that didn't: to a tenth, then."""

TEXT = """\
## Saturation

A livestream to 50. `saturation` is the highest load of which at most 1% was lost, of loads that are
each half as much again as the one before, and of two more between it and the next; `p99` the added
latency at half of it, as the receivers see it and as the worker does; `lost at 80%` what was lost
at four fifths of it. `too much` is the first load that was; `least lost` and `most lost` are the
least and the greatest share of it that a receiver lost, `of a core` and `late us` the Media
Distributor's CPU and how far the generator was behind (p99). Where the Media Distributor had less
than a core for each worker, the limit was the generator, or whoever else had the cores, and a
larger machine would get more through."""


@dataclass(frozen=True, slots=True)
class Saturation:
    """What was found.

    Attributes:
        workers: the Media Distributor's threads that forward.
        best: the report of the last load that went through.
        beyond: of the first that didn't.
    """

    workers: int
    best: Report
    beyond: Report

    @property
    def rate(self) -> float:
        """Packets a second that came through."""
        return float(self.best["forwarded_pps"])


def find(workers: int) -> Saturation:
    """Goes through the loads.

    Raises:
        RuntimeError: it lost packets from the first load on, or never.
    """
    arguments = [*SCENARIO, "--workers", str(workers), "--load", str(MOST), "--sweep"]
    reports: list[Report] = run_load(arguments, SWEEP_SECONDS)["sweep"]
    through = [number for number, one in enumerate(reports) if went_through(one)]
    if not through or through[-1] == len(reports) - 1:
        raise RuntimeError("no load in between nothing and too much was found")
    best, beyond = reports[through[-1]], reports[through[-1] + 1]
    for _ in range(HALVINGS):
        load = round(math.sqrt(best["offered_pps"] * beyond["offered_pps"]))
        between = run_load([*arguments[:-3], "--load", str(load)], SWEEP_SECONDS)
        best, beyond = (between, beyond) if went_through(between) else (best, between)
    return Saturation(workers, best, beyond)


def went_through(report: Report) -> bool:
    """Whether a load was made, and no more than a little of it lost."""
    kept_up: bool = report["generator"]["kept_up"]
    return kept_up and bool(report["lost"] <= LOSS * report["offered"])


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found, and loads below it.

    Attributes:
        found: saturation.
        half: the report at half of it, with the floor.
        most: at 80% of it.
    """

    found: Saturation
    half: Report
    most: Report


def measure(seconds: float) -> list[Measured]:
    """With one worker and with two; `seconds` for each load below saturation."""
    return [_measure(find(workers), seconds) for workers in (1, 2)]


def _measure(found: Saturation, seconds: float) -> Measured:
    arguments = [*SCENARIO, "--workers", str(found.workers), "--load"]
    half = run_load([*arguments, str(round(0.5 * found.rate)), "--floor"], seconds)
    most = run_load([*arguments, str(round(0.8 * found.rate))], seconds)
    return Measured(found, half, most)


def text(measured: Sequence[Measured]) -> list[str]:
    """The section with its table."""
    ratio = measured[1].found.rate / measured[0].found.rate
    rows = table([_row(one) for one in measured])
    return [TEXT, "", *rows, "", f"The second worker makes it {ratio:.2f} times as much."]


def _row(one: Measured) -> Row:
    beyond = one.found.beyond
    loss = beyond["loss_of_a_receiver"]
    return {
        "workers": one.found.workers,
        "saturation/s": one.found.rate,
        "p99 us at half": float(one.half["latency_us"]["p99"] or 0),
        "p99 us in the worker": float(one.half["md_added_latency_us"]["p99"] or 0),
        "lost at 80%": f"{one.most['lost'] / one.most['offered']:.2%}",
        "too much/s": float(beyond["offered_pps"]),
        "least lost": f"{loss['least']:.2%}",
        "most lost": f"{loss['most']:.2%}",
        "of a core": f"{beyond['md_cpu_share']:.0%}",
        "late us": float(beyond["behind_schedule_us"]["p99"] or 0),
    }
