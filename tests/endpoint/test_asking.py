"""Waiting to be let in by a Focus over real HTTPS, which fails in between."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from halfkey.endpoint.asking import Asking, NotLetInError
from halfkey.endpoint.client import FocusClient, FocusError
from halfkey.endpoint.events import Waiting
from halfkey.json_api import WAITING
from tests.endpoint.test_client import focus

WAIT = (503, {"type": WAITING})
AWAY = (503, {"detail": "the Key Distributor can't be reached"})
REFUSED = (403, {"detail": "not admitted: the host did not let you in"})
ADMITTED = (201, {})
GONE = (0, {})


@dataclass
class Scripted:
    """A Focus that answers in this order, and then always as at last."""

    answers: list[tuple[int, dict[str, str]]]
    offers: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        status, body = self.answers[min(len(self.offers), len(self.answers) - 1)]
        self.offers.append(await request.text())
        if status == 0 and request.transport is not None:
            request.transport.abort()
        headers = {"Retry-After": "1", "Location": "/here"}
        return web.Response(status=status or 500, text=json.dumps(body), headers=headers)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("halfkey.endpoint.asking._FIRST_PAUSE", 0.01)


async def asked(client: FocusClient, told: list[Waiting], **options: float) -> Any:
    numbers = itertools.count()
    asking = Asking(client, 5.0, options.get("waiting_timeout", 60.0), told.append)
    return await asking.ask(lambda: SimpleNamespace(text=f"offer {next(numbers)}"))  # type: ignore[arg-type,return-value]


async def test_who_waits_asks_with_a_fresh_offer_and_bears_with_a_focus_that_is_away(
    credentials: Path,
) -> None:
    script = Scripted([WAIT, AWAY, GONE, WAIT, ADMITTED])
    told: list[Waiting] = []
    async with focus(credentials, script.answer) as client:
        participation = await asked(client, told)
    assert participation.url.endswith("/here")
    assert script.offers == [f"offer {number}" for number in range(5)]
    assert len(told) == 1


@pytest.mark.parametrize("answer", [AWAY, GONE, REFUSED])
async def test_who_does_not_wait_is_told_of_a_failure_at_once(
    credentials: Path, answer: tuple[int, dict[str, str]]
) -> None:
    script = Scripted([answer, ADMITTED])
    async with focus(credentials, script.answer) as client:
        with pytest.raises(FocusError):
            await asked(client, [])
    assert len(script.offers) == 1


async def test_a_refusal_ends_the_wait(credentials: Path) -> None:
    script = Scripted([WAIT, REFUSED, ADMITTED])
    async with focus(credentials, script.answer) as client:
        with pytest.raises(FocusError, match="did not let you in"):
            await asked(client, [])
    assert len(script.offers) == 2


@pytest.mark.parametrize("answer", [WAIT, AWAY])
async def test_nobody_waits_for_ever(credentials: Path, answer: tuple[int, dict[str, str]]) -> None:
    told: list[Waiting] = []
    async with focus(credentials, Scripted([WAIT, answer]).answer) as client:
        with pytest.raises(NotLetInError, match="nobody let us in"):
            await asked(client, told, waiting_timeout=1.5)
    assert len(told) == 1
