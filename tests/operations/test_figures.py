"""Metrics, health and logs of real roles with two participants in a conference."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from halfkey.operations.families import BY_ROLE, COUNTER, HISTOGRAM
from tests.operations.system import PATIENCE, System, eventually, faults, figure, get, samples

ROLES = sorted(BY_ROLE)


@pytest.mark.parametrize("role", ROLES)
def test_every_family_is_there(running: System, role: str) -> None:
    found = samples(running.metrics(role))
    text = get(running.metrics(role), "/metrics")[1]
    for family in BY_ROLE[role]:
        name = f"halfkey_{role}_{family.name}" + ("_total" if family.kind == COUNTER else "")
        assert f"# TYPE {name} {family.kind}" in text
        if family.kind == HISTOGRAM:
            assert len(found[f"{name}_bucket"]) == len(family.buckets) + 1
        elif family.label is None:
            assert list(found[name]) == [()]


def test_the_figures_are_those_of_the_conference(running: System) -> None:
    kd, md, focus = (running.metrics(role) for role in ("kd", "md", "focus"))
    assert figure(kd, "halfkey_kd_participants") == 2
    assert figure(kd, "halfkey_kd_associations_total") == 2
    assert figure(kd, "halfkey_kd_tunnels") == 1
    eventually(lambda: figure(kd, "halfkey_kd_ekt_keys_acknowledged_total") >= 2)
    assert figure(md, "halfkey_md_tunnel_up") == 1
    assert figure(md, "halfkey_md_participants") == 2
    eventually(lambda: figure(md, "halfkey_md_packets_forwarded_total") > 0)
    assert figure(focus, "halfkey_focus_participants", state="present") == 2
    assert figure(focus, "halfkey_focus_distributor_up", distributor="kd") == 1
    route = "/conferences/{conference}/participants"
    join = {"method": "POST", "route": route, "status": "201"}
    assert figure(focus, "halfkey_focus_requests_total", **join) == 2


def test_every_forwarded_packet_is_in_the_histogram_of_latency(running: System) -> None:
    found = samples(running.metrics("md"))
    name = "halfkey_md_added_latency_seconds"
    counts = [count for _, count in sorted(found[f"{name}_bucket"].items(), key=bound)]
    assert counts == sorted(counts), "each bound has what those below it have"
    (total,) = found[f"{name}_count"].values()
    assert 0 < total == counts[-1]
    (seconds,) = found[f"{name}_sum"].values()
    assert 0 < seconds < total * PATIENCE
    assert figure(running.metrics("md"), "halfkey_md_packets_forwarded_total") >= total


def bound(sample: tuple[tuple[tuple[str, str], ...], float]) -> float:
    ((_, value),) = sample[0]
    return float(value)


def test_streams_are_told_of_without_names(running: System) -> None:
    place = running.metrics("md")
    eventually(lambda: figure(place, "halfkey_md_packets_forwarded_total") > 0)
    status, body = get(place, "/streams")
    assert status == 200
    participants = json.loads(body)["participants"]
    assert len(participants) == 2
    for one in participants:
        assert one["received_packets"] > 0
        assert one["sent_packets"] > 0
        assert one["streams"]
        assert {stream["receivers"] for stream in one["streams"]} == {1}
    for name in ("Alice", "Bob", "talk"):
        assert name not in body
    assert get(running.metrics("focus"), "/streams")[0] == 404


def test_md_stats_prints_what_is_forwarded(running: System) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "halfkey", "md", "--stats", running.metrics("md")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    ).stdout
    lines = told.splitlines()
    (forwarded,) = (line for line in lines if line.strip().startswith("packets forwarded"))
    assert int(forwarded.split()[-1].replace(",", "")) > 0
    (latency,) = (line for line in lines if "added latency, p99 " in line)
    assert latency.split()[-1] == "us"
    assert sum("audio" in line for line in lines) == 2, "a line for each participant"


def test_md_stats_of_what_is_no_media_distributor_is_one_line(running: System) -> None:
    for place, reason in (
        (running.metrics("kd"), "not as a running Media Distributor"),
        ("127.0.0.1:1", "can't be reached"),
    ):
        ended = subprocess.run(
            [sys.executable, "-m", "halfkey", "md", "--stats", place],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
        assert place in ended.stderr
        assert reason in ended.stderr


@pytest.mark.parametrize("role", ROLES)
def test_readiness_is_also_a_metric(running: System, role: str) -> None:
    place = running.metrics(role)
    assert faults(place) == []
    assert figure(place, f"halfkey_{role}_ready") == 1
    assert figure(place, f"halfkey_{role}_draining") == 0
    assert get(place, "/healthz")[0] == 200
    assert get(place, "/statistics")[0] == 404


@pytest.mark.parametrize("role", ROLES)
def test_nothing_that_an_operator_reads_names_anybody(running: System, role: str) -> None:
    """The control is the Focus's roster, where the names are."""
    shown = get(running.metrics(role), "/metrics")[1] + "\n".join(running.roles[role].lines())
    for name in ("Alice", "Bob", "talk"):
        assert name not in shown
    names = {label for values in samples(running.metrics(role)).values() for label in values}
    assert {key for labels in names for key, _ in labels} <= {
        *("reason", "state", "distributor", "method", "route", "status", "le"),
        *("certificate", "version"),
    }


def test_key_events_are_in_the_log(running: System) -> None:
    def told(role: str) -> set[str]:
        return {line["message"] for line in running.log(role)}

    assert {"tunnel up", "participant associated", "join answered"} <= told("kd")
    assert {"tunnel up", "participant keyed"} <= told("md")
    assert "join answered" in told("focus")
    line = next(line for line in running.log("focus") if line["message"] == "join answered")
    assert line["status"] == "201"
    assert line["level"] == "info"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["at"])
