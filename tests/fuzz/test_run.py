"""A second of fuzzing for each target, and that a finding would be seen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.run import ROOT, fuzz
from tests.fuzz.rust import RUST_TARGETS
from tests.fuzz.targets import TARGETS, planted
from tests.interop.dtls.absence import AbsentError

PLANTED_IN_RUST = "rust_planted"


def fuzzed(target: str, limit: str, findings: Path) -> int:
    """A run's exit status; where atheris has no wheel, that is shown."""
    try:
        return fuzz(target, limit, findings)
    except AbsentError as error:
        pytest.xfail(f"atheris is absent: {error}")


@pytest.mark.parametrize("target", [*TARGETS, *RUST_TARGETS])
def test_a_second_of_fuzzing_finds_nothing(target: str, tmp_path: Path) -> None:
    assert fuzzed(target, "-max_total_time=1", tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", [planted.__name__, PLANTED_IN_RUST])
def test_a_finding_is_kept_and_fails_the_run(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RUST_TARGETS, PLANTED_IN_RUST, "planted")
    assert fuzzed(target, "-runs=1000000", tmp_path) != 0
    (finding,) = tmp_path.iterdir()
    assert len(finding.read_bytes()) >= 3


def test_the_fuzzer_sees_the_first_import_of_what_it_watches() -> None:
    """What was imported before is not instrumented, and is then fuzzed blindly."""
    program = (
        "import sys, {}; print('halfkey' in {{name.partition('.')[0] for name in sys.modules}})"
    )
    for module, expected in (("tests.fuzz.run", "False"), ("tests.fuzz.targets", "True")):
        command = (sys.executable, "-c", program.format(module))
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert answer.stdout.strip() == expected
