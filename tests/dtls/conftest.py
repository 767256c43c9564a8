"""What several tests of DTLS need."""

from __future__ import annotations

import pytest

from tests.dtls.deviations import Deviate
from tests.dtls.helpers import (
    Change,
    deviant,
)


@pytest.fixture
def deviate(monkeypatch: pytest.MonkeyPatch) -> Deviate:
    """Makes one side's handshakes deviate from the protocol."""

    def apply(side: str, change: Change) -> None:
        import halfkey.dtls.connection as module

        name = {"client": "ClientHandshake", "server": "ServerHandshake"}[side]
        monkeypatch.setattr(module, name, deviant(getattr(module, name), change))

    return apply
