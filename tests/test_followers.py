"""Followers of events are bounded, in number and in what waits for them, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import ClientError, ClientResponse, ClientSession, web
from aiohttp.test_utils import TestServer

from halfkey.followers import MAXIMUM_FOLLOWERS, QUEUE_LENGTH, Follower, Followers

TIMEOUT = 10
GREETING = b": following\n\n"


@asynccontextmanager
async def served(followers: Followers) -> AsyncIterator[str]:
    """The events' URL on a server that runs."""
    application = web.Application()
    application.router.add_get("/events", followers.follow)
    async with TestServer(application) as server:
        yield str(server.make_url("/events"))
        followers.close()


async def block(response: ClientResponse) -> bytes:
    return await asyncio.wait_for(response.content.readuntil(b"\n\n"), TIMEOUT)


async def test_everybody_gets_every_event() -> None:
    followers = Followers()
    async with served(followers) as url, ClientSession() as session:
        responses = [await session.get(url) for _ in range(2)]
        for response in responses:
            assert response.content_type == "text/event-stream"
            assert await block(response) == GREETING
        followers.publish("slot", {"ssrc": 5})
        for response in responses:
            assert await block(response) == b'event: slot\ndata: {"ssrc": 5}\n\n'


async def test_closing_ends_every_stream() -> None:
    followers = Followers()
    async with served(followers) as url, ClientSession() as session:
        response = await session.get(url)
        assert await block(response) == GREETING
        followers.close()
        assert await asyncio.wait_for(response.content.read(), TIMEOUT) == b""


async def test_their_number_is_bounded_and_who_leaves_makes_room() -> None:
    followers = Followers()
    async with served(followers) as url, AsyncExitStack() as stack:
        session = await stack.enter_async_context(ClientSession())
        for _ in range(MAXIMUM_FOLLOWERS - 1):
            assert await block(await session.get(url)) == GREETING
        async with ClientSession() as leaver:
            assert await block(await leaver.get(url)) == GREETING
            async with session.get(url) as refused:
                assert refused.status == 503
                assert await refused.json() == {"error": "too many follow the events already"}
        async with asyncio.timeout(TIMEOUT):
            while True:
                # Only by writing does the server notice that somebody has left.
                followers.publish("anything", {})
                response = await session.get(url)
                if response.status == 200:
                    break
                response.release()


async def test_who_does_not_read_is_cut_off_and_nobody_else() -> None:
    followers = Followers()
    async with served(followers) as url, ClientSession() as session:
        slow, quick = await session.get(url), await session.get(url)
        for response in (slow, quick):
            assert await block(response) == GREETING
        assert slow.connection is not None
        assert slow.connection.transport is not None
        slow.connection.transport.pause_reading()
        text = "x" * 20_000
        for number in range(QUEUE_LENGTH + 500):
            followers.publish("long", {"number": number, "text": text})
            assert f'"number": {number},'.encode() in await block(quick)
        slow.connection.transport.resume_reading()
        with pytest.raises((ClientError, OSError)):
            await asyncio.wait_for(slow.content.read(), TIMEOUT)


async def test_a_full_queue_cuts_off_once_and_takes_no_more() -> None:
    cuts: list[str] = []
    follower = Follower(2, lambda: cuts.append("cut"))
    follower.put(b"1")
    follower.put(b"2")
    assert cuts == []
    assert await follower.get() == b"12"
    follower.put(b"3")
    assert cuts == []
    for _ in range(3):
        follower.put(b"too many")
    assert cuts == ["cut"]
    assert await follower.get() is None


async def test_what_waits_goes_out_together_up_to_a_size() -> None:
    follower = Follower(100, lambda: None)
    events = [bytes([number]) * 20_000 for number in range(10)]
    for event in events:
        follower.put(event)
    first, second, third = [await follower.get() for _ in range(3)]
    assert first == b"".join(events[:4])
    assert second == b"".join(events[4:8])
    assert third == b"".join(events[8:])
