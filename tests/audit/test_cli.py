"""`halfkey audit` as a person uses it."""

from __future__ import annotations

import csv
import datetime
import io
import json
import re
import subprocess
from pathlib import Path

import pytest

from halfkey.audit.keys import PUBLIC_KEY_FILE
from halfkey.audit.records import Admitted, EKTKeySent
from halfkey.cli.audit import read_time
from halfkey.errors import ConfigurationError
from tests.audit.helpers import STORY, only_file, records_of, write_log
from tests.cli.test_arguments import halfkey

NOW = datetime.datetime(2026, 5, 4, 12, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    directory = tmp_path / "audit"
    write_log(directory)
    return directory


def audit(log: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command, *rest = arguments
    return halfkey("audit", command, "--log", str(log), *rest)


def test_a_sound_log_is_verified_and_its_head_noted(log: Path) -> None:
    run = audit(log, "verify", "--public-key", str(log / PUBLIC_KEY_FILE))
    assert (run.returncode, run.stderr) == (0, "")
    assert "verified: 8 records in 1 files" in run.stdout
    head = audit(log, "head").stdout.strip()
    assert re.fullmatch("8:[0-9a-f]{64}", head)
    assert f"head: {head}" in run.stdout
    write_log(log)
    assert audit(log, "verify", "--head", head).returncode == 0
    assert audit(log, "verify", "--head", f"8:{'0' * 64}").returncode == 1


def test_a_changed_log_is_refused_by_every_command_with_the_line(log: Path) -> None:
    path = only_file(log)
    path.write_bytes(path.read_bytes().replace(b'"p2"', b'"p3"', 1))
    who = ["who", "--conference", "weekly", "--at", "+1s"]
    for command in (["verify"], ["head"], ["export"], who):
        run = audit(log, *command)
        assert (run.returncode, run.stdout) == (1, "")
        assert run.stderr.count("\n") == 1
        assert "000000000001.jsonl line 5: its signature doesn't fit" in run.stderr


def test_who(log: Path) -> None:
    run = audit(log, "who", "--conference", "weekly", "--at", "+37m", "--json")
    said = json.loads(run.stdout)
    (key,) = said["keys"]
    (alice,), (removed,), later = key["holders"], key["unacknowledged"], key["later"]
    assert (said["conference"], key["spi"], later) == ("weekly", 7, [])
    assert (alice["name"], alice["identity"], alice["is_removed"]) == ("Alice", "invite:1", False)
    assert (removed["identity"], removed["is_removed"]) == ("invite:2", True)
    assert said["head"] == audit(log, "head").stdout.strip()
    plain = audit(log, "who", "--conference", "weekly", "--at", "+37m").stdout
    assert "Alice" in plain
    assert "B\u00e4rbel \\x1b[2J" in plain


def test_export(log: Path, tmp_path: Path) -> None:
    as_json = json.loads(audit(log, "export", "--format", "json").stdout)
    assert [one["event"] for one in as_json] == [one.event for one in STORY]
    out = tmp_path / "audit.csv"
    run = audit(log, "export", "--conference", "weekly", "--out", str(out))
    assert (run.returncode, run.stdout) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [row["event"] for row in rows] == [one.event for one in STORY[1:-1]]
    assert json.loads(rows[1]["participants"]) == ["p1"]


def test_a_name_is_no_formula_in_a_spreadsheet(tmp_path: Path) -> None:
    names = ("=1+1", "+1", "-1", "@x", "\t=1", "Alice", "\ud800")
    write_log(tmp_path, tuple(Admitted("c", "p", None, name) for name in names))
    rows = list(csv.DictReader(io.StringIO(audit(tmp_path, "export").stdout)))
    shown = ["'=1+1", "'+1", "'-1", "'@x", "'\t=1", "Alice", "\\ud800"]
    assert [row["name"] for row in rows] == shown
    assert len(records_of(tmp_path)) == len(names)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verify", "--public-key", "nowhere.pem"], "nowhere.pem"),
        (["verify", "--head", "8"], "NUMBER:HASH"),
        (["export", "--format", "xml"], "csv or json"),
        (["export", "--out", "nowhere/audit.csv"], "nowhere/audit.csv"),
        (["who", "--conference", "weakly", "--at", "+1m"], "weekly"),
        (["who", "--conference", "weekly", "--at", "yesterday"], "yesterday"),
        (["who", "--conference", "weekly"], "--at"),
        (["who", "--at", "+1m"], "--conference"),
        (["nonsense"], "nonsense"),
    ],
)
def test_one_line_for_a_mistake(log: Path, arguments: list[str], said: str) -> None:
    command, *rest = arguments
    options = ["--log", str(log)] if command != "nonsense" else []
    run = halfkey("audit", command, *options, *rest, cwd=log.parent)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.count("\n") == 1
    assert said in run.stderr


def test_a_folder_that_is_no_log(tmp_path: Path) -> None:
    for folder, said in ((tmp_path / "none", "no such folder"), (tmp_path, PUBLIC_KEY_FILE)):
        run = audit(folder, "verify")
        assert (run.returncode, run.stderr.count("\n")) == (2, 1)
        assert said in run.stderr


def test_an_empty_conference_name_is_none_of_the_log(tmp_path: Path) -> None:
    write_log(tmp_path, (EKTKeySent("c", 1, 60, ("p",)),))
    assert audit(tmp_path, "who", "--conference", "c", "--at", "+0s").returncode == 0
    assert audit(tmp_path, "who", "--conference", "", "--at", "+0s").returncode == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-04T10:37:00Z", "2026-05-04T10:37:00+00:00"),
        ("2026-05-04T10:37:00.250+05:30", "2026-05-04T10:37:00.250+05:30"),
        ("2026-05-04 10:37:00Z", "2026-05-04T10:37:00+00:00"),
        ("+37m", "2026-05-04T08:37:00+00:00"),
        ("+1h2m3s", "2026-05-04T09:02:03+00:00"),
        ("+90s", "2026-05-04T08:01:30+00:00"),
    ],
)
def test_ways_to_say_when(text: str, expected: str) -> None:
    began = datetime.datetime(2026, 5, 4, 8, 0, tzinfo=datetime.UTC).timestamp()
    assert read_time(text, began, NOW) == datetime.datetime.fromisoformat(expected).timestamp()


@pytest.mark.parametrize("text", ["10:37", "9:05", "09:05:30"])
def test_a_time_of_day_is_local_and_today(text: str) -> None:
    found = datetime.datetime.fromtimestamp(read_time(text, None, NOW))
    assert found.date() == NOW.date()
    assert found.strftime("%H:%M:%S").startswith(text.zfill(5) if len(text) < 6 else text)


@pytest.mark.parametrize(
    "text", ["", "+", "+m", "37m", "+37", "24:00", "9:77", "2026-05-04T10:37:00", "1", "+1m\n"]
)
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--at"):
        read_time(text, 0.0, NOW)


def test_a_moment_of_a_conference_that_never_began() -> None:
    with pytest.raises(ConfigurationError, match="never began"):
        read_time("+37m", None, NOW)
