"""What may be asked of a resolver."""

from __future__ import annotations

import pytest

from halfkey.hosts import is_host


@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "example.org.",
        "localhost",
        "192.0.2.1",
        "::1",
        "fe80::1%lo",
        "b\u00fccher.test",
    ],
)
def test_names_and_addresses_can_be_asked_for(host: str) -> None:
    assert is_host(host)


@pytest.mark.parametrize(
    "host", ["", "a..b", ".b", "a" * 64, "a b", "a\nb", "a\0b", "\ud800", "a" * 64 + ".org"]
)
def test_what_no_host_can_be_called(host: str) -> None:
    assert not is_host(host)
