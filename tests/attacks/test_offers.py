"""Offers and the words beside them.

The assertion binds certificate, tls-id, SSRCs and conference, so a change of any is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from halfkey.dtls import Fingerprint
from halfkey.sdp import read_offer
from tests.attacks.arena import Arena, verified
from tests.attacks.focus import Mischief
from tests.attacks.rows import Row, attack, attacks
from tests.e2e.system import CONFERENCE
from tests.endpoint.waiting import until

Happened = Callable[[str], None]

OTHER_FINGERPRINT = str(Fingerprint.of(b"the Focus's own"))
OTHER_TLS_ID = "f" * 60


def with_fingerprint(offer: str) -> str:
    return offer.replace(read_offer(offer).transport.fingerprint, OTHER_FINGERPRINT)


def with_tls_id(offer: str) -> str:
    return offer.replace(read_offer(offer).transport.tls_id, OTHER_TLS_ID)


def with_other_ssrc(offer: str) -> str:
    (source,) = read_offer(offer).sources
    return offer.replace(f"a=ssrc:{source.ssrc} ", f"a=ssrc:{source.ssrc ^ 1} ")


def with_another_source(offer: str) -> str:
    """The first slot becomes a source of somebody else's SSRC."""
    head, section, rest = offer.partition("a=recvonly\r\n")
    return f"{head}a=sendonly\r\na=ssrc:7 cname:cname\r\n{rest}" if section else offer


def without_identity(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("a=identity:"))


def in_offer(change: Callable[[str], str]) -> Mischief:
    """Only in the offer that the Key Distributor gets: the words beside it are as they were."""

    def apply(body: dict[str, Any]) -> None:
        body["offer"] = change(body["offer"])

    return Mischief(admission=apply)


def beside(name: str, value: str | None) -> Mischief:
    return Mischief(admission=lambda body: body.update({name: value}))


def everywhere(change: Callable[[str], str]) -> Mischief:
    return Mischief(offer=change)


REFUSED = "the Key Distributor refuses it ({}); no key"


@attacks(
    fingerprint_in_offer=Row(
        "Swaps the Endpoint's fingerprint in the offer",
        REFUSED.format("offer_differs"),
        (in_offer(with_fingerprint),),
    ),
    fingerprint_beside=Row(
        "Swaps the fingerprint beside the offer",
        REFUSED.format("offer_differs"),
        (beside("fingerprint", OTHER_FINGERPRINT),),
    ),
    fingerprint_in_both=Row(
        "Swaps the fingerprint in both",
        REFUSED.format("fingerprint"),
        (everywhere(with_fingerprint),),
    ),
    tls_id_in_offer=Row(
        "Swaps the Endpoint's tls-id in the offer",
        REFUSED.format("offer_differs"),
        (in_offer(with_tls_id),),
    ),
    tls_id_beside=Row(
        "Swaps the tls-id beside the offer",
        REFUSED.format("offer_differs"),
        (beside("tls_id", OTHER_TLS_ID),),
    ),
    tls_id_in_both=Row(
        "Swaps the tls-id in both", REFUSED.format("tls_id"), (everywhere(with_tls_id),)
    ),
    ssrc=Row("Swaps the Endpoint's SSRC", REFUSED.format("ssrcs"), (everywhere(with_other_ssrc),)),
    another_ssrc=Row(
        "Adds an SSRC to the offer", REFUSED.format("ssrcs"), (everywhere(with_another_source),)
    ),
    no_identity_in_offer=Row(
        "Strips the identity from the offer",
        REFUSED.format("offer_differs"),
        (in_offer(without_identity),),
    ),
    no_identity_beside=Row(
        "Strips the assertion beside the offer",
        REFUSED.format("no_assertion"),
        (beside("assertion", None),),
    ),
    no_identity_at_all=Row(
        "Strips the identity everywhere",
        REFUSED.format("no_assertion"),
        (everywhere(without_identity),),
    ),
)
async def test_a_changed_offer(field: Arena, case: Row, happened: Happened) -> None:
    field.focus.mischief = case.values[0]
    link = field.link(0)
    outcome = await field.refused_by_key_distributor(field.member(0, link))
    field.reset()
    member = await field.joined(0, link)
    await until(lambda: verified(member) == {"P0"})
    happened(outcome)


@attack(
    "Asks with an assertion of another conference",
    "the Key Distributor refuses it (conference); no key",
)
async def test_another_conference(field: Arena, happened: Happened) -> None:
    field.focus.mischief = Mischief(path=lambda path: path.replace(CONFERENCE, "other"))
    link = field.link(0)
    outcome = await field.refused_by_key_distributor(field.member(0, link))
    field.reset()
    assert (await field.joined(0, link)).people is not None
    happened(outcome)
