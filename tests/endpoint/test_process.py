"""`halfkey join` without the command line: what it says, and what it does when told."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from halfkey.endpoint.endpoint import JoinFailedError
from halfkey.endpoint.media import VideoShape
from halfkey.endpoint.process import EndpointProcess, ProcessOptions, run
from halfkey.errors import ConfigurationError
from tests.endpoint.files import write_movie
from tests.endpoint.stage import Stage
from tests.endpoint.waiting import until


class Running:
    """One process's body, as a task."""

    def __init__(self, stage: Stage, index: int, **changes: Any) -> None:
        options = ProcessOptions(
            stage.url, stage.trusted, "plenary", f"P{index}", index, (stage.relay.profile,)
        )
        self.messages: list[Mapping[str, Any]] = []
        shape = VideoShape(160, 90, 15)
        options = replace(options, **{"shape": shape, **changes})
        self.process = EndpointProcess(options, self._report)
        self.task = asyncio.create_task(self.process.run())

    def _report(self, message: Mapping[str, Any]) -> None:
        self.messages.append(json.loads(json.dumps(message)))

    def of(self, event: str) -> list[Mapping[str, Any]]:
        return [message for message in self.messages if message["event"] == event]

    def received(self, name: str, kind: str) -> int:
        progress = self.of("progress")
        received = progress[-1]["received"] if progress else {}
        return received[name][f"{kind}_frames"] if name in received else 0

    async def stop(self) -> Mapping[str, Any]:
        await self.process.command({"command": "stop"})
        await self.task
        return self.of("final")[0]


def saved_pictures(folder: Path) -> list[Path]:
    return list(folder.rglob("*.png"))


async def test_two_processes_report_and_leave_pictures(stage: Stage, tmp_path: Path) -> None:
    alice = Running(stage, 0, pictures=tmp_path / "alice")
    bob = Running(stage, 1)
    await until(lambda: alice.received("P1", "video") > 5 and bob.received("P0", "audio") > 5)
    (joined,) = alice.of("joined")
    assert joined["ms"] > 0
    assert len(joined["ssrcs"]) == 2
    assert [message["spi"] for message in alice.of("ekt_key")] == [1]
    assert [(m["spi"], m["epoch"]) for m in alice.of("switched")] == [(1, 0)]
    assert {(m["name"], m["kind"]) for m in alice.of("track")} == {("P1", "audio"), ("P1", "video")}
    await alice.process.command({"command": "nonsense"})
    final = await alice.stop()
    await bob.stop()
    assert final["sent_packets"] > 20
    assert final["frames_decoded"] >= final["received"]["P1"]["video_frames"] > 5
    assert final["received"]["P1"]["e2e_failures"] == 0
    with Image.open(tmp_path / "alice" / "P1.png") as picture:
        assert picture.size == (160, 90)


async def test_leaving_and_listening_on(stage: Stage) -> None:
    alice, eve = Running(stage, 0), Running(stage, 1, keep_listening=True)
    await until(lambda: eve.received("P0", "video") > 5)
    await eve.process.command({"command": "leave"})
    await until(lambda: eve.of("left") and len(alice.of("switched")) == 2)
    await asyncio.sleep(0.5)
    await eve.process.command({"command": "mark"})
    (mark,) = eve.of("mark")
    more = mark["packets_received"] + 40
    await until(lambda: eve.of("progress")[-1]["packets_received"] > more)
    final = await eve.stop()
    await alice.stop()
    assert final["packets_opened"] == mark["packets_opened"]
    assert final["frames_decoded"] == mark["frames_decoded"]


async def test_a_movie_is_sent(stage: Stage, tmp_path: Path) -> None:
    await write_movie(tmp_path / "movie.mp4", seconds=1.0)
    alice, bob = Running(stage, 0, media=tmp_path / "movie.mp4"), Running(stage, 1)
    await until(lambda: bob.received("P0", "video") > 20 and bob.received("P0", "audio") > 60)
    await alice.stop()
    await bob.stop()


async def test_the_duration_ends_it(stage: Stage) -> None:
    alice = Running(stage, 0, duration=0.5)
    await alice.task
    assert len(alice.of("final")) == 1
    assert stage.kd.participants == set()


@pytest.mark.parametrize("name", ["../../escape", ".hidden", "a/b"])
async def test_a_name_is_never_a_path(stage: Stage, tmp_path: Path, name: str) -> None:
    alice = Running(stage, 0, pictures=tmp_path / "pictures")
    bob = Running(stage, 1, name=name)
    await until(lambda: alice.received(name, "video") > 3)
    await alice.stop()
    await bob.stop()
    (saved,) = saved_pictures(tmp_path)
    assert saved.parent == tmp_path / "pictures"
    assert int(saved.stem, 16) in bob.of("joined")[0]["ssrcs"]


async def test_what_is_wrong_is_named_before_anything_is_asked(
    stage: Stage, tmp_path: Path
) -> None:
    options = ProcessOptions(stage.url, stage.trusted, "plenary", "Alice")
    with pytest.raises(ConfigurationError, match="there is no such file"):
        await run(replace(options, media=tmp_path / "none.mp4"), lambda _: None)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ConfigurationError, match=r"file/pictures: the folder can't be made"):
        await run(replace(options, pictures=blocked / "pictures"), lambda _: None)
    with pytest.raises(JoinFailedError):
        await run(replace(options, focus_url="https://127.0.0.1:1"), lambda _: None)
    assert stage.kd.participants == set()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"duration": float("nan")}, "--duration nan: give seconds above 0"),
        ({"duration": float("inf")}, "--duration inf: give seconds above 0"),
        ({"duration": -1.0}, "--duration -1: give seconds above 0"),
        ({"duration": 0.0}, "--duration 0: give seconds above 0"),
        ({"index": -5}, "--index -5: give 0 or more"),
        ({"name": ""}, "--name '': give 1 to 64 printable"),
        ({"name": "  "}, "--name '  ': give 1 to 64 printable"),
        ({"name": "two\nlines"}, "--name 'two.nlines': give 1 to 64"),
        ({"conference": "a/b c"}, "--conference 'a/b c': give 1 to 64 letters"),
        ({"conference": ".."}, "--conference '..': give 1 to 64 letters"),
    ],
)
async def test_an_option_that_can_not_be_is_named_before_anybody_is_asked(
    changes: dict[str, Any], complaint: str, tmp_path: Path, credentials: Path
) -> None:
    nobody = "https://127.0.0.1:1"
    options = ProcessOptions(nobody, credentials / "focus.crt", "plenary", "Alice")
    pictures = tmp_path / "pictures"
    with pytest.raises(ConfigurationError) as failure:
        await run(replace(options, pictures=pictures, **changes), lambda _: None)
    assert re.match(complaint, str(failure.value))
    assert "\n" not in str(failure.value)


async def test_being_stopped_loses_nothing(stage: Stage, tmp_path: Path) -> None:
    alice, bob = Running(stage, 0, pictures=tmp_path), Running(stage, 1)
    await until(lambda: alice.received("P1", "video") > 5)
    await asyncio.wait_for(alice.process.stop(), 20)
    assert len(alice.of("final")) == 1
    assert [path.name for path in saved_pictures(tmp_path)] == ["P1.png"]
    await alice.task
    await bob.stop()


async def test_being_stopped_before_the_stay_keeps_nobody_waiting(stage: Stage) -> None:
    alice = Running(stage, 0, focus_url="https://192.0.2.1:1")
    await asyncio.wait_for(alice.process.stop(), 20)
    alice.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alice.task
