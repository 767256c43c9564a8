"""`halfkey load` for real: a second of media through a Media Distributor of its own."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from halfkey._media import measure_load_floor
from halfkey.cli.children import ChildFailed
from halfkey.cli.load import run, samples
from halfkey.cli.load.joining import Conferences
from halfkey.cli.load.options import LoadOptions
from halfkey.cli.load.report import Counted, _lost, describe_generator
from halfkey.cli.load.traffic import DOUBLE_OVERHEAD, speech, video
from halfkey.cli.servers import Servers
from halfkey.endpoint import ice
from halfkey.errors import ConfigurationError


def load(*arguments: str, out: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "halfkey", "load", *arguments, "--out", str(out)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120)


def options(scenario: str, out: Path, **chosen: Any) -> LoadOptions:
    """What is run in this process."""
    usual = {
        "receivers": 2,
        "speakers": None,
        "conferences": 1,
        "workers": 1,
        "duration": 0.5,
        "load": None,
        "profile": "128",
        "sample": 4,
        "floor": False,
        "sweep": False,
        "flood": None,
        "direct": True,
        "trace": None,
        "json": True,
    }
    return LoadOptions.check(scenario, out=out, **{**usual, **chosen})


def report(*arguments: str, out: Path, direct: bool = True) -> dict[str, Any]:
    """What a run of a second says: packets that came, all of them whole."""
    how = ("--direct",) if direct else ()
    ended = load(*arguments, *how, "--duration", "1", "--json", out=out)
    assert (ended.returncode, ended.stderr) == (0, "")
    said: dict[str, Any] = json.loads(ended.stdout)
    assert json.loads((out / "load.json").read_text()) == said
    assert said["offered"] > 0
    assert said["forwarded"] + said["lost"] == said["offered"]
    assert said["forwarded"] > said["offered"] / 2
    assert said["authenticated_samples"] > 0
    assert said["authentication_failures"] == 0
    assert said["duplicated"] == 0
    added = said["md_added_latency_us"]
    assert 0 < added["p50"] <= added["p99"] <= added["p99.9"]
    assert said["md_datagrams_in_a_message"] >= 1
    assert said["latency_us"]["p50"] <= said["latency_us"]["p99"] <= said["latency_us"]["longest"]
    return said


def test_a_livestream_beside_its_floor(tmp_path: Path) -> None:
    arguments = ["livestream", "--receivers", "5", "--load", "5000", "--floor"]
    said = report(*arguments, out=tmp_path)
    for name in (
        "forwarded_pps",
        "cpu_us_per_forwarded_packet",
        "floor_us_per_packet",
        "ratio_to_floor",
        "md_rss_bytes",
    ):
        assert said[name] > 0, name
    parts = said["floor_send_us"] + said["floor_seal_us"]
    assert said["floor_us_per_packet"] == pytest.approx(parts)
    cost = said["cpu_us_per_forwarded_packet"]
    assert said["ratio_to_floor"] == pytest.approx(cost / parts)


@pytest.mark.parametrize(
    ("arguments", "participants"),
    [
        (["livestream", "--receivers", "4", "--load", "2000", "--workers", "2"], 5),
        (["meeting", "--receivers", "3", "--conferences", "2", "--profile", "256"], 6),
    ],
)
def test_who_has_joined_gets_media(tmp_path: Path, arguments: list[str], participants: int) -> None:
    said = report(*arguments, out=tmp_path, direct=False)
    joins = said["joins"]
    assert joins["count"] == participants
    assert 0 < joins["join_ms"]["p50"] <= joins["join_ms"]["p99"] <= 1000 * joins["seconds"]
    assert {one.name for one in tmp_path.iterdir()} == {
        *("focus.log", "kd.log", "load.json", "load.png", "md.log")
    }


@pytest.mark.parametrize("handed_back", [True, False])
def test_consent_goes_on_while_the_generator_has_the_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handed_back: bool
) -> None:
    monkeypatch.setattr(ice, "CONSENT_INTERVAL", 0.2)
    monkeypatch.setattr(ice, "CONSENT_FAILURES", 3)
    asked = options("audio", tmp_path, speakers=1, duration=4, direct=False)
    if handed_back:
        assert run.run(asked) == 0
        return
    monkeypatch.setattr(Conferences, "hand_back", lambda *_: None)
    with pytest.raises(ChildFailed, match="of load-0: the Media Distributor doesn't consent"):
        run.run(asked)


def test_who_cannot_join_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Servers, "focus_fingerprint", bytes(32))
    complaint = (
        "^s0 of load-0 can't join, after 0 of 3 have: the Focus has another certificate than the "
        r"link names \(logs: "
    )
    with pytest.raises(ChildFailed, match=complaint):
        run.run(options("audio", tmp_path, speakers=1, direct=False))


@pytest.mark.parametrize("profile", ["128", "256"])
def test_everybody_in_a_meeting_hears_all_others(tmp_path: Path, profile: str) -> None:
    arguments = [
        "meeting",
        "--receivers",
        "3",
        "--conferences",
        "2",
        "--profile",
        profile,
        "--workers",
        "2",
    ]
    said = report(*arguments, out=tmp_path)
    # 6 streams of 50 packets a second, each to two others.
    assert said["offered"] == pytest.approx(600, rel=0.1)


def test_ten_speakers_to_three(tmp_path: Path) -> None:
    said = report("audio", "--receivers", "3", "--sample", "1", out=tmp_path)
    assert said["offered"] == pytest.approx(1500, rel=0.1)
    # Each that comes is opened, once the first packets have brought the keys.
    assert said["authenticated_samples"] == said["forwarded"]


def test_a_trace_is_played_again_and_again_or_faster(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("".join(f"{number / 100},{100 + number}\n" for number in range(10)))
    arguments = ["livestream", "--receivers", "2", "--trace", str(trace)]
    said = report(*arguments, out=tmp_path / "out")
    assert said["offered"] == pytest.approx(200, rel=0.1)
    said = report(*arguments, "--load", "2000", out=tmp_path / "faster")
    assert said["offered"] == pytest.approx(2000, rel=0.1)


def test_a_trace_with_a_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("0,100\n0.1,many\n")
    ended = load("audio", "--direct", "--trace", str(trace), out=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert "line 2" in ended.stderr


def test_more_than_can_be_sent_is_refused(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    packets = "".join(f"0,{100 + number % 1000}\n" for number in range(2000))
    trace.write_text(packets + "0.0001,100\n")
    with pytest.raises(ConfigurationError, match="packets a second to all receivers"):
        options("audio", tmp_path, trace=trace)
    trace.write_text(packets + "1000,100\n")
    with pytest.raises(ConfigurationError, match="too long for 600 streams"):
        options("audio", tmp_path, speakers=6, conferences=100, receivers=1, trace=trace)


def test_memory_latencies_and_what_is_missing_are_told_and_drawn(tmp_path: Path) -> None:
    assert run.run(options("audio", tmp_path, duration=2)) == 0
    said = json.loads((tmp_path / "load.json").read_text())
    taken = said["samples"]
    assert 5 <= len(taken) <= 25
    for before, after in itertools.pairwise(taken):
        assert before["seconds"] < after["seconds"]
        assert before["offered"] <= after["offered"]
    assert taken[-1]["offered"] == said["offered"]
    assert taken[-1]["missing"] == said["lost"]
    at = said["md_rss_bytes_at"]
    assert (at["start"], at["end"]) == (taken[0]["md_rss_bytes"], taken[-1]["md_rss_bytes"])
    assert min(at.values()) > 1 << 20
    counts = said["latency_counts"]
    assert sum(count for _, count in counts["receivers"]) == said["authenticated_samples"]
    assert counts["worker"]
    with Image.open(tmp_path / "load.png") as picture:
        assert picture.size == (1200, 1280)
        drawn = {colour for _, colour in picture.getcolors(1 << 20) or []}
    assert {(36, 104, 196), (214, 106, 28)} <= drawn, "both curves"


def test_samples_are_few_however_long_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr(samples, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    counts = iter((number, 3 * number - number // 7) for number in range(10_000))
    sampler = samples.Sampler(5000, 3, lambda: next(counts), lambda: 7)
    for _ in range(5000):
        sampler.take_if_due()
    assert 90 <= len(sampler.samples) <= samples.SAMPLES
    sampler.conclude(30, 4)
    assert sampler.samples[-1]["missing"] == 4
    assert sampler.samples[-2]["offered"] == 3 * (len(sampler.samples) - 1)
    assert sampler.samples[-2]["missing"] == (len(sampler.samples) - 1) // 7
    assert samples.memory(sampler.samples) == {"start": 7, "tenth": 7, "end": 7}


IMPOSSIBLE = "livestream", "--receivers", "1", "--load", "20000000", "--direct"
"""Twenty million packets a second, all sent by one thread."""


def test_a_load_that_cannot_be_made_ends_and_is_no_measurement(tmp_path: Path) -> None:
    ended = load(*IMPOSSIBLE, "--duration", "0.5", out=tmp_path)
    assert ended.returncode == 0, ended.stderr
    first = ended.stdout.splitlines()[0]
    assert first.startswith("no measurement")
    assert "the generator couldn't keep its schedule: it sent" in first
    said = json.loads((tmp_path / "load.json").read_text())
    generator = said["generator"]
    assert generator["due"] == pytest.approx(10_000_000, rel=0.01)
    assert generator["sent"] + generator["not_sent"] == generator["due"]
    assert generator["latest_us"] > 20_000
    assert said["offered"] == generator["sent"], "what was never sent isn't offered"


def test_a_schedule_that_is_kept_is_a_measurement(tmp_path: Path) -> None:
    ended = load("audio", "--direct", "--speakers", "1", "--duration", "1", out=tmp_path)
    assert ended.returncode == 0, ended.stderr
    said = json.loads((tmp_path / "load.json").read_text())
    assert said["generator"]["kept_up"] == ("no measurement" not in ended.stdout)
    assert said["generator"]["due"] == pytest.approx(50, abs=2)


def test_an_interrupt_ends_a_load_that_cannot_be_made(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "halfkey", "load", *IMPOSSIBLE, "--duration", "600"]
    line += ["--out", str(tmp_path)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        try:
            assert run.stderr is not None
            assert any(said.startswith("measuring for 600") for said in run.stderr)
            run.send_signal(signal.SIGINT)
            output, complaint = run.communicate(timeout=60)
        finally:
            run.kill()
    assert (run.returncode, output) == (130, ""), complaint
    assert "Traceback" not in complaint


@pytest.mark.parametrize(
    ("sent", "behind", "late", "kept"),
    [
        (1000, 0.0, 1100.0, True),
        (991, 90_000.0, 1100.0, True),
        (900, 19_000.0, 1100.0, True),  # it ended within a burst
        (900, 21_000.0, 1100.0, False),
        (1000, 0.0, 101_000.0, False),
    ],
)
def test_when_a_schedule_counts_as_kept(sent: int, behind: float, late: float, kept: bool) -> None:
    lateness = {"p99": late, "longest": 2 * late}
    came = {"due": 1000, "sent": sent, "behind": behind, "lateness": lateness}
    said = describe_generator(came)
    assert (said["kept_up"], said["not_sent"]) == (kept, 1000 - sent)


def test_what_the_socket_had_no_room_for_has_not_left() -> None:
    nothing = {"counts": [], "sum": 0}
    work = {"added_latency": nothing, "segments": nothing}
    before = {"forwarded_packets": 100, "dropped": {"socket_full": 10, "late": 5}, **work}
    dropped = {"socket_full": 40, "socket_refused": 2, "late": 9}
    after = {"forwarded_packets": 1100, "dropped": dropped, **work}
    counted = Counted.between(before, after)
    assert counted.forwarded == 1000 - 30 - 2
    assert counted.unsent == {"socket_full": 30, "socket_refused": 2}
    assert counted.dropped == {"socket_full": 30, "socket_refused": 2, "late": 4}


def test_where_packets_were_lost_is_told() -> None:
    lost = {
        "lost": 60,
        "lost_before_receivers": 50,
        "lost_at_receivers": 10,
        "loss_of_a_receiver": {"least": 0.01, "most": 0.02},
        "md_unsent": {"socket_full": 40, "socket_refused": 2},
    }
    assert _lost(lost) == (
        "60: 50 before the receivers' sockets (the Media Distributor's own had no room for 40, and "
        "refused 2), 10 there; of a receiver 1.0% to 2.0%"
    )
    lost["md_unsent"] = {"socket_full": 0, "socket_refused": 0}
    assert _lost(lost).startswith("60: 50 before the receivers' sockets, 10 there")


def test_the_floor_has_a_socket_for_each_receiver_of_each_conference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the load and after it."""
    asked: list[tuple[int, int]] = []
    found: list[float] = []

    def measured(*arguments: Any) -> tuple[float, float]:
        asked.append(arguments[3:5])
        send, seal = measure_load_floor(*arguments)
        found.append(send + seal)
        return send, seal

    monkeypatch.setattr(run, "measure_load_floor", measured)
    for scenario, speakers in (("audio", 1), ("meeting", None)):
        chosen = options(scenario, tmp_path, conferences=3, speakers=speakers, floor=True)
        assert run.run(chosen) == 0
        said = json.loads((tmp_path / "load.json").read_text())
        assert said["floor_us_per_packet"] == pytest.approx(sum(found[-2:]) / 2)
    assert asked == [(3, 2)] * 2 + [(3, 1)] * 2, "a meeting's streams go to all but one"


def test_a_floor_that_cannot_be_measured_is_told_before_the_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> tuple[float, float]:
        raise OSError("too many open files")

    monkeypatch.setattr(run, "measure_load_floor", refuse)
    with pytest.raises(ChildFailed, match="the floor can't be measured: too many open files"):
        run.run(options("audio", tmp_path, floor=True))
    assert not (tmp_path / "load.json").exists()


def test_a_sweep_ends_where_the_generator_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_SWEEP_FROM", 1.0)
    monkeypatch.setattr(run, "_SWEEP_FACTOR", 1.0)
    monkeypatch.setattr(run, "_SWEEP_LOSS", 1.0)
    asked = options("livestream", tmp_path, receivers=1, load=20_000_000, sweep=True)
    assert run.run(asked) == 0
    steps = json.loads((tmp_path / "load.json").read_text())["sweep"]
    assert [one["generator"]["kept_up"] for one in steps] == [False, False]


@pytest.mark.parametrize("how", [["--direct"], []])
def test_a_person_is_told_in_lines(tmp_path: Path, how: list[str]) -> None:
    arguments = ["audio", "--receivers", "1", "--speakers", "1", "--duration", "0.5", *how]
    ended = load(*arguments, out=tmp_path)
    assert ended.returncode == 0, ended.stderr
    names = [line[:28].strip() for line in ended.stdout.splitlines()]
    assert {"offered", "forwarded", "lost", "added latency"} <= set(names)
    assert ("joined" in names) == (how == [])


def test_a_sweep_leaves_its_loads_and_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_SWEEP_STEPS", 2)
    asked = options("livestream", tmp_path, load=5000, floor=True, sweep=True)
    assert run.run(asked) == 0
    first, second = json.loads((tmp_path / "load.json").read_text())["sweep"]
    assert second["offered"] > first["offered"] > 0
    with Image.open(tmp_path / "load.png") as picture:
        assert picture.size == (1200, 900)
        drawn = {colour for _, colour in picture.getcolors(1 << 20) or []}
    assert {(36, 104, 196), (214, 106, 28)} <= drawn, "both curves"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["podcast", "--direct"], "podcast: give audio, meeting, livestream"),
        (["audio", "--receivers", "991"], "a Key Distributor takes 1000 participants"),
        (["audio", "--direct", "--receivers", "0"], "--receivers 0: give a number from 1"),
        (["audio", "--direct", "--receivers", "4096"], "--receivers 4096: give a number"),
        (["audio", "--direct", "--receivers", "4095"], "make 4105 participants"),
        (["meeting", "--direct", "--receivers", "1"], "--receivers 1: give a number from 2"),
        (["meeting", "--direct", "--receivers", "300"], "--receivers 300: a meeting has 257"),
        (["meeting", "--direct", "--speakers", "3"], "--speakers: in a meeting everybody"),
        (["audio", "--direct", "--speakers", "0"], "--speakers 0: give a number from 1 to 256"),
        (["audio", "--direct", "--conferences", "0"], "--conferences 0: give a number"),
        (["audio", "--direct", "--workers", "0"], "--workers 0: give a number from 1"),
        (["audio", "--direct", "--duration", "0"], "--duration 0: give a number from 0.5"),
        (["audio", "--direct", "--duration", "nan"], "--duration nan: give a number from 0.5"),
        (["audio", "--direct", "--load", "0"], "--load 0: give a number from 1"),
        (["audio", "--direct", "--load", "much"], "--load"),
        (["audio", "--direct", "--sample", "0"], "--sample 0: give a number from 1"),
        (["audio", "--direct", "--flood", "ink"], "--flood ink: give garbage, replay, unknown"),
        (["audio", "--direct", "--flood", "replay", "--sweep"], "--flood and --sweep"),
        (["audio", "--direct", "--profile", "512"], "--profile 512: give 128 or 256"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    ended = load(*arguments, out=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert said in ended.stderr


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = load("audio", "--direct", out=tmp_path / "file" / "out")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert "--out" in ended.stderr


def test_traffic_is_what_is_said_of_it() -> None:
    assert speech().rate == pytest.approx(50)
    assert all(
        80 <= length - DOUBLE_OVERHEAD <= 160 and count == 1 for _, length, count in speech().bursts
    )
    pictures = video()
    counts = [count for _, _, count in pictures.bursts]
    assert len(counts) / pictures.period == pytest.approx(30)
    assert (max(counts), counts.count(20), min(counts)) == (20, 1, 8)
    assert max(length for _, length, _ in pictures.bursts) == 1200
    faster = pictures.at(3000)
    assert faster.rate == pytest.approx(3000)
    assert [burst[1:] for burst in faster.bursts] == [burst[1:] for burst in pictures.bursts]


@pytest.mark.parametrize(
    ("flood", "reasons"),
    [
        ("garbage", {"unknown_protocol", "unknown_address"}),
        ("unknown", {"unknown_address"}),
        ("replay", {"replayed"}),
    ],
)
def test_a_flood_is_refused_beside_a_load(tmp_path: Path, flood: str, reasons: set[str]) -> None:
    arguments = ["audio", "--speakers", "2", "--receivers", "2", "--flood", flood]
    said = report(*arguments, out=tmp_path)["flood"]
    assert said["kind"] == flood
    assert 0 < said["refused"] <= said["sent"]
    assert said["cpu_us_per_refused_packet"] > 0
    assert said["kept_share"] > 0
    assert reasons & set(said["md_dropped"])
