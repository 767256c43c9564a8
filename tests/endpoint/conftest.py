"""Fixtures: certificates, and a Focus with a relay behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.endpoint.stage import Stage, staged
from tests.focus.distributors import make_credentials


@pytest.fixture(scope="session")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("credentials")
    make_credentials(directory)
    return directory


@pytest.fixture
async def stage(credentials: Path) -> AsyncIterator[Stage]:
    async with staged(credentials) as made:
        yield made
