"""Certificates of a Key Distributor and its neighbours, and a running Key Distributor."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from halfkey.key_distributor.events import Event
from halfkey.key_distributor.policy import Policy
from halfkey.key_distributor.service import serve
from halfkey.pki import make_certificate
from tests.key_distributor.helpers import Certificates, Running


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    return Certificates(*(make_certificate(folder, one) for one in ("kd", "md", "focus", "other")))


@pytest.fixture
async def running(certificates: Certificates) -> AsyncIterator[Running]:
    events: list[Event] = []
    context = certificates.dialling(certificates.focus)
    options = certificates.options(policy=Policy(participants=3))
    async with (
        serve(options, events.append) as kd,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
    ):
        yield Running(kd.addresses, session, events)
