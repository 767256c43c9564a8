"""`make bench-load`: a Media Distributor's cost beside the floor; rewrites `benchmarks/load.md`.

Each row is one `halfkey load`, the command as anybody gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import churn, memory, saturation, targets
from benchmarks.report import Row, machine, table
from benchmarks.run_load import Report, run_load
from halfkey.cli.load.options import FLOODS as KINDS

RESULTS = Path(__file__).parent / "load.md"

LOADS = """\
## Loads

`cpu us` is the CPU time of the Media Distributor's process for a forwarded packet, `floor us` that
of bare sends and seals of the same packets, right before and after it; `ratio` is one over the
other. Added latency is from the system call that sends a packet to the moment its receiver takes
it, of packets that were opened. `late us` is how far the generator was behind its own schedule
(p99): where that is milliseconds, the machine had other things to do, and neither latency nor loss
of that row says much of the Media Distributor. Each row's command is
`halfkey load ARGUMENTS --direct --floor --duration SECONDS`."""


FLOODS = """\
## Under a flood

A second run of the same load, with a thread that sends what has to be refused as fast as a socket
takes it. `kept` is the share of the established streams' packets that came, beside the run without;
`us each` the CPU time of a refusal. Three threads are at work then, besides the Media Distributor's
own: with fewer cores than that, what is lost is also lost to the others' turns."""

MEMORY = """\
## Memory

Resident memory of the Media Distributor's process, Python's part included, as more participants are
in who have keys, one stream and a slot for each other one's, and send nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which loads, and how many seconds each."""

    seconds: float
    loads: tuple[str, ...]


QUICK = Plan(3.0, ("livestream --receivers 50", "audio --receivers 500 --speakers 2"))

WHOLE = Plan(
    5.0,
    (
        "livestream --receivers 10 --load 300000",
        "livestream --receivers 50 --load 300000",
        "livestream --receivers 50 --load 600000",
        "livestream --receivers 50 --conferences 4 --load 600000 --workers 2",
        "livestream --receivers 500 --load 300000",
        "livestream --receivers 500 --load 600000",
        "livestream --receivers 1000 --load 300000",
        "livestream --receivers 10 --conferences 200 --load 300000",
        "audio --receivers 500 --load 100000",
        "audio --receivers 500",
        "meeting --receivers 25",
    ),
)


FLOODED = "livestream --receivers 50 --load 300000"


def floods(seconds: float) -> list[Report]:
    """A report for each kind of flood."""
    return [_report([*FLOODED.split(), "--flood", kind], seconds) for kind in KINDS]


def _flood(report: Report) -> Row:
    flood = report["flood"]
    return {
        "flood": flood["kind"],
        "sent/s": float(flood["sent_pps"]),
        "refused/s": float(flood["refused_pps"]),
        "us each": flood["cpu_us_per_refused_packet"],
        "kept": "" if flood["kept_share"] is None else f"{flood['kept_share']:.1%}",
        "p99 us": float(flood["latency_us"]["p99"] or 0),
        "late us": float(flood["behind_schedule_us"]["p99"] or 0),
    }


def measure(plan: Plan) -> list[Row]:
    """A row for each load."""
    return [_row(*load) for load in _reports(plan).items()]


def _reports(plan: Plan) -> dict[str, Report]:
    """The report of each load, by its arguments."""
    return {load: _report(load.split(), plan.seconds) for load in plan.loads}


def _report(arguments: Sequence[str], seconds: float) -> Report:
    return run_load([*arguments, "--direct", "--floor"], seconds)


def _row(arguments: str, report: Report) -> Row:
    latency = report["latency_us"]
    return {
        "load": arguments,
        "forwarded/s": float(report["forwarded_pps"]),
        "lost": f"{report['lost'] / report['offered']:.2%}",
        "cpu us": report["cpu_us_per_forwarded_packet"],
        "floor us": report["floor_us_per_packet"],
        "ratio": report["ratio_to_floor"],
        "p50 us": float(latency["p50"] or 0),
        "p99 us": float(latency["p99"] or 0),
        "late us": float(report["behind_schedule_us"]["p99"] or 0),
        "opened": report["authenticated_samples"],
        "failed": report["authentication_failures"],
    }


def text(plan: Plan) -> str:
    """Measures, and gives the whole page."""
    where = machine()
    loads, saturations = _reports(plan), saturation.measure(plan.seconds)
    flooded, stalls = floods(plan.seconds), churn.measure(plan.seconds)
    made = f"Made by `make bench-load` on {where}; {plan.seconds:g} seconds a row, over loopback."
    sections = [
        "# What a Media Distributor costs for a forwarded packet",
        made,
        targets.TEXT,
        "\n".join(table(targets.rows(loads, saturations, flooded, stalls))),
        LOADS,
        "\n".join(table([_row(*load) for load in loads.items()])),
        "\n".join(saturation.text(saturations)),
        FLOODS,
        f"`{FLOODED}`:",
        "\n".join(table([_flood(report) for report in flooded])),
        "\n".join(churn.text(stalls)),
        MEMORY,
        "\n".join(table([*memory.measure(), *memory.measure(workers=4)])),
    ]
    return "\n\n".join(sections) + "\n"


def main() -> None:
    """Measures and writes."""
    page = text(WHOLE)
    RESULTS.write_text(page)
    print(page)


if __name__ == "__main__":
    main()
