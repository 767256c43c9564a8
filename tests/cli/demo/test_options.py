"""What `halfkey demo` refuses before it starts anything, and what it says of itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from halfkey.cli.demo.options import MAXIMUM_DURATION, MINIMUM_DURATION, DemoOptions
from halfkey.errors import ConfigurationError
from halfkey.profiles import DOUBLE_128


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "halfkey", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", ["report.json", "what-they-saw.png"])
def test_a_folder_that_can_not_take_the_results_is_refused_first(tmp_path: Path, name: str) -> None:
    (tmp_path / name / "in the way").mkdir(parents=True)
    ended = demo("--out", str(tmp_path))
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert f"--out {tmp_path}: {name} can't be written there" in ended.stderr


def test_what_an_earlier_run_left_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}")
    options = DemoOptions.check(3, 15.0, None, "128", tmp_path, False)
    assert options.profile is DOUBLE_128
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
    assert list((tmp_path / "logs").iterdir()) == []


@pytest.mark.parametrize("duration", [5.9, 3601.0, float("nan"), float("inf")])
def test_a_duration_out_of_range_is_refused(tmp_path: Path, duration: float) -> None:
    with pytest.raises(ConfigurationError, match="--duration"):
        DemoOptions.check(3, duration, None, "128", tmp_path, False)


def test_the_help_names_the_range_of_the_duration() -> None:
    text = " ".join(demo("--help").stdout.replace("│", " ").split())
    assert f"({MINIMUM_DURATION:g} to {MAXIMUM_DURATION:g})" in text
