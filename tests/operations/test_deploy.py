"""What is in deploy/: units, images, dashboards and alarms, held against the real roles."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from halfkey._media import Switch
from tests.operations import hardened
from tests.operations.system import System, eventually, figure, samples
from tools.dashboards import PANELS, dashboard, queries

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "halfkey@.service"
DRAIN = DEPLOY / "systemd" / "halfkey@md.service.d" / "drain.conf"
CONTAINERFILE = DEPLOY / "container" / "Containerfile"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
METRIC = re.compile(r"halfkey_[a-z0-9_]+")
ROLES = tuple(PANELS)


def unit(file: Path) -> dict[str, list[str]]:
    """A unit's settings; one may stand several times."""
    found: dict[str, list[str]] = {}
    for line in file.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("LimitCORE", "0"),
        ("CapabilityBoundingSet", ""),
        ("User", "halfkey-%i"),
        ("UMask", "0077"),
        ("RestartPreventExitStatus", "2"),
    ],
)
def test_units_are_hardened(setting: str, value: str) -> None:
    assert unit(UNIT)[setting] == [value]


@pytest.mark.parametrize("role", ROLES)
def test_systemd_waits_for_the_drain(role: str) -> None:
    patience = unit(DRAIN if role == "md" else UNIT)["TimeoutStopSec"][0]
    text = (DEPLOY / "config" / f"{role}.toml").read_text().replace("#seconds =", "seconds =")
    assert float(patience) >= tomllib.loads(text)["drain"]["seconds"] + 5


def test_roles_run_where_memory_is_never_written_and_executed(tmp_path: Path) -> None:
    launcher = [sys.executable, hardened.__file__]
    with System(tmp_path, launcher) as system:
        system.start_all()
        system.join("Alice")
        system.join("Bob")
        eventually(lambda: figure(system.metrics("md"), "halfkey_md_packets_forwarded_total"))


def test_the_control_such_memory_is_refused_there() -> None:
    code = "import mmap; mmap.mmap(-1, 4096, prot=7)"
    program = [sys.executable, "-c", code]
    assert subprocess.run(program).returncode == 0
    run = subprocess.run(
        [sys.executable, hardened.__file__, *program], capture_output=True, text=True
    )
    assert run.returncode == 1
    assert "PermissionError" in run.stderr


def hadolint(text: str) -> str:
    """What the linter says of a Containerfile."""
    linter = Path(sys.executable).parent / "hadolint"
    run = subprocess.run([linter, "-"], input=text, capture_output=True, text=True)
    return run.stdout + run.stderr


def test_the_containerfile_is_clean() -> None:
    assert hadolint(CONTAINERFILE.read_text()) == ""


def test_the_control_the_linter_finds_faults() -> None:
    text = CONTAINERFILE.read_text()
    assert "DL3007" in hadolint(re.sub(r"python:\S+", "python:latest", text))
    assert "DL3006" in hadolint(re.sub(r"(library/python):\S+", r"\1", text))


def image_faults(text: str) -> list[str]:
    """What the linter doesn't look for."""
    faults = []
    last_stages = text.partition("AS halfkey")[2]
    user = re.findall(r"^USER (\S+)", last_stages, re.MULTILINE)
    if user != ["10001:10001"]:
        faults.append("runs as root")
    for image in re.findall(r"^FROM (\S*[/:]\S*)", text, re.MULTILINE):
        if not re.search(r":\d+\.\d+\.\d+-", image):
            faults.append(f"{image} isn't pinned")
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    allowed = {"pyproject.toml", "README.md", "LICENSE-MIT", "LICENSE-APACHE"}
    if sources - allowed - {"Cargo.toml", "Cargo.lock", "rust", "src"}:
        faults.append("copies more than it builds from")
    if re.search(r"(?i)(password|secret|token|private)", text):
        faults.append("has a secret")
    return faults


def test_images_run_as_nobody_special_and_hold_no_secret() -> None:
    assert image_faults(CONTAINERFILE.read_text()) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("USER 10001:10001\n", ""),
        ("python:3.13.7-slim-bookworm AS build", "python:3 AS build"),
        ("COPY src ./src", "COPY . ./src"),
        ("ENV PATH=/opt", "ENV TOKEN=abc PATH=/opt"),
    ],
)
def test_the_control_a_careless_image_is_caught(old: str, new: str) -> None:
    text = CONTAINERFILE.read_text()
    assert text.count(old) == 1
    assert len(image_faults(text.replace(old, new))) == 1


@pytest.mark.parametrize("role", ROLES)
def test_each_role_has_an_image(role: str) -> None:
    text = CONTAINERFILE.read_text()
    stage = text.partition(f"FROM halfkey AS {role}\n")[2].partition("FROM")[0]
    assert f'CMD ["{role}", "--config", "/etc/halfkey/{role}.toml"]' in stage
    example = tomllib.loads((DEPLOY / "config" / f"{role}.toml").read_text())
    tables = [example, *(value for value in example.values() if isinstance(value, dict))]
    ports = {table["listen"].rpartition(":")[2] for table in tables if "listen" in table}
    exposed = re.search(r"EXPOSE (.*)", stage)
    assert exposed is not None
    assert {port.partition("/")[0] for port in exposed[1].split()} == ports


def unknown(expression: str, known: set[str]) -> set[str]:
    """The metrics in a query that no role has."""
    return set(METRIC.findall(re.sub(r"halfkey_\(.*?\)", "halfkey_kd", expression))) - known


@pytest.fixture(scope="module")
def known(running: System) -> set[str]:
    """Every metric of every role, those without a sample yet included."""
    names: set[str] = set()
    for role in ROLES:
        names |= set(samples(running.metrics(role)))
        names |= typed(running, role)
    return names


def typed(running: System, role: str) -> set[str]:
    """What /metrics declares: the names of samples that may come."""
    from tests.operations.system import get

    text = get(running.metrics(role), "/metrics")[1]
    declared = dict(re.findall(r"^# TYPE (\S+) (\S+)", text, re.MULTILINE))
    buckets = {f"{name}_bucket" for name, kind in declared.items() if kind == "histogram"}
    return {name for name, kind in declared.items() if kind != "histogram"} | buckets


@pytest.mark.parametrize("role", ROLES)
def test_dashboards_show_what_there_is(known: set[str], role: str) -> None:
    for query in queries(role):
        assert unknown(query, known) == set()
        assert f"halfkey_{role}_" in query


def test_the_control_a_wrong_name_is_caught(known: set[str]) -> None:
    assert unknown("rate(halfkey_kd_rekeys_totally[5m])", known) == {"halfkey_kd_rekeys_totally"}
    assert unknown("halfkey_kd_rekeys", known) == {"halfkey_kd_rekeys"}


@pytest.mark.parametrize("role", ROLES)
def test_dashboards_are_as_their_table_makes_them(role: str) -> None:
    text = (DEPLOY / "grafana" / f"{role}.json").read_text()
    assert text == dashboard(role), "run python tools/dashboards.py"
    panels = json.loads(text)["panels"]
    assert [panel["targets"][0]["expr"] for panel in panels] == queries(role)


def alarms() -> dict[str, str]:
    """Names and queries."""
    text = ALERTS.read_text()
    return dict(re.findall(r"- alert: (\w+)\n +expr: (.*)", text))


def test_alarms_look_at_what_there_is(known: set[str]) -> None:
    assert len(alarms()) == ALERTS.read_text().count("- alert:") > 5
    for expression in alarms().values():
        assert unknown(expression, known) == set()


def test_every_alarm_is_explained() -> None:
    headings = re.findall(r"^### (\w+)$", (ROOT / "docs" / "operations.md").read_text(), re.M)
    assert headings == list(alarms())


def test_drops_that_raise_no_alarm_are_explained() -> None:
    left_out = re.findall(r'reason!~"([^"]+)"', ALERTS.read_text())
    text = (ROOT / "docs" / "operations.md").read_text()
    names = [name for names in left_out for name in names.split("|")]
    assert names
    assert all(f"`{name}`" in text for name in names)


def test_the_kernel_is_told_to_give_what_the_media_socket_asks_for() -> None:
    lines = (DEPLOY / "sysctl" / "60-halfkey-md.conf").read_text().splitlines()
    set_to = dict(line.split(" = ") for line in lines if not line.startswith("#"))
    with closing(Switch("127.0.0.1", 0)) as switch:
        asked = switch.granted["asked_bytes"]
    assert set_to == {"net.core.rmem_max": str(asked), "net.core.wmem_max": str(asked)}
