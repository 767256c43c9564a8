"""`make bench-soak`: half of a Media Distributor's saturation for an hour; rewrites `soak.md`.

All Endpoints join for real. What is looked for: memory that grows, packets that are lost.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import saturation
from benchmarks.report import Row, machine, table
from benchmarks.run_load import Report, run_load

RESULTS = Path(__file__).parent / "soak.md"
ROWS = 20

READING = """\
`MiB` is the Media Distributor's resident memory, `missing` what had been offered until then and had
not come: lost, or still under way. The last line is the end, when nothing is under way any more."""


def rows(report: Report) -> list[Row]:
    """About so many of the samples, and always the last."""
    samples = report["samples"]
    step = max(1, round(len(samples) / ROWS))
    return [
        {
            "s": f"{one['seconds']:,.0f}",
            "MiB": f"{one['md_rss_bytes'] / 2**20:.1f}",
            "offered": f"{one['offered']:,}",
            "missing": f"{one['missing']:,}",
        }
        for one in [*samples[:-1:step], samples[-1]]
    ]


def summary(report: Report) -> str:
    """What came of it, in a few sentences."""
    at, latency, generator = (
        report[name] for name in ("md_rss_bytes_at", "latency_us", "generator")
    )
    growth = (at["end"] - at["tenth"]) / 2**10
    return (
        f"{report['offered']:,} packets were to come ({report['offered_pps']:,.0f} a second), "
        f"{report['lost']:,} were lost. The generator sent {generator['sent']:,} of the "
        f"{generator['due']:,} packets of its schedule. "
        f"From a tenth of the time to the end, memory changed by {growth:+,.0f} KiB. "
        f"Added latency: {latency['p50']:,.0f} us (p50), "
        f"{latency['p99']:,.0f} us (p99), {latency['longest']:,.0f} us at most. "
        f"{report['authenticated_samples']:,} packets were opened through both layers, "
        f"{report['authentication_failures']:,} failed."
    )


def main() -> None:
    """Finds the half load, runs it, and writes."""
    parser = argparse.ArgumentParser(description="run half of the saturation for long")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--load", type=int, help="packets a second; else half of saturation")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where to write")
    asked = parser.parse_args()
    where = machine()
    load = asked.load or round(saturation.find(1).rate / 2)
    arguments = ["livestream", "--receivers", "50", "--load", str(load)]
    report = run_load(arguments, asked.seconds)
    command = f"`halfkey load {' '.join(arguments)} --duration {asked.seconds:g}`"
    head = f"# Half load for {asked.seconds:,.0f} seconds\n\nMade by `make bench-soak` on {where}."
    said = [head, f"{command}: {summary(report)}", READING, "\n".join(table(rows(report)))]
    asked.out.write_text("\n\n".join(said) + "\n")
    print("\n\n".join(said))


if __name__ == "__main__":
    main()
