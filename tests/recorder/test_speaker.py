"""Who has the floor."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from halfkey.recorder.speaker import HOLD, Chapter, Floor

LOUD, SOFT, NOISE = -20.0, -35.0, -60.0


def run(seconds: float, levels: Callable[[float], Mapping[str, float]]) -> list[Chapter]:
    floor = Floor()
    for number in range(int(seconds * 50)):
        at = number * 0.02
        floor.heard(at, levels(at))
    return floor.chapters(seconds)


def told(chapters: list[Chapter]) -> list[tuple[float, float, str]]:
    return [(round(c.start, 1), round(c.end, 1), c.person) for c in chapters]


def test_nobody_spoke() -> None:
    assert run(10, lambda at: {"a": NOISE, "b": NOISE}) == []


def test_chapters_begin_where_somebody_began_to_speak_and_leave_no_gap() -> None:
    def levels(at: float) -> dict[str, float]:
        return {"a": LOUD, "b": SOFT} if not 6 <= at < 10 else {"b": LOUD}

    chapters = run(15, levels)
    assert [chapter.person for chapter in chapters] == ["a", "b", "a"]
    assert [chapter.start for chapter in chapters] == pytest.approx([0, 6, 10], abs=0.12)
    assert [chapter.end for chapter in chapters] == [*(c.start for c in chapters[1:]), 15]


def test_a_cough_takes_no_floor() -> None:
    cough = run(10, lambda at: {"a": SOFT, **({"b": LOUD} if 4 <= at < 4 + HOLD / 3 else {})})
    assert told(cough) == [(0, 10, "a")]
    speech = run(10, lambda at: {"a": SOFT, **({"b": LOUD} if 4 <= at < 4 + 2 * HOLD else {})})
    assert [chapter.person for chapter in speech] == ["a", "b", "a"], "the control"


def test_a_cough_into_silence_takes_no_floor() -> None:
    cough = run(10, lambda at: {"a": SOFT} if at < 3 else {"b": LOUD} if 5 <= at < 5.2 else {})
    assert told(cough) == [(0, 10, "a")]


def test_pauses_between_words_give_nothing_away() -> None:
    speech = run(20, lambda at: {"a": LOUD if at % 1 < 0.7 else NOISE, "b": -48.0})
    assert told(speech) == [(0, 20, "a")]


def test_who_challenges_with_pauses_takes_the_floor() -> None:
    def levels(at: float) -> dict[str, float]:
        return {"a": LOUD} if at < 3 else {"b": LOUD if at % 0.5 < 0.35 else NOISE}

    assert [chapter.person for chapter in run(10, levels)] == ["a", "b"]


def test_two_as_loud_as_each_other_do_not_keep_it_open() -> None:
    flipped = iter(range(10**6))

    def levels(at: float) -> dict[str, float]:
        wobble = next(flipped) % 2
        return {"a": LOUD + wobble, "b": LOUD + 1 - wobble}

    assert len(run(10, levels)) == 1
