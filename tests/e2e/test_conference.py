"""The first conference: every role is real, every packet crosses real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from halfkey.endpoint import EKTKeyInstalled, JoinFailedError, KeysSwitched, RemoteTrack, TrackAdded
from halfkey.endpoint.media import frequency_of, tone_of
from halfkey.profiles import DOUBLE_128, DOUBLE_256, SRTPProtectionProfile
from tests.e2e.system import everyone_has, frames, running_system
from tests.endpoint.stage import Listener
from tests.endpoint.waiting import until


@pytest.mark.parametrize("profile", [DOUBLE_128, DOUBLE_256], ids=["128", "256"])
async def test_three_hear_and_see_each_other(
    tmp_path: Path, profile: SRTPProtectionProfile
) -> None:
    async with running_system(tmp_path) as system:
        endpoints = list(enumerate(system.endpoint(n, profiles=(profile,)) for n in range(3)))
        listeners = [Listener(endpoint) for _, endpoint in endpoints]
        await asyncio.gather(*(endpoint.join() for _, endpoint in endpoints))
        await until(lambda: everyone_has(endpoints, 15))
        for listener in listeners:
            for added in listener.of(TrackAdded):
                assert_right_tone(added.name, added.kind, added.track)
        for _, endpoint in endpoints:
            streams = endpoint.statistics().streams
            assert sum(stream.e2e_failures for stream in streams) == 0
        assert (await system.media_statistics())["forwarded_packets"] > 100


def assert_right_tone(name: str, kind: str, track: RemoteTrack) -> None:
    if kind == "audio":
        heard = frequency_of(track.last_frame)  # type: ignore[arg-type]
        assert heard == pytest.approx(tone_of(int(name[1:])), abs=15)


async def test_who_is_refused_is_told_what_may_be_the_reason(tmp_path: Path) -> None:
    """The conference keeps the profile of the first who came."""
    async with running_system(tmp_path) as system:
        await system.endpoint(0, profiles=(DOUBLE_256,)).join()
        with pytest.raises(JoinFailedError, match="it may have refused: handshake_failure"):
            await system.endpoint(1, profiles=(DOUBLE_128,)).join()
        await system.endpoint(2, profiles=(DOUBLE_256,)).join()


async def test_who_leaves_is_shut_out_even_by_a_hostile_media_distributor(tmp_path: Path) -> None:
    """The Media Distributor goes on forwarding to the leaver, who goes on trying."""
    async with running_system(tmp_path, hostile=True) as system:
        alice, bob, eve = (system.endpoint(n, keep_listening=n == 2) for n in range(3))
        everybody = list(enumerate((alice, bob, eve)))
        listeners = [Listener(endpoint) for _, endpoint in everybody]
        await asyncio.gather(*(endpoint.join() for _, endpoint in everybody))
        await until(lambda: everyone_has(everybody, 10))
        before_leaving = alice.statistics().ekt_spi
        await eve.leave()
        for listener in listeners[:2]:
            await until(lambda listener=listener: len(listener.of(KeysSwitched)) == 2)
            installed, switched = listener.of(EKTKeyInstalled)[1], listener.of(KeysSwitched)[1]
            assert installed.spi == switched.spi != before_leaving
        assert len(listeners[2].of(EKTKeyInstalled)) == 1
        await asyncio.sleep(0.5)  # packets that were under way when keys were switched
        marked, seen = eve.statistics(), min(frames(alice, "P1"), frames(bob, "P0"))
        await until(lambda: min(frames(alice, "P1"), frames(bob, "P0")) >= seen + 15)
        after = eve.statistics()
        assert after.packets_received > marked.packets_received + 20
        assert after.packets_opened == marked.packets_opened
        assert after.frames_decoded == marked.frames_decoded
        for stayer in (alice, bob):
            assert sum(stream.e2e_failures for stream in stayer.statistics().streams) == 0


async def test_a_newcomer_gets_keys_and_pictures_of_those_who_are_there(tmp_path: Path) -> None:
    async with running_system(tmp_path) as system:
        first = list(enumerate(system.endpoint(n) for n in range(2)))
        await asyncio.gather(*(endpoint.join() for _, endpoint in first))
        await until(lambda: everyone_has(first, 10))
        late = system.endpoint(2)
        await late.join()
        await until(lambda: everyone_has([*first, (2, late)], 10))
        assert sum(stream.e2e_failures for stream in late.statistics().streams) == 0
