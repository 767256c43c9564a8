"""The administration API: HTTP on a socket in the state folder, JSON, for who runs the machine.

    GET    /                                                      authority
    GET    /invites                                               all that stand
    POST   /invites                                               make one       201
    DELETE /invites/{invite}                                      revoke         204
                                    who is in by it is put out at once
    GET    /conferences                                           who is in them, policies
    PATCH  /conferences/{conference}/policy                       change         200
    GET    /conferences/{conference}/waiting                      who waits
    POST   /conferences/{conference}/waiting/{waiting}/let-in     let in         204
    POST   /conferences/{conference}/waiting/{waiting}/reject     turn away      204
    DELETE /conferences/{conference}/participants/{participant}   evict, rekey   204
                                    with all devices; the person stays out until readmitted
    GET    /conferences/{conference}/excluded                     who stays out
    DELETE /conferences/{conference}/excluded/{excluded}          readmit        204
    POST   /conferences/{conference}/rekey                        new EKTKey     202

Faults are one line of JSON, ``{"error": "..."}``. Who can open the socket is the operator: that is
the file's owner. A change is in the audit log before it takes effect. The secret of an invite never
comes here: whoever makes a link keeps it, and sends the thumbprint of its key.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from typing import Any, TypeVar

from aiohttp import web

from halfkey.audit import records
from halfkey.audit.faults import AuditUnavailable
from halfkey.conference_name import is_conference_name
from halfkey.errors import CodecError
from halfkey.identity.invite import Invite
from halfkey.json_api import answer_faults, fault
from halfkey.key_distributor.auditing import Auditing
from halfkey.key_distributor.bars import EVICTED
from halfkey.key_distributor.conference import Conference, Participant
from halfkey.key_distributor.driver import Driver, KeyDistributorFailed
from halfkey.key_distributor.events import OPERATOR, Associated, Disassociated, Event
from halfkey.key_distributor.gatekeeper import Gatekeeper
from halfkey.key_distributor.policy import ConferencePolicy
from halfkey.key_distributor.store import Exclusion, Store, StoreUnavailable
from halfkey.key_distributor.waiting_rooms import Waiting

T = TypeVar("T")

MAXIMUM_BODY = 64 * 1024

MAXIMUM_DEVICES = 100

_ID_BYTES = 5
_CONFERENCE = "/conferences/{conference}"
_HASH_DIGITS = 64
_KEY_DIGITS = 16

_FAILED = answer_faults(KeyDistributorFailed, lambda _: 503)
_UNRECORDED = answer_faults(AuditUnavailable, lambda _: 503)
_UNKEPT = answer_faults(StoreUnavailable, lambda _: 503)


class AdministrationAPI:
    """The handlers; `application` gives them to aiohttp.

    Args:
        driver: runs the core.
        gatekeeper: who waits.
        store: invites and policies.
        auditing: where each change is noted.
        authority: SHA-256 of the certificate of the authority that vouches; None for none.
        clock: Unix time, seconds.
    """

    def __init__(
        self,
        driver: Driver,
        gatekeeper: Gatekeeper,
        store: Store,
        auditing: Auditing,
        authority: bytes | None,
        clock: Callable[[], float],
    ) -> None:
        self._driver = driver
        self._gatekeeper = gatekeeper
        self._store = store
        self._auditing = auditing
        self._authority = authority
        self._clock = clock
        self._since: dict[tuple[str, str], int] = {}

    def application(self) -> web.Application:
        """The web application."""
        application = web.Application(
            middlewares=[_FAILED, _UNRECORDED, _UNKEPT], client_max_size=MAXIMUM_BODY
        )
        application.add_routes(
            [
                web.get("/", self._about),
                web.get("/invites", self._invites),
                web.post("/invites", self._invite),
                web.delete("/invites/{invite}", self._revoke),
                web.get("/conferences", self._conferences),
                web.patch(f"{_CONFERENCE}/policy", self._change_policy),
                web.get(f"{_CONFERENCE}/waiting", self._waiting),
                web.post(f"{_CONFERENCE}/waiting/{{waiting}}/{{decision}}", self._decide),
                web.delete(f"{_CONFERENCE}/participants/{{participant}}", self._evict),
                web.get(f"{_CONFERENCE}/excluded", self._excluded),
                web.delete(f"{_CONFERENCE}/excluded/{{excluded}}", self._readmit),
                web.post(f"{_CONFERENCE}/rekey", self._rekey),
            ]
        )
        return application

    def on_event(self, event: Event) -> None:
        """Takes an event of the core: since when somebody holds a key."""
        if isinstance(event, Associated):
            self._since[event.conference, event.participant] = int(self._clock())
        elif isinstance(event, Disassociated):
            self._since.pop((event.conference, event.participant), None)

    # Invites

    async def _about(self, _: web.Request) -> web.Response:
        authority = None if self._authority is None else self._authority.hex()
        return web.json_response({"authority": authority})

    async def _invites(self, _: web.Request) -> web.Response:
        return web.json_response({"invites": list(map(_told_invite, self._store.invites()))})

    async def _invite(self, request: web.Request) -> web.Response:
        body = await _body(request)
        invite = _read_invite(body, secrets.token_hex(_ID_BYTES))
        if not is_conference_name(invite.conference):
            raise CodecError("conference: its name can't be dots alone")
        if self._store.has_key(invite.thumbprint):
            return fault(409, "there is an invite of that key already")
        self._auditing.note(
            records.InviteMade(
                invite.id,
                invite.conference,
                invite.name,
                invite.role,
                invite.expires_at,
                OPERATOR,
            )
        )
        self._store.add_invite(invite)
        return web.json_response(_told_invite(invite), status=201)

    async def _revoke(self, request: web.Request) -> web.Response:
        invite = self._store.invite(request.match_info["invite"])
        if invite is None:
            return fault(404, "no such invite")
        self._auditing.note(records.InviteRevoked(invite.id, OPERATOR))
        self._store.revoke_invite(invite.id)
        self._put_out(invite.conference, invite.identity, "revoked")
        return web.Response(status=204)

    def _put_out(self, conference: str, identity: str, reason: str) -> None:
        """Takes out every device of a person; what that told is on the disk when this returns."""
        driver = self._driver
        self._gatekeeper.forget_waiting(conference, identity)

        def remove_all() -> None:
            for device in driver.core.devices(conference, identity):
                driver.core.remove(conference, device.id, driver.now, reason, OPERATOR)

        self._do(remove_all)

    # Conferences

    async def _conferences(self, _: web.Request) -> web.Response:
        core = self._driver.core
        names = {*core.conference_names(), *(one.conference for one in self._store.invites())}
        names.update(self._store.excluding())
        told = [self._told(name, core.conference(name)) for name in sorted(names)]
        return web.json_response({"conferences": told})

    def _told(self, name: str, place: Conference | None) -> dict[str, Any]:
        people: Iterable[Participant] = () if place is None else place.participants.values()
        current = None if place is None else place.current
        return {
            "conference": name,
            "spi": None if current is None else current.spi,
            "policy": _told_policy(self._store.policy(name)),
            "participants": [self._told_participant(name, one) for one in people],
            "waiting": len(self._gatekeeper.waiting(name)),
            "excluded": len(self._store.exclusions(name, self._clock())),
        }

    def _told_participant(self, conference: str, one: Participant) -> dict[str, Any]:
        person = None if one.identity is None else one.identity.person
        return {
            "id": one.id,
            "identity": None if person is None else person.identity,
            "name": None if person is None else person.name,
            "role": None if person is None else person.role,
            "since": self._since.get((conference, one.id)),
        }

    async def _change_policy(self, request: web.Request) -> web.Response:
        name = request.match_info["conference"]
        if not is_conference_name(name):
            raise CodecError("conference: give 1 to 64 letters, digits, '.', '_' or '-'")
        changes = _read_changes(await _body(request))
        before = self._store.policy(name)
        policy = replace(before, **changes)
        if policy == before:
            return web.json_response(_told_policy(policy))
        digest = records.configuration_hash(json.dumps(_told_policy(policy)).encode())
        for setting in changes:
            self._auditing.note(records.ConfigurationChanged(setting, digest, name, OPERATOR))
        self._store.set_policy(name, policy)
        place = self._driver.core.conference(name)
        if place is not None:
            place.policy = policy
        return web.json_response(_told_policy(policy))

    async def _rekey(self, request: web.Request) -> web.Response:
        conference, driver = request.match_info["conference"], self._driver
        was_there = self._do(lambda: driver.core.rekey(conference, driver.now, OPERATOR))
        return (
            web.Response(status=202) if was_there else fault(404, "nobody is in such a conference")
        )

    # People

    async def _waiting(self, request: web.Request) -> web.Response:
        waiting = self._gatekeeper.waiting(request.match_info["conference"])
        return web.json_response(
            {"waiting": [_told_waiting(key, one) for key, one in waiting.items()]}
        )

    async def _decide(self, request: web.Request) -> web.Response:
        names, keeper = request.match_info, self._gatekeeper
        conference, key, decision = names["conference"], names["waiting"], names["decision"]
        carry_out = {"let-in": keeper.let_in, "reject": keeper.reject}.get(decision)
        if carry_out is None:
            return fault(404, "no such decision: let-in or reject")
        waiting = keeper.waiting(conference).get(key)
        if waiting is None:
            return fault(404, "nobody of that id waits")
        person = waiting.person
        self._auditing.note(
            records.WaitingDecided(conference, person.identity, person.name, decision, OPERATOR)
        )
        carry_out(conference, key)
        return web.Response(status=204)

    async def _evict(self, request: web.Request) -> web.Response:
        names, driver = request.match_info, self._driver
        found = driver.core.find(names["conference"], names["participant"])
        if found is None:
            return fault(404, "no such participant")
        if request.query.get("revoke") == "true":
            self._revoke_for(found)
        conference, now = names["conference"], driver.now
        if found.identity is None:
            self._do(lambda: driver.core.remove(conference, found.id, now, "evicted", OPERATOR))
        else:
            person = found.identity.person
            self._auditing.note(
                records.Excluded(conference, person.identity, person.name, EVICTED, OPERATOR)
            )
            # Its Endpoint may try to come back by itself.
            exclusion = Exclusion(person.identity, person.name, EVICTED)
            self._store.exclude(conference, exclusion, self._clock())
            self._put_out(conference, person.identity, "evicted")
        return web.Response(status=204)

    async def _excluded(self, request: web.Request) -> web.Response:
        excluded = self._store.exclusions(request.match_info["conference"], self._clock())
        return web.json_response(
            {"excluded": [{"id": _key(one), **asdict(one)} for one in excluded]}
        )

    async def _readmit(self, request: web.Request) -> web.Response:
        conference, key = request.match_info["conference"], request.match_info["excluded"]
        excluded = self._store.exclusions(conference, self._clock())
        found = next((one for one in excluded if _key(one) == key), None)
        if found is None:
            return fault(404, "nobody of that id has to stay out")
        self._auditing.note(records.Readmitted(conference, found.identity, found.name, OPERATOR))
        self._store.readmit(conference, found.identity, found.device)
        return web.Response(status=204)

    def _do(self, step: Callable[[], T]) -> T:
        """Has the core do something; what that told is on the disk when this returns.

        Raises:
            KeyDistributorFailed: it has no effect.
            AuditUnavailable: likewise.
        """
        result = self._driver.do(step)
        self._auditing.sync()
        return result

    def _revoke_for(self, participant: Participant) -> None:
        """Revokes the invite that a participant came with, so that it can't come back."""
        person = None if participant.identity is None else participant.identity.person
        invite = None if person is None else self._store.invite_by_thumbprint(person.key_thumbprint)
        if invite is not None:
            self._auditing.note(records.InviteRevoked(invite.id, OPERATOR))
            self._store.revoke_invite(invite.id)


# What is told


def _key(exclusion: Exclusion) -> str:
    """What stands for somebody in a path: an identity may have any character."""
    one = exclusion.identity + (f" {exclusion.device}" if exclusion.device else "")
    return hashlib.sha256(one.encode()).hexdigest()[:_KEY_DIGITS]


def _told_invite(invite: Invite) -> dict[str, Any]:
    names = ("id", "conference", "name", "role", "expires_at", "devices")
    return {name: getattr(invite, name) for name in names}


def _told_policy(policy: ConferencePolicy) -> dict[str, Any]:
    allowed = policy.media_distributors
    return {
        "waiting_room": policy.waiting_room,
        "rekey_on_join": policy.rekey_on_join,
        "media_distributors": None if allowed is None else sorted(one.hex() for one in allowed),
    }


def _told_waiting(key: str, waiting: Waiting) -> dict[str, Any]:
    person = waiting.person
    told = {"id": key, "identity": person.identity, "name": person.name, "role": person.role}
    return {**told, "since": int(waiting.since)}


# What is asked for


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        value = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise CodecError("the body is not JSON") from None
    if not isinstance(value, dict):
        raise CodecError("the body must be a JSON object")
    return value


def _read_invite(body: dict[str, Any], identifier: str) -> Invite:
    names = ("conference", "name", "role", "thumbprint")
    texts = [text for text in map(body.get, names) if isinstance(text, str)]
    if len(texts) != len(names):
        raise CodecError("conference, name, role and thumbprint: give strings")
    expires_at, devices = body.get("expires_at"), body.get("devices", 1)
    if expires_at is not None and (type(expires_at) is not int or not 0 < expires_at < 1 << 53):
        raise CodecError("expires_at: give Unix seconds or null")
    if type(devices) is not int or not 1 <= devices <= MAXIMUM_DEVICES:
        raise CodecError(f"devices: give 1 to {MAXIMUM_DEVICES}")
    conference, name, role, thumbprint = texts
    return Invite(identifier, conference, name, role, thumbprint, expires_at, devices)


def _read_changes(body: dict[str, Any]) -> dict[str, Any]:
    """The settings of a `ConferencePolicy` that are to change."""
    changes: dict[str, Any] = {}
    for name, value in body.items():
        if name in ("waiting_room", "rekey_on_join"):
            if not isinstance(value, bool):
                raise CodecError(f"{name}: give true or false")
            changes[name] = value
        elif name == "media_distributors":
            changes[name] = _read_hashes(value)
        else:
            raise CodecError("a policy has waiting_room, rekey_on_join and media_distributors")
    return changes


def _read_hashes(value: object) -> frozenset[bytes] | None:
    if value is None:
        return None
    wanted = CodecError("media_distributors: give null, or a list of SHA-256 in hexadecimal")
    if not isinstance(value, list) or not value or len(value) > records.MAXIMUM_ITEMS:
        raise wanted
    if not all(isinstance(one, str) and len(one) == _HASH_DIGITS for one in value):
        raise wanted
    try:
        return frozenset(map(bytes.fromhex, value))
    except ValueError:
        raise wanted from None
