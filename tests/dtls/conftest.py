"""What several tests of DTLS need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from halfkey.dtls.flight import FlightMessage, Packer
from halfkey.dtls.registries import ProtocolVersion
from tests.dtls import helpers
from tests.dtls.deviations import Deviate
from tests.dtls.helpers import (
    Change,
    deviant,
)

# How long an example takes is for benchmarks.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="module", params=ProtocolVersion, ids=lambda version: version.title)
def version(request: pytest.FixtureRequest) -> Iterator[ProtocolVersion]:
    """Every version in turn: both sides speak it, and no other."""
    before = helpers.SPOKEN[:]
    helpers.SPOKEN[:] = [request.param]
    yield request.param
    helpers.SPOKEN[:] = before


@pytest.fixture
def one_message_per_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has every side send each message in a record of its own, as other stacks may.

    Then a peer that takes record after record rests in every state.
    """
    add_message = Packer.add_message

    def apart(packer: Packer, message: FlightMessage, *part: int) -> None:
        add_message(packer, message, *part)
        packer.close()

    monkeypatch.setattr(Packer, "add_message", apart)


@pytest.fixture
def deviate(monkeypatch: pytest.MonkeyPatch) -> Deviate:
    """Makes one side's handshakes deviate from the protocol."""

    def apply(side: str, change: Change) -> None:
        import halfkey.dtls.connection as connection
        import halfkey.dtls.offer as offer

        if side == "server":
            for name in ("ServerHandshake12", "ServerHandshake13"):
                monkeypatch.setattr(connection, name, deviant(getattr(connection, name), change))
            return
        monkeypatch.setattr(connection, "Offer", deviant(connection.Offer, change))
        for version, handshake in offer._HANDSHAKES.items():
            monkeypatch.setitem(offer._HANDSHAKES, version, deviant(handshake, change))

    return apply
