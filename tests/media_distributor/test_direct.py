"""Hop keys by the control API: for load tests, and refused by every other Media Distributor."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any

import pytest

from halfkey.errors import ConfigurationError
from tests.key_distributor.helpers import Certificates
from tests.media_distributor.media import PASSWORD, UFRAG, Offered
from tests.media_distributor.system import (
    media_distributor,
    options,
)

ANY = ("127.0.0.1", 0)


def admission(number: int, **changes: Any) -> dict[str, Any]:
    """A body that is right."""
    offered = asdict(Offered(number).allocation())
    keys = {"client_key": 16, "client_salt": 12, "server_key": 16, "server_salt": 12}
    material = {
        name: base64.b64encode(bytes([number, place]) * (length // 2)).decode()
        for place, (name, length) in enumerate(keys.items())
    }
    place = {"address": "127.0.0.1", "port": 40000 + number, "profile": 9}
    return {**offered, "ice_ufrag": UFRAG, "ice_pwd": PASSWORD, **place, **material, **changes}


async def admit(md: Any, name: str, body: object) -> tuple[int, str]:
    async with md.focus.put(md.url(f"/direct/c/{name}"), json=body) as response:
        said = "" if response.status == 204 else (await response.json())["error"]
        return response.status, said


async def test_who_is_admitted_directly_is_keyed_at_once(certificates: Certificates) -> None:
    async with media_distributor(certificates, direct=True) as md:
        for number in (1, 2):
            assert await admit(md, f"p{number}", admission(number)) == (204, "")
        now = await md.statistics()
        assert now["participants"] == 2
        assert {event.name for event in md.events} >= {"participant-keyed", "slot"}
        assert (await admit(md, "p1", admission(1)))[0] == 409
        taken = admission(3, port=admission(1)["port"])
        assert await admit(md, "p3", taken) == (409, "another participant has this address")
        short = admission(3, client_key=base64.b64encode(b"short").decode())
        assert await admit(md, "p3", short) == (409, "the hop keys can't be used")
        assert (await md.statistics())["participants"] == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"address": "nowhere"}, "address"),
        ({"port": 0}, "port"),
        ({"profile": "9"}, "profile"),
        ({"client_key": "?"}, "client_key"),
        ({"server_salt": None}, "server_salt"),
        ({"sources": None}, "sources"),
    ],
)
async def test_a_fault_is_named(
    certificates: Certificates, changes: dict[str, Any], said: str
) -> None:
    async with media_distributor(certificates, direct=True) as md:
        status, line = await admit(md, "p1", admission(1, **changes))
        assert status == 400
        assert line.startswith(said)


async def test_no_other_media_distributor_takes_keys(certificates: Certificates) -> None:
    """The control is the test above: there the same request is followed."""
    async with media_distributor(certificates, tunnel=ANY) as md:
        assert (await admit(md, "p1", admission(1)))[0] == 404
        assert (await md.statistics())["participants"] == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tunnel": ANY}, "without a Key Distributor"),
        ({"dial": ("127.0.0.1", 7001)}, "without a Key Distributor"),
        ({"media": ("0.0.0.0", 0), "advertise": "192.0.2.7"}, "--media-listen 0.0.0.0"),
        ({"control": ("192.0.2.7", 0)}, "--control-listen 192.0.2.7"),
    ],
)
def test_it_has_no_key_distributor_and_stays_on_this_machine(
    certificates: Certificates, changes: dict[str, Any], said: str
) -> None:
    options(certificates, direct=True).check()
    with pytest.raises(ConfigurationError, match=said):
        options(certificates, direct=True, **changes).check()
