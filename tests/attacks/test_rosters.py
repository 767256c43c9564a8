"""Rosters, and what is withheld.

What only the Focus says is shown as unverified; what the Key Distributor says can't be changed, and
that it is withheld shows within a bounded time.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from halfkey.endpoint import Endpoint
from halfkey.endpoint.roster import SOURCE_LIMIT
from halfkey.event_stream import ServerSentEvent
from halfkey.focus.clients import Refused
from halfkey.identity.invite import Invite, InviteSecret
from halfkey.identity.link import Link
from halfkey.key_distributor.events import Disassociated
from halfkey.key_distributor.policy import ConferencePolicy
from halfkey.sdp import read_offer
from halfkey.vouching.authority import Authority, Trust
from halfkey.vouching.people import SPI_GRACE
from halfkey.vouching.roster import MAXIMUM_ENTRIES, RosterVouch
from halfkey.vouching.standing import StatementRefused
from halfkey.vouching.statements import STALE_AFTER
from tests.attacks.arena import (
    Arena,
    heard,
    id_of,
    people_of,
    reason_when_due,
    verified,
)
from tests.attacks.focus import Mischief
from tests.attacks.rows import Row, attack, attacks
from tests.attacks.test_offers import Happened
from tests.attacks.test_theft import hears_more, refused, victims
from tests.e2e.system import CONFERENCE, sha256_of
from tests.endpoint.stage import Listener
from tests.endpoint.waiting import until

GHOST_SSRC = 7

ROSTERS = ("vouched-roster", "vouched-change")


def ghost(number: int = 0, **others: Any) -> ServerSentEvent:
    """Somebody whom only the Focus knows."""
    source = {"ssrc": GHOST_SSRC + number, "kind": "audio", "mid": "0"}
    entry = {"id": f"ghost{number}", "name": "Ghost", "sources": [source], **others}
    return ServerSentEvent("joined", entry)


def vouched(statement: str) -> ServerSentEvent:
    return ServerSentEvent("vouched-roster", {"statement": statement})


def without(*names: str) -> Mischief:
    """Withholds events."""

    def apply(event: ServerSentEvent) -> Iterable[ServerSentEvent]:
        return () if event.name in names else (event,)

    return Mischief(event=apply)


def without_assertions(event: ServerSentEvent) -> Iterable[ServerSentEvent]:
    data = dict(event.data)
    data.pop("assertion", None)
    if event.name == "roster":
        data["participants"] = [
            {key: value for key, value in one.items() if key != "assertion"}
            for one in data["participants"]
        ]
    return (ServerSentEvent(event.name, data),)


def reasons(endpoint: Endpoint) -> dict[str, str | None]:
    return {one.entry.name: one.reason for one in people_of(endpoint).people()}


def refusals(endpoint: Endpoint) -> dict[str, int]:
    return {str(reason): count for reason, count in people_of(endpoint).refusals.items()}


async def ghosts_reason(endpoint: Endpoint) -> str | None:
    """Waits until an Endpoint has read of the ghost; why that is unverified."""
    await until(lambda: any(one.name == "Ghost" for one in endpoint.statistics().streams))
    (stream,) = (one for one in endpoint.statistics().streams if one.name == "Ghost")
    return stream.unverified


# The Focus's own roster


@attack(
    "Adds a ghost to its roster",
    "visible at every Endpoint at once: unverified (not_vouched), and in no signed roster",
)
async def test_a_ghost(field: Arena, happened: Happened) -> None:
    both = await field.pair()
    field.focus.inject(ghost())
    for endpoint in both:
        assert await ghosts_reason(endpoint) == "not_vouched"
        assert people_of(endpoint).judge_claim("ghost0", "Ghost", [GHOST_SSRC]) == "not_vouched"
        assert verified(endpoint) == {"P0", "P1"}
    happened("visible at every Endpoint at once: unverified (not_vouched), and in no signed roster")


@attack(
    "Says that somebody's SSRC is a ghost's",
    "the Endpoint goes by the signed roster: the source stays its owner's",
)
async def test_an_ssrc_given_away(field: Arena, happened: Happened) -> None:
    alice, bob = await field.pair()
    left = ServerSentEvent("left", {"id": id_of(alice, "P1")})
    source = {"ssrc": bob.ssrcs[0], "kind": "audio", "mid": "0"}
    field.focus.inject(left)
    field.focus.inject(ghost(sources=[source]))
    await until(lambda: any(one.participant_id == "ghost0" for one in alice.statistics().streams))
    (stream,) = (one for one in alice.statistics().streams if one.ssrc == bob.ssrcs[0])
    assert stream.name == "P1"
    assert people_of(alice).judge_claim("ghost0", "Ghost", bob.ssrcs) == "not_vouched"
    happened("the Endpoint goes by the signed roster: the source stays its owner's")


@attack(
    "Renames people",
    "the Endpoint goes by the signed roster: the name stays, and the claim is name_differs",
)
async def test_renaming(field: Arena, happened: Happened) -> None:
    alice, bob = await field.pair()
    identifier = id_of(alice, "P1")
    field.focus.inject(ServerSentEvent("renamed", {"id": identifier, "name": "The boss"}))
    field.focus.inject(ghost())  # behind it, so that it is known to have been read
    await ghosts_reason(alice)
    assert heard(alice, "P1")
    claim = people_of(alice).judge_claim(identifier, "The boss", bob.ssrcs)
    assert people_of(alice).judge_claim(identifier, "P1", bob.ssrcs) is None
    happened(f"the Endpoint goes by the signed roster: the name stays, and the claim is {claim}")


@attack(
    "Withholds people's assertions",
    "visible at every Endpoint at once: they are unverified (assertion_missing)",
)
async def test_assertions_withheld(field: Arena, happened: Happened) -> None:
    field.focus.mischief = Mischief(event=without_assertions)
    alice, bob = await field.joined(0), await field.joined(1)
    await until(lambda: len(reasons(alice)) == len(reasons(bob)) == 2)
    assert reasons(alice) == {"P0": None, "P1": "assertion_missing"}
    assert reasons(bob) == {"P0": "assertion_missing", "P1": None}
    _give(field, {id_of(alice, f"P{n}"): n for n in (0, 1)})
    await until(lambda: verified(alice) == {"P0", "P1"} == verified(bob))
    happened("visible at every Endpoint at once: they are unverified (assertion_missing)")


@attack(
    "Swaps two people's assertions",
    "visible at every Endpoint at once: both are unverified (assertion_wrong)",
)
async def test_assertions_swapped(field: Arena, happened: Happened) -> None:
    field.focus.mischief = Mischief(event=without_assertions)
    members = [await field.joined(number) for number in range(3)]
    third = members[2]
    await until(lambda: set(reasons(third)) == {"P0", "P1", "P2"})
    identifiers = [id_of(third, f"P{number}") for number in range(3)]
    _give(field, {identifiers[0]: 1, identifiers[1]: 0})
    swapped = {"P0": "assertion_wrong", "P1": "assertion_wrong", "P2": None}
    await until(lambda: reasons(third) == swapped)
    _give(field, {identifier: number for number, identifier in enumerate(identifiers)})
    await until(lambda: verified(third) == {"P0", "P1", "P2"})
    happened("visible at every Endpoint at once: both are unverified (assertion_wrong)")


def _give(field: Arena, offers: dict[str, int]) -> None:
    """Passes assertions on, each under the id of some participant."""
    for identifier, number in offers.items():
        assertion = read_offer(field.focus.offers[number]).identity
        entry: dict[str, Any] = {
            "id": identifier,
            "name": "",
            "sources": [],
            "assertion": assertion,
        }
        field.focus.inject(ServerSentEvent("joined", entry))


# The signed roster


def with_a_ghost(text: str) -> str:
    """Another entry, under the old signature."""
    header, payload, signature = text.split(".")
    content = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    content["entries"].append({**content["entries"][-1], "id": "zzz", "name": "Ghost"})
    content["version"] += 1
    written = json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
    return f"{header}.{base64.urlsafe_b64encode(written).decode().rstrip('=')}.{signature}"


@attacks(
    forged=Row(
        "Adds a ghost to the signed roster",
        "every Endpoint refuses it (signature)",
        (lambda statements: with_a_ghost(statements[-1]),),
    ),
    malformed=Row(
        "Gives something else as the signed roster",
        "every Endpoint refuses it (malformed)",
        (lambda statements: "nothing.of.that",),
    ),
)
async def test_a_false_roster(field: Arena, case: Row, happened: Happened) -> None:
    both = await field.pair()
    field.focus.inject(vouched(case.values[0]([text for text, _ in field.focus.statements])))
    seen = set()
    for endpoint in both:
        await until(partial(refusals, endpoint))
        assert sum(refusals(endpoint).values()) == 1
        assert verified(endpoint) == {"P0", "P1"}
        seen |= set(refusals(endpoint))
    (reason,) = seen
    happened(f"every Endpoint refuses it ({reason})")


@attack(
    "Replays an older roster, without somebody who has joined since",
    "every Endpoint refuses it (version)",
)
async def test_a_replayed_roster(field: Arena, happened: Happened) -> None:
    alice, bob = await field.pair()
    old, _ = field.focus.statements[-1]  # names both: so it is of after both were admitted
    await field.joined(2)
    everybody = {"P0", "P1", "P2"}
    await until(lambda: verified(alice) == everybody == verified(bob))
    field.focus.inject(vouched(old))
    for endpoint in (alice, bob):
        await until(partial(refusals, endpoint))
        assert refusals(endpoint) == {"version": 1}
        assert verified(endpoint) == everybody
    happened("every Endpoint refuses it (version)")


@attack(
    "Replays a roster of before a restart of the Key Distributor",
    "the Endpoint refuses it (instance), and shows everybody as unverified (restarted)",
)
async def test_a_roster_of_before_a_restart(field: Arena, happened: Happened) -> None:
    alice = await field.joined(0)
    await until(lambda: verified(alice) == {"P0"})
    old, _ = field.focus.statements[-1]
    folder = field.system.folder
    trust = Trust(sha256_of(folder / "authority.crt"))
    before = RosterVouch.verify(old, trust, time.time())
    # What the Key Distributor would sign in its next run, with its own key.
    assert before.spi is not None
    spi = (before.spi + 1) % (1 << 16)  # no run gives out the one before's again
    later = before.issued_at + 1
    after = replace(before, instance="r" * 22, version=1, spi=spi, issued_at=later)
    authority = Authority.load(folder / "vouching.crt", folder / "vouching.key")
    field.focus.mischief = without(*ROSTERS)
    field.focus.inject(vouched(after.sign(authority)))
    await until(lambda: people_of(alice).reason is not None)
    reason = people_of(alice).reason
    field.focus.inject(vouched(old))
    await until(lambda: refusals(alice))
    (refusal,) = refusals(alice)
    assert verified(alice) == set()
    happened(f"the Endpoint refuses it ({refusal}), and shows everybody as unverified ({reason})")


@attack("Repeats what has changed in the signed roster", "the Endpoint refuses it (version)")
async def test_a_replayed_change(field: Arena, happened: Happened) -> None:
    seen: list[ServerSentEvent] = []

    def note(event: ServerSentEvent) -> Iterable[ServerSentEvent]:
        seen.extend([event] if event.name == "vouched-change" else [])
        return (event,)

    alice = await field.joined(0)
    field.focus.mischief = Mischief(event=note)
    await field.joined(1)
    await until(lambda: verified(alice) == {"P0", "P1"} and seen)
    assert refusals(alice) == {}
    field.focus.inject(seen[-1])
    await until(lambda: refusals(alice))
    assert verified(alice) == {"P0", "P1"}
    (reason,) = refusals(alice)
    happened(f"the Endpoint refuses it ({reason})")


@attack(
    "Keeps back what has changed once, and passes on what changes after that",
    "the Endpoint refuses that too (base), asks for everything anew, and has everybody verified",
)
async def test_a_change_kept_back(field: Arena, happened: Happened) -> None:
    kept_back: list[ServerSentEvent] = []

    def keep_back_one(event: ServerSentEvent) -> Iterable[ServerSentEvent]:
        if event.name == "vouched-change" and not kept_back:
            kept_back.append(event)
        return () if event in kept_back else (event,)

    alice = await field.joined(0)
    await until(lambda: verified(alice) == {"P0"})
    field.focus.mischief = Mischief(event=keep_back_one)
    await field.joined(1)
    await until(lambda: kept_back)
    await field.joined(2)
    await until(lambda: verified(alice) == {"P0", "P1", "P2"})
    (refusal,) = refusals(alice)
    happened(
        f"the Endpoint refuses that too ({refusal}), asks for everything anew, and has everybody "
        "verified"
    )


@attack("Gives the signed roster of another conference", "every Endpoint refuses it (conference)")
async def test_mixed_conferences(field: Arena, happened: Happened) -> None:
    both = await field.pair()
    field.focus.mischief = without(*ROSTERS)
    count = len(field.focus.statements)
    await field.joined(2, _link_to(field, "other"))
    await until(lambda: len(field.focus.statements) > count)
    field.focus.inject(vouched(field.focus.statements[-1][0]))
    for endpoint in both:
        await until(partial(refusals, endpoint))
        assert refusals(endpoint) == {"conference": 1}
        assert verified(endpoint) == {"P0", "P1"}
    happened("every Endpoint refuses it (conference)")


def _link_to(field: Arena, conference: str) -> Link:
    secret = InviteSecret.make(conference)
    invite = Invite("i-other", conference, "P2", "participant", secret.thumbprint)
    field.system.kd.store.add_invite(invite)
    return replace(field.link(2), conference=conference, secret=secret)


# Withholding


@attack(
    "Withholds every signed roster",
    "visible at once: nobody is verified (no_statement), and there is no conference code",
)
async def test_no_roster_at_all(field: Arena, happened: Happened) -> None:
    field.focus.mischief = without(*ROSTERS)
    alice, bob = await field.joined(0), await field.joined(1)
    await until(lambda: len(alice.statistics().streams) == 1)
    (stream,) = alice.statistics().streams
    assert stream.unverified == "not_vouched"
    for endpoint in (alice, bob):
        assert people_of(endpoint).reason == "no_statement"
        assert people_of(endpoint).code() is None
    field.reset()
    field.focus.inject(vouched(field.focus.statements[-1][0]))
    await until(lambda: verified(alice) == {"P0", "P1"} == verified(bob))
    assert people_of(alice).code() == people_of(bob).code()
    happened("visible at once: nobody is verified (no_statement), and there is no conference code")


@attack(
    "Hides somebody who joined honestly from those who are there",
    "visible within 30 s of the last roster that they got: nobody is verified (stale), and there "
    "is no conference code",
)
async def test_a_hidden_listener(field: Arena, happened: Happened) -> None:
    alice = await field.joined(0)
    await until(lambda: verified(alice) == {"P0"})
    issued_at = _newest(field).issued_at
    field.focus.mischief = without(*ROSTERS, "joined", "roster")
    await field.joined(1)
    due = people_of(alice).next_timer()
    assert due is not None
    assert due - issued_at <= STALE_AFTER + 1  # a statement's time is in whole seconds
    reason = reason_when_due(alice)
    assert verified(alice) == set()
    happened(
        f"visible within {STALE_AFTER:g} s of the last roster that they got: nobody is verified "
        f"({reason}), and there is no conference code"
    )


@attack(
    "The same, where the policy is to rekey when somebody joins",
    "visible within 5 s of the new EKTKey: nobody is verified (spi)",
)
async def test_a_hidden_listener_and_a_rekey(field: Arena, happened: Happened) -> None:
    field.system.kd.store.set_policy(CONFERENCE, ConferencePolicy(rekey_on_join=True))
    alice = await field.joined(0)
    await until(lambda: verified(alice) == {"P0"})
    spi = alice.statistics().ekt_spi
    field.focus.mischief = without(*ROSTERS, "joined", "roster")
    await field.joined(1)
    await until(lambda: alice.statistics().ekt_spi != spi)
    assert people_of(alice).code() is None  # at once
    reason = reason_when_due(alice)
    assert verified(alice) == set()
    happened(f"visible within {SPI_GRACE:g} s of the new EKTKey: nobody is verified ({reason})")


def _newest(field: Arena) -> RosterVouch:
    text, at = field.focus.statements[-1]
    trust = Trust(sha256_of(field.system.folder / "authority.crt"))
    return RosterVouch.verify(text, trust, at)


@attack(
    "Tells nobody that somebody has left",
    "the Key Distributor learns it from the leaver itself (left), rekeys, and signs a roster "
    "without it",
)
async def test_a_leave_kept_back(field: Arena, happened: Happened) -> None:
    alice, bob = await field.pair()
    spi = alice.statistics().ekt_spi
    field.focus.mischief = Mischief(keeps_leaves=True)
    await bob.leave()
    await until(lambda: verified(alice) == {"P0"})
    await until(lambda: alice.statistics().ekt_spi != spi)
    (event,) = (one for one in field.system.key_events if isinstance(one, Disassociated))
    happened(
        f"the Key Distributor learns it from the leaver itself ({event.reason}), rekeys, and "
        "signs a roster without it"
    )


@attack(
    "The same, of somebody whose Endpoint was cut off and can't say it itself",
    "the Media Distributor misses its Endpoint; the Key Distributor rekeys, and signs a roster "
    "without it (disconnected)",
)
async def test_a_dead_endpoint_kept_back(
    field: Arena, happened: Happened, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Less than its 15 s, but more than the pauses between an Endpoint's consent checks.
    monkeypatch.setattr("halfkey.media_distributor.core.PRESENCE_TIMEOUT", 7.0)
    alice, bob = await field.pair()
    spi = alice.statistics().ekt_spi
    field.focus.mischief = Mischief(keeps_leaves=True, path=lambda path: path + "/nowhere")
    await bob._transport.ice.close()
    await until(lambda: verified(alice) == {"P0"})
    await until(lambda: alice.statistics().ekt_spi != spi)
    (event,) = (one for one in field.system.key_events if isinstance(one, Disassociated))
    happened(
        "the Media Distributor misses its Endpoint; the Key Distributor rekeys, and signs a "
        f"roster without it ({event.reason})"
    )


@attack(
    "Delays everything by half a second", "nothing: everybody is verified and heard, only later"
)
async def test_delays(field: Arena, happened: Happened) -> None:
    field.focus.mischief = Mischief(delay=0.5)
    await field.pair()
    happened("nothing: everybody is verified and heard, only later")


# Floods


@attack(
    "Floods Endpoints with ghosts, assertions and false rosters",
    "what they keep is bounded, a refusal is told once, and they go on hearing each other",
)
async def test_a_flood_of_events(field: Arena, happened: Happened) -> None:
    alice, _ = await field.pair()
    listener = Listener(alice)
    count, before = SOURCE_LIMIT + 200, len(field.focus.statements)
    for number in range(count):
        field.focus.inject(ghost(number, assertion="A" * 40))
        field.focus.inject(vouched("nothing.of.that"))
    await until(lambda: refusals(alice).get("malformed", 0) == count, 60.0)
    assert len(alice.statistics().streams) <= SOURCE_LIMIT
    assert people_of(alice)._proofs.held <= MAXIMUM_ENTRIES
    told = [event.reason for event in listener.of(StatementRefused)]
    assert set(told) == {"malformed"}
    assert len(told) <= 1 + len(field.focus.statements) - before  # anew with each that was taken
    assert verified(alice) == {"P0", "P1"}
    await hears_more(field)
    happened("what they keep is bounded, a refusal is told once, and they go on hearing each other")


@attack(
    "Floods the Key Distributor with admissions under stolen assertions",
    "each is refused; no key; the audit log counts most of them together",
)
async def test_a_flood_of_admissions(field: Arena, happened: Happened) -> None:
    alice = await field.joined(0)
    await until(lambda: verified(alice) == {"P0"})
    offer, keys, count = victims(field)[0], field.keys_issued, 200
    assert "replayed" in await refused(field, "ghost", offer)
    refusals_of = 0
    for number in range(count):
        try:
            await field.kd.admit(CONFERENCE, f"ghost{number}", offer)
        except Refused:
            refusals_of += 1
    assert refusals_of == count
    assert field.keys_issued == keys
    assert field.system.kd.core.snapshot()["participants_now"] == 1
    assert len(field.refusals()) < count
    happened("each is refused; no key; the audit log counts most of them together")
