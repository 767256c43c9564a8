"""Distributors that refuse, fail, hang up or lie: nothing of a failed join is left behind."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web

from halfkey.focus import clients
from tests.focus.distributors import Distributor, Responder, Stage, staged
from tests.sdp.samples import OFFER, offer


def says(status: int, body: object = None) -> Responder:
    return lambda _: web.json_response(body or {"error": "no\nsuch luck"}, status=status)


def lies(**changes: object) -> Responder:
    good = {
        "fingerprint": "sha-256 " + ":".join(["AA"] * 32),
        "tls_id": "x" * 24,
        "ice_ufrag": "abcd",
        "ice_pwd": "x" * 22,
        "candidates": [{"address": "127.0.0.1", "port": 1}],
    }
    return lambda _: web.json_response(good | changes, status=201)


def hangs_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def detail_of(stage: Stage, status: int) -> str:
    response = await stage.join(OFFER)
    assert response.status == status
    if status == 503:
        assert response.headers["Retry-After"] == "5"
    detail = json.loads(await response.read())["detail"]
    assert "\n" not in detail
    return str(detail)


@pytest.mark.parametrize("status", [400, 403, 409])
async def test_the_key_distributor_says_no(stage: Stage, status: int) -> None:
    stage.kd.faults["PUT"] = says(status)
    assert await detail_of(stage, 403) == "not admitted: no such luck"
    assert stage.log == ["kd PUT"]


BROKEN = {
    "status 500": says(500),
    "a redirect": says(307),
    "no JSON": lambda _: web.Response(status=201, text="[1"),
    "a list": says(201, [1]),
    "far too much": lambda _: web.Response(status=201, text="x" * 100_000),
    "no answer": hangs_up,
}
KD_LIES = {
    "a line of its own": lies(tls_id="x" * 20 + "\r\na=x"),
    "a short tls-id": lies(tls_id="x"),
    "no tls-id": lies(tls_id=None),
    "a weak fingerprint": lies(fingerprint="sha-1 " + ":".join(["AA"] * 20)),
    "a number": lies(fingerprint=5),
}
MD_LIES = {
    "a short password": lies(ice_pwd="x"),
    "no candidate": lies(candidates=[]),
    "candidates without number": lies(candidates=[{"address": "127.0.0.1", "port": 1}] * 17),
    "a name": lies(candidates=[{"address": "md.example", "port": 1}]),
    "a line of its own": lies(candidates=[{"address": "127.0.0.1\r\na=x", "port": 1}]),
    "no port": lies(candidates=[{"address": "127.0.0.1"}]),
    "a port too high": lies(candidates=[{"address": "127.0.0.1", "port": 70000}]),
    "strings": lies(candidates=["127.0.0.1:1"]),
}


@pytest.mark.parametrize("fault", (BROKEN | KD_LIES).values(), ids=(BROKEN | KD_LIES).keys())
async def test_the_key_distributor_fails(stage: Stage, fault: Responder) -> None:
    """It may have admitted the participant all the same, so it is told to forget it."""
    stage.kd.faults["PUT"] = fault
    assert "the Key Distributor" in await detail_of(stage, 503)
    # PUT is idempotent, and a client may repeat it when the connection breaks.
    assert list(dict.fromkeys(stage.log)) == ["kd PUT", "kd DELETE"]


@pytest.mark.parametrize("fault", (BROKEN | MD_LIES).values(), ids=(BROKEN | MD_LIES).keys())
async def test_the_media_distributor_fails(stage: Stage, fault: Responder) -> None:
    """Not knowing what it did, the Focus takes back both; the Key Distributor's part first."""
    stage.md.faults["PUT"] = fault
    assert "Distributor" in await detail_of(stage, 503)
    unique = list(dict.fromkeys(stage.log))
    assert unique == ["kd PUT", "md PUT", "kd DELETE", "kd removed", "md DELETE"]
    assert stage.kd.participants == set()


@pytest.mark.parametrize(("status", "answered"), [(409, 409), (400, 422)])
async def test_the_media_distributor_says_no(stage: Stage, status: int, answered: int) -> None:
    stage.md.faults["PUT"] = says(status)
    assert await detail_of(stage, answered) == "the offer can't be served: no such luck"
    assert stage.log == ["kd PUT", "md PUT", "kd DELETE", "kd removed"]
    assert stage.kd.participants == set()


@pytest.mark.parametrize("which", ["kd", "md"])
async def test_a_distributor_is_down(stage: Stage, which: str) -> None:
    down: Distributor = getattr(stage, which)
    await down.stop()
    for _ in range(stage.options.limits.participants + 1):
        assert "can't be reached" in await detail_of(stage, 503)
    assert stage.kd.participants == set()
    await down.start(stage.options.certificate.parent)
    assert (await stage.join(OFFER)).status == 201


async def test_a_distributor_takes_too_long(
    credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "REQUEST_TIMEOUT", 2.0)
    async with staged(credentials) as stage:
        stage.md.hold.clear()
        assert "the Media Distributor can't be reached" in await detail_of(stage, 503)
        assert stage.log[:4] == ["kd PUT", "md PUT", "kd DELETE", "kd removed"]


async def test_whoever_hangs_up_while_joining_is_taken_out_again(stage: Stage) -> None:
    stage.md.hold.clear()
    joining = asyncio.create_task(stage.join(OFFER))
    await stage.md.until(lambda: "md PUT" in stage.log)
    joining.cancel()
    await asyncio.wait({joining})
    stage.md.hold.set()
    await stage.md.until(lambda: "md removed" in stage.log)
    assert stage.kd.participants == set()


async def test_whoever_leaves_while_its_ice_restarts_is_gone(stage: Stage) -> None:
    joined = await stage.join(OFFER)
    url, etag = stage.url + joined.headers["Location"], joined.headers["ETag"]
    restarted = offer(ice_ufrag="New1").text.replace("asd88f", "bsd88f").encode()
    headers = {"Content-Type": "application/sdp", "If-Match": etag}
    stage.md.hold.clear()
    patching = asyncio.create_task(stage.session.patch(url, data=restarted, headers=headers))
    await stage.md.until(lambda: stage.log.count("md PUT") == 2)
    second = await stage.session.patch(url, data=restarted, headers=headers)
    assert second.status == 409
    assert (await stage.session.delete(url)).status == 204
    stage.md.hold.set()
    assert (await patching).status == 404
    assert stage.md.participants == set()


async def test_a_failed_join_takes_no_place(stage: Stage) -> None:
    stage.md.faults["PUT"] = says(500)
    await detail_of(stage, 503)
    del stage.md.faults["PUT"]
    assert (await stage.join(OFFER)).status == 201


async def test_a_removal_is_repeated_until_it_is_confirmed(stage: Stage) -> None:
    """The leaver's eviction is what rekeys the conference: it must not get lost."""
    location = (await stage.join(offer("a", 1, 2).text)).headers["Location"]
    await stage.join(offer("b", 3, 4).text)
    await stage.kd.stop()
    response = await stage.session.delete(stage.url + location)
    assert response.status == 202
    assert len(stage.md.participants) == 1
    assert len(stage.kd.participants) == 2
    roster = await stage.session.get(stage.url + "/conferences/plenary/events")
    first = (await roster.content.readuntil(b"\n\n")).decode()
    roster.close()
    assert '"name": "b"' in first
    assert '"name": "a"' not in first
    await stage.kd.start(stage.options.certificate.parent)
    await stage.kd.until(lambda: "kd removed" in stage.log)
    assert stage.kd.participants == stage.md.participants
    assert len(stage.kd.participants) == 1


async def test_a_removal_that_fails_holds_up_no_other(stage: Stage) -> None:
    locations = [
        (await stage.join(offer(str(n), 2 * n, 2 * n + 1).text)).headers["Location"]
        for n in range(3)
    ]
    stuck: list[str] = []

    def first_only(request: web.Request) -> web.StreamResponse:
        participant = request.match_info["participant"]
        if not stuck:
            stuck.append(participant)
        if stuck[0] == participant:
            return web.json_response({}, status=500)
        stage.kd.participants.discard((request.match_info["conference"], participant))
        return web.Response(status=204)

    stage.kd.faults["DELETE"] = first_only
    statuses = [(await stage.session.delete(stage.url + place)).status for place in locations]
    assert statuses == [202, 204, 204]
    del stage.kd.faults["DELETE"]
    await stage.kd.until(lambda: "kd removed" in stage.log)
    assert stage.kd.participants == set()


async def test_an_ice_restart_that_fails_changes_nothing(stage: Stage) -> None:
    joined = await stage.join(OFFER)
    url, etag = stage.url + joined.headers["Location"], joined.headers["ETag"]
    restarted = offer(ice_ufrag="New1").text.replace("asd88f", "bsd88f").encode()
    headers = {"Content-Type": "application/sdp", "If-Match": etag}
    for fault, status in ((says(500), 503), (says(400), 422)):
        stage.md.faults["PUT"] = fault
        response = await stage.session.patch(url, data=restarted, headers=headers)
        assert response.status == status
    del stage.md.faults["PUT"]
    response = await stage.session.patch(url, data=restarted, headers=headers)
    assert response.status == 200
    assert "kd DELETE" not in stage.log
