"""The admission API over real HTTPS with client certificates."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.dtls import Fingerprint
from halfkey.errors import CodecError
from halfkey.key_distributor.admission import parse_request
from tests.key_distributor.helpers import Certificates, Running

FINGERPRINT = str(Fingerprint.of(b"a certificate"))
TLS_ID = "t" * 24
GOOD: dict[str, Any] = {
    "fingerprint": FINGERPRINT,
    "tls_id": TLS_ID,
    "offer": "v=0\r\n",
    "assertion": None,
}
ALICE = "/conferences/c1/participants/alice"


async def put(running: Running, path: str, body: Any) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with running.focus.put(running.url(path), data=data) as response:
        return response.status, await response.json()


async def test_an_admission_gives_what_the_answer_needs(running: Running) -> None:
    status, answer = await put(running, ALICE, GOOD)
    assert status == 201
    assert Fingerprint.parse(answer["fingerprint"]).algorithm == "sha-256"
    assert len(answer["tls_id"]) >= 20
    assert answer["tls_id"] != TLS_ID
    assert (answer["setup"], answer["assertion"]) == ("passive", None)
    assert await put(running, ALICE, GOOD) == (200, answer)  # a repeated request


async def test_contradictions_are_conflicts(running: Running) -> None:
    await put(running, ALICE, GOOD)
    status, answer = await put(running, ALICE, GOOD | {"tls_id": "u" * 24})
    assert (status, "remove it first" in answer["error"]) == (409, True)
    for path in ("/conferences/c1/participants/bob", "/conferences/c2/participants/alice"):
        status, answer = await put(running, path, GOOD)
        assert (status, "in use" in answer["error"]) == (409, True)


async def test_a_removed_participant_is_gone_and_its_tls_id_free(running: Running) -> None:
    await put(running, ALICE, GOOD)
    for expected in (204, 404):
        async with running.focus.delete(running.url(ALICE)) as response:
            assert response.status == expected
    assert (await put(running, "/conferences/c2/participants/bob", GOOD))[0] == 201


async def test_rekey_is_accepted_where_there_is_a_conference(running: Running) -> None:
    await put(running, ALICE, GOOD)
    async with running.focus.post(running.url("/conferences/c1/rekey")) as response:
        assert response.status == 202
    async with running.focus.post(running.url("/conferences/c9/rekey")) as response:
        assert response.status == 404
        assert await response.json() == {"error": "no such conference"}


async def test_a_full_conference_is_a_conflict(running: Running) -> None:
    for number in range(4):
        body = GOOD | {"tls_id": str(number) * 20}
        status, _ = await put(running, f"/conferences/c1/participants/{number}", body)
        assert status == (201 if number < 3 else 409)


BAD_BODIES: list[tuple[Any, str]] = [
    (b"", "not JSON"),
    (b"{", "not JSON"),
    (b"\xff\xfe\x00", "not JSON"),
    (b"[" * 100_000, "not JSON"),
    (b"[]", "object"),
    (b"null", "object"),
    ({}, "fingerprint"),
    (GOOD | {"fingerprint": 5}, "fingerprint"),
    (GOOD | {"fingerprint": "sha-256 AB"}, "fingerprint"),
    (GOOD | {"fingerprint": "md5 " + ":".join(["AB"] * 16)}, "fingerprint"),
    (GOOD | {"fingerprint": FINGERPRINT + "\nx"}, "fingerprint"),
    (GOOD | {"tls_id": None}, "tls_id"),
    (GOOD | {"tls_id": "short"}, "tls_id"),
    (GOOD | {"tls_id": "spaces are not in the grammar"}, "tls_id"),
    (GOOD | {"offer": 1}, "offer"),
    (GOOD | {"assertion": {}}, "assertion"),
]


@pytest.mark.parametrize(("body", "word"), BAD_BODIES)
async def test_a_bad_body_is_answered_in_one_line(running: Running, body: Any, word: str) -> None:
    status, answer = await put(running, ALICE, body)
    assert status == 400
    assert list(answer) == ["error"]
    assert word in answer["error"]
    assert "\n" not in answer["error"]
    async with running.focus.get(running.url("/statistics")) as response:
        assert (await response.json())["participants_now"] == 0


async def test_other_faults_are_one_line_too(running: Running) -> None:
    too_long = GOOD | {"offer": "x" * 300_000}
    status, answer = await put(running, ALICE, too_long)
    assert (status, list(answer)) == (413, ["error"])
    name = "n" * 129
    status, answer = await put(running, f"/conferences/{name}/participants/p", GOOD)
    assert (status, list(answer)) == (400, ["error"])
    async with running.focus.get(running.url("/nowhere")) as response:
        assert (response.status, list(await response.json())) == (404, ["error"])
    async with running.focus.post(running.url(ALICE)) as response:
        assert (response.status, list(await response.json())) == (405, ["error"])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=30),
        lambda inner: st.dictionaries(st.sampled_from([*GOOD, "x"]), inner) | st.lists(inner),
        max_leaves=8,
    )
)
def test_no_json_raises_anything_but_codec_error(value: Any) -> None:
    try:
        parse_request("c", "p", json.dumps(value).encode())
    except CodecError as fault:
        line = str(fault)
    else:
        line = ""
    assert "\n" not in line


async def test_only_trusted_focuses_get_in(running: Running, certificates: Certificates) -> None:
    for who in (certificates.stranger, certificates.md):
        connector = aiohttp.TCPConnector(ssl=certificates.dialling(who))
        async with aiohttp.ClientSession(connector=connector) as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(running.url("/statistics"))
    async with running.focus.get(running.url("/statistics")) as response:
        assert response.status == 200
        assert (await response.json())["associations"] == 0


async def test_events_are_followed_as_server_sent_events(running: Running) -> None:
    async with running.focus.get(running.url("/events")) as response:
        assert response.content_type == "text/event-stream"
        assert await response.content.readline() == b": following\n"
        await put(running, ALICE, GOOD)
        async with running.focus.delete(running.url(ALICE)):
            pass
        lines = [(await response.content.readline()).decode().strip() for _ in range(7)]
    data = {"conference": "c1", "participant": "alice"}
    assert lines[0] == ""
    assert lines[1] == "event: admitted"
    nobody = {"identity": None, "display_name": None}
    assert json.loads(lines[2].removeprefix("data: ")) == {"event": "admitted", **data, **nobody}
    assert lines[4] == "event: removed"
    assert json.loads(lines[5].removeprefix("data: ")) == {
        "event": "removed",
        **data,
        "reason": "left",
        "by": "focus",
        "identity": None,
    }
