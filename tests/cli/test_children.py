"""The demo's child processes: what is said of one that ended before it said what it should."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from halfkey.cli.children import Child, ChildFailed, Message

DAY = 86_400.0


async def a_child(log: Path, *arguments: str) -> tuple[Child, asyncio.Future[Message]]:
    child = Child("Alice", list(arguments), log, lambda _: None)
    await child.start()
    return child, asyncio.get_running_loop().create_future()


async def test_one_that_dies_while_it_is_stopping_is_noticed_at_once(tmp_path: Path) -> None:
    child, final = await a_child(tmp_path / "log", "kd", "--nonsense")
    child.stopping = True
    with pytest.raises(ChildFailed, match=r"Alice ended with status 2: .*nonsense"):
        await child.outcome(final, DAY, "gave no final report")


async def test_one_that_is_frozen_is_waited_for_no_longer_than_said(tmp_path: Path) -> None:
    child, final = await a_child(tmp_path / "log", "kd", "--help")
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(ChildFailed, match="Alice gave no final report"):
        await child.outcome(final, 0.1, "gave no final report")
    os.kill(child.pid, signal.SIGCONT)
    await child.stop()


async def test_what_is_said_in_time_is_given(tmp_path: Path) -> None:
    child, final = await a_child(tmp_path / "log", "kd", "--help")
    final.set_result({"event": "final"})
    assert await child.outcome(final, DAY, "gave no final report") == {"event": "final"}
    await child.stop()
