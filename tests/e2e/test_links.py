"""Joining by link: who is who is known from the Key Distributor and the people themselves."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from halfkey.endpoint import Endpoint, EndpointOptions, JoinFailedError
from halfkey.endpoint.client import FocusClient, Participation
from halfkey.endpoint.events import Rejoined, Waiting
from halfkey.identity.invite import InviteSecret
from halfkey.key_distributor.policy import ConferencePolicy
from halfkey.vouching.people import People
from tests.e2e.system import CONFERENCE, everyone_has, running_system
from tests.endpoint.stage import Listener
from tests.endpoint.waiting import until


def verified(endpoint: Endpoint) -> set[str]:
    """The names of those whom an Endpoint knows to be there."""
    return {one.entry.name for one in people_of(endpoint).people() if one.is_verified}


def people_of(endpoint: Endpoint) -> People:
    assert endpoint.people is not None
    return endpoint.people


async def test_everybody_knows_everybody_and_has_the_same_code(tmp_path: Path) -> None:
    async with running_system(tmp_path, believe_focus=False) as system:
        members = [system.member(n) for n in range(3)]
        await asyncio.gather(*(member.join() for member in members))
        await until(lambda: everyone_has(enumerate(members), 5))
        everybody = {"P0", "P1", "P2"}
        await until(lambda: all(verified(member) == everybody for member in members))
        codes = {people_of(member).code() for member in members}
        assert len(codes) == 1
        assert None not in codes
        for member in members:
            for stream in member.statistics().streams:
                person = people_of(member).person_of(stream.ssrc)
                assert person is not None
                assert person.entry.name == stream.name
                assert stream.unverified is None
        await members[2].leave()
        await until(lambda: all(verified(member) == {"P0", "P1"} for member in members[:2]))
        later = {people_of(member).code() for member in members[:2]}
        assert len(later) == 1
        assert not later & codes


async def test_a_link_of_another_conference_or_nobody_lets_nobody_in(tmp_path: Path) -> None:
    async with running_system(tmp_path, believe_focus=False) as system:
        good = system.link("P0")
        forged = replace(good, secret=InviteSecret.make(CONFERENCE))
        with pytest.raises(JoinFailedError, match="key that signed it is not known"):
            await system.member(0, forged).join()
        with pytest.raises(JoinFailedError, match="join with a link"):
            await system.endpoint(0).join()
        await system.member(0, good).join()


async def test_an_answer_of_another_key_distributor_is_refused(tmp_path: Path) -> None:
    """The Key Distributor admits, but isn't the one that the link names."""
    async with running_system(tmp_path, believe_focus=False) as system:
        link = system.link("P0")
        with pytest.raises(JoinFailedError, match="not under the certificate authority"):
            await system.member(0, replace(link, authority=bytes(32))).join()
        await system.member(0, link).join()


async def test_an_answer_that_nobody_signed_is_refused(tmp_path: Path) -> None:
    async with running_system(tmp_path, believe_focus=False, vouching=None) as system:
        with pytest.raises(JoinFailedError, match="not signed by the conference's Key Distributor"):
            await system.member(0).join()
        assert system.kd.core.snapshot()["ekt_keys_issued"] == 0


async def test_another_focus_than_the_links_is_not_spoken_to(tmp_path: Path) -> None:
    async with running_system(tmp_path, believe_focus=False) as system:
        link = system.link("P0")
        with pytest.raises(JoinFailedError, match="another certificate than the link names"):
            await system.member(0, replace(link, focus=bytes(32))).join()
        await system.member(0, link).join()


async def test_who_comes_again_takes_the_place_of_who_came_before(tmp_path: Path) -> None:
    """One device for each link: the earlier one is put out, and everybody sees one person."""
    async with running_system(tmp_path, believe_focus=False) as system:
        alice = system.member(0)
        link = system.link("P1")
        first, second = system.member(1, link), system.member(1, link)
        await alice.join()
        await first.join()
        await until(lambda: verified(alice) == {"P0", "P1"})
        (before,) = (one.entry.id for one in people_of(alice).people() if one.entry.name == "P1")
        await second.join()
        await until(
            lambda: (
                [one.entry.id for one in people_of(alice).people() if one.entry.name == "P1"]
                not in ([before], [])
            )
        )
        await until(lambda: verified(alice) == {"P0", "P1"})


async def test_waiting_to_be_let_in(tmp_path: Path) -> None:
    async with running_system(tmp_path, believe_focus=False) as system:
        system.kd.store.set_policy(CONFERENCE, ConferencePolicy(waiting_room=True))
        host = system.member(0, system.link("P0", role="host"))
        guest = system.member(1)
        listener = Listener(guest)
        await host.join()
        joining = asyncio.create_task(guest.join())
        await until(lambda: listener.of(Waiting))
        assert verified(host) <= {"P0"}
        ((key, waiting),) = system.kd.gatekeeper.waiting(CONFERENCE).items()
        assert waiting.person.name == "P1"
        system.kd.gatekeeper.let_in(CONFERENCE, key)
        await joining
        await until(lambda: verified(host) == {"P0", "P1"})
        assert len(listener.of(Waiting)) == 1


async def test_whose_answer_is_lost_on_its_way_comes_in_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Focus has taken it in and it doesn't know: its SSRCs are taken, by itself."""
    async with running_system(tmp_path, believe_focus=False) as system:
        system.kd.store.set_policy(CONFERENCE, ConferencePolicy(waiting_room=True))
        guest = system.member(1)
        before, lost = guest.ssrcs, []
        answered = FocusClient.join

        async def join(client: FocusClient, offer: str) -> Participation:
            participation = await answered(client, offer)
            if not lost:
                lost.append(participation)
                raise TimeoutError
            return participation

        monkeypatch.setattr(FocusClient, "join", join)
        joining = asyncio.create_task(guest.join())
        await until(lambda: system.kd.gatekeeper.waiting(CONFERENCE))
        (key,) = system.kd.gatekeeper.waiting(CONFERENCE)
        system.kd.gatekeeper.let_in(CONFERENCE, key)
        await joining
        assert len(lost) == 1
        assert not set(guest.ssrcs) & set(before)
        await until(lambda: [one.is_verified for one in people_of(guest).people()] == [True])
        host = system.member(0, system.link("P0", role="host"))
        await host.join()
        await until(lambda: everyone_has([(0, host), (1, guest)], 5))


async def test_what_a_credential_rests_on_is_had_anew_before_each_offer(tmp_path: Path) -> None:
    """A login that has expired, for example, when the place is lost."""
    async with running_system(tmp_path, believe_focus=False) as system:
        options = EndpointOptions.by_link(system.link("P0"))
        refreshed: list[None] = []

        async def refresh() -> None:
            refreshed.append(None)

        assert options.credential is not None
        credential = replace(options.credential, refresh=refresh)
        alice = Endpoint(replace(options, credential=credential))
        system.endpoints.append(alice)
        listener = Listener(alice)
        await alice.join()
        assert len(refreshed) == 1
        alice._recovery.place_lost("for a test")
        await until(lambda: listener.of(Rejoined))
        assert len(refreshed) > 1


async def test_who_was_let_in_comes_back_without_waiting(tmp_path: Path) -> None:
    async with running_system(tmp_path, believe_focus=False) as system:
        system.kd.store.set_policy(CONFERENCE, ConferencePolicy(waiting_room=True))
        link = system.link("P1")
        guest = system.member(1, link)
        joining = asyncio.create_task(guest.join())
        await until(lambda: system.kd.gatekeeper.waiting(CONFERENCE))
        (key,) = system.kd.gatekeeper.waiting(CONFERENCE)
        system.kd.gatekeeper.let_in(CONFERENCE, key)
        await joining
        await guest.leave()
        await until(lambda: system.kd.core.conference(CONFERENCE) is None)
        again = system.member(1, link)
        listener = Listener(again)
        await again.join()
        assert listener.of(Waiting) == []


async def test_being_turned_away(tmp_path: Path) -> None:
    async with running_system(tmp_path, believe_focus=False) as system:
        system.kd.store.set_policy(CONFERENCE, ConferencePolicy(waiting_room=True))
        guest = system.member(1)
        joining = asyncio.create_task(guest.join())
        await until(lambda: system.kd.gatekeeper.waiting(CONFERENCE))
        (key,) = system.kd.gatekeeper.waiting(CONFERENCE)
        system.kd.gatekeeper.reject(CONFERENCE, key)
        with pytest.raises(JoinFailedError, match="did not let you in"):
            await joining
