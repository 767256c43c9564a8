"""Reads Wycheproof's vectors from where the developer says that they are."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "HALFKEY_WYCHEPROOF"
Json = dict[str, Any]


def cases(name: str) -> Iterator[tuple[Json, Json]]:
    """Each vector of a file, with its group; skips the test where no place is named.

    Args:
        name: of the file, without ``.json``.
    """
    place = os.environ.get(VARIABLE)
    if not place:
        pytest.skip(f"{VARIABLE} names no checkout of C2SP/wycheproof; see tests/wycheproof/README")
    vectors = json.loads(find(Path(place), name).read_text())
    for group in vectors["testGroups"]:
        for case in group["tests"]:
            yield group, case


def find(place: Path, name: str) -> Path:
    """The file of that name, the newest format of it if there are several; fails without."""
    found = sorted(place.rglob(f"{name}.json"))
    if not found:
        pytest.fail(f"{VARIABLE}={place} has no {name}.json; name a checkout of C2SP/wycheproof")
    return found[-1]


def octets(case: Json, *names: str) -> tuple[bytes, ...]:
    """Values of a vector."""
    return tuple(bytes.fromhex(case[name]) for name in names)
