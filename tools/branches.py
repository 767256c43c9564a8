"""Fails if too few branches were run: ``python tools/branches.py REPORT.json PERCENT``.

coverage.py's own bound is on statements and branches together, of which statements are most.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(report: str, least: str) -> int:
    """Exit status 1 if less than `least` percent of the branches were run."""
    totals = json.loads(Path(report).read_text())["totals"]
    run, there = totals["covered_branches"], totals["num_branches"]
    percent = 100 * run / there
    print(f"{run} of {there} branches: {percent:.1f}% (at least {least}%)")
    return int(percent < float(least))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
