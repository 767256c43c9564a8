"""Fixtures: a running system, shared by the tests that only look at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.operations.system import System


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """All three roles, and two who are in a conference."""
    with System(tmp_path_factory.mktemp("running")) as system:
        system.start_all()
        system.join("Alice Example")
        system.join("Bob Example")
        yield system
