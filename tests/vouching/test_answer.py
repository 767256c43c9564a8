"""The Key Distributor's own assertion: what it binds, and that nothing else is taken for it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from halfkey.dtls.fingerprint import Fingerprint
from halfkey.errors import CodecError
from halfkey.identity.envelope import IdentityAssertion
from halfkey.sdp.identity import external_id_hash
from halfkey.vouching.answer import DOMAIN, PROTOCOL, TYPE, AnswerVouch, DTLSIdentity
from halfkey.vouching.answer import ExpectedAnswer as Expected
from halfkey.vouching.authority import Trust
from halfkey.vouching.refusal import Refusal
from tests.identity.helpers import parts
from tests.vouching.world import KeyDistributor, authority, member, refuses, valid_now

ENDPOINT = DTLSIdentity(Fingerprint.of(b"endpoint"), "tls-id-of-the-endpoint")
KEY_DISTRIBUTOR = DTLSIdentity(Fingerprint.of(b"kd", "sha-384"), "tls-id-of-the-key-distributor")
NONCE = "nonce-of-the-endpoint"
OTHER = DTLSIdentity(Fingerprint.of(b"other"), "tls-id-of-somebody-else")
EXPECTED = Expected("board", ENDPOINT, NONCE, KEY_DISTRIBUTOR)


def vouch() -> AnswerVouch:
    return AnswerVouch(
        conference="board",
        participant="p1",
        name="Zoë",
        role="participant",
        key_distributor=KEY_DISTRIBUTOR,
        endpoint=ENDPOINT,
        nonce=NONCE,
        issued_at=int(valid_now()),
    )


def verify(value: str, expected: Expected = EXPECTED, late: float = 0) -> AnswerVouch:
    return AnswerVouch.verify(value, Trust(authority().ca_sha256), expected, valid_now() + late)


def test_an_answer_says_what_was_signed_and_fits_external_id_hash() -> None:
    value = vouch().sign(authority())
    assert verify(value) == vouch()
    assert len(external_id_hash(value)) == 32
    assert verify(value).admitted_at == vouch().issued_at
    ahead = replace(vouch(), roster_time=vouch().issued_at + 3600)
    assert verify(ahead.sign(authority())) == ahead
    assert ahead.admitted_at == ahead.roster_time


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        (replace(EXPECTED, conference="boards"), "conference"),
        (replace(EXPECTED, nonce="nonce-of-another-one"), "nonce"),
        (replace(EXPECTED, endpoint=replace(ENDPOINT, tls_id=OTHER.tls_id)), "tls_id"),
        (
            replace(EXPECTED, endpoint=replace(ENDPOINT, fingerprint=OTHER.fingerprint)),
            "fingerprint",
        ),
        (
            replace(EXPECTED, key_distributor=replace(KEY_DISTRIBUTOR, tls_id=OTHER.tls_id)),
            "tls_id",
        ),
        (replace(EXPECTED, key_distributor=OTHER), "fingerprint"),
        (replace(EXPECTED, endpoint=KEY_DISTRIBUTOR, key_distributor=ENDPOINT), "fingerprint"),
    ],
)
def test_an_answer_is_for_one_offer_and_one_key_distributor(
    expected: Expected, reason: Refusal
) -> None:
    value = vouch().sign(authority())
    with refuses(reason):
        verify(value, expected)


def test_an_answer_is_believed_for_a_short_time() -> None:
    value = vouch().sign(authority())
    assert verify(value, late=90) == verify(value, late=-30)
    with refuses("expired"):
        verify(value, late=91)
    with refuses("future"):
        verify(value, late=-31)


def test_nothing_else_passes_for_an_answer() -> None:
    statement = KeyDistributor().statement(valid_now())
    with refuses("type"):
        verify(str(IdentityAssertion(DOMAIN, PROTOCOL, statement)))
    with refuses("protocol"):
        verify(member(1).own.assertion)
    with refuses("authority"):
        verify(vouch().sign(authority("another")))
    with refuses("too_large"):
        verify("A" * 30_000)
    for rubbish in ("", "????", base64.b64encode(b"{}").decode()):
        with refuses("malformed"):
            verify(rubbish)


@pytest.mark.parametrize(
    "change",
    [
        lambda payload: payload | {"more": 1},
        lambda payload: {key: payload[key] for key in payload if key != "role"},
        lambda payload: payload | {"iat": 1.0},
        lambda payload: payload | {"iat": True},
        lambda payload: payload | {"iat": -1},
        lambda payload: payload | {"roster-time": -1},
        lambda payload: payload | {"roster-time": True},
        lambda payload: payload | {"name": ""},
        lambda payload: payload | {"name": "a\u202eb"},
        lambda payload: payload | {"name": "a\x1b[2J"},
        lambda payload: payload | {"participant": "p" * 129},
        lambda payload: payload | {"jti": "short"},
        lambda payload: payload | {"endpoint": "x"},
        lambda payload: payload | {"endpoint": payload["endpoint"] | {"tls-id": "short"}},
        lambda payload: payload | {"endpoint": payload["endpoint"] | {"fingerprint": "md5 00"}},
        lambda payload: (
            payload
            | {"endpoint": payload["endpoint"] | {"fingerprint": str(ENDPOINT.fingerprint).lower()}}
        ),
    ],
)
def test_also_what_is_signed_must_follow_the_format(
    change: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    _, payload = parts(IdentityAssertion.parse(vouch().sign(authority())).assertion)

    def carried(content: dict[str, Any]) -> str:
        return str(IdentityAssertion(DOMAIN, PROTOCOL, authority().sign(TYPE, content)))

    assert verify(carried(json.loads(json.dumps(payload)))) == vouch()
    with refuses("malformed"):
        verify(carried(change(payload)))


def test_what_can_not_be_read_can_not_be_made() -> None:
    for change in ({"name": "\n"}, {"nonce": "x"}, {"issued_at": -1}, {"conference": ""}):
        with pytest.raises(CodecError):
            replace(vouch(), **change)  # type: ignore[arg-type]
