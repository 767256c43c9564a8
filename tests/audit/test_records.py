"""Records: what they may hold, and that they come back as they were."""

from __future__ import annotations

import json
from dataclasses import fields, make_dataclass
from enum import IntEnum
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.audit.chain import RESERVED, open_line, seal_line
from halfkey.audit.records import (
    KINDS,
    MAXIMUM_TEXT,
    PARTICIPANTS_PER_RECORD,
    Admitted,
    Associated,
    Record,
    Started,
    bounded,
    configuration_hash,
    ekt_keys_sent,
    fields_of,
    record_from,
)
from halfkey.errors import CodecError, UsageError
from halfkey.profiles import DOUBLE_128
from tests.audit.helpers import KEY

ALLOWED = {str, int, type(None)}


def leaves(kind: Any) -> set[Any]:
    """The types that a value of an annotation is made of."""
    inner = [one for one in get_args(kind) if one is not Ellipsis]
    return set().union(*(leaves(one) for one in inner)) if inner else {kind}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_no_kind_has_a_field_that_could_hold_a_key(kind: type[Record]) -> None:
    hints = get_type_hints(kind)
    for field in fields(kind):
        assert leaves(hints[field.name]) <= ALLOWED, field.name
        assert field.name not in RESERVED


def test_the_control_bytes_would_be_seen() -> None:
    planted = make_dataclass("Planted", [("ekt_key", tuple[bytes, ...] | None)])
    assert leaves(get_type_hints(planted)["ekt_key"]) - ALLOWED == {bytes}


@pytest.mark.parametrize("secret", [bytes(16), bytearray(16), memoryview(b"x"), 1.5, object()])
def test_a_value_of_another_type_is_refused_without_being_named(secret: object) -> None:
    planted: Any = secret
    with pytest.raises(UsageError) as refused:
        fields_of(Started(planted, "c"))
    assert str(refused.value) == f"a record can't hold a {type(secret).__name__}"


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_round_trips(kind: type[Record]) -> None:
    @given(st.builds(kind))
    def round_trip(record: Record) -> None:
        values = json.loads(json.dumps(fields_of(record)))
        again = record_from(record.event, values)
        assert fields_of(again) == fields_of(record) if again else False

    round_trip()


def test_fields_that_do_not_fit_and_kinds_of_a_later_version() -> None:
    with pytest.raises(CodecError, match="'started'"):
        record_from("started", {"instance": "i"})
    assert record_from("started", {"instance": "i", "configuration": "c"}) == Started("i", "c")
    assert record_from("invented_later", {"x": 1}) is None


@given(st.text(min_size=0, max_size=2000))
def test_texts_are_bounded_and_lines_are_one_line_of_ascii(text: str) -> None:
    assert len(bounded(text)) <= MAXIMUM_TEXT
    record = Admitted("c", text, name=text)
    line = seal_line(1, "now", record.event, fields_of(record), "0", KEY)
    assert line.count(b"\n") == 1
    assert all(0x20 <= byte < 0x7F for byte in line[:-1])
    assert open_line(line, KEY.public_key()).fields["name"] == bounded(text)


def test_a_number_with_a_name_is_told_as_a_number() -> None:
    values = fields_of(Associated("c", "p", "uuid", DOUBLE_128.value))
    assert json.dumps(values["profile"]) == "9"
    assert fields_of(Associated("c", "p", "uuid", IntEnum("Profile", {"X": 9}).X)) == values


def test_long_texts_that_differ_at_the_end_stay_different() -> None:
    long = "x" * 5000
    assert bounded(long + "a") != bounded(long + "b")
    assert bounded(long[:MAXIMUM_TEXT]) == long[:MAXIMUM_TEXT]


@pytest.mark.parametrize("count", [0, 1, PARTICIPANTS_PER_RECORD, PARTICIPANTS_PER_RECORD + 1, 500])
def test_a_key_for_many_is_told_in_several_records(count: int) -> None:
    names = [f"p{number}" for number in range(count)]
    told = list(ekt_keys_sent("c", 7, 60, names))
    assert [name for one in told for name in one.participants] == names
    assert all(len(one.participants) <= PARTICIPANTS_PER_RECORD for one in told)
    assert all((one.conference, one.spi, one.ttl) == ("c", 7, 60) for one in told)


def test_a_configuration_is_told_by_its_hash() -> None:
    assert configuration_hash(b"a") != configuration_hash(b"b")
    assert len(configuration_hash(b"")) == 64
