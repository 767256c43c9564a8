"""Light Endpoints in a real system: what they send is heard, and by nobody who was taken out."""

from __future__ import annotations

from pathlib import Path

import pytest

from halfkey._media import UnprotectedPacket
from halfkey.endpoint.client import FocusClient
from halfkey.endpoint.core import AssociationTerminated, KeysSwitched
from halfkey.endpoint.light import LightEndpoint
from halfkey.endpoint.transport import TransportEvent
from halfkey.errors import HalfkeyError, UsageError
from halfkey.identity.link import Link
from tests.e2e.system import CONFERENCE, System, running_system
from tests.endpoint.waiting import until


class Heard:
    """A light Endpoint, with what it heard and what happened to it."""

    def __init__(self, link: Link, *, sends: bool = True) -> None:
        self.packets: list[bytes] = []
        self.events: list[TransportEvent] = []
        self.endpoint = LightEndpoint(
            link, sends=sends, on_opened=self._opened, on_event=self.events.append
        )

    def _opened(self, opened: UnprotectedPacket) -> None:
        self.packets.append(opened.packet)

    def switched(self, spi: int | None) -> bool:
        """Whether it sends under an EKTKey."""
        return any(isinstance(event, KeysSwitched) and event.spi == spi for event in self.events)


def client_of(system: System) -> FocusClient:
    return FocusClient(system.focus_url, CONFERENCE, system.folder / "focus.crt")


async def speak(speaker: LightEndpoint, payload: bytes, *listeners: Heard) -> None:
    """Sends until each of the listeners has got it."""

    def arrived() -> bool:
        speaker.send(payload)
        return all(any(p.endswith(payload) for p in one.packets) for one in listeners)

    await until(arrived)


async def test_who_was_taken_out_hears_them_still_and_understands_nothing(tmp_path: Path) -> None:
    async with running_system(tmp_path, hostile=True, believe_focus=False) as system:
        client = client_of(system)
        speaker = Heard(system.link("Speaker"))
        stays, leaves = (Heard(system.link(name), sends=False) for name in ("Stays", "Leaves"))
        try:
            for one in (speaker, stays, leaves):
                await one.endpoint.join(client)
            await speak(speaker.endpoint, b"for everybody", stays, leaves)
            conference = system.kd.core.conference(CONFERENCE)
            assert conference is not None
            evicted = next(
                one.id
                for one in conference.participants.values()
                if one.identity is not None and one.identity.person.name == "Leaves"
            )
            system.kd.core.remove(CONFERENCE, evicted, system.kd.driver.now, "evicted")
            system.kd.driver.settle()
            old = leaves.endpoint.ekt_spi
            await until(lambda: speaker.endpoint.ekt_spi != old)
            await until(lambda: speaker.switched(speaker.endpoint.ekt_spi))
            came_before = leaves.endpoint.statistics.packets_received
            await speak(speaker.endpoint, b"for those who stay", stays)
            await until(lambda: leaves.endpoint.statistics.packets_received > came_before)
            assert not any(packet.endswith(b"for those who stay") for packet in leaves.packets)
            assert any(isinstance(event, AssociationTerminated) for event in leaves.events)
        finally:
            for one in (speaker, stays, leaves):
                await one.endpoint.close()
            await client.close()


async def test_a_link_that_nobody_gave_out_is_refused(tmp_path: Path) -> None:
    async with running_system(tmp_path, believe_focus=False) as system:
        client = client_of(system)
        invited = system.link("Guest")
        stranger = Link(
            focus_url=invited.focus_url,
            conference=CONFERENCE,
            secret=type(invited.secret).make(CONFERENCE),
            authority=invited.authority,
            focus=invited.focus,
            name="Guest",
            role="participant",
        )
        refused, guest = LightEndpoint(stranger), LightEndpoint(invited)
        try:
            with pytest.raises(HalfkeyError, match="refused"):
                await refused.join(client)
            await guest.join(client)  # the control: with its own secret it may
            assert guest.ekt_spi is not None
        finally:
            await refused.close()
            await guest.close()
            await client.close()


async def test_who_only_listens_sends_nothing(tmp_path: Path) -> None:
    async with running_system(tmp_path, believe_focus=False) as system:
        listener = LightEndpoint(system.link("Listener"), sends=False)
        with pytest.raises(UsageError, match="only listens"):
            listener.send(b"")
        await listener.close()


async def test_a_lent_socket_is_somebody_elses_to_seal_for(tmp_path: Path) -> None:
    async with running_system(tmp_path, believe_focus=False) as system:
        client = client_of(system)
        lends, has_sent = LightEndpoint(system.link("Lends")), Heard(system.link("HasSent"))
        listener = Heard(system.link("Listens"), sends=False)
        try:
            with pytest.raises(HalfkeyError, match="no path"):
                lends.lend_socket()
            for one in (has_sent.endpoint, listener.endpoint, lends):
                await one.join(client)
            await speak(has_sent.endpoint, b"mine", listener)
            with pytest.raises(UsageError, match="has sent already"):
                has_sent.endpoint.lend_socket()
            lent = lends.lend_socket()
            assert lent is lends.lend_socket()
            with pytest.raises(UsageError, match="another one sends"):
                lends.send(b"theirs")
        finally:
            for one in (lends, has_sent.endpoint, listener.endpoint):
                await one.close()
            await client.close()
        assert lent.fileno() == -1
