"""SIGTERM: nobody new, what is in progress goes on, and then the role ends by itself."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from halfkey.operations.role import DRAINING
from tests.operations.system import System, eventually, faults, figure, get, samples
from tests.sdp.samples import offer

LONG = 120.0


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with System(tmp_path) as system:
        yield system


@pytest.mark.parametrize("role", ["kd", "md", "focus"])
def test_without_anything_in_progress_a_role_ends(system: System, role: str) -> None:
    system.start_all(kd=LONG, md=LONG, focus=LONG)
    system.roles[role].signal()
    assert system.roles[role].wait() == 0
    others = {"kd", "md", "focus"} - {role}
    assert all(get(system.metrics(other), "/healthz")[0] == 200 for other in others)


def test_a_media_distributor_waits_for_its_conferences(system: System) -> None:
    system.start_all(md=LONG)
    system.join("Alice")
    place = system.metrics("md")
    assert post(system, 1) == 201  # the control of the 503 below
    system.roles["md"].signal()
    eventually(lambda: DRAINING in faults(place))
    assert figure(place, "halfkey_md_participants") == 2
    assert get(place, "/healthz")[0] == 200
    assert post(system, 2) == 503
    system.roles["md"].signal()  # the second one ends it, whoever is in
    assert system.roles["md"].wait() == 0


def test_at_the_end_a_media_distributor_says_so_to_both_sides(system: System) -> None:
    system.start_all(md=0.0)
    system.join("Alice")
    system.roles["md"].signal()
    assert system.roles["md"].wait() == 0
    kd, focus = system.metrics("kd"), system.metrics("focus")
    ended = "halfkey_kd_associations_ended_total"
    eventually(lambda: ended in samples(kd) and figure(kd, ended, reason="disconnected") == 1)
    eventually(lambda: figure(focus, "halfkey_focus_participants", state="present") == 0)
    eventually(lambda: "the Media Distributor can't be reached or refuses us" in faults(focus))


def test_killed_it_says_nothing(system: System) -> None:
    """The control of the one above: the association waits for a tunnel that may come back."""
    system.start_all(md=0.0)
    system.join("Alice")
    system.roles["md"].end()
    kd = system.metrics("kd")
    eventually(lambda: figure(kd, "halfkey_kd_tunnels") == 0)
    assert figure(kd, "halfkey_kd_associations_active") == 1


def test_a_media_distributor_without_a_tunnel_is_not_ready(system: System) -> None:
    system.start_all()
    system.roles["kd"].signal()
    assert system.roles["kd"].wait() == 0
    eventually(lambda: faults(system.metrics("md")) == ["no tunnel to a Key Distributor"])
    eventually(
        lambda: (
            "the Key Distributor can't be reached or refuses us" in faults(system.metrics("focus"))
        )
    )
    assert figure(system.metrics("focus"), "halfkey_focus_distributor_up", distributor="kd") == 0


def post(system: System, number: int) -> int:
    """Offers as somebody new would; gives the status."""
    trust = ssl.create_default_context(cafile=str(system.folder / "focus.crt"))
    trust.check_hostname = False
    url = f"https://{system.places['focus']['focus']}/conferences/talk/participants"
    text = offer(audio_ssrc=10 * number, video_ssrc=10 * number + 1, tls_id=f"{number:020}").text
    request = urllib.request.Request(url, text.encode(), {"Content-Type": "application/sdp"})
    try:
        with urllib.request.urlopen(request, context=trust) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as fault:
        with fault:
            json.loads(fault.read())
            return fault.code
