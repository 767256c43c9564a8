"""Which address Endpoints are told to send to."""

from __future__ import annotations

import pytest

from halfkey.errors import ConfigurationError
from halfkey.media_distributor.advertising import advertised_host


@pytest.mark.parametrize(
    ("bound", "advertise", "host"),
    [
        ("127.0.0.1", None, "127.0.0.1"),
        ("::1", None, "::1"),
        ("0.0.0.0", "192.0.2.7", "192.0.2.7"),
        ("10.0.0.5", "192.0.2.7", "192.0.2.7"),
        ("::", "2001:db8::7", "2001:db8::7"),
        ("::", "2001:DB8:0::7", "2001:db8::7"),
        ("::", "192.0.2.7", "192.0.2.7"),
        ("::", "::ffff:192.0.2.7", "192.0.2.7"),
    ],
)
def test_what_endpoints_can_send_to(bound: str, advertise: str | None, host: str) -> None:
    assert advertised_host(bound, advertise) == host


@pytest.mark.parametrize(
    ("bound", "advertise", "said"),
    [
        ("0.0.0.0", None, "0.0.0.0: Endpoints can't send to that; name .* --advertise HOST"),
        ("::", None, "::: Endpoints can't send to that; name .* --advertise HOST"),
        ("::ffff:0.0.0.0", None, "name the address .* --advertise HOST"),
        ("0.0.0.0", "0.0.0.0", "--advertise 0.0.0.0: Endpoints can't"),
        ("0.0.0.0", "::", "--advertise ::: Endpoints can't"),
        ("0.0.0.0", "224.0.0.1", "give one host's address"),
        ("0.0.0.0", "", "--advertise : give an IP address"),
        ("0.0.0.0", "md.example", "--advertise md.example: give an IP address"),
        ("0.0.0.0", "192.0.2.7:5000", "give an IP address"),
        ("::", "fe80::1%eth0", "give an IP address"),
        ("0.0.0.0", "2001:db8::7", "takes IPv4 only"),
    ],
)
def test_what_they_can_not_is_one_line(bound: str, advertise: str | None, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        advertised_host(bound, advertise)
    assert "\n" not in str(caught.value)
