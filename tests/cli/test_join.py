"""`halfkey join` as a person runs and interrupts it."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.endpoint.stage import staged
from tests.endpoint.test_process import Running
from tests.focus.distributors import make_credentials


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupt_ends_the_stay_and_keeps_what_came_of_it(
    tmp_path: Path, number: signal.Signals
) -> None:
    make_credentials(tmp_path)
    async with staged(tmp_path) as stage:
        bob = Running(stage, 1)
        options = {
            "--focus": stage.url,
            "--trust-focus": str(stage.trusted),
            "--conference": "plenary",
            "--name": "Alice",
            "--pictures": str(tmp_path / "pictures"),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "halfkey", "join"),
            *(word for option in options.items() for word in option),
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        while b"receiving video of P1" not in (line := await process.stderr.readline()):
            assert line, "it ended early"
        await asyncio.sleep(1)
        process.send_signal(number)
        rest = await process.stderr.read()
        assert await process.wait() == 0
        await bob.stop()
    assert b"video frames of P1" in rest
    assert b"Traceback" not in rest
    assert (tmp_path / "pictures" / "P1.png").exists()
