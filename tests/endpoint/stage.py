"""The real Focus between two Distributors that are one relay: what an Endpoint needs to join."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from halfkey.dtls import Fingerprint
from halfkey.endpoint.endpoint import Endpoint
from halfkey.endpoint.events import Event
from halfkey.endpoint.media import PictureTrack, ToneTrack, VideoShape, tone_of
from halfkey.endpoint.options import EndpointOptions
from halfkey.focus.core import Limits
from halfkey.profiles import DOUBLE_128, SRTPProtectionProfile
from halfkey.sdp import Transport as TransportDescription
from tests.endpoint.relay import Peer, Relay
from tests.focus.distributors import (
    KeyDistributor,
    MediaDistributor,
    options_for,
    running,
)

Admitted = dict[str, tuple[Peer, TransportDescription]]
"""By participant: what the two halves of the relay have to say about it."""


class RelayKeyDistributor(KeyDistributor):
    """Admits into the relay; who is removed isn't given the next key."""

    def __init__(self, log: list[str], relay: Relay, admitted: Admitted) -> None:
        super().__init__(log)
        self._relay, self._admitted = relay, admitted

    async def _put(self, request: web.Request) -> web.StreamResponse:
        if "PUT" in self.faults:
            return self.faults["PUT"](request)
        body = await request.json()
        peer, description = self._relay.expect(
            Fingerprint.parse(body["fingerprint"]), body["tls_id"]
        )
        participant = request.match_info["participant"]
        self._admitted[participant] = peer, description
        self.participants.add((request.match_info["conference"], participant))
        answer = {"fingerprint": description.fingerprint, "tls_id": description.tls_id}
        return web.json_response({**answer, "assertion": None, "setup": "passive"}, status=201)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        gone = self._admitted.pop(request.match_info["participant"], None)
        if gone is not None:
            present = [peer for peer, _ in self._admitted.values()]
            self._relay.rekey(without=tuple(p for p in self._relay.peers if p not in present))
        return await super()._delete(request)


class RelayMediaDistributor(MediaDistributor):
    """Gives the relay's end of ICE; it goes on forwarding to whoever has left."""

    def __init__(self, log: list[str], admitted: Admitted) -> None:
        super().__init__(log)
        self._admitted = admitted

    async def _put(self, request: web.Request) -> web.StreamResponse:
        participant = request.match_info["participant"]
        _, description = self._admitted[participant]
        self.participants.add((request.match_info["conference"], participant))
        candidate = description.candidates[0]
        candidates = [{"address": candidate.address, "port": candidate.port}]
        ice = {"ice_ufrag": description.ice_ufrag, "ice_pwd": description.ice_pwd}
        return web.json_response({**ice, "candidates": candidates}, status=201)


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
    admitted: Admitted = {}
    relay = Relay(profile)
    await relay.start()
    kd, md = RelayKeyDistributor(log, relay, admitted), RelayMediaDistributor(log, admitted)
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
