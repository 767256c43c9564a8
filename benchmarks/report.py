"""What every report of a measurement has: the machine's name, and tables."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

Row = dict[str, object]


def machine() -> str:
    """Names the machine: processor, cores, system, what it lets sockets hold, versions, date."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    today = datetime.datetime.now(tz=datetime.UTC).date()
    return (
        f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores, "
        f"{platform.system()} {platform.release()} with {socket_buffer() >> 10} KiB for a socket, "
        f"Python {platform.python_version()}, {rustc()}, on {today}; "
        f"load average before: {os.getloadavg()[0]:.1f}"
    )


def socket_buffer() -> int:
    """The most bytes that the system lets a socket hold of what comes, or of what goes if that is
    less: bursts that are longer are lost."""
    limits = (Path(f"/proc/sys/net/core/{name}_max") for name in ("rmem", "wmem"))
    return min(int(limit.read_text()) for limit in limits)


def rustc() -> str:
    """The compiler's name and version."""
    output = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True)
    return " ".join(output.stdout.split()[:2])


def table(rows: Sequence[Row]) -> list[str]:
    """A Markdown table with every key of the rows as a column, in order of appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        lines.append("| " + " | ".join(cell(row.get(column, "")) for column in columns) + " |")
    return lines


def cell(value: object) -> str:
    """Three significant digits for a number; text as it is."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
