"""The Focus's decisions: places, states, tokens, and which updates an offer may make."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.conference_name import is_conference_name
from halfkey.errors import UsageError
from halfkey.focus.core import (
    Conferences,
    JoinRefused,
    Limits,
    Participant,
    ParticipantState,
    UpdateKind,
    check_update,
)
from halfkey.sdp import read_offer
from tests.sdp.samples import OFFER, answer, offer


def counting() -> Callable[[int], bytes]:
    """Stands in for randomness: never the same bytes twice."""
    count = 0

    def random(length: int) -> bytes:
        nonlocal count
        count += 1
        return count.to_bytes(length, "big")

    return random


def join(conferences: Conferences, name: str, ssrc: int) -> tuple[Participant, str]:
    participant = conferences.reserve("plenary", offer(name, ssrc, ssrc + 1))
    return participant, conferences.complete(participant, answer(participant.offer))


def events(conferences: Conferences) -> list[tuple[str, dict[str, object]]]:
    found = []
    while (event := conferences.next_event()) is not None:
        found.append((event.name, event.data))
    return found


def test_a_participation_from_end_to_end() -> None:
    conferences = Conferences(random=counting())
    participant, token = join(conferences, "Ada", 10)
    entry = {
        "id": participant.id,
        "name": "Ada",
        "sources": [
            {"ssrc": 10, "kind": "audio", "mid": "0"},
            {"ssrc": 11, "kind": "video", "mid": "1"},
        ],
    }
    assert events(conferences) == [("joined", entry)]
    assert conferences.roster("plenary") == {"participants": [entry]}
    assert conferences.by_token("plenary", token) is participant
    assert conferences.by_token("other", token) is None
    assert conferences.by_token("plenary", participant.id) is None
    assert conferences.start_removal(participant)
    assert not conferences.start_removal(participant)
    assert events(conferences) == [("left", {"id": participant.id})]
    assert conferences.by_token("plenary", token) is None
    assert conferences.by_id("plenary", participant.id) is participant
    conferences.finish_removal(participant)
    assert conferences.by_id("plenary", participant.id) is None
    assert conferences.roster("plenary") == {"participants": []}


def test_the_token_is_no_part_of_what_is_kept_or_told() -> None:
    conferences = Conferences()
    participant, token = join(conferences, "Ada", 10)
    assert len(token) == 64
    assert token not in repr(participant)
    assert token not in repr(vars(participant))
    assert participant.id not in token


def test_who_never_came_in_is_told_to_nobody() -> None:
    conferences = Conferences()
    participant = conferences.reserve("plenary", offer())
    assert conferences.roster("plenary") == {"participants": []}
    assert conferences.start_removal(participant)
    conferences.finish_removal(participant)
    assert events(conferences) == []


def test_places_are_held_until_the_removal_is_confirmed() -> None:
    conferences = Conferences(Limits(participants=2))
    first, _ = join(conferences, "a", 10)
    conferences.reserve("plenary", offer("b", 20, 21))
    with pytest.raises(JoinRefused, match="full") as caught:
        conferences.reserve("plenary", offer("c", 30, 31))
    assert caught.value.temporary
    conferences.start_removal(first)
    with pytest.raises(JoinRefused, match="full"):
        conferences.reserve("plenary", offer("c", 30, 31))
    conferences.finish_removal(first)
    conferences.reserve("plenary", offer("c", 30, 31))


def test_conferences_are_limited_and_empty_ones_are_forgotten() -> None:
    conferences = Conferences(Limits(conferences=1))
    participant = conferences.reserve("one", offer())
    with pytest.raises(JoinRefused, match="no more conferences"):
        conferences.reserve("two", offer())
    conferences.start_removal(participant)
    conferences.finish_removal(participant)
    conferences.reserve("two", offer())


def test_an_ssrc_is_had_once_in_a_conference() -> None:
    conferences = Conferences()
    conferences.reserve("plenary", offer("a", 10, 11))
    with pytest.raises(JoinRefused, match="SSRC 11 is taken") as caught:
        conferences.reserve("plenary", offer("b", 12, 11))
    assert not caught.value.temporary
    conferences.reserve("other", offer("b", 12, 11))
    first = conferences.reserve("third", offer("c", 10, 11))
    conferences.start_removal(first)
    conferences.reserve("third", offer("c", 10, 11))


ALLOWED = {
    ParticipantState.JOINING: {"complete", "start_removal"},
    ParticipantState.PRESENT: {"start_removal"},
    ParticipantState.LEAVING: {"finish_removal"},
    ParticipantState.GONE: set[str](),
}


@pytest.mark.parametrize("state", ParticipantState)
def test_every_step_from_every_state(state: ParticipantState) -> None:
    """Steps that a state doesn't allow change nothing: misuse raises, a second removal is False."""
    for step in ("complete", "start_removal", "finish_removal"):
        conferences = Conferences()
        participant = conferences.reserve("plenary", offer())
        if state is not ParticipantState.JOINING:
            conferences.complete(participant, answer(participant.offer))
        if state in (ParticipantState.LEAVING, ParticipantState.GONE):
            conferences.start_removal(participant)
        if state is ParticipantState.GONE:
            conferences.finish_removal(participant)
        arguments = (answer(participant.offer),) if step == "complete" else ()
        if step in ALLOWED[state]:
            assert getattr(conferences, step)(participant, *arguments) is not False
            assert participant.state is not state
        elif step == "start_removal":
            assert not conferences.start_removal(participant)
            assert participant.state is state
        else:
            with pytest.raises(UsageError):
                getattr(conferences, step)(participant, *arguments)
            assert participant.state is state


@pytest.mark.parametrize("name", ["a", "A-1_b.c", "x" * 64, "...a"])
def test_conference_names(name: str) -> None:
    assert is_conference_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "...", "a/b", "a b", "ü", "x" * 65, "a\n", "a\0"])
def test_no_conference_names(name: str) -> None:
    assert not is_conference_name(name)
    with pytest.raises(UsageError):
        Conferences().reserve(name, offer())


@given(st.text())
def test_any_text_as_a_token_finds_nobody(token: str) -> None:
    conferences = Conferences()
    join(conferences, "a", 10)
    assert conferences.by_token("plenary", token) is None


NEW_PASSWORD = ("asd88fgpdd777uzjYhagZg", "zzd88fgpdd777uzjYhagZg")
UPDATES = {
    "nothing": (OFFER, UpdateKind.NOTHING_BUT_NAME),
    "a name": (OFFER.replace("i=Zoë", "i=Zoe"), UpdateKind.NOTHING_BUT_NAME),
    "the version": (OFFER.replace("4711 1", "4711 2"), UpdateKind.NOTHING_BUT_NAME),
    "ICE": (OFFER.replace("oFr4", "oFr5").replace(*NEW_PASSWORD), UpdateKind.ICE_RESTART),
    "the ufrag alone": (OFFER.replace("oFr4", "oFr5"), UpdateKind.UNSUPPORTED),
    "the password alone": (OFFER.replace(*NEW_PASSWORD), UpdateKind.UNSUPPORTED),
    "a source": (OFFER.replace("ssrc:1111", "ssrc:3333"), UpdateKind.UNSUPPORTED),
    "a direction": (OFFER.replace("recvonly", "inactive"), UpdateKind.UNSUPPORTED),
    "the fingerprint": (OFFER.replace("A1:5C", "A1:5D"), UpdateKind.UNSUPPORTED),
    "the tls-id": (OFFER.replace("be82", "be83"), UpdateKind.UNSUPPORTED),
    "the role": (OFFER.replace("actpass", "active"), UpdateKind.UNSUPPORTED),
    "a slot less": (
        OFFER[: OFFER.rindex("m=")].replace("BUNDLE 0 1 2 3", "BUNDLE 0 1 2"),
        UpdateKind.UNSUPPORTED,
    ),
}


@pytest.mark.parametrize(("text", "kind"), UPDATES.values(), ids=UPDATES.keys())
def test_what_an_update_may_change(text: str, kind: UpdateKind) -> None:
    assert check_update(offer(), read_offer(text)) is kind


def test_after_a_gap_in_its_events_a_roster_is_passed_on_whole() -> None:
    conferences = Conferences(random=counting())
    join(conferences, "Ada", 10)
    events(conferences)
    conferences.expect_statements()
    told = []
    for number in range(5):
        if number == 3:
            conferences.expect_statements()
        conferences.vouched("plenary", f"whole {number}", f"change {number}")
        told += events(conferences)
        assert conferences.statement("plenary") == {"statement": f"whole {number}"}
    whole, change = "vouched-roster", "vouched-change"
    assert [name for name, _ in told] == [whole, change, change, whole, change]
    assert [data["statement"] for _, data in told][2:4] == ["change 2", "whole 3"]
