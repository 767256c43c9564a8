"""What the Focus says about others, well-formed or not."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from halfkey.endpoint.roster import SOURCE_LIMIT, Roster, Source


def participant(identifier: str, *ssrcs: int, name: str = "Bob") -> dict[str, Any]:
    sources = [{"ssrc": ssrc, "kind": "audio", "mid": "0"} for ssrc in ssrcs]
    return {"id": identifier, "name": name, "sources": sources}


def bob(ssrc: int, identifier: str = "b", name: str = "Bob") -> Source:
    return Source(identifier, name, "audio", ssrc)


def test_participants_come_and_go() -> None:
    roster = Roster(frozenset({9}))
    assert roster.apply("roster", {"participants": [participant("a", 9)]}) == ([], [])
    assert roster.apply("joined", participant("b", 1, 2)) == ([bob(1), bob(2)], [])
    assert roster.find(1) == bob(1)
    assert roster.apply("left", {"id": "b"}) == ([], [bob(1), bob(2)])
    assert roster.find(1) is None


def test_a_new_roster_replaces_the_old_one() -> None:
    roster = Roster(frozenset())
    roster.apply("roster", {"participants": [participant("b", 1), participant("c", 2)]})
    came, went = roster.apply("roster", {"participants": [participant("b", 1, 3)]})
    assert [source.ssrc for source in came] == [3]
    assert [source.ssrc for source in went] == [2]


def test_a_rename_changes_the_name_alone() -> None:
    roster = Roster(frozenset())
    roster.apply("joined", participant("b", 1))
    assert roster.apply("renamed", {"id": "b", "name": "Robert"}) == ([], [])
    assert roster.find(1) == bob(1, name="Robert")


def test_an_ssrc_cannot_be_taken_over() -> None:
    roster = Roster(frozenset())
    roster.apply("joined", participant("b", 1))
    assert roster.apply("joined", participant("mallory", 1)) == ([], [])
    assert roster.find(1) == bob(1)


def test_the_roster_is_bounded() -> None:
    roster = Roster(frozenset())
    came, _ = roster.apply("joined", participant("b", *range(SOURCE_LIMIT + 50)))
    assert len(came) == SOURCE_LIMIT


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "name", "sources", "ssrc", "kind", "mid", "participants"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["roster", "joined", "left", "renamed", "slot", "?"]),
            st.dictionaries(
                st.sampled_from(["id", "name", "sources", "participants"]), json, max_size=4
            ),
        ),
        max_size=6,
    )
)
def test_no_event_raises_and_every_source_is_sound(
    events: list[tuple[str, dict[str, Any]]],
) -> None:
    roster = Roster(frozenset())
    for name, data in events:
        came, _ = roster.apply(name, data)
        for source in came:
            assert source.kind in ("audio", "video")
            assert 0 <= source.ssrc < 1 << 32
