"""Whether targets are met, from figures: a table that can't say "not met" says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import targets
from benchmarks.churn import Round, Stalls
from benchmarks.saturation import Measured, Saturation

Figures = dict[str, Any]


def report(**changed: Any) -> Figures:
    usual: Figures = {
        "scenario": "livestream",
        "receivers": 50,
        "conferences": 1,
        "workers": 1,
        "offered": 1_000_000,
        "offered_pps": 600_000.0,
        "forwarded_pps": 600_000.0,
        "lost": 0,
        "lost_before_receivers": 0,
        "lost_at_receivers": 0,
        "loss_of_a_receiver": {"least": 0.2, "most": 0.205},
        "md_cpu_share": 0.9,
        "latency_us": {"p99": 900.0},
        "cpu_us_per_forwarded_packet": 1.4,
        "floor_us_per_packet": 1.0,
        "ratio_to_floor": 1.4,
        "generator": {"kept_up": True},
    }
    return {**usual, **changed}


def flood(kept: float) -> Figures:
    under = {"kind": "replay", "sent_pps": 1e5, "kept_share": kept, "generator": {"kept_up": True}}
    return report(offered_pps=300_000.0, flood=under)


def saturation(workers: int, rate: float, **changed: Any) -> Measured:
    """Found exactly: what didn't go through is hardly more."""
    best = report(forwarded_pps=rate)
    beyond = report(**{"offered_pps": rate * 1.001, **changed})
    half = report(**{"offered_pps": rate / 2, "conferences": 2, **changed})
    return Measured(Saturation(workers, best, beyond), half, report(**changed))


def stalls(p99: float) -> Stalls:
    alone, changed = (Round(0, time, 2 * time, 1.0) for time in (5000.0, p99))
    return Stalls(5.0, [alone], [changed], 4000.0)


def loads(**changed: Any) -> dict[str, Figures]:
    same = targets.SAME_LOAD
    return {
        f"livestream --receivers 10 {same}": report(receivers=10, **changed),
        f"livestream --receivers 1000 {same}": report(receivers=1000),
        f"livestream --receivers 10 --conferences 200 {same}": report(
            receivers=10, conferences=200
        ),
        "livestream --receivers 50": report(offered=3_000_000, **changed),
        "livestream --receivers 500": report(receivers=500, **changed),
        "audio --receivers 500": report(scenario="audio", receivers=500, **changed),
    }


def judged(*measured: Any, p99: float = 9000.0) -> dict[str, str]:
    return {str(row["target"]): str(row[""]) for row in targets.rows(*measured, stalls(p99))}


def test_what_keeps_within_its_limits_is_met() -> None:
    good = loads(), [saturation(1, 600_000.0), saturation(2, 1_090_000.0)], [flood(0.9)]
    said = judged(*good)
    assert set(said.values()) == {"met"}, said
    assert len(said) == 12


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({"ratio_to_floor": 1.6}, {"livestream to 50", "livestream to 500"}),
        (
            {"ratio_to_floor": 2.1},
            {"livestream to 50", "livestream to 500", "audio to 500"},
        ),
        (
            {"cpu_us_per_forwarded_packet": 1.7},
            {"cost from 10 to 1,000 receivers", "cost from 1 to 200 conferences"},
        ),
    ],
)
def test_a_cost_beyond_its_limit_is_not_met(changed: Figures, missed: set[str]) -> None:
    knees = [saturation(1, 600_000.0), saturation(2, 1_090_000.0)]
    said = judged(loads(**changed), knees, [flood(0.9)])
    found = {name.partition(":")[0] for name, met in said.items() if met != "met"}
    assert found == missed


@pytest.mark.parametrize(
    ("knees", "kept", "missed"),
    [
        (((6e5, {}), (1.07e6, {})), 0.95, "a second worker"),
        (((6e5, {"lost": 1}), (1.2e6, {})), 0.95, "lost at 80% of saturation"),
        (
            ((6e5, {"latency_us": {"p99": 1100.0}}), (1.2e6, {})),
            0.95,
            "added latency at half of saturation (p99)",
        ),
        (
            ((6e5, {"loss_of_a_receiver": {"least": 0.1, "most": 0.2}}), (1.2e6, {})),
            0.95,
            "loss of a receiver past saturation: most less least",
        ),
        (
            ((6e5, {}), (1.2e6, {})),
            0.89,
            "packets kept under a flood (replay) at 50% of saturation",
        ),
    ],
)
def test_each_of_the_others_can_be_missed(
    knees: tuple[tuple[float, Figures], ...], kept: float, missed: str
) -> None:
    found = [saturation(number, rate, **changed) for number, (rate, changed) in enumerate(knees, 1)]
    rows = targets.rows(loads(), found, [flood(kept)], stalls(9000.0))
    by_target = {str(row["target"]): row for row in rows if row[""] != "met"}
    assert list(by_target) == [missed]
    assert by_target[missed]["because"]


def test_what_was_not_measured_is_not_met() -> None:
    knees = [saturation(1, 600_000.0), saturation(2, 1_090_000.0)]
    rows = targets.rows({}, knees, [], stalls(9000.0))
    assert [row["measured"] for row in rows if row[""] != "met"] == ["not measured"] * 6


def test_half_a_load_is_what_counts_for_livestreams() -> None:
    knees = [saturation(1, 1_000_000.0), saturation(2, 1_900_000.0)]
    low = report(offered_pps=100_000.0, forwarded_pps=100_000.0, ratio_to_floor=1.7)
    said = judged({**loads(), "livestream --load 100000": low}, knees, [])
    assert said["livestream to 50: cost over the floor"] == "met"
    rows = targets.rows({"livestream --load 100000": low}, knees, [], stalls(9000.0))
    assert rows[0][""] == "**not shown**"
    assert "at least half of saturation" in str(rows[0]["because"])
    # The load at half of saturation is one.
    dear = saturation(1, 1_000_000.0, conferences=1, ratio_to_floor=1.6)
    rows = targets.rows({}, [dear, knees[1]], [], stalls(9000.0))
    assert (rows[0]["measured"], rows[0][""]) == ("1.60 at 500,000/s", "**not met**")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "met"),
        ({"forwarded_pps": 590_000.0}, "**not met**"),
        ({"lost": 40_000}, "**not met**"),
        ({"generator": {"kept_up": False}}, "**not shown**"),
    ],
)
def test_the_rate_is_that_of_the_long_row(changed: Figures, said: str) -> None:
    knees = [saturation(1, 1_000_000.0), saturation(2, 1_900_000.0)]
    rows = judged(loads(**changed), knees, [])
    assert rows["one worker, livestream to 50: forwarded"] == said


def test_what_was_lost_shows_no_cost() -> None:
    knees = [saturation(1, 600_000.0), saturation(2, 1_090_000.0)]
    said = judged(loads(lost=100_000), knees, [])
    assert {name for name, met in said.items() if met == "**not shown**"} == {
        "livestream to 50: cost over the floor",
        "livestream to 500: cost over the floor",
        "audio to 500: cost over the floor",
        "cost from 10 to 1,000 receivers",
        "cost from 1 to 200 conferences",
    }


def test_a_second_worker_is_judged_by_what_is_known_of_both() -> None:
    for rates, said in (
        (((600e3, 601e3), (1090e3, 1200e3)), "met"),
        (((600e3, 660e3), (1090e3, 1200e3)), "**not shown**"),
        (((600e3, 601e3), (900e3, 1000e3)), "**not met**"),
    ):
        knees = [
            saturation(number, best, offered_pps=beyond)
            for number, (best, beyond) in enumerate(rates, 1)
        ]
        assert judged(loads(), knees, [])["a second worker"] == said


def test_a_stall_by_more_than_a_batch_is_not_met() -> None:
    knees = [saturation(1, 600_000.0), saturation(2, 1_090_000.0)]
    said = judged(loads(), knees, [], p99=9001.0)
    assert [name for name, met in said.items() if met != "met"] == [
        "joins and leaves in a conference of 1,000: more added latency (p99)"
    ]


def test_what_the_generator_could_not_make_shows_nothing() -> None:
    slow = {"generator": {"kept_up": False}}
    knees = [saturation(1, 600_000.0, **slow), saturation(2, 1_090_000.0)]
    said = judged(loads(), knees, [])
    assert {name for name, met in said.items() if met == "**not shown**"} == {
        "added latency at half of saturation (p99)",
        "lost at 80% of saturation",
        "loss of a receiver past saturation: most less least",
        "a second worker",
    }
