"""The admission API: HTTPS with client certificates, JSON, for Focuses.

    PUT    /conferences/{conference}/participants/{participant}   admit        201, 200 if repeated,
                                                                  202 while it has to wait
    DELETE /conferences/{conference}/participants/{participant}   take out     204
    POST   /conferences/{conference}/rekey                        new EKTKey   202
    GET    /statistics                                            counters
    GET    /events                                                server-sent events

Faults are one line of JSON, ``{"error": "..."}``: 503 where the audit log or the state can't be
written, and then nobody is admitted. Whoever may connect may do all of it: the
trusted bundle decides. None of it gives anybody a key: who is admitted is the assertions' matter,
and what a Focus can do alone is to keep people out.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from halfkey.audit.faults import AuditUnavailable
from halfkey.dtls import Fingerprint
from halfkey.errors import CodecError
from halfkey.followers import Followers
from halfkey.identity.claims import AssertionRefused, Person
from halfkey.identity.envelope import IdentityAssertion
from halfkey.json_api import answer_faults, fault
from halfkey.key_distributor.driver import Driver, KeyDistributorFailed
from halfkey.key_distributor.events import FOCUS, Event, event_as_dict
from halfkey.key_distributor.gatekeeper import AdmissionRequest, Gatekeeper, MustWait, Outcome
from halfkey.key_distributor.registry import Admission, AdmissionRefused
from halfkey.key_distributor.store import StoreUnavailable

MAXIMUM_BODY = 256 * 1024

Prepare = Callable[[IdentityAssertion, float], Awaitable[None]]

_PARTICIPANT = "/conferences/{conference}/participants/{participant}"


def parse_request(conference: str, participant: str, body: bytes) -> AdmissionRequest:
    """Reads the body of an admission.

    Args:
        conference: from the path.
        participant: from the path.
        body: ``{"fingerprint", "tls_id", "offer", "assertion"}``, the latter two may be null.

    Raises:
        CodecError: it isn't the JSON that is wanted; the message is one line.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise CodecError("the body is not JSON") from None
    if not isinstance(value, dict):
        raise CodecError("the body must be a JSON object")
    fingerprint, tls_id = value.get("fingerprint"), value.get("tls_id")
    if not isinstance(fingerprint, str):
        raise CodecError("fingerprint: give a string such as 'sha-256 AB:CD:...'")
    if not isinstance(tls_id, str):
        raise CodecError("tls_id: give a string")
    texts = [value.get(name) for name in ("offer", "assertion")]
    for name, text in zip(("offer", "assertion"), texts, strict=True):
        if text is not None and not isinstance(text, str):
            raise CodecError(f"{name}: give a string or null")
    try:
        parsed = Fingerprint.parse(fingerprint)
    except CodecError as fault:
        raise CodecError(f"fingerprint: {fault}") from None
    return AdmissionRequest(conference, participant, parsed, tls_id, *texts)


_FAILED = answer_faults(KeyDistributorFailed, lambda _: 503)
_UNRECORDED = answer_faults(AuditUnavailable, lambda _: 503)
_UNKEPT = answer_faults(StoreUnavailable, lambda _: 503)
_FAULTS = answer_faults(AdmissionRefused, lambda refused: 400 if refused.malformed else 409)
_FORBIDDEN = answer_faults(AssertionRefused, lambda _: 403)


class AdmissionAPI:
    """The handlers; `application` gives them to aiohttp.

    Args:
        driver: runs the core.
        gatekeeper: decides on admissions.
        prepare: fetches what the verification of an assertion needs.
        refused: told of refusals: reason, conference and participant.
        waits: told of who has come into a waiting room: conference, participant and person.
        followed: called when somebody has begun to follow the events.
    """

    def __init__(
        self,
        driver: Driver,
        gatekeeper: Gatekeeper,
        prepare: Prepare,
        refused: Callable[[str, str, str], None] | None = None,
        waits: Callable[[str, str, Person], None] | None = None,
        followed: Callable[[], None] = lambda: None,
    ) -> None:
        self._followed = followed
        self._driver = driver
        self._gatekeeper = gatekeeper
        self._prepare = prepare
        self._refused = refused
        self._waits = waits
        self._followers = Followers()

    def application(self) -> web.Application:
        """The web application."""
        application = web.Application(
            middlewares=[_FAILED, _UNRECORDED, _UNKEPT, _FAULTS, _FORBIDDEN],
            client_max_size=MAXIMUM_BODY,
        )
        application.add_routes(
            [
                web.put(_PARTICIPANT, self._admit),
                web.delete(_PARTICIPANT, self._remove),
                web.post("/conferences/{conference}/rekey", self._rekey),
                web.get("/statistics", self._statistics),
                web.get("/events", self._events),
            ]
        )
        return application

    def publish(self, event: Event) -> None:
        """Tells everybody who follows."""
        self._followers.publish(event.name, event_as_dict(event))

    def publish_roster(self, conference: str, statement: str, change: str | None) -> None:
        """Gives everybody who follows a vouched roster, to be passed on verbatim.

        Args:
            conference: whose.
            statement: the roster.
            change: what makes it of the one before, for whoever has that; None for none.
        """
        data = {"conference": conference, "statement": statement}
        if change is not None:
            data["change"] = change
        self._followers.publish("roster", data)

    def close(self) -> None:
        """Lets everybody go who follows."""
        self._followers.close()

    async def _events(self, request: web.Request) -> web.StreamResponse:
        asyncio.get_running_loop().call_soon(self._followed)  # when it is among the followers
        return await self._followers.follow(request)

    async def _admit(self, request: web.Request) -> web.Response:
        names = request.match_info
        body = parse_request(names["conference"], names["participant"], await request.read())
        if body.assertion is not None:
            with contextlib.suppress(CodecError):  # the gatekeeper will say so
                await self._prepare(IdentityAssertion.parse(body.assertion), time.time())
        self._driver.check()
        try:
            admission = self._gatekeeper.admit(
                body, self._driver.now, lambda step: self._do(body, step)
            )
        except MustWait as waiting:
            if waiting.is_new and self._waits is not None:
                self._waits(body.conference, body.participant, waiting.person)
            return web.json_response({"waiting": True}, status=202)
        except (AdmissionRefused, AssertionRefused) as fault:
            if self._refused is not None:
                self._refused(fault.reason, body.conference, body.participant)
            raise
        return web.json_response(
            {
                "fingerprint": admission.fingerprint,
                "tls_id": admission.tls_id,
                "assertion": admission.assertion,
                "setup": "passive",
            },
            status=201 if admission.is_new else 200,
        )

    def _do(self, body: AdmissionRequest, step: Callable[[], Outcome]) -> Outcome:
        """Has the core admit somebody, and takes back what couldn't be recorded.

        Raises:
            KeyDistributorFailed: it couldn't.
        """
        done: list[Outcome] = []

        def noted() -> Outcome:
            done.append(step())
            return done[0]

        try:
            return self._driver.do(noted)
        except KeyDistributorFailed:
            if any(isinstance(one, Admission) and one.is_new for one in done):
                self._driver.core.remove(body.conference, body.participant, self._driver.now)
            raise

    async def _remove(self, request: web.Request) -> web.Response:
        names, driver = request.match_info, self._driver
        conference, participant = names["conference"], names["participant"]
        was_there = driver.do(
            lambda: driver.core.remove(conference, participant, driver.now, by=FOCUS)
        )
        if not was_there:
            return fault(404, "no such participant")
        return web.Response(status=204)

    async def _rekey(self, request: web.Request) -> web.Response:
        conference, driver = request.match_info["conference"], self._driver
        was_there = driver.do(lambda: driver.core.rekey(conference, driver.now))
        if not was_there:
            return fault(404, "no such conference")
        return web.Response(status=202)

    async def _statistics(self, _: web.Request) -> web.Response:
        return web.json_response(self._driver.core.snapshot())
