"""Reading the body of an allocation request: every fault is one line that names the field."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeGuard, TypeVar

from halfkey.errors import CodecError
from halfkey.media_distributor.conference import Allocation, Slot, Source
from halfkey.sdp.attributes import parse_ice_pwd, parse_ice_ufrag, parse_mid
from halfkey.sdp.codecs import MID

KINDS = ("audio", "video")
MAXIMUM_SOURCES = 16
MAXIMUM_SLOTS = 256
MAXIMUM_ENTRIES = 64

_T = TypeVar("_T")


def read_allocation(body: bytes) -> Allocation:
    """Reads a request's JSON.

    Raises:
        CodecError: it is not what it should be.
    """
    value = read_object(body)
    mids: set[str] = set()
    allocation = Allocation(
        ice_ufrag=parse_ice_ufrag(_text(value, "ice_ufrag")),
        ice_pwd=parse_ice_pwd(_text(value, "ice_pwd")),
        sources=_list(value, "sources", MAXIMUM_SOURCES, lambda entry: _source(entry, mids)),
        slots=_list(value, "slots", MAXIMUM_SLOTS, lambda entry: _slot(entry, mids)),
        extensions=_numbers(value, "extensions", 1, 255),
        payload_types=_numbers(value, "payload_types", 0, 127),
    )
    if allocation.slots and MID not in allocation.extensions:
        raise CodecError(f"extensions: slots need an id for {MID}")
    return allocation


def read_object(body: bytes) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        CodecError: it is none.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise CodecError("the body is not JSON") from None
    if not isinstance(value, dict):
        raise CodecError("the body must be a JSON object")
    return value


def is_number(value: object, least: int, most: int) -> TypeGuard[int]:
    """Whether a JSON value is a whole number in a range."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _text(value: dict[str, Any], name: str) -> str:
    text = value.get(name)
    if not isinstance(text, str):
        raise CodecError(f"{name}: give a string")
    return text


def _list(
    value: dict[str, Any], name: str, most: int, read: Callable[[dict[str, Any]], _T]
) -> tuple[_T, ...]:
    entries = value.get(name)
    if not isinstance(entries, list) or len(entries) > most:
        raise CodecError(f"{name}: give a list of {most} or fewer")
    if not all(isinstance(entry, dict) for entry in entries):
        raise CodecError(f"{name}: each must be a JSON object")
    return tuple(_entry(f"{name}[{index}]", entry, read) for index, entry in enumerate(entries))


def _entry(place: str, entry: dict[str, Any], read: Callable[[dict[str, Any]], _T]) -> _T:
    try:
        return read(entry)
    except CodecError as fault:
        raise CodecError(f"{place}: {fault}") from None


def _m_section(entry: dict[str, Any], mids: set[str]) -> tuple[str, str]:
    """The mid and kind of a source or slot; no two may have the same mid."""
    mid, kind = parse_mid(_text(entry, "mid")), _text(entry, "kind")
    if kind not in KINDS:
        raise CodecError(f"kind: give {' or '.join(KINDS)}")
    if mid in mids:
        raise CodecError(f"mid {mid}: given twice")
    mids.add(mid)
    return mid, kind


def _source(entry: dict[str, Any], mids: set[str]) -> Source:
    mid, kind = _m_section(entry, mids)
    ssrc = entry.get("ssrc")
    if not is_number(ssrc, 1, 0xFFFFFFFF):
        raise CodecError("ssrc: give a number from 1 to 4294967295")
    return Source(mid, kind, ssrc)


def _slot(entry: dict[str, Any], mids: set[str]) -> Slot:
    return Slot(*_m_section(entry, mids))


def _numbers(value: dict[str, Any], name: str, least: int, most: int) -> dict[str, int]:
    """An object of names and distinct numbers."""
    entries = value.get(name)
    if not isinstance(entries, dict) or len(entries) > MAXIMUM_ENTRIES:
        raise CodecError(f"{name}: give a JSON object of {MAXIMUM_ENTRIES} or fewer")
    if not all(key and key.isascii() and key.isprintable() for key in entries):
        raise CodecError(f"{name}: a name must be of printable ASCII")
    numbers = list(entries.values())
    if not all(is_number(number, least, most) for number in numbers):
        raise CodecError(f"{name}: each value must be a number from {least} to {most}")
    if len(set(numbers)) != len(numbers):
        raise CodecError(f"{name}: no number may be given twice")
    return dict(entries)
