"""The Focus with the real Key Distributor: what one says is what the other takes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from halfkey.focus.core import Limits
from halfkey.key_distributor.options import KeyDistributorOptions
from halfkey.key_distributor.service import serve
from halfkey.sdp import Setup, read_answer
from halfkey.tls import client_context
from tests.focus.distributors import MediaDistributor, Stage, options_for, running
from tests.sdp.samples import OFFER, offer


class RealStage(Stage):
    """A stage whose Key Distributor is the real one."""

    admission_url: str
    observer: aiohttp.ClientSession

    async def statistics(self) -> dict[str, Any]:
        async with self.observer.get(self.admission_url + "/statistics") as response:
            return dict(json.loads(await response.read()))


@pytest.fixture
async def stage(credentials: Path) -> AsyncIterator[RealStage]:
    log: list[str] = []
    media_distributor = MediaDistributor(log)
    await media_distributor.start(credentials)
    options = KeyDistributorOptions(
        certificate=credentials / "kd.crt",
        key=credentials / "kd.key",
        trusted_media_distributors=credentials / "md.crt",
        trusted_focuses=credentials / "focus-client.crt",
        believe_focus=True,
    )
    own = (credentials / "focus-client.crt", credentials / "focus-client.key")
    tls = client_context(credentials / "kd.crt", *own)
    async with (
        serve(options) as kd,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as observer,
    ):
        url = "https://{}:{}".format(*kd.addresses["admission"])
        focus_options = options_for(credentials, url, media_distributor.url, Limits())
        made = RealStage(focus_options, None, media_distributor, log=log)  # type: ignore[arg-type]
        made.admission_url, made.observer = url, observer
        connector = aiohttp.TCPConnector(ssl=client_context(credentials / "focus.crt"))
        async with (
            running(focus_options) as made.url,
            aiohttp.ClientSession(connector=connector) as made.session,
        ):
            yield made
    await media_distributor.stop()


async def test_admitted_and_evicted(stage: RealStage) -> None:
    joined = await stage.join(OFFER)
    assert joined.status == 201
    answer = read_answer(await joined.text(), offer())
    assert answer.transport.setup is Setup.PASSIVE
    assert answer.transport.tls_id != offer().transport.tls_id
    assert (await stage.statistics())["participants_now"] == 1
    left = await stage.session.delete(stage.url + joined.headers["Location"])
    assert left.status == 204
    assert (await stage.statistics())["participants_now"] == 0


async def test_one_dtls_identity_is_admitted_once(stage: RealStage) -> None:
    """The same fingerprint and tls-id again: the Key Distributor refuses, and the first stays."""
    assert (await stage.join(OFFER)).status == 201
    again = await stage.join(offer(audio_ssrc=1, video_ssrc=2).text)
    assert again.status == 403
    detail = json.loads(await again.read())["detail"]
    assert detail.startswith("not admitted: ")
    assert stage.log == ["md PUT"]
    assert (await stage.statistics())["participants_now"] == 1


async def test_a_failed_allocation_leaves_nobody_admitted(stage: RealStage) -> None:
    await stage.md.stop()
    assert (await stage.join(OFFER)).status == 503
    assert (await stage.statistics())["participants_now"] == 0


async def test_a_disconnected_participant_is_evicted(stage: RealStage) -> None:
    assert (await stage.join(OFFER)).status == 201
    identifier = next(iter(stage.md.participants))[1]
    await stage.md.tell(
        "participant-disconnected", {"conference": "plenary", "participant": identifier}
    )
    await stage.md.until(lambda: "md removed" in stage.log)
    assert (await stage.statistics())["participants_now"] == 0
