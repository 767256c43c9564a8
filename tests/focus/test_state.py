"""A Focus that stops and starts again on the same folder, between Distributors that go on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from halfkey.errors import ConfigurationError
from halfkey.event_stream import read_events
from halfkey.focus.core import Conferences, ParticipantState
from halfkey.focus.state import STATE_FILE, State
from halfkey.json_api import PARTICIPANT_HEADER
from tests.focus.distributors import Stage, running
from tests.sdp.samples import OFFER, answer, offer

SDP = {"Content-Type": "application/sdp"}


async def roster(stage: Stage, url: str) -> list[str]:
    """The ids in the roster, in its order."""
    async with stage.session.get(f"{url}/conferences/plenary/events") as response:
        event = await anext(read_events(response.content.iter_any()))
    return [participant["id"] for participant in event.data["participants"]]


async def join(stage: Stage, url: str, text: str) -> aiohttp.ClientResponse:
    response = await stage.session.post(
        f"{url}/conferences/plenary/participants", data=text.encode(), headers=SDP
    )
    await response.read()
    return response


async def test_whoever_was_in_is_in_after_a_restart(stage: Stage, tmp_path: Path) -> None:
    options = replace(stage.options, state=tmp_path)
    async with running(options) as url:
        first = await join(stage, url, OFFER)
        second = await join(stage, url, offer("Ann", audio_ssrc=5, video_ssrc=6).text)
        before = await roster(stage, url)
        assert before == [one.headers[PARTICIPANT_HEADER] for one in (first, second)]
    async with running(options) as url:
        assert await roster(stage, url) == before
        taken = await join(stage, url, OFFER)
        assert taken.status == 409
        headers = {**SDP, "If-Match": first.headers["ETag"]}
        renamed = await stage.session.patch(
            url + first.headers["Location"], data=offer("Zora").text.encode(), headers=headers
        )
        assert renamed.status == 200
        assert await renamed.read() == await first.read()
        left = await stage.session.delete(url + second.headers["Location"])
        assert left.status == 204
    assert stage.kd.participants == stage.md.participants == {("plenary", before[0])}
    async with running(options) as url:
        assert await roster(stage, url) == before[:1]


async def test_without_a_folder_nobody_is(stage: Stage) -> None:
    async with running(stage.options) as url:
        await join(stage, url, OFFER)
        assert len(await roster(stage, url)) == 1
    async with running(stage.options) as url:
        assert await roster(stage, url) == []


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_no_token_is_in_the_folder(stage: Stage, tmp_path: Path) -> None:
    async with running(replace(stage.options, state=tmp_path)) as url:
        joined = await join(stage, url, OFFER)
        token = joined.headers["Location"].rpartition("/")[2]
        content = contents(tmp_path)
    assert joined.headers["ETag"].strip('"').encode() in content
    assert token.encode() not in content
    assert (tmp_path / STATE_FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("state", [ParticipantState.JOINING, ParticipantState.LEAVING])
async def test_who_was_half_in_or_half_out_is_taken_out(
    stage: Stage, tmp_path: Path, state: ParticipantState
) -> None:
    kept = State(tmp_path)
    conferences = Conferences(changed=kept.save)
    half = conferences.reserve("plenary", offer())
    if state is ParticipantState.LEAVING:
        conferences.complete(half, answer(offer()))
        conferences.start_removal(half)
    kept.close()
    for distributor in (stage.kd, stage.md):
        distributor.participants.add(("plenary", half.id))
    async with running(replace(stage.options, state=tmp_path)) as url:
        await stage.md.until(lambda: not stage.md.participants)
        assert stage.kd.participants == set()
        assert await roster(stage, url) == []
        assert (await join(stage, url, OFFER)).status == 201  # its SSRCs are free


def test_a_file_that_can_not_be_used_is_named(tmp_path: Path) -> None:
    first = State(tmp_path)
    with pytest.raises(ConfigurationError, match="stop the other Focus"):
        State(tmp_path)
    first.close()
    (tmp_path / STATE_FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(ConfigurationError, match="remove it to begin anew"):
        State(tmp_path)


async def test_a_folder_that_is_missing_is_named(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such folder"):
        replace(stage.options, state=tmp_path / "missing").check()


def test_what_can_not_be_read_any_more_is_passed_over(tmp_path: Path) -> None:
    state = State(tmp_path)
    conferences = Conferences(changed=state.save)
    kept = conferences.reserve("plenary", offer())
    other = conferences.reserve("plenary", offer(audio_ssrc=5, video_ssrc=6))
    assert state._database is not None
    state._database.execute("UPDATE participations SET offer = 'v=1' WHERE id = ?", (other.id,))
    assert [one.id for one in state.participants()] == [kept.id]
    assert [one.id for one in state.participants()] == [kept.id]
    state.close()


def test_a_disk_that_is_full_ends_no_conference(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = State(tmp_path)
    conferences = Conferences(changed=state.save)
    assert state._database is not None
    state._database.execute("PRAGMA max_page_count = 1")
    for ssrc in range(1, 200, 2):
        conferences.reserve("plenary", offer("x" * 60, audio_ssrc=ssrc, video_ssrc=ssrc + 1))
        if len(conferences._conferences["plenary"]) >= conferences.limits.participants:
            break
    assert len(caplog.records) == 1
    assert json.dumps(caplog.records[0].getMessage()).count("can't be kept") == 1
    state.close()
