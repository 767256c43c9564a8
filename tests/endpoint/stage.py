"""The real Focus between two Distributors that are one relay: what an Endpoint needs to join."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from tests.endpoint.relay import Peer, Relay
from tests.focus.distributors import (
    KeyDistributor,
    MediaDistributor,
    options_for,
    running,
)

from halfkey.dtls import Fingerprint
from halfkey.endpoint.endpoint import Endpoint, EndpointOptions
from halfkey.endpoint.events import Event
from halfkey.endpoint.media import PictureTrack, ToneTrack, VideoShape, tone_of
from halfkey.focus.core import Limits
from halfkey.profiles import DOUBLE_128, SRTPProtectionProfile
from halfkey.sdp import Transport as TransportDescription

Pending = list[tuple[Peer, TransportDescription]]


class RelayKeyDistributor(KeyDistributor):
    """Admits into the relay; who is removed isn't given the next key."""

    def __init__(self, log: list[str], relay: Relay, pending: Pending) -> None:
        super().__init__(log)
        self._relay, self._pending = relay, pending
        self.members: dict[str, Peer] = {}

    def answer(self) -> dict[str, Any]:
        body = self.bodies[-1]
        admitted = self._relay.expect(Fingerprint.parse(body["fingerprint"]), body["tls_id"])
        self._pending.append(admitted)
        return {
            "fingerprint": admitted[1].fingerprint,
            "tls_id": admitted[1].tls_id,
            "assertion": None,
            "setup": "passive",
        }

    async def _put(self, request: web.Request) -> web.StreamResponse:
        response = await super()._put(request)
        self.members[request.match_info["participant"]] = self._relay.peers[-1]
        return response

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        gone = self.members.pop(request.match_info["participant"], None)
        if gone is not None:
            present = tuple(self.members.values())
            self._relay.rekey(without=tuple(p for p in self._relay.peers if p not in present))
        return await super()._delete(request)


class RelayMediaDistributor(MediaDistributor):
    """Gives the relay's end of ICE; it goes on forwarding to whoever has left."""

    def __init__(self, log: list[str], pending: Pending) -> None:
        super().__init__(log)
        self._pending = pending

    def answer(self) -> dict[str, Any]:
        _, description = self._pending.pop(0)
        candidate = description.candidates[0]
        return {
            "ice_ufrag": description.ice_ufrag,
            "ice_pwd": description.ice_pwd,
            "candidates": [{"address": candidate.address, "port": candidate.port}],
        }


@dataclass
class Stage:
    """Everything that an Endpoint speaks with."""

    relay: Relay
    kd: RelayKeyDistributor
    md: RelayMediaDistributor
    url: str
    trusted: Path

    def options(self, name: str, **changes: Any) -> EndpointOptions:
        profiles = (self.relay.profile,)
        return EndpointOptions(
            self.url, "plenary", name, self.trusted, profiles=profiles, **changes
        )

    def endpoint(self, index: int, **changes: Any) -> Endpoint:
        """An Endpoint that sends its test picture and tone."""
        endpoint = Endpoint(self.options(f"P{index}", **changes))
        endpoint.add_track(ToneTrack(tone_of(index)))
        endpoint.add_track(PictureTrack(f"P{index}", index, VideoShape(160, 90, 15)))
        return endpoint


@asynccontextmanager
async def staged(
    credentials: Path, profile: SRTPProtectionProfile = DOUBLE_128
) -> AsyncIterator[Stage]:
    """Starts it all."""
    log: list[str] = []
    pending: Pending = []
    relay = Relay(profile)
    await relay.start()
    kd, md = RelayKeyDistributor(log, relay, pending), RelayMediaDistributor(log, pending)
    await kd.start(credentials)
    await md.start(credentials)
    async with running(options_for(credentials, kd.url, md.url, Limits())) as url:
        try:
            yield Stage(relay, kd, md, url, credentials / "focus.crt")
        finally:
            await kd.stop()
            await md.stop()
            await relay.stop()


class Listener:
    """Collects an Endpoint's events."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.events: list[Event] = []
        self.task = asyncio.create_task(self._listen(endpoint))

    async def _listen(self, endpoint: Endpoint) -> None:
        async for event in endpoint.events():
            self.events.append(event)

    def of(self, kind: Any) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]
