"""The deadlines of many keys against a plain dictionary."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from halfkey.key_distributor.timers import Timers

steps = st.lists(
    st.one_of(
        st.tuples(st.just("arm"), st.integers(0, 8), st.one_of(st.none(), st.integers(0, 50))),
        st.tuples(st.just("take"), st.just(0), st.integers(0, 50)),
    ),
    max_size=200,
)


@given(steps)
def test_it_does_what_a_dictionary_does(steps: list[tuple[str, int, int | None]]) -> None:
    timers: Timers[int] = Timers()
    model: dict[int, float] = {}
    for step, key, value in steps:
        if step == "arm":
            timers.arm(key, value)
            model.pop(key, None)
            if value is not None:
                model[key] = value
        else:
            due = timers.take_due(float(value or 0))
            expected = {one: at for one, at in model.items() if at <= (value or 0)}
            assert sorted(due) == sorted(expected)
            assert [expected[one] for one in due] == sorted(expected.values())
            model = {one: at for one, at in model.items() if one not in expected}
        assert timers.next() == min(model.values(), default=None)


def test_rearming_for_ever_holds_no_more_than_what_is_armed() -> None:
    timers: Timers[str] = Timers()
    timers.arm("first", 0.0)  # keeps the stale ones from reaching the top
    for at in range(10_000):
        timers.arm("second", float(at + 1))
    assert len(timers._heap) < 100
