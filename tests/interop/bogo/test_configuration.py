"""config.json and the document hold together, and what is wrong with either is found."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.bogo import __main__ as command
from tests.interop.bogo.configuration import (
    PATH,
    Configuration,
    ConfigurationFault,
    load,
    matches,
)
from tests.interop.bogo.report import judge, render
from tests.interop.bogo.runner import Checkout, RunnerError, build

COMMIT = "a" * 40
ERRORS = {":DECODE_ERROR:": ["malformed"]}


def write(tmp_path: Path, exclusions: object, errors: object = ERRORS) -> Path:
    path = tmp_path / "config.json"
    content = {"DisabledTests": exclusions, "ErrorMap": errors, "MaxACKBuffer": 64}
    path.write_text(json.dumps(content))
    return path


def test_the_configuration_is_in_order() -> None:
    assert load().exclusions
    assert load().errors


def test_the_document_gives_the_reasons_of_the_configuration() -> None:
    rows = re.findall(r"^\| (.+) \| (\d+) \|$", command.DOCUMENT.read_text(), re.MULTILINE)
    counts = {name: int(number) for name, number in rows}
    summary = [counts.pop(name) for name in ("run", "passed", "left out", "in all")]
    run, passed, excluded, total = summary
    assert run == passed
    assert (excluded, total) == (sum(counts.values()), run + excluded)
    assert set(counts) == set(load().exclusions.values())


@pytest.mark.parametrize(
    "exclusions",
    [
        {"A-*": ""},
        {"A-*": " "},
        {"A-*": "two\nlines"},
        {"A-*": "x" * 101},
        {"A-*": 7},
        {"*": "everything"},
        {"*-*": "everything"},
        {"A-?": "not a wildcard of ours"},
        {"A-[bc]": "not a wildcard of ours"},
    ],
    ids=str,
)
def test_a_pattern_needs_a_reason_in_one_line(tmp_path: Path, exclusions: object) -> None:
    assert load(write(tmp_path, {"A-*": "a reason"})).exclusions == {"A-*": "a reason"}
    with pytest.raises(ConfigurationFault):
        load(write(tmp_path, exclusions))


@pytest.mark.parametrize("errors", [{"DECODE_ERROR": ["x"]}, {":A:": []}, {":A:": [""]}], ids=str)
def test_an_error_needs_words_of_ours(tmp_path: Path, errors: object) -> None:
    with pytest.raises(ConfigurationFault):
        load(write(tmp_path, {"A-*": "a reason"}, errors))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"DisabledTests": {}}',
        '{"DisabledTests": {"A": "x", "A": "y"}, "ErrorMap": {}, "MaxACKBuffer": 64}',
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ConfigurationFault):
        load(path)
    with pytest.raises(ConfigurationFault):
        load(tmp_path / "missing.json")


@pytest.mark.parametrize(
    ("pattern", "test", "expected"),
    [
        ("A-*", "A-B", True),
        ("A-*", "A-", True),
        ("A-*", "BA-B", False),
        ("*-A", "B-A", True),
        ("*-A", "B-A-C", False),
        ("A", "A", True),
        ("A", "AB", False),
        ("A*C", "A-B-C", True),
    ],
)
def test_a_pattern_means_what_the_runner_takes_it_for(
    pattern: str, test: str, expected: bool
) -> None:
    assert matches(pattern, test) is expected


CONFIGURATION = Configuration({"Out-*": "no such thing", "Gone-*": "no such thing either"}, {})


def test_a_clean_run_has_no_faults() -> None:
    configuration = Configuration({"Out-*": "no such thing"}, {})
    report = judge({"In-1": "PASS", "Out-1": "FAIL", "Out-2": "SKIP"}, configuration)
    assert list(report.faults()) == []
    assert (report.run, report.total, len(report.passed)) == (1, 3, 1)
    assert "| no such thing | 2 |" in render(report, COMMIT)
    assert COMMIT in render(report, COMMIT)


@pytest.mark.parametrize(
    ("results", "fault"),
    [
        ({"In-1": "FAIL"}, "failed: In-1"),
        ({"In-1": "SKIP"}, "failed: In-1"),
        ({"Out-1": "PASS"}, "passes, though left out by Out-*: Out-1"),
        ({"Out-1": "FAIL"}, "matches no test: Gone-*"),
    ],
)
def test_failures_and_stale_lines_are_faults(results: dict[str, str], fault: str) -> None:
    assert fault in list(judge(results, CONFIGURATION).faults())


def test_a_checkout_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="no checkout of BoringSSL"):
        Checkout(tmp_path)


@pytest.mark.skipif(shutil.which("go") is None, reason="Go is not installed")
def test_an_unknown_runner_is_refused(tmp_path: Path) -> None:
    runner = tmp_path / "ssl" / "test" / "runner"
    runner.mkdir(parents=True)
    (runner / "runner.go").write_text("package runner\n")
    with pytest.raises(RunnerError, match="another runner than we know"):
        build(Checkout(tmp_path), tmp_path)


@pytest.mark.skipif(shutil.which("gofmt") is None, reason="Go is not installed")
def test_what_is_written_in_go_is_formatted() -> None:
    listed = subprocess.run(
        ["gofmt", "-l", str(PATH.parent)], capture_output=True, text=True, check=True
    )
    assert listed.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--boringssl", ""], "BoringSSL's tests need a checkout: make bogo BORINGSSL=path"),
        (["--boringssl", "/nowhere"], "/nowhere is no checkout of BoringSSL"),
    ],
)
def test_without_a_checkout_one_line_says_what_to_do(
    arguments: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["bogo", *arguments])
    assert command.main() == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
