"""Fixtures: certificates for the whole module, and a Focus between two Distributors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.focus.distributors import Stage, make_credentials, staged


@pytest.fixture(scope="session")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("credentials")
    make_credentials(directory)
    return directory


@pytest.fixture
async def stage(credentials: Path) -> AsyncIterator[Stage]:
    async with staged(credentials) as made:
        yield made
