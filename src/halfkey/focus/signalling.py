"""The Focus's HTTPS interface for Endpoints, shaped like WHIP (RFC 9725).

``POST /conferences/{conference}/participants`` with an offer gives the answer and a Location, which
only its participant knows: PATCH there updates, DELETE there leaves.
``GET /conferences/{conference}/events`` is the roster and what happens to it.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from aiohttp import web

from halfkey.conference_name import is_conference_name
from halfkey.errors import CodecError
from halfkey.focus.broadcast import Broadcast
from halfkey.focus.core import Conferences, Participant
from halfkey.focus.joining import Joining
from halfkey.focus.problems import Problem, answer_problems
from halfkey.focus.removal import Removals
from halfkey.followers import cutting_off
from halfkey.json_api import PARTICIPANT_HEADER
from halfkey.sdp import Offer, read_offer
from halfkey.sdp.description import MAXIMUM_LENGTH

SDP = "application/sdp"

BODY_TIMEOUT = 10.0
"""Seconds that an offer may take to come in."""

_PARTICIPANTS = "/conferences/{conference}/participants"
_EVENTS = "/conferences/{conference}/events"


class Signalling:
    """The handlers; `application` makes of them what aiohttp serves."""

    def __init__(
        self,
        conferences: Conferences,
        broadcast: Broadcast,
        joining: Joining,
        removals: Removals,
    ) -> None:
        self._conferences = conferences
        self._broadcast = broadcast
        self._joining = joining
        self._removals = removals

    def application(self) -> web.Application:
        """The web application."""
        application = web.Application(middlewares=[answer_problems], client_max_size=MAXIMUM_LENGTH)
        participant = _PARTICIPANTS + "/{token}"
        application.router.add_post(_PARTICIPANTS, self._join)
        application.router.add_patch(participant, self._update)
        application.router.add_delete(participant, self._leave)
        application.router.add_get(
            "/conferences/{conference}/events", self._events, allow_head=False
        )
        application.on_shutdown.append(self._close)
        return application

    async def _close(self, _: web.Application) -> None:
        self._broadcast.close()

    async def _join(self, request: web.Request) -> web.Response:
        conference = _conference(request)
        offer = await _offer(request)
        participant, token = await self._joining.join(conference, offer)
        if request.transport is None or request.transport.is_closing():
            # It hung up meanwhile, and will never learn its Location.
            self._removals.schedule(participant)
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, "nobody waits for the answer")
        location = _PARTICIPANTS.format(conference=conference) + f"/{token}"
        headers = {"Location": location, PARTICIPANT_HEADER: participant.id}
        return _answer(participant, HTTPStatus.CREATED, headers)

    async def _update(self, request: web.Request) -> web.Response:
        participant = self._participant(request)
        expected = request.headers.get("If-Match")
        if expected is None:
            raise Problem(HTTPStatus.PRECONDITION_REQUIRED, "send If-Match with the ETag")
        if expected not in ("*", participant.etag):
            raise Problem(HTTPStatus.PRECONDITION_FAILED, "the ETag is not the current one")
        offer = await _offer(request)
        await self._joining.update(self._participant(request), offer)
        return _answer(participant, HTTPStatus.OK, {})

    async def _leave(self, request: web.Request) -> web.Response:
        # 202: gone from the roster, and its removal is being repeated until it is confirmed.
        done = await self._removals.remove(self._participant(request))
        return web.Response(status=HTTPStatus.NO_CONTENT if done else HTTPStatus.ACCEPTED)

    def _participant(self, request: web.Request) -> Participant:
        token = request.match_info["token"]
        participant = self._conferences.by_token(_conference(request), token)
        if participant is None:
            raise Problem(HTTPStatus.NOT_FOUND, "no such participant")
        return participant

    async def _events(self, request: web.Request) -> web.StreamResponse:
        conference = _conference(request)
        follower = self._broadcast.add(conference, cutting_off(request))
        try:
            return await follower.answer(request)
        finally:
            self._broadcast.remove(conference, follower)


def _conference(request: web.Request) -> str:
    name = request.match_info["conference"]
    if not is_conference_name(name):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "a conference's name is 1 to 64 letters, digits, '.', '_' and '-', and not dots alone",
        )
    return name


async def _offer(request: web.Request) -> Offer:
    """The request's body as an offer."""
    if request.content_type != SDP:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send an offer, as {SDP}")
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            body = await request.read()
    except TimeoutError:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "the offer took too long") from None
    try:
        return read_offer(body)
    except CodecError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the offer can't be used: {error}") from error


def _answer(participant: Participant, status: HTTPStatus, headers: dict[str, str]) -> web.Response:
    text = participant.answer.text if participant.answer is not None else ""
    return web.Response(
        status=status,
        body=text.encode(),
        content_type=SDP,
        headers={**headers, "ETag": participant.etag, "Cache-Control": "no-store"},
    )
