"""The Focus over real HTTPS: joining, updating, leaving, and what it says when it can't."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from halfkey.errors import ConfigurationError
from halfkey.focus import signalling
from halfkey.focus.core import Limits
from halfkey.sdp import read_answer
from halfkey.tls import client_context
from tests.focus.distributors import (
    Stage,
    options_for,
    running,
    staged,
)
from tests.sdp.samples import KD_FINGERPRINT, OFFER, offer


async def problem(response: aiohttp.ClientResponse, status: int) -> str:
    """Checks that the response is a problem of one line; gives the line."""
    assert response.status == status
    assert response.content_type == "application/problem+json"
    body = json.loads(await response.read())
    assert set(body) == {"title", "status", "detail"}
    assert body["status"] == status
    assert body["detail"]
    assert "\n" not in body["detail"]
    return str(body["detail"])


async def test_join_answers_with_what_both_distributors_gave(stage: Stage) -> None:
    asked = offer(identity="abc==")
    response = await stage.join(asked.text)
    assert response.status == 201
    assert response.content_type == "application/sdp"
    assert response.headers["ETag"].startswith('"')
    answer = read_answer(await response.text(), asked)
    assert answer.transport.fingerprint == KD_FINGERPRINT
    assert answer.transport.tls_id == "KDKDKDKDKDKDKDKDKDKDKDKD"
    assert answer.transport.ice_ufrag == "MdUf1"
    assert answer.transport.candidates[0].port == 40000
    assert stage.log == ["kd PUT", "md PUT"]
    assert stage.kd.bodies == [
        {
            "fingerprint": asked.transport.fingerprint,
            "tls_id": asked.transport.tls_id,
            "offer": asked.text,
            "assertion": "abc==",
        }
    ]
    assert stage.md.bodies == [
        {
            "ice_ufrag": "oFr4",
            "ice_pwd": "asd88fgpdd777uzjYhagZg",
            "sources": [
                {"mid": "0", "kind": "audio", "ssrc": 1111},
                {"mid": "1", "kind": "video", "ssrc": 2222},
            ],
            "slots": [{"mid": "2", "kind": "audio"}, {"mid": "3", "kind": "video"}],
            "extensions": asked.extensions,
            "payload_types": {"opus/48000/2": 111, "VP8/90000": 96},
        }
    ]


async def test_the_location_is_known_to_its_participant_only(stage: Stage) -> None:
    response = await stage.join(OFFER)
    location = response.headers["Location"]
    prefix = "/conferences/plenary/participants/"
    assert location.startswith(prefix)
    token = location.removeprefix(prefix)
    ((conference, identifier),) = stage.kd.participants
    assert conference == "plenary"
    assert stage.md.participants == stage.kd.participants
    assert identifier not in token
    assert token not in identifier
    refused = await stage.session.delete(f"{stage.url}{prefix}{identifier}")
    await problem(refused, 404)
    elsewhere = await stage.session.delete(f"{stage.url}/conferences/x/participants/{token}")
    await problem(elsewhere, 404)
    assert len(stage.kd.participants) == 1


async def test_leaving_tells_the_key_distributor_first(stage: Stage) -> None:
    location = (await stage.join(OFFER)).headers["Location"]
    stage.log.clear()
    response = await stage.session.delete(stage.url + location)
    assert response.status == 204
    assert stage.log == ["kd DELETE", "kd removed", "md DELETE", "md removed"]
    await problem(await stage.session.delete(stage.url + location), 404)
    assert (await stage.join(OFFER)).status == 201


BAD_REQUESTS = {
    "no SDP": (b"hello", "application/sdp", 400, "line 1"),
    "empty": (b"", "application/sdp", 400, "v="),
    "no UTF-8": (b"\xff\xfe", "application/sdp", 400, "UTF-8"),
    "no tls-id": (
        OFFER.replace("a=tls-id:abc3de65cddef001be82\r\n", "").encode(),
        "application/sdp",
        400,
        "tls-id",
    ),
    "another type": (OFFER.encode(), "text/plain", 415, "application/sdp"),
    "too long": (b"v=0\r\n" + b"a" * 65_536, "application/sdp", 413, "Too Large"),
}


@pytest.mark.parametrize(
    ("body", "content_type", "status", "detail"), BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys()
)
async def test_requests_that_are_refused(
    stage: Stage, body: bytes, content_type: str, status: int, detail: str
) -> None:
    response = await stage.join(body, **{"Content-Type": content_type})
    assert detail in await problem(response, status)
    assert stage.log == []


async def test_an_offer_as_long_as_may_be(stage: Stage) -> None:
    filler = "a=x:" + "y" * (65_536 - len(OFFER.encode()) - 6) + "\r\n"
    text = OFFER + filler
    assert len(text.encode()) == 65_536
    assert (await stage.join(text)).status == 201
    assert stage.kd.bodies[0]["offer"] == text


@pytest.mark.parametrize("name", ["a%20b", "x" * 65, "%2e%2e", "a%2Fb", "%C3%BC"])
async def test_conference_names_are_checked(stage: Stage, name: str) -> None:
    """Sent raw: a client library would tidy some of these paths away."""
    tls = client_context(stage.options.certificate)
    port = int(stage.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(
        f"POST /conferences/{name}/participants HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        "Content-Type: application/sdp\r\nContent-Length: 0\r\n\r\n".encode()
    )
    answer = await reader.read()
    writer.close()
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404"))
    assert b"application/problem+json" in answer
    assert stage.log == []


async def test_a_body_that_never_ends(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signalling, "BODY_TIMEOUT", 0.05)
    tls = client_context(stage.options.certificate)
    port = int(stage.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(
        b"POST /conferences/plenary/participants HTTP/1.1\r\nHost: x\r\n"
        b"Content-Type: application/sdp\r\nContent-Length: 100\r\n\r\nv=0\r\n"
    )
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408")
    assert stage.log == []


async def test_unknown_paths_and_methods(stage: Stage) -> None:
    await problem(await stage.session.get(stage.url + "/"), 404)
    response = await stage.session.put(stage.url + "/conferences/plenary/participants")
    await problem(response, 405)
    assert response.headers["Allow"] == "POST"


async def test_a_full_conference(credentials: Path) -> None:
    async with staged(credentials, Limits(participants=2)) as stage:
        assert (await stage.join(offer("a", 1, 2).text)).status == 201
        assert (await stage.join(offer("b", 3, 4).text)).status == 201
        response = await stage.join(offer("c", 5, 6).text)
        assert "full" in await problem(response, 503)
        assert response.headers["Retry-After"] == "5"
        assert (await stage.join(offer("c", 5, 6).text, "other")).status == 201


async def test_an_ssrc_that_is_taken(stage: Stage) -> None:
    await stage.join(offer("a", 1, 2).text)
    assert "SSRC 2 is taken" in await problem(await stage.join(offer("b", 3, 2).text), 409)


async def test_ice_restart(stage: Stage) -> None:
    joined = await stage.join(OFFER)
    url, etag = stage.url + joined.headers["Location"], joined.headers["ETag"]
    restarted = offer(ice_ufrag="New1").text.replace("asd88f", "bsd88f")

    async def patch(text: str, **headers: str) -> aiohttp.ClientResponse:
        sent = {"Content-Type": "application/sdp", **headers}
        return await stage.session.patch(url, data=text.encode(), headers=sent)

    await problem(await patch(restarted), 428)
    await problem(await patch(restarted, **{"If-Match": '"x"'}), 412)
    changed = await patch(offer(audio_ssrc=77).text, **{"If-Match": etag})
    assert "can be changed" in await problem(changed, 422)
    assert stage.log == ["kd PUT", "md PUT"]
    response = await patch(restarted, **{"If-Match": etag})
    assert response.status == 200
    assert response.headers["ETag"] != etag
    answer = read_answer(await response.text(), offer())
    assert answer.transport.ice_ufrag == "MdUf2"
    assert answer.transport.tls_id == "KDKDKDKDKDKDKDKDKDKDKDKD"
    assert " 2 IN IP4" in answer.text.splitlines()[1]
    assert stage.log == ["kd PUT", "md PUT", "md PUT"]
    assert len(stage.md.participants) == 1
    await problem(await patch(restarted, **{"If-Match": etag}), 412)


async def test_only_the_focus_may_speak_with_the_distributors(
    stage: Stage, credentials: Path
) -> None:
    """The test servers ask for certificates as the real ones do; so the Focus must show its own."""
    for tls in (
        client_context(credentials / "kd.crt"),
        client_context(
            credentials / "kd.crt", credentials / "stranger.crt", credentials / "stranger.key"
        ),
    ):
        connector = aiohttp.TCPConnector(ssl=tls)
        async with aiohttp.ClientSession(connector=connector) as session:
            with pytest.raises((aiohttp.ClientError, ssl.SSLError, OSError)):
                await session.put(f"{stage.kd.url}/conferences/a/participants/b", json={})
    assert stage.log == []


async def test_a_distributor_with_another_certificate_is_not_believed(credentials: Path) -> None:
    async with staged(credentials) as stage:
        options = dataclasses.replace(
            stage.options, key_distributor_trust=credentials / "stranger.crt"
        )
        async with running(options) as url:
            stage.url = url
            assert "Key Distributor" in await problem(await stage.join(OFFER), 503)
        assert stage.log == []


async def test_a_fault_of_ours_is_a_problem_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> web.Response:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr("halfkey.focus.signalling._answer", fail)
    assert await problem(await stage.join(OFFER), 500) == "the Focus failed"


async def test_a_port_in_use(credentials: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = dataclasses.replace(
            options_for(credentials, "https://127.0.0.1:1", "https://127.0.0.1:1", Limits()),
            port=taken.getsockname()[1],
        )
        with pytest.raises(ConfigurationError, match=r"listening address 127\.0\.0\.1:") as caught:
            async with running(options):
                pass
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("certificate", Path("/nonexistent/focus.crt"), "focus.crt"),
        ("client_key", Path("/nonexistent/client.key"), "client.key"),
        ("key_distributor_trust", Path("/nonexistent/kds.pem"), "kds.pem"),
        ("key_distributor_url", "http://127.0.0.1:1", "no URL of a Key Distributor"),
        ("media_distributor_url", "https://", "no URL of a Media Distributor"),
        ("media_distributor_url", "https://h:999999", "no URL of a Media Distributor"),
        ("host", "192.0.2.1", "192.0.2.1"),
        ("port", 70000, ":70000"),
    ],
)
async def test_options_that_cannot_be_followed(
    credentials: Path, field: str, value: object, message: str
) -> None:
    good = options_for(credentials, "https://127.0.0.1:1", "https://127.0.0.1:1", Limits())
    with pytest.raises(ConfigurationError, match=message) as caught:
        async with running(dataclasses.replace(good, **{field: value})):
            pass
    assert "\n" not in str(caught.value)
