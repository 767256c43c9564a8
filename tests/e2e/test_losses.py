"""Losses on the way down: repaired by the Media Distributor, or for the price of key frames."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from halfkey.endpoint import Endpoint
from tests.e2e.losses import lossy_network
from tests.e2e.system import everyone_has, running_system
from tests.endpoint.waiting import until

ELSEWHERE = "127.0.0.2"
LOST = 25


def ssrcs(endpoint: Endpoint, kind: str) -> set[int]:
    return {stream.ssrc for stream in endpoint.statistics().streams if stream.kind == kind}


@pytest.mark.parametrize("mebibytes", [16, 0], ids=["cache", "none"])
async def test_pictures_go_on_without_new_key_frames_where_there_is_a_cache(
    tmp_path: Path, mebibytes: int
) -> None:
    media = {"advertise": ELSEWHERE, "retransmission_cache": mebibytes}
    async with (
        running_system(tmp_path, media=media) as system,
        lossy_network(ELSEWHERE, system.media) as network,
    ):
        alice, bob = (system.endpoint(n) for n in range(2))
        both = list(enumerate((alice, bob)))
        await asyncio.gather(alice.join(), bob.join())
        await until(lambda: everyone_has(both, 15))

        before = await system.media_statistics()
        network.lossy = ssrcs(bob, "video")
        await until(lambda: network.lost >= LOST, 60)
        network.lossy = set()
        seen = [stream.frames for stream in bob.statistics().streams if stream.kind == "video"]
        await until(lambda: everyone_has(both, max(seen) + 15))

        after = await system.media_statistics()
        requests = after["keyframe_requests"] - before["keyframe_requests"]
        again = after["retransmitted_packets"] - before["retransmitted_packets"]
        if mebibytes == 0:
            assert (again, network.repeats) == (0, 0)
            assert after["retransmission_cache_misses"] >= network.lost
            assert after["retransmission_cache_refusals"] > 0
            assert requests > 0
        else:
            assert network.repeats == network.lost
            assert again >= network.repeats
            assert after["retransmission_cache_misses"] == 0
            assert after["retransmission_cache_refusals"] == 0
            assert requests == 0
