"""How much a Media Distributor forwards before it loses, with one worker and with two.

Loads grow by half until packets are lost (`halfkey load --sweep`); the last that lost no more than
1%, and that the generator made, is called saturation, which is as coarse as these steps. Then half
of it and 80% of it are run by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.report import Row, table
from benchmarks.run_load import Report, run_load

SCENARIO = ("livestream", "--receivers", "50", "--direct")
MOST = 2_000_000
LOSS = 0.01
SWEEP_SECONDS = 2.0

TEXT = """\
## Saturation

A livestream to 50. `saturation` is the last of loads, each half as much again as the one before,
of which at most 1% was lost; `p99` the added latency at half of it, as the receivers see it and as
the worker does; `lost at 80%` what was lost at four fifths of it. `of a core` and `late us` are the
Media Distributor's CPU and how far the generator was behind (p99) at the first load that was too
much: where the Media Distributor had less than a core for each worker, the limit was the generator,
or whoever else had the cores, and a larger machine would get more through."""


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
    through = [
        number
        for number, one in enumerate(reports)
        if one["generator"]["kept_up"] and one["lost"] <= LOSS * one["offered"]
    ]
    if not through or through[-1] == len(reports) - 1:
        raise RuntimeError("no load in between nothing and too much was found")
    return Saturation(workers, reports[through[-1]], reports[through[-1] + 1])


def text(seconds: float) -> list[str]:
    """The section with its table; `seconds` for each load below saturation."""
    found = [find(workers) for workers in (1, 2)]
    ratio = found[1].rate / found[0].rate
    rows = table([_row(one, seconds) for one in found])
    return [TEXT, "", *rows, "", f"The second worker makes it {ratio:.2f} times as much."]


def _row(found: Saturation, seconds: float) -> Row:
    arguments = [*SCENARIO, "--workers", str(found.workers)]
    half, most = (
        run_load([*arguments, "--load", str(round(share * found.rate))], seconds)
        for share in (0.5, 0.8)
    )
    return {
        "workers": found.workers,
        "saturation/s": found.rate,
        "p99 us at half": float(half["latency_us"]["p99"] or 0),
        "p99 us in the worker": float(half["md_added_latency_us"]["p99"] or 0),
        "lost at 80%": f"{most['lost'] / most['offered']:.2%}",
        "too much/s": float(found.beyond["offered_pps"]),
        "of a core": f"{found.beyond['md_cpu_share']:.0%}",
        "late us": float(found.beyond["behind_schedule_us"]["p99"] or 0),
    }
