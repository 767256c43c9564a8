"""Any JSON gives an allocation that the packet path takes, or one clear line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halfkey._media import Switch
from halfkey.errors import CodecError
from halfkey.media_distributor.conference import Allocation, Slot, Source
from halfkey.media_distributor.core import MediaDistributor
from halfkey.media_distributor.path import SwitchPath
from halfkey.media_distributor.request import (
    MAXIMUM_ENTRIES,
    MAXIMUM_SLOTS,
    MAXIMUM_SOURCES,
    read_allocation,
)
from tests.media_distributor.media import LEVEL, MID

Body = dict[str, Any]

TEXT = st.text(st.characters(), max_size=12)  # lone surrogates too, as JSON can have them
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
ICE = st.text("abcXYZ019+/", min_size=1, max_size=40)
KIND = st.sampled_from(["audio", "video", "text"])
NUMBER = st.integers(-1, 300) | st.just(0xFFFFFFFF)
M_SECTION = {"mid": st.sampled_from(["a", "b", "c", "1", "long" * 5, ""]), "kind": KIND}
ALMOST = st.fixed_dictionaries(
    {
        "ice_ufrag": ICE | JSON,
        "ice_pwd": st.text("abc", min_size=20, max_size=24) | JSON,
        "sources": st.lists(st.fixed_dictionaries({**M_SECTION, "ssrc": NUMBER}), max_size=3)
        | JSON,
        "slots": st.lists(st.fixed_dictionaries(M_SECTION), max_size=3) | JSON,
        "extensions": st.dictionaries(st.just(MID) | TEXT, NUMBER, max_size=3) | JSON,
        "payload_types": st.dictionaries(TEXT, NUMBER, max_size=3) | JSON,
    }
)


def good() -> Body:
    """A request that is taken."""
    return {
        "ice_ufrag": "ufrag",
        "ice_pwd": "p" * 22,
        "sources": [{"mid": "0", "kind": "audio", "ssrc": 1}],
        "slots": [{"mid": "1", "kind": "video"}],
        "extensions": {MID: 4, LEVEL: 1},
        "payload_types": {"opus/48000/2": 111},
    }


@pytest.fixture(scope="module")
def switch() -> Iterator[Switch]:
    with closing(Switch("127.0.0.1", 0)) as switch:
        yield switch


def take(switch: Switch, body: bytes) -> str | None:
    """Reads a body and follows it; gives the line if it is refused."""
    try:
        allocation = read_allocation(body)
    except CodecError as fault:
        return str(fault)
    SwitchPath(switch).add_participant(1, allocation)
    return None


def test_the_control_a_request_is_read(switch: Switch) -> None:
    assert read_allocation(json.dumps(good()).encode()) == Allocation(
        "ufrag",
        "p" * 22,
        (Source("0", "audio", 1),),
        (Slot("1", "video"),),
        {MID: 4, LEVEL: 1},
        {"opus/48000/2": 111},
    )
    assert take(switch, json.dumps(good()).encode()) is None


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_one_line(switch: Switch, body: bytes) -> None:
    line = take(switch, body)
    assert line is not None
    assert line.isprintable()


@settings(max_examples=500)
@given(ALMOST)
def test_what_is_almost_a_request_is_followed_or_one_line(switch: Switch, body: Body) -> None:
    line = take(switch, json.dumps(body).encode())
    if line is not None:
        assert line.isprintable()
        assert 0 < len(line) < 200


@given(st.data())
def test_whatever_stands_in_one_place(switch: Switch, data: st.DataObject) -> None:
    """One value of a good request is replaced by any JSON: a name that it had is in the line."""
    body = good()
    name = data.draw(st.sampled_from(sorted(body)))
    body[name] = data.draw(JSON)
    line = take(switch, json.dumps(body).encode())
    if line is not None:
        assert name.replace("_", "-") in line.replace("_", "-") or "slots need" in line


@given(st.builds(good), st.lists(st.sampled_from(["audio", "video"]), max_size=MAXIMUM_SLOTS - 1))
def test_every_request_within_the_limits_is_taken(
    switch: Switch, body: Body, kinds: list[str]
) -> None:
    body["slots"] += [{"mid": f"s{n}", "kind": kind} for n, kind in enumerate(kinds)]
    read = read_allocation(json.dumps(body).encode())
    assert [asdict(slot) for slot in read.slots] == body["slots"]


def sources(count: int) -> list[Body]:
    return [{"mid": f"s{n}", "kind": "audio", "ssrc": n + 1} for n in range(count)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda body: body.pop("ice_ufrag"), "ice_ufrag: give a string"),
        (lambda body: body.update(ice_ufrag="a b"), "a=ice-ufrag"),
        (lambda body: body.update(ice_pwd="short"), "a=ice-pwd"),
        (lambda body: body.update(sources={}), "sources: give a list"),
        (lambda body: body.update(sources=sources(MAXIMUM_SOURCES + 1)), "16 or fewer"),
        (lambda body: body.update(sources=[1]), "sources: each"),
        (lambda body: body["sources"][0].update(ssrc=0), "ssrc: give a number"),
        (lambda body: body["sources"][0].update(ssrc=1 << 32), "ssrc: give a number"),
        (lambda body: body["sources"][0].update(ssrc=True), "ssrc: give a number"),
        (lambda body: body["sources"][0].update(ssrc=1.0), "ssrc: give a number"),
        (lambda body: body["sources"][0].update(kind="text"), "kind: give audio or video"),
        (lambda body: body["sources"][0].update(mid="1"), "mid 1: given twice"),
        (lambda body: body["slots"][0].update(mid="a" * 17), "a=mid"),
        (lambda body: body.update(extensions={LEVEL: 1}), "slots need an id"),
        (lambda body: body.update(extensions={MID: 0}), "extensions: each value"),
        (lambda body: body.update(extensions={MID: 1, LEVEL: 1}), "no number may be given twice"),
        (lambda body: body["extensions"].update({"\ud800": 9}), "extensions: a name"),
        (lambda body: body["payload_types"].update({"\udfff": 9}), "payload_types: a name"),
        (lambda body: body["payload_types"].update(VP8=128), "payload_types: each value"),
        (
            lambda body: body.update(payload_types={str(n): n for n in range(MAXIMUM_ENTRIES + 1)}),
            "64 or fewer",
        ),
    ],
)
def test_the_line_names_fault_and_fix(
    switch: Switch, change: Callable[[Body], object], said: str
) -> None:
    body = good()
    change(body)
    line = take(switch, json.dumps(body).encode())
    assert line is not None
    assert said in line


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 100_000, b"9" * 5000, b'{"a":1', b"NaN"])
def test_what_is_no_json_object(switch: Switch, body: bytes) -> None:
    line = take(switch, body)
    assert line in ("the body is not JSON", "the body must be a JSON object")


def test_what_was_read_can_be_allocated(switch: Switch) -> None:
    """The core takes what the reader gives: the two agree on what an allocation is."""
    core = MediaDistributor(SwitchPath(switch))
    credentials = core.allocate(("c", "p"), read_allocation(json.dumps(good()).encode()), 0.0)
    assert credentials.ice_ufrag
