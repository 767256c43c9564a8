"""Builds and runs the fuzz targets of the packet path, which are a crate by itself (`fuzz/`).

Coverage is instrumented by options that the stable compiler takes, so no other toolchain is needed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.interop.dtls.building import cache, run

CRATE = Path(__file__).parents[2] / "fuzz"
RUST_TARGETS = {
    f"rust_{name}": name for name in ("rtp", "rtcp", "relay", "ekt", "demux", "forwarder")
}
"""By the names that `make fuzz` knows, those of the crate."""

COVERAGE = (
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg fuzzing",
)


def program() -> Path:
    """The crate's program, built if anything changed.

    Raises:
        AbsentError: it doesn't build; it needs cargo, and a C++ compiler for libFuzzer.
    """
    target, host = cache() / "fuzz-rust", _host()
    # With a target named, build scripts aren't instrumented.
    options = ("--quiet", "--locked", "--release", "--target", host, "--target-dir", str(target))
    run((_tool("cargo"), "build", *options), CRATE, {"RUSTFLAGS": " ".join(COVERAGE)})
    return target / host / "release" / "halfkey-fuzz"


def write_seeds(target: str, folder: Path) -> None:
    """Has a target write its seeds; it must itself take one of them for valid.

    Raises:
        AbsentError: it doesn't build, or takes none.
    """
    environment = {"HALFKEY_FUZZ_TARGET": RUST_TARGETS[target], "HALFKEY_FUZZ_SEEDS": str(folder)}
    run((str(program()),), CRATE, environment)


def _host() -> str:
    """What the compiler compiles for by itself."""
    lines = run((_tool("rustc"), "-vV"), CRATE, {}).splitlines()
    return next(line.split()[1] for line in lines if line.startswith("host:"))


def _tool(name: str) -> str:
    return shutil.which(name) or str(Path.home() / ".cargo/bin" / name)
