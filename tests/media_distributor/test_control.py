"""The control API over real HTTPS: who may use it, and what it answers."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

import aiohttp
import pytest

from halfkey.media_distributor.control import MAXIMUM_BODY
from halfkey.media_distributor.events import ParticipantDisconnected
from halfkey.tls import client_context
from tests.key_distributor.helpers import Certificates
from tests.media_distributor.media import Offered
from tests.media_distributor.system import (
    MediaDistributor,
    focus_tls,
    media_distributor,
    participant,
    session,
)

ANY = ("127.0.0.1", 0)


@pytest.fixture
async def md(certificates: Certificates) -> AsyncIterator[MediaDistributor]:
    async with media_distributor(certificates, tunnel=ANY) as running:
        yield running


async def test_only_the_focus_may_use_it(md: MediaDistributor, certificates: Certificates) -> None:
    """Whoever else asks is refused in the handshake; the Focus isn't, in the same run."""
    trusted = certificates.md[0]
    refused = [
        client_context(trusted),
        client_context(trusted, *certificates.stranger),
        client_context(trusted, *certificates.kd),
        client_context(trusted, *certificates.md),
    ]
    for context in refused:
        async with session(context) as stranger:
            for method, path in (("GET", "/statistics"), ("PUT", participant("P1"))):
                with pytest.raises(aiohttp.ClientError):
                    await stranger.request(method, md.url(path))
    assert (await md.statistics())["participants"] == 0
    assert (await md.put("P1", Offered(1)))[0] == 201


async def test_tls_1_2_is_refused(md: MediaDistributor, certificates: Certificates) -> None:
    context = focus_tls(certificates)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with session(context) as old:
        with pytest.raises(aiohttp.ClientError):
            await old.get(md.url("/statistics"))


async def test_in_again_and_out(md: MediaDistributor) -> None:
    status, first = await md.put("P1", Offered(1))
    assert status == 201
    host, port = md.addresses["media"]
    assert first["candidates"] == [{"address": host, "port": port}]
    assert len(first["ice_ufrag"]) >= 4
    assert len(first["ice_pwd"]) >= 22
    status, again = await md.put("P1", Offered(1))
    assert status == 200
    assert again["ice_ufrag"] != first["ice_ufrag"]
    assert again["ice_pwd"] != first["ice_pwd"]
    assert await md.remove("P1") == 204
    assert await md.remove("P1") == 404
    assert (await md.statistics())["conferences"] == 0


@pytest.mark.parametrize("hostile", [True, False])
async def test_who_was_removed_comes_back_as_somebody_new(
    certificates: Certificates, hostile: bool
) -> None:
    async with media_distributor(
        certificates, tunnel=ANY, keep_forwarding_after_disconnect=hostile
    ) as md:
        assert (await md.put("P1", Offered(1)))[0] == 201
        assert await md.remove("P1") == 204
        assert await md.remove("P1") == 404
        assert (await md.statistics())["participants"] == 0
        assert (await md.put("P1", Offered(1, slots=1)))[0] == 201
        assert (await md.statistics())["participants"] == 1
        assert await md.remove("P1") == 204


async def test_what_is_advertised_goes_into_the_candidates(certificates: Certificates) -> None:
    async with media_distributor(
        certificates, tunnel=ANY, media=("0.0.0.0", 0), advertise="192.0.2.7"
    ) as md:
        _, answer = await md.put("P1", Offered(1))
        port = md.addresses["media"][1]
        assert answer["candidates"] == [{"address": "192.0.2.7", "port": port}]


async def test_names_are_whatever_the_path_says(md: MediaDistributor) -> None:
    for name in ("a%20b", "%C3%A9t%C3%A9", "%2e%2e%2f", "%00", "%ED%A0%80", "a" * 2000):
        assert (await md.put(name, Offered(1)))[0] == 201
        assert await md.remove(name) == 204
        assert md.events[-1].participant  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("PUT", participant("P2"), b"{", 400, "not JSON"),
        ("PUT", participant("P2"), b"{}", 400, "ice_ufrag: give a string"),
        ("PUT", participant("P2"), b" " * (MAXIMUM_BODY + 1), 413, "Too Large"),
        ("PUT", participant("P2"), Offered(1), 409, "SSRC 1001 is taken"),
        ("PUT", participant("P1"), Offered(2), 409, "can't be changed"),
        ("DELETE", participant("P2"), b"", 404, "no such participant"),
        ("GET", "/nowhere", b"", 404, "Not Found"),
        ("GET", participant("P1"), b"", 405, "Not Allowed"),
    ],
)
async def test_a_fault_is_one_line(
    md: MediaDistributor, method: str, path: str, body: bytes | Offered, status: int, said: str
) -> None:
    assert (await md.put("P1", Offered(1)))[0] == 201
    if isinstance(body, Offered):
        body = json.dumps(asdict(body.allocation())).encode()
    async with md.focus.request(method, md.url(path), data=body) as response:
        assert response.status == status
        answer = await response.json()
    assert list(answer) == ["error"]
    assert said in answer["error"]
    assert answer["error"].isprintable()
    assert (await md.statistics())["participants"] == 1


async def test_events_are_followed(md: MediaDistributor) -> None:
    await md.put("P1", Offered(1))
    async with md.focus.get(md.url("/events")) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert await response.content.readline() == b"event: participants\n"
        assert await response.content.readline() == b'data: {"participants": [["c", "P1"]]}\n'
        await response.content.readline()
        await md.remove("P1")
        lines = [(await response.content.readline()).decode() for _ in range(2)]
    assert lines[0] == "event: participant-disconnected\n"
    assert json.loads(lines[1].removeprefix("data: ")) == {
        "conference": "c",
        "participant": "P1",
        "reason": "left",
    }
    assert md.events == [ParticipantDisconnected("c", "P1", "left")]


async def test_figures_tell_no_secret(md: MediaDistributor) -> None:
    _, answer = await md.put("P1", Offered(1))
    statistics: dict[str, Any] = await md.statistics()
    assert statistics["participants"] == statistics["forwarder_participants"] == 1
    assert answer["ice_pwd"] not in json.dumps(statistics)
    async with md.focus.get(md.url("/captured")) as response:
        assert await response.json() == {}
