"""Roster events over real HTTPS: who joins, leaves and is seen; and readers that don't keep up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from halfkey import followers
from halfkey.event_stream import ServerSentEvent, read_events
from halfkey.focus.core import Limits
from halfkey.focus.problems import WAITING_RETRY
from halfkey.json_api import WAITING
from tests.focus.distributors import Stage, running, staged
from tests.sdp.samples import OFFER, offer


@asynccontextmanager
async def following(
    stage: Stage, conference: str = "plenary"
) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
    async with stage.session.get(f"{stage.url}/conferences/{conference}/events") as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield read_events(response.content.iter_any())


async def restart(stage: Stage, credentials: Path) -> None:
    """The Media Distributor goes, with all it had, and comes back."""
    await stage.md.stop()
    await stage.md.start(credentials)


def public_id(stage: Stage) -> str:
    ((_, identifier),) = stage.kd.participants
    return identifier


async def test_roster_joined_renamed_left(stage: Stage) -> None:
    async with following(stage) as events:
        assert await anext(events) == ServerSentEvent("roster", {"participants": []})
        joined = await stage.join(OFFER)
        entry = {
            "id": public_id(stage),
            "name": "Zoë",
            "sources": [
                {"ssrc": 1111, "kind": "audio", "mid": "0"},
                {"ssrc": 2222, "kind": "video", "mid": "1"},
            ],
        }
        assert await anext(events) == ServerSentEvent("joined", entry)
        async with following(stage) as late:
            assert await anext(late) == ServerSentEvent("roster", {"participants": [entry]})
        location = stage.url + joined.headers["Location"]
        headers = {"Content-Type": "application/sdp", "If-Match": joined.headers["ETag"]}
        renamed = await stage.session.patch(
            location, data=offer(name="Zora").text.encode(), headers=headers
        )
        assert renamed.headers["ETag"] == joined.headers["ETag"]
        expected = {"id": entry["id"], "name": "Zora"}
        assert await anext(events) == ServerSentEvent("renamed", expected)
        await stage.session.delete(location)
        assert await anext(events) == ServerSentEvent("left", {"id": entry["id"]})


async def test_events_stay_in_their_conference(stage: Stage) -> None:
    async with following(stage, "one") as one, following(stage, "two") as two:
        await anext(one)
        await anext(two)
        await stage.join(offer("a").text, "one")
        await stage.join(offer("b").text, "two")
        assert (await anext(one)).data["name"] == "a"
        assert (await anext(two)).data["name"] == "b"


async def test_no_event_gives_the_capability_away(stage: Stage) -> None:
    async with stage.session.get(f"{stage.url}/conferences/plenary/events") as response:
        token = (await stage.join(OFFER)).headers["Location"].rpartition("/")[2]
        stream = b""
        while b"event: joined" not in stream or not stream.endswith(b"\n\n"):
            stream += await response.content.readany()
        assert token.encode() not in stream


async def test_slots_are_passed_on(stage: Stage) -> None:
    async with following(stage) as events:
        await anext(events)
        slot = {"receiver": "r", "mid": "2", "ssrc": 1111}
        await stage.md.tell("slot", {"conference": "plenary", "secret": "x"} | slot)
        assert await anext(events) == ServerSentEvent("slot", slot)


async def test_who_is_disconnected_has_left(stage: Stage) -> None:
    async with following(stage) as events:
        await anext(events)
        await stage.join(OFFER)
        await anext(events)
        gone = {"conference": "plenary", "participant": public_id(stage), "reason": "timeout"}
        identifier = gone["participant"]
        await stage.md.tell("participant-disconnected", gone)
        await stage.md.tell("participant-disconnected", gone)
        assert await anext(events) == ServerSentEvent("left", {"id": identifier})
        await stage.md.until(lambda: "md removed" in stage.log)
        assert stage.log[2:] == ["kd DELETE", "kd removed", "md DELETE", "md removed"]


async def test_strange_media_events_change_nothing(stage: Stage) -> None:
    await stage.join(OFFER)
    async with following(stage) as events:
        await anext(events)
        for name, data in (
            ("participant-connected", {"conference": "plenary", "participant": public_id(stage)}),
            ("participant-disconnected", {"conference": "plenary", "participant": "x"}),
            ("participant-disconnected", {"conference": "plenary", "participant": ["x"]}),
            ("participant-disconnected", {"conference": 5, "participant": public_id(stage)}),
            ("participant-disconnected", {}),
            ("of the future", {"conference": "plenary"}),
        ):
            await stage.md.tell(name, data)
        await stage.md.tell("slot", {"conference": "plenary", "receiver": "last"})
        assert (await anext(events)).data["receiver"] == "last"
    assert "kd DELETE" not in stage.log


async def test_media_events_are_followed_again_after_they_broke_off(stage: Stage) -> None:
    async with following(stage) as events:
        await anext(events)
        old = stage.md.followers[-1]
        await old.write(b"data: this is no JSON\n\n")
        await stage.md.until(lambda: bool(stage.md.followers) and stage.md.followers[-1] is not old)
        await stage.md.tell("slot", {"conference": "plenary", "receiver": "again"})
        assert (await anext(events)).data["receiver"] == "again"


async def test_vouched_rosters_are_carried_verbatim_also_to_who_comes_later(stage: Stage) -> None:
    async with following(stage) as events:
        await anext(events)
        await stage.join(OFFER)
        await anext(events)
        vouched = {"conference": "plenary", "statement": "not.ours.to-read"}
        await stage.kd.tell("roster", {"conference": "another", "statement": "x"})
        await stage.kd.tell("roster", {"conference": "plenary", "statement": 5})
        await stage.kd.tell("roster", vouched)
        expected = ServerSentEvent("vouched-roster", {"statement": vouched["statement"]})
        assert await anext(events) == expected
        async with following(stage) as late:
            assert (await anext(late)).name == "roster"
            assert await anext(late) == expected
        async with following(stage, "another") as other:
            assert (await anext(other)).name == "roster"


async def test_what_has_changed_goes_to_who_has_the_roster(stage: Stage) -> None:
    async with following(stage) as events:
        await anext(events)
        await stage.join(OFFER)
        await anext(events)
        # The first is whole: nobody has one of before.
        vouched = {"conference": "plenary", "statement": "who.is.there", "change": "one.more.came"}
        for expected in (
            ServerSentEvent("vouched-roster", {"statement": "who.is.there"}),
            ServerSentEvent("vouched-change", {"statement": "one.more.came"}),
        ):
            await stage.kd.tell("roster", vouched)
            assert await anext(events) == expected
        async with following(stage) as late:
            await anext(late)
            assert await anext(late) == ServerSentEvent(
                "vouched-roster", {"statement": "who.is.there"}
            )
        # Where something may have been missed there is nothing but the whole.
        await stage.kd.tell("roster", {"conference": "plenary", "statement": "all.of.it"})
        assert await anext(events) == ServerSentEvent("vouched-roster", {"statement": "all.of.it"})


async def test_an_assertion_is_shown_to_the_others_verbatim(stage: Stage) -> None:
    async with following(stage) as events:
        await anext(events)
        await stage.join(offer("a").text)
        assert "assertion" not in (await anext(events)).data
        await stage.join(offer("b", 3333, 4444, identity="YXNzZXJ0aW9u").text)
        assert (await anext(events)).data["assertion"] == "YXNzZXJ0aW9u"


async def test_whom_the_key_distributor_takes_out_has_left(stage: Stage) -> None:
    async with following(stage) as events:
        await anext(events)
        await stage.join(OFFER)
        await anext(events)
        gone = {"conference": "plenary", "participant": public_id(stage)}
        identifier = gone["participant"]
        # That one was asked for here, and is under way already.
        await stage.kd.tell("removed", gone | {"reason": "left", "by": "focus"})
        await stage.kd.tell("removed", gone | {"reason": "left", "by": None})
        assert await anext(events) == ServerSentEvent("left", {"id": identifier})
        await stage.md.until(lambda: "md removed" in stage.log)


async def test_whom_it_takes_out_while_joining_never_comes_in(stage: Stage) -> None:
    async with following(stage) as events:
        await anext(events)
        stage.md.hold.clear()
        joining = asyncio.create_task(stage.join(OFFER))
        await stage.md.until(lambda: "md PUT" in stage.log)
        gone = {"conference": "plenary", "participant": public_id(stage), "reason": "replaced"}
        await stage.kd.tell("removed", gone | {"by": None})
        await stage.kd.tell("roster", {"conference": "plenary", "statement": "A.B.C"})
        await anext(events)  # behind it, so that it is known to have been read
        stage.md.hold.set()
        response = await joining
        assert response.status == 403
        assert "put out" in json.loads(await response.read())["detail"]
        assert stage.kd.participants == stage.md.participants == set()
        await stage.join(offer("b", 3333, 4444).text)
        joined = await anext(events)
        assert (joined.name, joined.data["name"]) == ("joined", "b")


async def test_who_must_wait_is_told_so_and_leaves_nothing_behind(stage: Stage) -> None:
    stage.kd.faults["PUT"] = lambda _: web.json_response({"waiting": True}, status=202)
    response = await stage.join(OFFER)
    assert response.status == 503
    assert response.headers["Retry-After"] == str(WAITING_RETRY)
    assert json.loads(await response.read())["type"] == WAITING
    assert stage.log == ["kd PUT"]
    del stage.kd.faults["PUT"]
    assert (await stage.join(OFFER)).status == 201


async def test_subscribers_are_limited(credentials: Path) -> None:
    limits = Limits(subscribers=2)
    async with staged(credentials, limits) as stage, following(stage), following(stage):
        refused = await stage.session.get(f"{stage.url}/conferences/plenary/events")
        assert refused.status == 503
        assert json.loads(await refused.read())["detail"] == "too many follow this conference"
        async with following(stage, "other") as other:
            assert (await anext(other)).name == "roster"


async def test_a_slow_reader_is_dropped_and_the_others_are_not(credentials: Path) -> None:
    """The slow one never reads: its socket's buffers fill, then its queue, then it is cut off."""
    async with staged(credentials, Limits(queued_events=20)) as stage:
        slow = await stage.session.get(f"{stage.url}/conferences/plenary/events")
        await slow.content.readuntil(b"\n\n")
        assert slow.connection is not None
        assert slow.connection.transport is not None
        slow.connection.transport.pause_reading()
        async with following(stage) as events:
            await anext(events)
            for number in range(400):
                ssrc = "x" * 50_000 + str(number)
                await stage.md.tell("slot", {"conference": "plenary", "ssrc": ssrc})
                assert (await anext(events)).data["ssrc"] == ssrc
        slow.connection.transport.resume_reading()
        with pytest.raises((aiohttp.ClientError, OSError)):
            await slow.content.read()


async def test_quiet_streams_show_that_they_live(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "KEEP_ALIVE_SECONDS", 0.01)
    async with stage.session.get(f"{stage.url}/conferences/plenary/events") as response:
        await response.content.readuntil(b"\n\n")
        assert await response.content.readuntil(b"\n\n") == b":\n\n"


async def test_streams_end_when_the_focus_stops(stage: Stage) -> None:
    async with running(stage.options) as url:
        response = await stage.session.get(f"{url}/conferences/plenary/events")
        await response.content.readuntil(b"\n\n")
    assert await response.content.read() == b""


async def test_who_was_lost_in_a_restart_of_the_media_distributor_is_out(
    stage: Stage, credentials: Path
) -> None:
    await stage.join(OFFER)
    kept = public_id(stage)
    await stage.join(offer(audio_ssrc=5, video_ssrc=6).text)
    ((_, lost),) = stage.kd.participants - {("plenary", kept)}
    async with following(stage) as events:
        await anext(events)
        await restart(stage, credentials)
        await stage.md.until(lambda: bool(stage.md.followers))
        await stage.join(
            offer(audio_ssrc=7, video_ssrc=8).text
        )  # who comes after we asked isn't listed yet
        assert (await anext(events)).name == "joined"
        await stage.md.tell("participants", {"participants": [["plenary", kept], 7, ["x"]]})
        assert await anext(events) == ServerSentEvent("left", {"id": lost})
    await stage.kd.until(lambda: ("plenary", lost) not in stage.kd.participants)
    assert len(stage.kd.participants) == 2


@pytest.mark.parametrize("listed", [None, 5, {"plenary": []}])
async def test_a_list_that_can_not_be_read_takes_nobody_out(
    stage: Stage, credentials: Path, listed: object
) -> None:
    await stage.join(OFFER)
    identifier = public_id(stage)
    async with following(stage) as events:
        await anext(events)
        await restart(stage, credentials)
        await stage.md.tell("participants", {"participants": listed})
        slot = {"conference": "plenary", "receiver": identifier, "mid": "2", "ssrc": 1}
        await stage.md.tell("slot", slot)
        assert (await anext(events)).name == "slot"
