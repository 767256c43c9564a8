"""`halfkey demo` as a person runs it: real processes, real sockets, real codecs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.endpoint.files import write_movie

MARK = "HALFKEY_DEMO_TEST"
DURATION = 8
PATIENCE = 120.0


class Demo:
    """A running demo, whose processes can be told from all others by their environment."""

    def __init__(self, out: Path, *arguments: str) -> None:
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, "-m", "halfkey", "demo", "--out", str(out), *arguments],
            env={**os.environ, MARK: self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self) -> tuple[int, str, str]:
        """Waits for the end; gives status, stdout and stderr."""
        stdout, stderr = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, stdout, stderr

    def processes(self) -> dict[int, list[str]]:
        """The command lines of all its processes that live, by process id."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes():
                    line = (folder / "cmdline").read_bytes().split(b"\0")
                    found[int(folder.name)] = [word.decode() for word in line if word]
            except OSError:
                continue  # it ended meanwhile
        return found

    def child(self, role: str) -> int:
        """The process id of the first child that runs a role, once there is one."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for process_id, line in self.processes().items():
                if line[3:4] == [role]:
                    return process_id
            time.sleep(0.05)
        raise AssertionError(f"no {role} was started")

    def wait_for_line(self, text: str) -> None:
        """Reads stdout up to a line that has this text."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if text in line:
                return
        raise AssertionError(f"{text!r} was not said")


@pytest.fixture
def demos() -> Iterator[list[Demo]]:
    """Demos to be ended whatever happens."""
    started: list[Demo] = []
    yield started
    for demo in started:
        if demo.process.poll() is None:
            demo.process.kill()
            demo.process.wait()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder and the document of one demo that ran to its end."""
    out = tmp_path_factory.mktemp("demo")
    demo = Demo(out, "--duration", str(DURATION), "--json")
    status, stdout, stderr = demo.end()
    assert status == 0, stdout + stderr
    assert demo.processes() == {}
    return out, json.loads(stdout)


def test_the_document(finished: tuple[Path, dict[str, Any]]) -> None:
    out, document = finished
    assert document["ok"] is True
    assert json.loads((out / "report.json").read_text()) == document
    assert [p["name"] for p in document["participants"]] == ["Alice", "Bob", "Carol"]
    ssrcs = [ssrc for p in document["participants"] for ssrc in p["ssrcs"]]
    assert len(set(ssrcs)) == 6
    assert all(p["sent_packets"] > 0 for p in document["participants"])
    assert 0 < document["join_ms"]["p50"] <= document["join_ms"]["max"]
    assert document["key_distributor"]["associations"] == 3
    assert document["key_distributor"]["rekeys"] >= 1
    assert document["key_distributor"]["ekt_keys_issued"] >= 5


def test_five_participants(tmp_path: Path) -> None:
    document = short_run(tmp_path, "--participants", "5")
    received = [p["received"] for p in document["participants"]]
    assert [len(senders) for senders in received] == [4] * 5


async def test_a_movie_under_the_other_profile(tmp_path: Path) -> None:
    await write_movie(tmp_path / "movie.mp4", seconds=2.0)
    document = short_run(tmp_path, "--media", str(tmp_path / "movie.mp4"), "--profile", "256")
    (alice, _, _) = document["participants"]
    assert alice["received"]["Bob"]["audio_frames"] > 0
    with Image.open(tmp_path / "pictures" / "Alice" / "Bob.png") as picture:
        assert picture.size == (240, 180)  # 640 by 480 as the file has it, scaled down


def short_run(out: Path, *arguments: str) -> dict[str, Any]:
    """The document of a demo that ran to its end and found every claim to hold."""
    demo = Demo(out, "--duration", "6", "--json", *arguments)
    status, stdout, stderr = demo.end()
    assert status == 0, stdout + stderr
    document: dict[str, Any] = json.loads(stdout)
    assert document["ok"] is True
    return document


def test_everybody_who_stays_receives_everybody(finished: tuple[Path, dict[str, Any]]) -> None:
    _, document = finished
    received = {p["name"]: p["received"] for p in document["participants"]}
    for receiver, sender in (("Alice", "Bob"), ("Bob", "Alice")):
        assert received[receiver][sender]["audio_frames"] >= 10 * DURATION
        assert received[receiver][sender]["video_frames"] >= 6 * DURATION
        assert received[receiver][sender]["e2e_failures"] == 0
    assert received["Carol"]["Alice"]["video_frames"] > 0  # until she left


def test_the_media_server_was_stolen_in_vain(finished: tuple[Path, dict[str, Any]]) -> None:
    distributor = finished[1]["media_distributor"]
    # 2 KEKs; before and after the rekey, 2 SSRCs each: a master and a session key.
    assert distributor["secrets_searched"] >= 2 + (6 + 4) * 2
    assert distributor["secrets_found"] == 0
    assert distributor["control_found"] >= 1
    assert distributor["kek_found_in_endpoint"] is True
    assert distributor["forwarded_packets"] > 1000
    added = distributor["added_latency_us"]
    assert 0 < added["p50"] <= added["p99"]


def test_the_leaver_was_shut_out_by_the_rekey(finished: tuple[Path, dict[str, Any]]) -> None:
    rekey = finished[1]["rekey"]
    assert rekey["reason"] == "left"
    assert rekey["ms"] >= 250  # RFC 8870 section 4.3.1
    assert rekey["last_opened_ms"] > 0  # until the others had changed keys, it could
    assert rekey["packets_to_leaver_after"] > 100  # the control: there was something to open
    assert rekey["packets_opened_by_leaver_after"] == 0
    assert rekey["frames_decoded_by_leaver_after"] == 0


def test_the_picture_has_colours_but_not_where_the_distributor_looked(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    out, _ = finished
    with Image.open(out / "what-they-saw.png") as opened:
        picture = opened.convert("RGB")
    width, height = picture.size
    seen = picture.crop((0, 130, width * 3 // 4, height - 60)).convert("HSV")
    stolen = picture.crop((width * 3 // 4 + 30, 140, width - 60, height - 120)).convert("HSV")
    assert _most_saturation(seen) > 100
    assert _most_saturation(stolen.crop((5, 5, 250, 150))) == 0


def _most_saturation(picture: Image.Image) -> int:
    extremes = picture.getextrema()[1]
    assert isinstance(extremes, tuple)
    return int(extremes[1])


def test_no_secret_is_left_in_the_folder(finished: tuple[Path, dict[str, Any]]) -> None:
    out, _ = finished
    names = {path.suffix for path in out.rglob("*") if path.is_file()}
    assert names <= {".json", ".png", ".log"}
    logs = [path.read_text() for path in (out / "logs").iterdir()]
    assert len(logs) == 6
    assert not any(logs)  # a run without faults has nothing to say


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("kd", "the Key Distributor"),
        ("md", "the Media Distributor"),
        ("focus", "the Focus"),
        ("join", "Alice"),
    ],
)
def test_a_child_that_is_killed_ends_it(
    role: str, name: str, tmp_path: Path, demos: list[Demo]
) -> None:
    demo = Demo(tmp_path, "--duration", "60", "--participants", "2")
    demos.append(demo)
    demo.wait_for_line("everybody has joined")
    assert len(demo.processes()) == 6
    os.kill(demo.child(role), signal.SIGKILL)
    status, _, stderr = demo.end()
    assert status == 1
    assert stderr.count("\n") == 1
    assert name in stderr
    assert "SIGKILL" in stderr
    assert demo.processes() == {}


@pytest.mark.parametrize(
    ("when", "duration", "participants"),
    [
        ("starting", 60, 2),
        ("Alice has the EKT key", 60, 4),  # others are still joining
        ("everybody has joined", 60, 2),
        ("Bob leaves", 6, 2),
    ],
)
def test_an_interrupt_ends_it(
    when: str, duration: int, participants: int, tmp_path: Path, demos: list[Demo]
) -> None:
    demo = Demo(tmp_path, "--duration", str(duration), "--participants", str(participants))
    demos.append(demo)
    demo.wait_for_line(when)
    demo.process.send_signal(signal.SIGINT)
    status, _, stderr = demo.end()
    assert status == 130
    assert stderr == "halfkey demo: interrupted; every process was ended\n"
    assert demo.processes() == {}


def test_children_end_when_the_demo_itself_is_killed(tmp_path: Path, demos: list[Demo]) -> None:
    demo = Demo(tmp_path, "--duration", "60", "--participants", "2")
    demos.append(demo)
    demo.wait_for_line("everybody has joined")
    demo.process.kill()
    demo.end()
    deadline = time.monotonic() + 15
    while demo.processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert demo.processes() == {}
