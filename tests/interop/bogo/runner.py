"""Builds BoringSSL's test runner, for our profile, and has it run our shim.

The checkout is only read: what is ours goes into the build by Go's overlay.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.interop.bogo import configuration
from tests.interop.bogo.zygote import serving

HERE = Path(__file__).parent
_RUNNER = Path("ssl") / "test" / "runner"
_CHANGES = (
    # Our tests' profile, once all tests are there.
    ("runner.go", "\n\tcheckTests()\n", "\n\tadaptTests()\n\tcheckTests()\n", 1),
    # A test that makes the runner panic fails alone.
    ("runner.go", "err = runTest(", "err = runGuardedTest(", 3),
    # Messages may have a record each, though one record could hold several.
    ("dtls.go", "handshakeBytesNeeded && epoch.epoch > 0", "handshakeBytesNeeded && false", 1),
)
"""In files of the runner: what is replaced by what, and how often it is there."""

_WORKERS = 8
_IDLE_TIMEOUT = "10s"
"""How long the runner waits for a shim. Only a test that fails so has to wait that long."""


class RunnerError(Exception):
    """The runner can't be built or run; the text says why and what to do."""


@dataclass(frozen=True)
class Checkout:
    """A checkout of BoringSSL."""

    path: Path

    def __post_init__(self) -> None:
        if not (self.path / _RUNNER / "runner.go").is_file():
            raise RunnerError(
                f"{self.path} is no checkout of BoringSSL; clone it, and name the place with "
                "make bogo BORINGSSL=path"
            )

    @property
    def runner(self) -> Path:
        """Where the runner's sources are."""
        return (self.path / _RUNNER).resolve()

    def commit(self) -> str:
        """The commit that is checked out."""
        command = ["git", "-C", str(self.path), "rev-parse", "HEAD"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise RunnerError(f"git doesn't know the commit of {self.path}; is it a clone?")
        return result.stdout.strip()


@dataclass(frozen=True)
class Build:
    """What was built: two programs."""

    runner: Path
    launcher: Path


def build(checkout: Checkout, workspace: Path) -> Build:
    """Builds runner and launcher in a directory of their own.

    Raises:
        RunnerError: there is no Go, or this BoringSSL isn't the one we know.
    """
    if shutil.which("go") is None:
        raise RunnerError("Go is missing; install the release that BoringSSL's go.mod asks for")
    made = Build(workspace / "runner", workspace / "launcher")
    overlay = workspace / "overlay.json"
    overlay.write_text(json.dumps({"Replace": _replacements(checkout, workspace)}))
    _go(checkout.runner, "test", "-c", "-overlay", str(overlay), "-o", str(made.runner), ".")
    _go(HERE / "launcher", "build", "-o", str(made.launcher), ".")
    return made


def _replacements(checkout: Checkout, workspace: Path) -> dict[str, str]:
    paths = {name: checkout.runner / name for name, *_ in _CHANGES}
    sources = {name: path.read_text() if path.is_file() else "" for name, path in paths.items()}
    for name, old, new, times in _CHANGES:
        if sources[name].count(old) != times:
            raise RunnerError(
                f"this BoringSSL has another runner than we know ({old.strip()}); take the commit "
                "that docs/bogo.md names"
            )
        sources[name] = sources[name].replace(old, new)
    replacements = {checkout.runner / "halfkey_adapt.go": HERE / "adapt.go"}
    for name, source in sources.items():
        replacements[checkout.runner / name] = workspace / name
        (workspace / name).write_text(source)
    return {str(original): str(ours) for original, ours in replacements.items()}


def _go(directory: Path, *arguments: str) -> None:
    command = ["go", *arguments]
    result = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RunnerError(f"{' '.join(command[:2])} failed:\n{result.stderr.strip()}")


def run(made: Build, workspace: Path, tests: str = "*", *, log: Path) -> dict[str, str]:
    """Runs all tests, also those that are left out: what came of each, "PASS", "FAIL" or "SKIP".

    Args:
        made: what to run.
        workspace: a directory for what passes between the processes.
        tests: a pattern.
        log: takes what the runner prints.

    Raises:
        RunnerError: the runner came to no end.
    """
    results = workspace / "results.json"
    command = [str(made.runner), "-pipe", "-num-workers", str(_WORKERS)]
    command += ["-idle-timeout", _IDLE_TIMEOUT, "-allow-unimplemented", "-include-disabled"]
    command += ["-shim-path", str(made.launcher), "-shim-config", str(configuration.PATH)]
    command += ["-json-output", str(results), "-test", tests]
    socket = workspace / "zygote"
    with serving(socket), log.open("wb") as output:
        environment = {**os.environ, "HALFKEY_ZYGOTE": str(socket)}
        subprocess.run(
            command, env=environment, cwd=workspace, stdout=output, stderr=output, check=False
        )
    if not results.is_file():
        raise RunnerError(f"the runner ended without a result; see {log}")
    found = json.loads(results.read_text())["tests"]
    return {name: test["actual"] for name, test in found.items()}
