"""Assertions, answers and places of others.

An assertion is good once, for the certificate in it; the private key of that stays at the Endpoint.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from halfkey.endpoint import JoinFailedError
from halfkey.endpoint.events import Waiting
from halfkey.focus.clients import Admission, Refused
from halfkey.key_distributor.events import Associated, Removed
from halfkey.key_distributor.policy import ConferencePolicy
from halfkey.profiles import DOUBLE_128, SRTPProtectionProfile
from halfkey.sdp import Offer, read_offer
from tests.attacks.arena import Arena, arena, heard, id_of, verified
from tests.attacks.focus import Mischief
from tests.attacks.rows import attack
from tests.attacks.test_offers import OTHER_FINGERPRINT, Happened
from tests.e2e.system import CONFERENCE
from tests.endpoint.stage import Listener
from tests.endpoint.waiting import until

REFUSED = "the Key Distributor refuses it ({}); no key"
HANDSHAKE = "its handshake is refused ({}); no key"


async def refused(
    field: Arena, participant: str, offer: Offer, conference: str = CONFERENCE
) -> str:
    """Asks for an admission in the Focus's own name, which must be refused; says why."""
    before, keys = field.refusals(), field.keys_issued
    with pytest.raises(Refused):
        await field.kd.admit(conference, participant, offer)
    return await field.refusal(before, keys)


def victims(field: Arena) -> tuple[Offer, Admission, str]:
    """The newest offer, what the Key Distributor answered to it, and its assertion."""
    offer, answered = read_offer(field.focus.offers[-1]), field.focus.admitted[-1]
    assert offer.identity is not None
    admission = Admission(answered["fingerprint"], answered["tls_id"], answered["assertion"])
    return offer, admission, offer.identity


# Replays


@attack(
    "Asks again for the admission of somebody who is there",
    "the Key Distributor repeats its answer; no key",
)
async def test_an_admission_again(field: Arena, happened: Happened) -> None:
    alice = await field.joined(0)
    await until(lambda: verified(alice) == {"P0"})
    offer, admission, _ = victims(field)
    keys = field.keys_issued
    assert await field.kd.admit(CONFERENCE, id_of(alice, "P0"), offer) == admission
    assert field.keys_issued == keys
    happened("the Key Distributor repeats its answer; no key")


@attack("Replays an assertion for another participant", REFUSED.format("replayed"))
async def test_a_replay_for_another(field: Arena, happened: Happened) -> None:
    alice = await field.joined(0)
    await until(lambda: verified(alice) == {"P0"})
    happened(await refused(field, "ghost", victims(field)[0]))
    assert verified(alice) == {"P0"}


@attack("Replays an assertion after its owner has left", REFUSED.format("replayed"))
async def test_a_replay_after_leaving(field: Arena, happened: Happened) -> None:
    link = field.link(0)
    alice = await field.joined(0, link)
    await until(lambda: verified(alice) == {"P0"})
    offer, identifier = victims(field)[0], id_of(alice, "P0")
    await alice.leave()
    happened(await refused(field, identifier, offer))
    again = await field.joined(0, link)
    await until(lambda: verified(again) == {"P0"})


@attack("Replays an assertion in another conference", REFUSED.format("conference"))
async def test_a_replay_in_another_conference(field: Arena, happened: Happened) -> None:
    await field.joined(0)
    # The control: there the conference is what is wrong, not that it was used before.
    assert "replayed" in await refused(field, "ghost", victims(field)[0])
    happened(await refused(field, "ghost", victims(field)[0], "other"))


# The Focus's own client


@attack(
    "Joins itself: its own certificate in its own offer, under a stolen assertion",
    REFUSED.format("fingerprint"),
)
async def test_a_stolen_assertion(field: Arena, happened: Happened) -> None:
    await field.joined(0)
    stolen = victims(field)[2]
    happened(await refused(field, "ghost", field.attacker().offer(stolen)))


@attack("Joins itself without any assertion", REFUSED.format("no_assertion"))
async def test_no_assertion(field: Arena, happened: Happened) -> None:
    await field.joined(0)
    happened(await refused(field, "ghost", field.attacker().offer(None)))


@attack(
    "Joins itself by its own word, where the Key Distributor believes the Focus but people came "
    "by link",
    REFUSED.format("mixed"),
)
async def test_nobody_joins_people_with_links_by_the_focuses_word(
    tmp_path: Path, happened: Happened
) -> None:
    async with arena(tmp_path, believe_focus=True) as field:
        attacker = field.attacker()
        # The control: it is admitted as long as nobody came by link.
        assert (await field.kd.admit(CONFERENCE, "ghost", attacker.offer(None))).tls_id
        await field.kd.remove(CONFERENCE, "ghost")
        alice = await field.joined(0)
        await until(lambda: verified(alice) == {"P0"})
        happened(await refused(field, "ghost", attacker.offer(None)))


@attack(
    "Shakes hands under a stolen assertion and tls-id, before their owner does",
    HANDSHAKE.format("fingerprint_mismatch"),
)
async def test_a_stolen_admission(field: Arena, happened: Happened) -> None:
    link = field.link(0)
    # The Endpoint refuses the answer, so that its place stays free for the attacker.
    field.focus.mischief = Mischief(
        admitted=lambda body: body.update(fingerprint=OTHER_FINGERPRINT), keeps_leaves=True
    )
    await field.refused_by_endpoint(field.member(0, link))
    offer, admission, assertion = victims(field)
    tls_id = offer.transport.tls_id
    attacker, outcome = await field.thief(admission, assertion, tls_id=tls_id)
    assert attacker.has_nothing
    assert field.keys_issued == 0
    field.reset()
    alice = await field.joined(0, link)
    await until(lambda: verified(alice) == {"P0"})
    happened(outcome)


@attack(
    "Shakes hands under the assertion and tls-id of somebody who is there",
    HANDSHAKE.format("fingerprint_mismatch"),
)
async def test_a_stolen_place(field: Arena, happened: Happened) -> None:
    alice, bob = await field.pair()
    offer, admission, assertion = victims(field)
    keys = field.keys_issued
    _, outcome = await field.thief(admission, assertion, tls_id=offer.transport.tls_id)
    assert field.keys_issued == keys
    assert verified(alice) == {"P0", "P1"} == verified(bob)
    await hears_more(field)
    happened(outcome)


@attack(
    "Keeps back that somebody left, who shakes hands again with the certificate that it had",
    HANDSHAKE.format("unknown_tls_id"),
)
async def test_who_left_comes_back_unseen(field: Arena, happened: Happened) -> None:
    alice, bob = await field.pair()
    offer, admission, assertion = victims(field)
    field.focus.mischief = Mischief(keeps_leaves=True)
    await bob.leave()
    await until(lambda: verified(alice) == {"P0"})
    own = {"tls_id": offer.transport.tls_id, "certificate": bob._certificate}
    _, outcome = await field.thief(admission, assertion, **own)
    assert verified(alice) == {"P0"}
    happened(outcome)


@attack(
    "Keeps back the end of a participation whose invite is revoked, and has it shake hands again",
    "it is put out at once (revoked) and everybody gets a new key; "
    + HANDSHAKE.format("unknown_tls_id"),
)
async def test_who_was_put_out_comes_back_unseen(field: Arena, happened: Happened) -> None:
    alice, link = await field.joined(0), field.link(1)
    bob = await field.joined(1, link)
    await until(lambda: verified(alice) == {"P0", "P1"})
    spi, (offer, admission, assertion) = alice.statistics().ekt_spi, victims(field)
    field.focus.mischief = Mischief(keeps_leaves=True)
    await bob._stop_recovering()  # so that the handshake is the attacker's alone
    await field.operate(f"invites/i-{link.name}")
    await until(lambda: verified(alice) == {"P0"} and alice.statistics().ekt_spi != spi)
    (removed,) = (one for one in field.system.key_events if isinstance(one, Removed))
    own = {"tls_id": offer.transport.tls_id, "certificate": bob._certificate}
    _, outcome = await field.thief(admission, assertion, **own)
    happened(f"it is put out at once ({removed.reason}) and everybody gets a new key; {outcome}")


@attack(
    "Saves an admission up until the invite has expired, and has it shake hands then",
    HANDSHAKE.format("invite_expired"),
)
async def test_an_admission_saved_up(field: Arena, happened: Happened) -> None:
    alice, bob = await field.joined(0), field.member(1)
    # The Endpoint refuses the answer, and its admission stands.
    field.focus.mischief = Mischief(
        admitted=lambda body: body.update(fingerprint=OTHER_FINGERPRINT), keeps_leaves=True
    )
    await field.refused_by_endpoint(bob)
    offer, admission, assertion = victims(field)
    database = field.system.kd.store._database
    database.execute("UPDATE invites SET expires_at = ? WHERE name = 'P1'", (int(time.time()),))
    own = {"tls_id": offer.transport.tls_id, "certificate": bob._certificate}
    _, outcome = await field.thief(admission, assertion, **own)
    await until(lambda: verified(alice) == {"P0"})
    happened(outcome)


@attack(
    "Empties the conference after somebody was put out, so that it begins anew",
    REFUSED.format("evicted"),
)
async def test_a_conference_begun_anew(field: Arena, happened: Happened) -> None:
    alice, link = await field.joined(0), field.link(1)
    bob = await field.joined(1, link)
    await until(lambda: verified(alice) == {"P0", "P1"})
    await field.operate(f"conferences/{CONFERENCE}/participants/{id_of(alice, 'P1')}")
    await field.kd.remove(CONFERENCE, id_of(alice, "P0"))
    await alice.close()
    await bob.close()
    await until(lambda: CONFERENCE not in field.system.kd.core.conference_names())
    happened(await field.refused_by_key_distributor(field.member(1, link)))
    await field.joined(2)  # who was not put out may come


async def hears_more(field: Arena) -> None:
    """The honest ones go on to hear each other."""
    endpoints = field.system.endpoints
    before = [endpoint.statistics().frames_decoded for endpoint in endpoints]
    await until(
        lambda: all(
            endpoint.statistics().frames_decoded > frames
            for endpoint, frames in zip(endpoints, before, strict=True)
        )
    )


@attack(
    "Has the Media Distributor forward to somebody who was never admitted",
    "its handshake is refused (unknown_tls_id); no key; no packet is forwarded to it",
)
async def test_a_listener_who_was_never_admitted(field: Arena, happened: Happened) -> None:
    alice, _ = await field.pair()
    attacker, outcome = await field.thief(victims(field)[1], None)
    frames = alice.statistics().frames_decoded
    await until(lambda: alice.statistics().frames_decoded > frames + 10)
    assert attacker.statistics.packets_received == 0
    assert verified(alice) == {"P0", "P1"}
    happened(f"{outcome}; no packet is forwarded to it")


# Downgrades


@attack(
    "Writes unprotected RTP into the answer",
    "the Endpoint refuses the answer; no key",
)
async def test_unprotected_rtp(field: Arena, happened: Happened) -> None:
    field.focus.mischief = Mischief(
        answer=lambda text: text.replace("UDP/TLS/RTP/SAVPF", "RTP/AVPF")
    )
    link = field.link(0)
    with pytest.raises(JoinFailedError, match="isn't of the kind that was offered"):
        await field.member(0, link).join()
    assert field.keys_issued == 0
    field.reset()
    await field.joined(0, link)
    happened("the Endpoint refuses the answer; no key")


@attack(
    "Shakes hands itself with a plain GCM profile, which has no EKT, under a stolen tls-id",
    HANDSHAKE.format("no_common_profile"),
)
async def test_a_plain_profile(field: Arena, happened: Happened) -> None:
    await field.pair()
    offer, admission, assertion = victims(field)
    plain = (SRTPProtectionProfile.AEAD_AES_128_GCM,)
    _, outcome = await field.thief(
        admission, assertion, tls_id=offer.transport.tls_id, profiles=plain
    )
    await hears_more(field)
    happened(outcome)


@attack(
    "Offers plain GCM keys in the answer (a=crypto)",
    "it is ignored: DTLS alone agrees on keys, and on a double profile",
)
async def test_keys_in_the_answer(field: Arena, happened: Happened) -> None:
    line = "a=crypto:1 AEAD_AES_128_GCM inline:" + "A" * 40 + "\r\n"
    field.focus.mischief = Mischief(
        answer=lambda text: text.replace("a=rtcp-mux\r\n", "a=rtcp-mux\r\n" + line)
    )
    alice, _ = await field.pair()
    assert heard(alice, "P1")
    events = [one for one in field.system.key_events if isinstance(one, Associated)]
    assert {one.srtp_profile for one in events} == {int(DOUBLE_128)}
    happened("it is ignored: DTLS alone agrees on keys, and on a double profile")


# The waiting room


@attack(
    "Takes the place of somebody who waits, or was just let in, with its own certificate",
    REFUSED.format("fingerprint"),
)
async def test_the_place_of_who_waits(field: Arena, happened: Happened) -> None:
    field.system.kd.store.set_policy(CONFERENCE, ConferencePolicy(waiting_room=True))
    guest = field.member(0)
    joining = asyncio.create_task(guest.join())
    gatekeeper = field.system.kd.gatekeeper
    await until(lambda: gatekeeper.waiting(CONFERENCE))
    stolen = read_offer(field.focus.offers[-1]).identity
    attacker = field.attacker()
    before = await refused(field, "ghost", attacker.offer(stolen))
    (key,) = gatekeeper.waiting(CONFERENCE)
    gatekeeper.let_in(CONFERENCE, key)
    assert await refused(field, "ghost", attacker.offer(stolen)) == before
    await joining
    await until(lambda: verified(guest) == {"P0"})
    happened(before)


@attack(
    "Asks once more with the assertion of somebody who waits, when that one is let in",
    REFUSED.format("replayed"),
)
async def test_the_assertion_of_who_waits(field: Arena, happened: Happened) -> None:
    field.system.kd.store.set_policy(CONFERENCE, ConferencePolicy(waiting_room=True))
    guest = field.member(0)
    joining = asyncio.create_task(guest.join())
    gatekeeper = field.system.kd.gatekeeper
    await until(lambda: gatekeeper.waiting(CONFERENCE))
    (key,) = gatekeeper.waiting(CONFERENCE)
    gatekeeper.let_in(CONFERENCE, key)
    happened(await refused(field, "ghost", read_offer(field.focus.offers[0])))
    await joining
    await until(lambda: verified(guest) == {"P0"})


@attack(
    "Uses the assertion of somebody who waits in a conference without waiting room",
    REFUSED.format("conference"),
)
async def test_a_way_around_the_waiting_room(field: Arena, happened: Happened) -> None:
    field.system.kd.store.set_policy(CONFERENCE, ConferencePolicy(waiting_room=True))
    joining = asyncio.create_task(field.member(0).join())
    await until(lambda: field.system.kd.gatekeeper.waiting(CONFERENCE))
    happened(await refused(field, "ghost", read_offer(field.focus.offers[-1]), "open"))
    (key,) = field.system.kd.gatekeeper.waiting(CONFERENCE)
    field.system.kd.gatekeeper.let_in(CONFERENCE, key)
    await joining


@attack(
    "Tells somebody to wait for ever",
    "the Endpoint says that it waits, and gives up at its waiting_timeout; no key",
)
async def test_waiting_for_ever(field: Arena, happened: Happened) -> None:
    field.focus.mischief = Mischief(waits=True)
    link = field.link(0)
    guest = field.member(0, link, waiting_timeout=3)
    listener = Listener(guest)
    with pytest.raises(JoinFailedError):
        await guest.join()
    await until(lambda: listener.of(Waiting))
    assert field.keys_issued == 0
    field.reset()
    await field.joined(0, link)
    happened("the Endpoint says that it waits, and gives up at its waiting_timeout; no key")
