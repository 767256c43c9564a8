"""Holds each test to its row."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.attacks.arena import Arena, arena
from tests.attacks.rows import Row


@pytest.fixture
async def field(tmp_path: Path) -> AsyncIterator[Arena]:
    """A system with a malicious Focus, and nobody in it yet."""
    async with arena(tmp_path) as running:
        yield running


@pytest.fixture
def happened(request: pytest.FixtureRequest) -> Iterator[Callable[[str], None]]:
    """Takes what was seen to come of the attack; it must be what the row says."""
    callspec = getattr(request.node, "callspec", None)
    row = callspec.params["case"] if callspec is not None else request.function.row
    assert isinstance(row, Row)
    seen: list[str] = []
    yield seen.append
    assert seen == [row.outcome]
