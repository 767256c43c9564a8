"""Waiting to be let in by a Focus over real HTTPS, which fails in between."""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from halfkey.endpoint.asking import CONFLICTS_BORNE, Asking, NotLetInError
from halfkey.endpoint.client import FocusClient, FocusError
from halfkey.endpoint.events import Waiting
from halfkey.json_api import WAITING
from tests.endpoint.test_client import focus

WAIT = (503, {"type": WAITING})
AWAY = (503, {"detail": "the Key Distributor can't be reached"})
REFUSED = (403, {"detail": "not admitted: the host did not let you in"})
ADMITTED = (201, {})
TAKEN = (409, {"detail": "SSRC 7 is taken; choose another"})
GONE = (0, {})
NEVER = (-1, {})


@dataclass
class Scripted:
    """A Focus that answers in this order, and then always as at last."""

    answers: list[tuple[int, dict[str, str]]]
    offers: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        status, body = self.answers[min(len(self.offers), len(self.answers) - 1)]
        self.offers.append(await request.text())
        if status == -1:
            await asyncio.sleep(60)
        if status == 0 and request.transport is not None:
            request.transport.abort()
        headers = {"Retry-After": "1", "Location": "/here"}
        return web.Response(status=status or 500, text=json.dumps(body), headers=headers)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("halfkey.endpoint.asking._FIRST_PAUSE", 0.01)


async def asked(client: FocusClient, told: list[Waiting], **options: float) -> Any:
    """Asks with offers that say which they are, and of which SSRCs."""
    numbers, renewals = itertools.count(), itertools.count(1)
    sources = [0]
    asking = Asking(
        client,
        options.get("patience", 5.0),
        options.get("waiting_timeout", 60.0),
        told.append,
    )

    async def make_offer() -> Any:
        return SimpleNamespace(text=f"offer {next(numbers)} of sources {sources[0]}")

    async def renew() -> None:
        sources[0] = next(renewals)

    return await asking.ask(make_offer, renew)


async def test_who_waits_asks_with_a_fresh_offer_and_bears_with_a_focus_that_is_away(
    credentials: Path,
) -> None:
    script = Scripted([WAIT, AWAY, GONE, WAIT, ADMITTED])
    told: list[Waiting] = []
    async with focus(credentials, script.answer) as client:
        participation = await asked(client, told)
    assert participation.url.endswith("/here")
    assert script.offers == [f"offer {number} of sources 0" for number in range(5)]
    assert len(told) == 1


@pytest.mark.parametrize("before", [[], [WAIT, NEVER]], ids=["joining", "waiting"])
async def test_whoever_finds_its_sources_taken_chooses_others(
    credentials: Path, before: list[tuple[int, dict[str, str]]]
) -> None:
    script = Scripted([*before, TAKEN, ADMITTED])
    async with focus(credentials, script.answer) as client:
        await asked(client, [], patience=0.5)
    assert [offer.rpartition(" ")[2] for offer in script.offers] == ["0"] * (len(before) + 1) + [
        "1"
    ]


async def test_but_not_for_ever(credentials: Path) -> None:
    script = Scripted([TAKEN])
    async with focus(credentials, script.answer) as client:
        with pytest.raises(FocusError, match="SSRC 7 is taken"):
            await asked(client, [])
    assert len(script.offers) == CONFLICTS_BORNE + 1


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
        with pytest.raises(NotLetInError, match=r"nobody let us in within 1\.5 s"):
            await asked(client, told, waiting_timeout=1.5)
    assert len(told) == 1


@pytest.mark.parametrize("shorter", ["patience", "waiting_timeout"])
async def test_where_nobody_waited_it_is_not_said_that_nobody_let_us_in(
    credentials: Path, shorter: str
) -> None:
    async with focus(credentials, Scripted([NEVER]).answer) as client:
        with pytest.raises(TimeoutError, match=r"no answer of the Focus within 0\.5 s"):
            await asked(client, [], **{shorter: 0.5})
