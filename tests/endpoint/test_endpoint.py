"""Endpoints in a conference: the real Focus, real HTTPS, ICE, DTLS, and media end to end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import av
import pytest
from aiohttp import web
from aiortc.contrib.media import MediaRecorder

from halfkey.endpoint.core import EKTKeyInstalled, KeysSwitched
from halfkey.endpoint.endpoint import Endpoint, JoinFailedError
from halfkey.endpoint.events import (
    EndpointStatistics,
    Joined,
    Left,
    RemoteStatistics,
    Terminated,
    TrackAdded,
    TrackRemoved,
)
from halfkey.endpoint.media import ToneTrack, frequency_of, image_of, tone_of
from halfkey.endpoint.options import EndpointOptions
from halfkey.errors import ConfigurationError, UsageError
from halfkey.profiles import DOUBLE_256
from tests.endpoint.stage import Listener, Stage, staged
from tests.endpoint.waiting import until


def of_sender(statistics: EndpointStatistics, name: str) -> list[RemoteStatistics]:
    return [stream for stream in statistics.streams if stream.name == name]


def frames(endpoint: Endpoint, name: str) -> int:
    """The fewer of the audio and video frames that came from a sender."""
    counts = [stream.frames for stream in of_sender(endpoint.statistics(), name)]
    return min(counts) if len(counts) == 2 else 0


async def test_three_join_and_everyone_gets_everyone(stage: Stage) -> None:
    endpoints = [stage.endpoint(index) for index in range(3)]
    listeners = [Listener(endpoint) for endpoint in endpoints]
    await asyncio.gather(*(endpoint.join() for endpoint in endpoints))
    await until(
        lambda: all(
            frames(endpoint, f"P{other}") >= 10
            for index, endpoint in enumerate(endpoints)
            for other in range(3)
            if other != index
        )
    )
    for index, (endpoint, listener) in enumerate(zip(endpoints, listeners, strict=True)):
        (joined,) = listener.of(Joined)
        assert joined.ssrcs == endpoint.ssrcs
        assert joined.seconds > 0
        tracks = {(added.name, added.kind): added.track for added in listener.of(TrackAdded)}
        assert set(tracks) == {
            (f"P{other}", kind)
            for other in range(3)
            if other != index
            for kind in ("audio", "video")
        }
        for (name, kind), track in tracks.items():
            if kind == "audio":
                heard = frequency_of(track.last_frame)
                assert heard == pytest.approx(tone_of(int(name[1:])), abs=15)
        statistics = endpoint.statistics()
        assert set(statistics.sent) == set(endpoint.ssrcs)
        assert statistics.ekt_spi == stage.relay.ekt_key.ekt_spi
        assert sum(stream.e2e_failures for stream in statistics.streams) == 0
    await asyncio.gather(*(endpoint.close() for endpoint in endpoints))
    assert stage.kd.participants == set()
    await asyncio.gather(*(listener.task for listener in listeners))


async def test_the_other_double_profile(credentials: Path) -> None:
    async with staged(credentials, DOUBLE_256) as stage:
        alice, bob = stage.endpoint(0), stage.endpoint(1)
        await asyncio.gather(alice.join(), bob.join())
        await until(lambda: frames(alice, "P1") >= 5 and frames(bob, "P0") >= 5)
        await asyncio.gather(alice.close(), bob.close())


async def test_who_leaves_and_listens_on_decodes_nothing_more(stage: Stage) -> None:
    alice, bob = stage.endpoint(0), stage.endpoint(1)
    eve = stage.endpoint(2, keep_listening=True)
    everybody = (alice, bob, eve)
    listeners = {endpoint: Listener(endpoint) for endpoint in everybody}
    await asyncio.gather(*(endpoint.join() for endpoint in everybody))
    await until(lambda: frames(eve, "P0") > 10 and frames(eve, "P1") > 10)
    await eve.leave()
    await until(lambda: listeners[eve].of(Left))
    (left,) = listeners[eve].of(Left)
    for stayer in (alice, bob):
        await until(lambda stayer=stayer: len(listeners[stayer].of(KeysSwitched)) == 2)
        installed = listeners[stayer].of(EKTKeyInstalled)[1]
        switched = listeners[stayer].of(KeysSwitched)[1]
        assert switched.spi == installed.spi == stage.relay.ekt_key.ekt_spi
        assert switched.at - installed.at >= 0.25
        removed = await _removed(listeners[stayer], eve)
        assert set(removed) == set(eve.ssrcs)
    await asyncio.sleep(0.5)
    before, seen = eve.statistics(), frames(alice, "P1")
    await until(lambda: frames(alice, "P1") >= seen + 15)
    after = eve.statistics()
    assert after.packets_received > before.packets_received + 30
    assert after.packets_opened == before.packets_opened
    assert after.frames_decoded == before.frames_decoded
    assert after.last_opened_at is not None
    assert left.at <= after.last_opened_at < before.at
    assert sum(stream.e2e_failures for stream in alice.statistics().streams) == 0
    assert listeners[alice].of(Terminated) == []
    await asyncio.gather(*(endpoint.close() for endpoint in everybody))


async def _removed(listener: Listener, gone: Endpoint) -> list[int]:
    def removed() -> list[int]:
        return [event.ssrc for event in listener.of(TrackRemoved) if event.ssrc in gone.ssrcs]

    await until(lambda: len(removed()) == len(gone.ssrcs))
    return removed()


async def test_a_conference_is_recorded_with_aiortc_s_recorder(
    stage: Stage, tmp_path: Path
) -> None:
    alice, bob = stage.endpoint(0), stage.endpoint(1)
    listener = Listener(bob)
    await asyncio.gather(alice.join(), bob.join())
    await until(lambda: len(listener.of(TrackAdded)) == 2)
    recorder = MediaRecorder(str(tmp_path / "alice.mp4"))
    for added in listener.of(TrackAdded):
        recorder.addTrack(added.track)
    await recorder.start()
    await asyncio.sleep(1.5)
    await recorder.stop()
    await asyncio.gather(alice.close(), bob.close())
    with av.open(str(tmp_path / "alice.mp4")) as recording:
        assert {stream.type for stream in recording.streams} == {"audio", "video"}
        assert sum(1 for _ in recording.decode(video=0)) > 3


async def test_a_track_ends_when_its_sender_leaves(stage: Stage) -> None:
    alice, bob = stage.endpoint(0), stage.endpoint(1)
    listener = Listener(bob)
    await asyncio.gather(alice.join(), bob.join())
    await until(lambda: frames(bob, "P0") >= 5)
    picture = next(added.track for added in listener.of(TrackAdded) if added.kind == "video")
    assert image_of(picture.last_frame).size == (160, 90)
    await alice.leave()
    await until(lambda: len(listener.of(TrackRemoved)) == 2)
    assert len(of_sender(bob.statistics(), "P0")) == 2, "counters outlive their stream"
    await bob.close()


async def test_a_participant_without_media_only_receives(stage: Stage) -> None:
    alice, watcher = stage.endpoint(0), Endpoint(stage.options("Watcher"))
    await alice.join()
    await watcher.join()
    await until(lambda: frames(watcher, "P0") >= 5)
    await asyncio.gather(alice.close(), watcher.close())


async def test_a_focus_that_refuses_is_quoted(stage: Stage) -> None:
    stage.kd.faults["PUT"] = lambda _: web.json_response({"error": "full"}, status=503)
    endpoint = stage.endpoint(0)
    with pytest.raises(JoinFailedError, match=r"^can't join plenary: the Focus refused: \w.*$"):
        await endpoint.join()


@pytest.mark.parametrize("name", ["x" * 65, "two\nlines", "\x1b[31m"])
async def test_a_name_that_cannot_be_shown_is_refused(stage: Stage, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^name '[^\n]+': it must have at most 64 "):
        await Endpoint(stage.options(name)).join()
    assert stage.kd.participants == set()


async def test_no_focus_at_all(stage: Stage) -> None:
    options = EndpointOptions("https://127.0.0.1:9", "plenary", "Alice", stage.trusted)
    with pytest.raises(JoinFailedError, match="the Focus can't be reached"):
        await Endpoint(options).join()


async def test_a_focus_with_another_certificate_is_not_believed(
    stage: Stage, credentials: Path
) -> None:
    options = EndpointOptions(stage.url, "plenary", "Alice", credentials / "stranger.crt")
    with pytest.raises(JoinFailedError, match="certificate"):
        await Endpoint(options).join()
    assert stage.kd.participants == set()


async def test_no_keys_in_time(stage: Stage) -> None:
    endpoint = stage.endpoint(0, join_timeout=1.5)
    stage.relay.datagram_received = lambda *_: None  # type: ignore[method-assign]
    with pytest.raises(JoinFailedError, match=r"no keys within 1\.5 s"):
        await endpoint.join()
    assert stage.kd.participants == set(), "what was joined half way was left again"


async def test_a_stranger_s_key_distributor_is_refused(stage: Stage, credentials: Path) -> None:
    async with staged(credentials) as other:
        stage.relay.certificate = other.relay.certificate
        admit = stage.relay.expect

        def expect(fingerprint, tls_id):  # type: ignore[no-untyped-def]
            peer, description = admit(fingerprint, tls_id)
            wrong = "sha-256 " + ":".join(["AA"] * 32)
            object.__setattr__(description, "fingerprint", wrong)
            return peer, description

        stage.relay.expect = expect  # type: ignore[method-assign]
        with pytest.raises(JoinFailedError, match="association ended"):
            await stage.endpoint(0).join()


async def test_wrong_options_and_misuse(stage: Stage) -> None:
    with pytest.raises(ConfigurationError, match="must look like https://host:port"):
        Endpoint(EndpointOptions("http://127.0.0.1:1", "c", "n", stage.trusted))
    with pytest.raises(ConfigurationError, match=r"nowhere\.pem"):
        Endpoint(EndpointOptions("https://127.0.0.1:1", "c", "n", Path("nowhere.pem")))
    endpoint = stage.endpoint(0)
    await endpoint.join()
    with pytest.raises(UsageError, match="before joining"):
        endpoint.add_track(ToneTrack(440))
    await endpoint.close()
    await endpoint.close()
    with pytest.raises(UsageError, match="joins once"):
        await endpoint.join()
