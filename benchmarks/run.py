"""`make bench`: runs every benchmark once and writes `benchmarks/results.md`.

Figures from one machine say little about another, so each stands beside the crypto library's own
calls, measured in the same run, and what counts is the ratio.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks import dtls, eviction, key_distributor, load, media, restarts
from benchmarks.report import Row, machine, table

HERE = Path(__file__).parent
RESULTS = HERE / "results.md"

READING = """\
Ours and what it is compared with take turns in one run, and the figures are medians: what else
the machine does falls on both. So the ratios say more than the times. [README.md](README.md) has
what was tried besides."""

RUST = """\
Microseconds of one core for a packet, and for the raw AES-GCM calls in it, straight to the library.
`protect` and `unprotect` are an Endpoint's, two calls; `reseal` is what a Media Distributor does
for a receiver, an open and a seal, with PT, SEQ and mid changed. `ratio` is ours over raw, so
0.25 above 1 means that a quarter is added for replay windows, headers, OHB and copies. The target
is at most 1.3 for `protect` and `reseal`."""

PYTHON = """\
The same through `halfkey._media`, beside calls of the `cryptography` package that do the same
work. `ratio` below 1: one call into Rust costs less than two into that package."""

DTLS = """\
Handshakes with cookie and certificates on both sides that one core does in a second, in each
side's code. `ratio` is our rate over that of pyOpenSSL, which has DTLS 1.2 only, and whose
handshake is all in C, so more is better; ours is Python around the primitives of `cryptography`.
An answer to a ClientHello without a cookie, in microseconds, is beside OpenSSL's
`DTLSv1_listen`; its `ratio`, too, is of rates. Either makes a connection for it."""


KEY_DISTRIBUTOR = """\
What strangers and associations cost a Key Distributor: bytes of a tunnel in, bytes of a tunnel out,
TLS and sockets left out. Times are of one core. A stray ClientHello is one without a cookie, of an
association that nothing is known of."""


EVICTION = """\
Milliseconds, p50 / p99, from the decision to take somebody out; 250 of them are by rule. Of so few
evictions p99 is the longest. `make bench-eviction` makes more of them, also with 500 participants:
[eviction.md](eviction.md)."""


LOAD = """\
Microseconds of CPU of the Media Distributor's process for a forwarded packet, beside bare sends and
seals of the same: `halfkey load`. Few seconds each; `make bench-load` takes more scenarios and
longer: [load.md](load.md)"""


RESTARTS = """\
Three Endpoints, and each server in turn killed (SIGKILL) and started again at once. A silence is
the longest time without a packet of somebody's sound that could be opened, in a pair of Endpoints;
20 ms are by rule."""


def main() -> None:
    where = machine()  # before our own work is in the load
    sections = [
        ("Packets, from Rust", RUST, rust()),
        ("Packets, from Python", PYTHON, media.measure()),
        ("DTLS", DTLS, dtls.measure()),
        ("Key Distributor", KEY_DISTRIBUTOR, key_distributor.measure()),
        ("Eviction", EVICTION, eviction.steps(eviction.run(eviction.QUICK))),
        ("Load", LOAD, load.measure(load.QUICK)),
        ("Restarts", RESTARTS, restarts.measure()),
    ]
    lines = ["# How fast it is", "", f"Made by `make bench` on {where}.", "", READING, ""]
    for title, note, rows in sections:
        lines += [f"## {title}", "", note, "", *table(rows), ""]
    RESULTS.write_text("\n".join(lines).rstrip() + "\n")
    print("\n".join(lines))
    print(f"written to {RESULTS.relative_to(HERE.parent)}", file=sys.stderr)


def rust() -> list[Row]:
    """Runs the Rust benchmark: one JSON object a line."""
    print("building and running the Rust benchmark", file=sys.stderr)
    command = ["cargo", "run", "--quiet", "--release", "-p", "halfkey-media", "--example", "bench"]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=HERE.parent)
    return [json.loads(line) for line in output.stdout.splitlines() if line.startswith("{")]


if __name__ == "__main__":
    main()
