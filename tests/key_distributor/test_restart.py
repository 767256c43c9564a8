"""A Key Distributor that stops and starts again on the same folder."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from halfkey.errors import ConfigurationError
from halfkey.key_distributor.events import Event
from halfkey.key_distributor.options import KeyDistributorOptions
from halfkey.key_distributor.places import DTLS_NAME
from halfkey.key_distributor.service import serve
from halfkey.tunnel import MediaDistributorTunnel
from tests.key_distributor.helpers import Certificates, Running
from tests.key_distributor.tunnelling import RealEndpoint, admit, carry, dial, until


@pytest.fixture
def options(certificates: Certificates, tmp_path: Path) -> KeyDistributorOptions:
    return certificates.options(state=tmp_path)


@asynccontextmanager
async def started(
    certificates: Certificates, options: KeyDistributorOptions
) -> AsyncIterator[Running]:
    events: list[Event] = []
    context = certificates.dialling(certificates.focus)
    async with (
        serve(options, events.append) as kd,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
    ):
        yield Running(kd.addresses, session, events)


async def associate(running: Running, certificates: Certificates, endpoint: RealEndpoint) -> None:
    """Until the Endpoint has acknowledged an EKTKey."""
    streams = await dial(running, certificates.dialling(certificates.md))
    carrying = asyncio.create_task(carry(streams, MediaDistributorTunnel([9, 10]), endpoint))
    await until(lambda now: now["ekt_keys_acknowledged"] == 1, running)
    carrying.cancel()
    streams[1].close()


async def test_who_was_admitted_associates_again_and_gets_another_key(
    certificates: Certificates, options: KeyDistributorOptions
) -> None:
    async with started(certificates, options) as running:
        alice = await admit(running, "alice")
        await associate(running, certificates, alice)
    again = RealEndpoint(alice.answer, alice.certificate, alice.tls_id)
    async with started(certificates, options) as running:
        assert (await until(lambda now: True, running))["participants_now"] == 1
        await associate(running, certificates, again)
        async with running.focus.delete(running.url("/conferences/c/participants/alice")) as gone:
            assert gone.status == 204
    (before,), (after,) = alice.ekt_keys, again.ekt_keys
    assert after.ekt_spi == (before.ekt_spi + 1) % 65536  # never the SPI of a key that may be held
    assert after.ekt_key_value != before.ekt_key_value
    async with started(certificates, options) as running:
        assert (await until(lambda now: True, running))["participants_now"] == 0


async def test_without_a_folder_nothing_is_left(certificates: Certificates) -> None:
    options = certificates.options()
    async with started(certificates, options) as running:
        alice = await admit(running, "alice")
    async with started(certificates, options) as running:
        assert (await until(lambda now: True, running))["participants_now"] == 0
        assert (await admit(running, "alice")).answer != alice.answer


async def test_no_key_of_the_conference_is_in_the_folder(
    certificates: Certificates, options: KeyDistributorOptions
) -> None:
    assert options.state is not None
    async with started(certificates, options) as running:
        alice = await admit(running, "alice")
        await associate(running, certificates, alice)
        content = b"".join(path.read_bytes() for path in options.state.rglob("*") if path.is_file())
    (key,) = alice.ekt_keys
    assert alice.tls_id.encode() in content
    for form in (key.ekt_key_value, key.ekt_key_value.hex().encode()):
        assert form not in content


async def test_a_second_one_on_the_same_folder_is_told_so(
    certificates: Certificates, options: KeyDistributorOptions
) -> None:
    async with started(certificates, options):
        with pytest.raises(ConfigurationError, match="stop the other Key Distributor"):
            async with serve(options):
                pass


async def test_a_folder_that_is_of_no_use(
    certificates: Certificates, options: KeyDistributorOptions
) -> None:
    assert options.state is not None
    with pytest.raises(ConfigurationError, match="no such folder"):
        async with serve(certificates.options(state=options.state / "missing")):
            pass
    async with serve(options):
        pass
    (options.state / f"{DTLS_NAME}.key").write_bytes(os.urandom(100))
    with pytest.raises(ConfigurationError):
        async with serve(options):
            pass
