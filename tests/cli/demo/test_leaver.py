"""What counts against the leaver: one packet sealed after the change of keys, and nothing older."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from halfkey.cli.demo.leaver import Understood, understood
from tests.endpoint.stage import Stage, staged
from tests.endpoint.test_process import Running
from tests.endpoint.waiting import until
from tests.focus.distributors import make_credentials

SSRC = "77"
CHANGE = [65534, 1000]
NOTHING = Understood(0, 0)


def source(newest: list[int] | None, frame: int | None, count: int = 9) -> dict[str, Any]:
    return {SSRC: {"newest_opened": newest, "last_frame": frame, "packets": count, "frames": count}}


BEFORE = source([65000, 900], 900, count=4)


@pytest.mark.parametrize(
    "newest",
    [[65534, 1000], [65533, 1000], [3, 999], [65000, 900], None],
    ids=["the last one", "its frame", "an older timestamp", "long ago", "never"],
)
def test_what_was_sealed_before_the_change_does_not_count(newest: list[int] | None) -> None:
    assert understood({SSRC: CHANGE}, BEFORE, source(newest, 1000)) == NOTHING


@pytest.mark.parametrize(
    "newest",
    [[65535, 1000], [0, 1000], [0, 1960], [65534, 1960]],
    ids=["the very next", "SEQ wrapped", "the next frame", "after 65,536 packets"],
)
def test_one_packet_sealed_after_the_change_counts(newest: list[int]) -> None:
    assert understood({SSRC: CHANGE}, BEFORE, source(newest, 1000)) == Understood(5, 0)


def test_a_frame_of_after_the_change_counts() -> None:
    assert understood({SSRC: CHANGE}, BEFORE, source([65534, 1000], 1001)) == Understood(0, 5)
    late = [65534, (1 << 32) - 10]
    assert understood({SSRC: late}, BEFORE, source([65534, 20], 20)) == Understood(5, 5)


def test_of_who_never_changed_keys_everything_counts() -> None:
    assert understood({SSRC: None}, BEFORE, source([65000, 900], 900)) == Understood(5, 5)
    assert understood({SSRC: None}, {}, source([65000, 900], 900)) == Understood(9, 9)
    assert understood({}, BEFORE, source([0, 2000], 2000)) == NOTHING  # of no participant


async def left(stage: Stage) -> tuple[Running, Running, Mapping[str, Any]]:
    """Alice stays; Eve has left, goes on listening, and said how far she was."""
    alice, eve = Running(stage, 0), Running(stage, 1, keep_listening=True)
    await until(lambda: eve.received("P0", "video") > 5 and eve.received("P0", "audio") > 5)
    await eve.process.command({"command": "mark"})
    await eve.process.command({"command": "leave"})
    await until(lambda: bool(eve.of("left")))
    return alice, eve, eve.of("mark")[0]


async def end(alice: Running, eve: Running) -> Mapping[str, Any]:
    """Eve is sent another 60 packets; gives what she says last."""
    more = eve.of("progress")[-1]["packets_received"] + 60
    await until(lambda: eve.of("progress")[-1]["packets_received"] > more)
    final = await eve.stop()
    await alice.stop()
    return final


async def test_a_rekey_shuts_the_leaver_out(tmp_path: Path) -> None:
    make_credentials(tmp_path)
    async with staged(tmp_path) as stage:
        alice, eve, mark = await left(stage)
        await until(lambda: len(alice.of("switched")) == 2)
        change = alice.of("switched")[1]["newest_before"]
        final = await end(alice, eve)
    assert len(change) == 2
    assert understood(change, mark["sources"], final["sources"]) == NOTHING
    # Both sides count alike: she had almost everything up to there.
    for ssrc, (_, timestamp) in change.items():
        newest = final["sources"][ssrc]["newest_opened"]
        assert 0 <= (timestamp - newest[1]) % (1 << 32) < 90_000


async def test_a_leaver_who_gets_the_new_key_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_credentials(tmp_path)
    async with staged(tmp_path) as stage:
        rekey = stage.relay.rekey
        monkeypatch.setattr(stage.relay, "rekey", lambda without: rekey())
        alice, eve, mark = await left(stage)
        await until(lambda: len(alice.of("switched")) == 2)
        change = alice.of("switched")[1]["newest_before"]
        final = await end(alice, eve)
    found = understood(change, mark["sources"], final["sources"])
    assert found.packets_opened > 20
    assert found.frames_decoded > 20


async def test_senders_who_keep_their_keys_are_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No rekey: what Alice sends after the leaving is under the keys that Eve has."""
    make_credentials(tmp_path)
    async with staged(tmp_path) as stage:
        monkeypatch.setattr(stage.relay, "rekey", lambda without: None)
        alice, eve, mark = await left(stage)
        assert len(alice.of("switched")) == 1
        leaving = {ssrc: source["newest_opened"] for ssrc, source in mark["sources"].items()}
        final = await end(alice, eve)
    assert understood(leaving, mark["sources"], final["sources"]).packets_opened > 20
    unchanged = dict.fromkeys(leaving)
    assert understood(unchanged, mark["sources"], final["sources"]).frames_decoded > 20
