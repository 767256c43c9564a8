"""Which claims of the demo the facts bear out."""

from __future__ import annotations

import pytest

from halfkey.cli.demo.report import EndpointFacts, Facts, claims

NAMES = ("Alice", "Bob", "Carol")


@pytest.mark.parametrize(
    ("associations", "handshakes", "holds", "figure"),
    [
        (
            3,
            {"DTLS 1.3 X25519MLKEM768": 2, "DTLS 1.2 X25519": 1},
            True,
            "handshakes: 1 by DTLS 1.2 X25519, 2 by DTLS 1.3 X25519MLKEM768",
        ),
        (2, {"DTLS 1.3 X25519": 2}, False, "handshakes: 2 by DTLS 1.3 X25519"),
        (4, {"DTLS 1.3 X25519": 3}, False, "handshakes: 3 by DTLS 1.3 X25519"),
        (0, {}, False, "handshakes: none"),
    ],
    ids=["everyone", "one_too_few", "one_unaccounted", "nobody"],
)
def test_by_which_handshakes_everyone_was_given_keys(
    associations: int, handshakes: dict[str, int], holds: bool, figure: str
) -> None:
    facts = Facts(15.0, "Carol", associations=associations, handshakes=handshakes)
    facts.endpoints = {name: EndpointFacts(name) for name in NAMES}
    (claim,) = [one for one in claims(facts) if one.text.startswith("Everyone got keys")]
    assert (claim.holds, claim.figure) == (holds, figure)
