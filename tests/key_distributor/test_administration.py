"""What an operator does to a running Key Distributor by its socket, and what is noted of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from halfkey.audit.faults import AuditUnavailable
from halfkey.audit.keys import PUBLIC_KEY_FILE, load_public_key
from halfkey.audit.reader import LogReader
from halfkey.errors import ConfigurationError
from halfkey.identity.claims import AssertionRefused
from halfkey.identity.invite import InviteSecret
from halfkey.key_distributor.gatekeeper import MustWait
from halfkey.key_distributor.places import ADMINISTRATION_SOCKET, AUDIT_FOLDER
from halfkey.key_distributor.registry import AdmissionRefused
from halfkey.key_distributor.service import RunningKeyDistributor, serve
from halfkey.key_distributor.store import StoreUnavailable
from halfkey.pki import make_authority, make_vouching_certificate
from tests.key_distributor.helpers import Certificates
from tests.key_distributor.test_gatekeeper import Person

INVITE = {
    "conference": "board",
    "name": "Alice",
    "role": "participant",
    "thumbprint": InviteSecret(bytes(16), "board").thumbprint,
}


@dataclass
class Administered:
    """A Key Distributor with a state folder, and its operator."""

    kd: RunningKeyDistributor
    state: Path
    session: aiohttp.ClientSession

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with self.session.request(method, f"http://kd{path}", json=body) as response:
            return response.status, await response.json() if response.content_length else None

    async def invited(self, person: Person) -> str:
        """Invites a person through the socket; gives the invite's id."""
        body = {**INVITE, "name": person.name, "role": person.role}
        body["thumbprint"] = person.secret.thumbprint
        status, made = await self.ask("POST", "/invites", body)
        assert status == 201
        return str(made["id"])

    def admit(self, person: Person, participant: str) -> None:
        request = person.request(participant, time.time())
        self.kd.gatekeeper.admit(request, self.kd.driver.now)
        self.kd.driver.settle()

    def noted(self) -> list[tuple[str, dict[str, Any]]]:
        """The audit log's events, verified."""
        folder = self.state / AUDIT_FOLDER
        reader = LogReader(folder, load_public_key(folder / PUBLIC_KEY_FILE))
        return [(line.event, dict(line.fields)) for line, _ in reader.records()]


@asynccontextmanager
async def administering(tmp_path: Path, certificates: Certificates) -> AsyncIterator[Administered]:
    state = tmp_path / "state"
    state.mkdir()
    vouching = make_vouching_certificate(tmp_path, make_authority(tmp_path, "ca"), "vouching")
    options = certificates.options(state=state, vouching=vouching)
    connector = aiohttp.UnixConnector(str(state / ADMINISTRATION_SOCKET))
    async with serve(options) as kd, aiohttp.ClientSession(connector=connector) as session:
        yield Administered(kd, state, session)


@pytest.fixture
async def administered(tmp_path: Path, certificates: Certificates) -> AsyncIterator[Administered]:
    async with administering(tmp_path, certificates) as administered:
        yield administered


async def test_the_socket_is_its_owners_alone_and_goes_with_the_key_distributor(
    tmp_path: Path, certificates: Certificates
) -> None:
    path = tmp_path / ADMINISTRATION_SOCKET
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    async with serve(certificates.options(state=tmp_path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
            answer = await session.get("http://kd/")
            assert await answer.json() == {"authority": None}
    assert not path.exists()


async def test_what_is_no_socket_is_not_replaced(
    tmp_path: Path, certificates: Certificates
) -> None:
    path = tmp_path / ADMINISTRATION_SOCKET
    path.write_text("somebody's")
    with pytest.raises(ConfigurationError, match=r"administration socket .*in use"):
        async with serve(certificates.options(state=tmp_path)):
            pass
    assert path.read_text() == "somebody's"


async def test_a_second_key_distributor_leaves_the_first_ones_socket(
    administered: Administered, certificates: Certificates
) -> None:
    with pytest.raises(ConfigurationError, match="stop the other Key Distributor"):
        async with serve(certificates.options(state=administered.state)):
            pass
    assert (await administered.ask("GET", "/"))[0] == 200


async def test_it_says_whose_hash_belongs_into_links(administered: Administered) -> None:
    authority = administered.kd.authority
    assert authority is not None
    assert await administered.ask("GET", "/") == (200, {"authority": authority.ca_sha256.hex()})


async def test_an_invite_admits_until_it_is_revoked(administered: Administered) -> None:
    alice, bob = Person(), Person("Bob")
    await administered.invited(bob)
    administered.admit(bob, "bob")
    with pytest.raises(AssertionRefused, match="key"):
        administered.admit(alice, "p0")
    invite = await administered.invited(alice)
    administered.admit(alice, "p1")
    _, told = await administered.ask("GET", "/invites")
    assert (invite, "Alice") in [(one["id"], one["name"]) for one in told["invites"]]
    assert administered.kd.core.find("board", "p1") is not None
    assert await administered.ask("DELETE", f"/invites/{invite}") == (204, None)
    assert administered.kd.core.find("board", "p1") is None  # who was in by it is out
    assert administered.kd.core.find("board", "bob") is not None
    with pytest.raises(AssertionRefused, match="key"):
        administered.admit(alice, "p2")
    assert (await administered.ask("DELETE", f"/invites/{invite}"))[0] == 404
    noted = administered.noted()
    made = next(one for event, one in reversed(noted) if event == "invite_made")
    assert (made["invite"], made["name"], made["by"]) == (invite, "Alice", "operator")
    told = [one for one in noted if one[0] in ("invite_revoked", "removed")]
    assert told == [
        ("invite_revoked", {"invite": invite, "by": "operator"}),
        (
            "removed",
            {
                "conference": "board",
                "participant": "p1",
                "reason": "revoked",
                "by": "operator",
            },
        ),
    ]


async def test_who_is_put_out_is_put_out_with_every_device(administered: Administered) -> None:
    alice = Person()
    invite = {**INVITE, "devices": 3, "thumbprint": alice.secret.thumbprint}
    assert (await administered.ask("POST", "/invites", invite))[0] == 201
    for participant in ("p1", "p2", "p3"):
        administered.admit(alice, participant)
    path = "/conferences/board/participants/p2"
    assert await administered.ask("DELETE", path) == (204, None)
    assert administered.kd.core.conference("board") is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"conference": "a b"}, "conference"),
        ({"conference": ".."}, "dots"),
        ({"conference": 7}, "strings"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"role": ""}, "role"),
        ({"thumbprint": "short"}, "thumbprint"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": True}, "expires_at"),
        ({"devices": 0}, "devices"),
        ({"devices": 1.5}, "devices"),
    ],
)
async def test_a_wrong_invite_is_refused_and_leaves_nothing(
    administered: Administered, change: dict[str, Any], said: str
) -> None:
    status, answer = await administered.ask("POST", "/invites", {**INVITE, **change})
    assert status == 400
    assert said in answer["error"]
    assert administered.kd.store.invites() == []
    assert (await administered.ask("POST", "/invites", INVITE))[0] == 201


async def test_a_key_is_for_one_invite_ever(administered: Administered) -> None:
    _, made = await administered.ask("POST", "/invites", INVITE)
    assert (await administered.ask("POST", "/invites", INVITE))[0] == 409
    await administered.ask("DELETE", f"/invites/{made['id']}")
    assert (await administered.ask("POST", "/invites", INVITE))[0] == 409


async def test_conferences_and_who_is_in_them(administered: Administered) -> None:
    alice = Person()
    invite = await administered.invited(alice)
    administered.admit(alice, "p1")
    _, told = await administered.ask("GET", "/conferences")
    (board,) = told["conferences"]
    assert board["conference"] == "board"
    assert board["participants"] == [
        {
            "id": "p1",
            "identity": f"invite:{invite}",
            "name": "Alice",
            "role": "participant",
            "since": None,
        }
    ]


async def test_a_policy_holds_at_once_and_after_a_restart(administered: Administered) -> None:
    alice, bob = Person(), Person("Bob")
    await administered.invited(alice)
    await administered.invited(bob)
    administered.admit(alice, "p1")
    digest = "ab" * 32
    changes = {"waiting_room": True, "rekey_on_join": True, "media_distributors": [digest]}
    assert await administered.ask("PATCH", "/conferences/board/policy", changes) == (200, changes)
    place = administered.kd.core.conference("board")
    assert place is not None
    assert place.policy == administered.kd.store.policy("board")
    assert place.policy.media_distributors == frozenset({bytes.fromhex(digest)})
    with pytest.raises(MustWait):
        administered.admit(bob, "p2")
    settings = [
        (fields["setting"], fields["conference"], fields["by"])
        for event, fields in administered.noted()
        if event == "configuration_changed"
    ]
    assert settings == [(name, "board", "operator") for name in changes]
    _, left = await administered.ask(
        "PATCH", "/conferences/board/policy", {"media_distributors": None}
    )
    assert left == {"waiting_room": True, "rekey_on_join": True, "media_distributors": None}


@pytest.mark.parametrize(
    "wrong",
    [
        {"waiting_room": 1},
        {"rekey_on_join": "yes"},
        {"media_distributors": []},
        {"media_distributors": ["ab"]},
        {"media_distributors": ["zz" * 32]},
        {"nonsense": True},
        [],
    ],
)
async def test_a_wrong_policy_changes_nothing(administered: Administered, wrong: Any) -> None:
    before = administered.kd.store.policy("board")
    status, answer = await administered.ask("PATCH", "/conferences/board/policy", wrong)
    assert (status, "error" in answer) == (400, True)
    assert administered.kd.store.policy("board") == before


@pytest.mark.parametrize("decision", ["let-in", "reject"])
async def test_who_waits_is_let_in_or_turned_away(
    administered: Administered, decision: str
) -> None:
    alice = Person()
    await administered.invited(alice)
    await administered.ask("PATCH", "/conferences/board/policy", {"waiting_room": True})
    request = alice.request("p1", time.time())
    with pytest.raises(MustWait):
        administered.kd.gatekeeper.admit(request, 0.0)
    _, told = await administered.ask("GET", "/conferences/board/waiting")
    (waiting,) = told["waiting"]
    assert (waiting["name"], waiting["role"]) == ("Alice", "participant")
    path = f"/conferences/board/waiting/{waiting['id']}"
    assert (await administered.ask("POST", f"{path}/nonsense"))[0] == 404
    assert await administered.ask("POST", f"{path}/{decision}") == (204, None)
    assert (await administered.ask("POST", f"{path}/{decision}"))[0] == 404
    if decision == "let-in":
        administered.admit(alice, "p2")
        assert administered.kd.core.find("board", "p2") is not None
    else:
        again = alice.request("p2", time.time(), device=request.fingerprint)
        with pytest.raises(AdmissionRefused, match="did not let you in"):
            administered.kd.gatekeeper.admit(again, 0.0)
        with pytest.raises(MustWait):  # with another device
            administered.admit(alice, "p2")
        _, told = await administered.ask("GET", "/conferences/board/excluded")
        (excluded,) = told["excluded"]
        assert (excluded["reason"], excluded["device"]) == ("rejected", str(request.fingerprint))
        path = f"/conferences/board/excluded/{excluded['id']}"
        assert await administered.ask("DELETE", path) == (204, None)
        third = alice.request("p3", time.time(), device=request.fingerprint)
        with pytest.raises(MustWait):
            administered.kd.gatekeeper.admit(third, 0.0)
    decided = [fields for event, fields in administered.noted() if event == "waiting_decided"]
    assert [(one["name"], one["decision"], one["by"]) for one in decided] == [
        ("Alice", decision, "operator")
    ]


async def test_who_comes_into_a_waiting_room_is_noted_once(
    administered: Administered, certificates: Certificates
) -> None:
    alice = Person()
    await administered.invited(alice)
    await administered.ask("PATCH", "/conferences/board/policy", {"waiting_room": True})
    host, port = administered.kd.addresses["admission"]
    context = certificates.dialling(certificates.focus)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as focus:
        for participant in ("p1", "p2"):
            one = alice.request(participant, time.time())
            body = {"fingerprint": str(one.fingerprint), "tls_id": one.tls_id}
            body |= {"offer": one.offer, "assertion": one.assertion}
            path = f"/conferences/board/participants/{participant}"
            async with focus.put(f"https://{host}:{port}{path}", json=body) as response:
                assert (response.status, await response.json()) == (202, {"waiting": True})
    await administered.ask("POST", "/invites", {**INVITE, "name": "Bob"})  # waits for the disk
    waited = [fields for event, fields in administered.noted() if event == "waiting"]
    assert [(one["participant"], one["name"]) for one in waited] == [("p1", "Alice")]


async def test_who_is_evicted_stays_out_until_readmitted_or_for_good(
    administered: Administered,
) -> None:
    alice, bob = Person(), Person("Bob")
    invite = await administered.invited(alice)
    await administered.invited(bob)
    path = "/conferences/board/participants"
    administered.admit(alice, "p1")
    administered.admit(bob, "bob")
    assert await administered.ask("DELETE", f"{path}/p1") == (204, None)
    assert administered.kd.core.find("board", "p1") is None
    with pytest.raises(AdmissionRefused, match="put out"):
        administered.admit(alice, "p2")
    administered.kd.core.remove("board", "bob", 0.0, by="focus")  # and with the last one it ends
    administered.kd.driver.settle()
    with pytest.raises(AdmissionRefused, match="put out"):  # as empty as a Focus may make it
        administered.admit(alice, "p2")
    _, told = await administered.ask("GET", "/conferences")
    assert [(one["conference"], one["excluded"]) for one in told["conferences"]] == [("board", 1)]
    _, told = await administered.ask("GET", "/conferences/board/excluded")
    (excluded,) = told["excluded"]
    assert (excluded["name"], excluded["reason"], excluded["until"]) == ("Alice", "evicted", None)
    lift = f"/conferences/board/excluded/{excluded['id']}"
    assert await administered.ask("DELETE", lift) == (204, None)
    assert (await administered.ask("DELETE", lift))[0] == 404
    administered.admit(alice, "p2")
    assert await administered.ask("DELETE", f"{path}/p2?revoke=true") == (204, None)
    with pytest.raises(AssertionRefused, match="key"):
        administered.admit(alice, "p3")
    assert (await administered.ask("DELETE", f"{path}/p2"))[0] == 404
    noted = administered.noted()
    removed = [fields for event, fields in noted if event == "removed"]
    assert [(one["participant"], one["reason"], one["by"]) for one in removed] == [
        ("p1", "evicted", "operator"),
        ("bob", "left", "focus"),
        ("p2", "evicted", "operator"),
    ]
    assert [fields["invite"] for event, fields in noted if event == "invite_revoked"] == [invite]
    order = [event for event, _ in noted if event in ("excluded", "removed", "readmitted")]
    assert order == ["excluded", "removed", "removed", "readmitted", "excluded", "removed"]
    (readmitted,) = (fields for event, fields in noted if event == "readmitted")
    assert (readmitted["conference"], readmitted["name"], readmitted["by"]) == (
        "board",
        "Alice",
        "operator",
    )


async def test_a_rekey_of_a_conference_where_somebody_is(administered: Administered) -> None:
    assert (await administered.ask("POST", "/conferences/board/rekey"))[0] == 404
    alice = Person()
    await administered.invited(alice)
    administered.admit(alice, "p1")
    assert (await administered.ask("POST", "/conferences/board/rekey"))[0] == 202


def spoil(administered: Administered) -> None:
    """Takes the log's open files away: its next record can't be written."""
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if link.readlink().parent == administered.state / AUDIT_FOLDER:
                unwritable = os.open(os.devnull, os.O_RDONLY)
                os.dup2(unwritable, int(link.name))
                os.close(unwritable)


async def test_what_has_no_effect_any_more_is_not_said_to_be_done(
    tmp_path: Path, certificates: Certificates
) -> None:
    """A state that can't be written ends the Key Distributor; before that the same was done."""
    alice = Person()
    stack = AsyncExitStack()
    administered = await stack.enter_async_context(administering(tmp_path, certificates))
    await administered.invited(alice)
    administered.admit(alice, "p1")
    assert (await administered.ask("POST", "/conferences/board/rekey"))[0] == 202
    administered.kd.store._database.execute("PRAGMA query_only = ON")
    administered.kd.core.remove("board", "p1", 0.0)  # which can't be kept
    administered.kd.driver.settle()
    assert administered.kd.driver.failed.done()
    status, answer = await administered.ask("POST", "/conferences/nowhere/rekey")
    assert (status, "gives no key" in answer["error"]) == (503, True)
    with pytest.raises(StoreUnavailable):
        administered.kd.driver.failed.result()
    await stack.aclose()


async def test_what_cannot_be_noted_is_not_done(tmp_path: Path, certificates: Certificates) -> None:
    """A log that can't be written takes no record; before that the same was done."""
    other = {**INVITE, "thumbprint": InviteSecret(bytes(16), "other").thumbprint}
    stack = AsyncExitStack()
    administered = await stack.enter_async_context(administering(tmp_path, certificates))
    assert (await administered.ask("POST", "/invites", INVITE))[0] == 201
    alice = Person()
    await administered.invited(alice)
    administered.admit(alice, "p1")
    await asyncio.to_thread(spoil, administered)
    assert (await administered.ask("DELETE", "/conferences/board/participants/p1"))[0] == 503
    assert administered.kd.store.exclusions("board", 0.0) == []
    status, answer = await administered.ask("POST", "/invites", other)
    assert (status, "error" in answer) == (503, True)
    assert len(administered.kd.store.invites()) == 2
    path = "/conferences/board/policy"
    assert (await administered.ask("PATCH", path, {"waiting_room": True}))[0] == 503
    assert not administered.kd.store.policy("board").waiting_room
    with pytest.raises(AuditUnavailable):
        await stack.aclose()


async def put(kd: RunningKeyDistributor, session: aiohttp.ClientSession, asked: Any) -> int:
    """Has the Focus ask for an admission; gives the status of the answer."""
    host, port = kd.addresses["admission"]
    body = {
        "fingerprint": str(asked.fingerprint),
        "tls_id": asked.tls_id,
        "offer": asked.offer,
        "assertion": asked.assertion,
    }
    path = f"https://{host}:{port}/conferences/{asked.conference}/participants/{asked.participant}"
    async with session.put(path, json=body) as response:
        return response.status


async def test_a_device_is_replaced_or_no_key_leaves_any_more(
    administered: Administered, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The admission that replaces it is the Focus's request, but the core's work all the same."""
    kd, alice = administered.kd, Person("Alice")
    await administered.invited(alice)
    connector = aiohttp.TCPConnector(ssl=certificates.dialling(certificates.focus))
    async with aiohttp.ClientSession(connector=connector) as focus:
        # The controls: devices that replace one another, and a refusal, end nothing.
        assert await put(kd, focus, alice.request("p1", time.time())) == 201
        assert await put(kd, focus, alice.request("p2", time.time())) == 201
        place = kd.core.conference("board")
        assert place is not None
        assert list(place.participants) == ["p2"]
        assert await put(kd, focus, alice.request("p2", time.time())) == 409
        assert not kd.driver.failed.done()

        def fail(*arguments: object) -> None:
            raise ValueError("a fault of ours")

        monkeypatch.setattr(kd.core, "remove", fail)
        assert await put(kd, focus, alice.request("p3", time.time())) == 503
        assert isinstance(kd.driver.failed.exception(), ValueError)
        assert await put(kd, focus, alice.request("p4", time.time())) == 503
