"""A real system whose people join through a malicious Focus, and what must hold at its end."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from halfkey.audit import records
from halfkey.audit.keys import load_key
from halfkey.audit.reader import LogReader
from halfkey.dtls import Certificate
from halfkey.endpoint import Endpoint, EndpointOptions, JoinFailedError
from halfkey.endpoint.aiortc_adapter import Receiver
from halfkey.endpoint.core import Connected, EKTKeyInstalled
from halfkey.endpoint.media import ToneTrack, tone_of
from halfkey.endpoint.statistics import Statistics
from halfkey.endpoint.transport import Transport, TransportEvent
from halfkey.focus.clients import (
    Admission,
    Allocation,
    KeyDistributorClient,
    MediaDistributorClient,
)
from halfkey.identity.link import Link
from halfkey.key_distributor.events import EKTKeyIssued
from halfkey.key_distributor.places import ADMINISTRATION_SOCKET
from halfkey.profiles import DOUBLE_128, SRTPProtectionProfile
from halfkey.sdp import Offer, build_offer, read_offer
from halfkey.sdp import Transport as TransportDescription
from halfkey.sdp.attributes import Candidate
from halfkey.sdp.identity import external_id_hash
from halfkey.tls import client_context
from halfkey.vouching.authority import Trust
from halfkey.vouching.people import People
from halfkey.vouching.refusal import VouchRefused
from halfkey.vouching.roster import RosterVouch
from tests.attacks.focus import MaliciousFocus, malicious_focus
from tests.e2e.system import CONFERENCE, System, running_system, sha256_of
from tests.endpoint.waiting import until


class Attacker:
    """A DTLS client and UDP socket of the Focus's own: it wants an EKTKey and media.

    Args:
        tls_id: what it sends as external_session_id; its own by default.
        profiles: what it offers in use_srtp.
        certificate: whose private key it has; its own by default.
    """

    def __init__(
        self,
        tls_id: str | None = None,
        profiles: tuple[SRTPProtectionProfile, ...] = (DOUBLE_128,),
        certificate: Certificate | None = None,
    ) -> None:
        self.certificate = certificate or Certificate.generate()
        self.tls_id = tls_id or secrets.token_hex(30)
        self.ssrc = secrets.randbits(32)
        self.statistics = Statistics()
        self.events: list[TransportEvent] = []
        self.transport = Transport(
            self,
            certificate=self.certificate,
            tls_id=self.tls_id,
            profiles=profiles,
            statistics=self.statistics,
        )

    def offer(self, assertion: str | None) -> Offer:
        """An offer of its own, under any assertion."""
        return build_offer(
            session_id=1,
            transport=TransportDescription(
                str(self.certificate.fingerprint()),
                self.tls_id,
                self.transport.ice.local_username,
                self.transport.ice.local_password,
            ),
            sources=[("audio", self.ssrc)],
            audio_slots=4,
            video_slots=4,
            cname="cname",
            name="Mallory",
            identity=assertion,
        )

    async def associate(
        self, admission: Admission, allocation: Allocation, assertion: str | None
    ) -> None:
        """Goes through the Media Distributor to the Key Distributor, with whatever it has."""
        candidates = (Candidate.host(*one, i) for i, one in enumerate(allocation.candidates))
        remote = TransportDescription(
            admission.fingerprint,
            admission.tls_id,
            allocation.ice_ufrag,
            allocation.ice_pwd,
            candidates=tuple(candidates),
        )
        own = b"" if assertion is None else external_id_hash(assertion)
        answered = admission.assertion
        hashes = (own, b"" if answered is None else external_id_hash(answered))
        await self.transport.connect(remote, {}, hashes)

    @property
    def spis(self) -> list[int]:
        """Of the EKTKeys that it was given."""
        return [event.spi for event in self.events if isinstance(event, EKTKeyInstalled)]

    @property
    def has_nothing(self) -> bool:
        """No handshake completed, no EKTKey, no packet opened."""
        has_connected = any(isinstance(event, Connected) for event in self.events)
        return not has_connected and not self.spis and self.statistics.packets_opened == 0

    # halfkey.endpoint.transport.Owner

    def association_event(self, event: TransportEvent) -> None:
        self.events.append(event)

    def new_stream(self, ssrc: int) -> Receiver | None:
        return None

    def stream_ended(self, ssrc: int) -> None:
        pass


@dataclass
class Arena:
    """The system, its malicious Focus, and that one's own ways to both Distributors.

    Attributes:
        system: the real Distributors; its own Focus is honest, and serves for controls.
        focus: the malicious one.
        kd: the Key Distributor's admission API, in the Focus's name.
        md: the Media Distributor's control API, likewise.
        attackers: what the Focus runs itself.
    """

    system: System
    focus: MaliciousFocus
    kd: KeyDistributorClient
    md: MediaDistributorClient
    attackers: list[Attacker] = field(default_factory=list)

    def link(self, index: int, **others: Any) -> Link:
        """An invite of ``P<index>``, whose link leads to the malicious Focus."""
        return replace(self.system.link(f"P{index}", **others), focus_url=self.focus.url)

    def member(self, index: int, link: Link | None = None, **options: Any) -> Endpoint:
        """An honest Endpoint that sends a tone."""
        options = {"join_timeout": 10.0, **options}
        endpoint = Endpoint(EndpointOptions.by_link(link or self.link(index), **options))
        endpoint.add_track(ToneTrack(tone_of(index)))
        self.system.endpoints.append(endpoint)
        return endpoint

    async def joined(self, index: int, link: Link | None = None, **options: Any) -> Endpoint:
        """One that has joined."""
        endpoint = self.member(index, link, **options)
        await endpoint.join()
        return endpoint

    async def pair(self) -> tuple[Endpoint, Endpoint]:
        """Two who have joined, know each other, and hear each other."""
        first, second = await self.joined(0), await self.joined(1)
        both = {"P0", "P1"}
        await until(lambda: verified(first) == both == verified(second))
        await until(lambda: heard(first, "P1") and heard(second, "P0"))
        return first, second

    def attacker(self, **options: Any) -> Attacker:
        """A client of the Focus's own."""
        attacker = Attacker(**options)
        self.attackers.append(attacker)
        return attacker

    @property
    def keys_issued(self) -> int:
        count: int = self.system.kd.core.snapshot()["ekt_keys_issued"]
        return count

    async def thief(
        self, admission: Admission, assertion: str | None, **options: Any
    ) -> tuple[Attacker, str]:
        """Sends a client of the Focus's own through the handshake; says why it is refused."""
        refused = self.system.kd.core.statistics.refused
        before = refused.copy()
        attacker = self.attacker(**options)
        name = attacker.tls_id[:8] + "-thief"
        allocation = await self.md.allocate(CONFERENCE, name, attacker.offer(assertion))
        await attacker.associate(admission, allocation, assertion)
        await until(lambda: refused != before)
        (reason,) = refused - before
        return attacker, f"its handshake is refused ({reason}); no key"

    def reset(self) -> None:
        """Makes the Focus honest."""
        self.focus.mischief = type(self.focus.mischief)()

    async def operate(self, path: str) -> None:
        """Sends a DELETE to the administration socket, as the operator does."""
        connector = aiohttp.UnixConnector(str(self.system.folder / "state" / ADMINISTRATION_SOCKET))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.delete(f"http://kd/{path}") as response,
        ):
            assert response.status == 204

    # What must come of attacks

    async def refused_by_key_distributor(self, endpoint: Endpoint) -> str:
        """Lets somebody join, who must be refused; says by which reason, from the audit log."""
        before, keys = self.refusals(), self.keys_issued
        with pytest.raises(JoinFailedError, match="the Focus refused: not admitted"):
            await endpoint.join()
        return await self.refusal(before, keys)

    async def refusal(self, before: list[str], keys: int) -> str:
        """What the audit log has more than before; no key may have been given meanwhile."""
        await until(lambda: len(self.refusals()) > len(before))
        (reason,) = self.refusals()[len(before) :]
        assert self.keys_issued == keys
        return f"the Key Distributor refuses it ({reason}); no key"

    async def refused_by_endpoint(self, endpoint: Endpoint) -> str:
        """Lets somebody join, who must refuse the answer; says why."""
        keys = self.keys_issued
        with pytest.raises(JoinFailedError) as caught:
            await endpoint.join()
        fault = caught.value.__cause__
        assert isinstance(fault, VouchRefused), fault
        assert self.keys_issued == keys
        return f"the Endpoint refuses the answer ({fault.reason}); no key"

    def refusals(self) -> list[str]:
        """The reasons of refused admissions in the audit log, which is verified on the way."""
        state = self.system.folder / "state"
        key = load_key(state / "audit.key").public_key()
        entries = list(LogReader(state / "audit", key).records())
        return [record.reason for _, record in entries if isinstance(record, records.Refused)]

    async def check(self, seconds: float = 20.0) -> None:
        """Nobody unseen has a key; nothing that the Focus runs has anything.

        Args:
            seconds: to wait for the rosters that name those who have one.
        """
        issued = [one for one in self.system.key_events if isinstance(one, EKTKeyIssued)]
        honest = {read_offer(offer).transport.fingerprint for offer in self.focus.offers}
        trust = Trust(sha256_of(self.system.folder / "authority.crt"))

        def seen() -> dict[str, str]:
            return {
                entry.id: str(entry.fingerprint)
                for text, at in self.focus.statements
                for entry in RosterVouch.verify(text, trust, at).entries
            }

        holders = {event.participant for event in issued if event.conference == CONFERENCE}
        await until(lambda: holders <= seen().keys(), seconds)
        assert {seen()[holder] for holder in holders} <= honest
        for attacker in self.attackers:
            assert attacker.has_nothing
            await attacker.transport.close()


def id_of(endpoint: Endpoint, name: str) -> str:
    """The id of somebody in a conference, as the Key Distributor states it."""
    (found,) = (one.entry.id for one in people_of(endpoint).people() if one.entry.name == name)
    return found


def people_of(endpoint: Endpoint) -> People:
    assert endpoint.people is not None
    return endpoint.people


def verified(endpoint: Endpoint) -> set[str]:
    """The names of those whom an Endpoint knows to be there."""
    return {one.entry.name for one in people_of(endpoint).people() if one.is_verified}


def heard(endpoint: Endpoint, name: str) -> bool:
    """Whether an Endpoint has decoded audio of somebody, whom it knows by that name."""
    streams = endpoint.statistics().streams
    return any(one.frames and one.name == name and one.unverified is None for one in streams)


def reason_when_due(endpoint: Endpoint) -> str:
    """Lets an Endpoint's clock come to its next timer; why its roster is unverified then."""
    people = people_of(endpoint)
    due = people.next_timer()
    assert due is not None
    people.handle_timer(due)
    assert people.code() is None
    return str(people.reason)


@asynccontextmanager
async def arena(folder: Path, **key_distributor: Any) -> AsyncIterator[Arena]:
    """Everything up; at the end it is checked that nobody unseen has a key."""
    (folder / "state").mkdir()
    settings = {"believe_focus": False, "state": folder / "state", **key_distributor}
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(running_system(folder, **settings))
        host, port = system.kd.addresses["admission"]
        url = f"https://{host}:{port}"
        focus = await stack.enter_async_context(malicious_focus(folder, url, system.media_control))
        own = folder / "focus.crt", folder / "focus.key"
        kd = KeyDistributorClient("kd", url, client_context(folder / "kd.crt", *own))
        md = MediaDistributorClient(
            "md", system.media_control, client_context(folder / "md.crt", *own)
        )
        running = Arena(
            system,
            focus,
            await stack.enter_async_context(kd),
            await stack.enter_async_context(md),
        )
        try:
            yield running
            await running.check()
        finally:
            await asyncio.gather(*(endpoint.close() for endpoint in system.endpoints))
