"""Assertions signed with an invite: each refusal beside the assertion that passes."""

from __future__ import annotations

import dataclasses
import hmac
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey

from halfkey.dtls.fingerprint import Fingerprint
from halfkey.errors import CodecError, UsageError
from halfkey.identity.claims import (
    CLOCK_SKEW,
    MAXIMUM_AGE,
    MAXIMUM_SSRCS,
    AssertionRefused,
    Binding,
    Claims,
    Reason,
)
from halfkey.identity.envelope import IdentityAssertion
from halfkey.identity.invite import Invite, InviteSecret, InviteVerifier
from halfkey.identity.jose import (
    MAXIMUM_TOKEN,
    UnverifiedToken,
    read_public_key,
    thumbprint,
)
from halfkey.identity.verifier import Verifiers, check_possession
from tests.identity.helpers import (
    BINDING,
    CLAIMS,
    NOW,
    OTHER_BINDINGS,
    carried,
    compact,
    decode,
    encode,
    forge,
    parts,
    refuses,
)

SECRET = InviteSecret(bytes(range(16)), "board")
INVITE = Invite("i-1", "board", "Ada", "participant", SECRET.thumbprint, NOW + 1000)
GOOD = SECRET.sign(CLAIMS)
HEADER, PAYLOAD = parts(GOOD.assertion)
KEY: OKPKey = SECRET._key
"""The private key itself: what a participant who writes its own program has."""


def verifier(*invites: Invite) -> InviteVerifier:
    return InviteVerifier({invite.thumbprint: invite for invite in invites}.get)


def verify(assertion: IdentityAssertion, now: float = NOW) -> Claims:
    person, claims = verifier(INVITE).verify(assertion, BINDING, now)
    assert person.identity == "invite:i-1"
    return claims


def test_a_good_assertion_names_the_person_that_was_invited() -> None:
    person, claims = verifier(INVITE).verify(GOOD, BINDING, NOW)
    assert claims == CLAIMS
    assert (person.identity, person.name, person.role) == ("invite:i-1", "Ada", "participant")
    assert (person.kind, person.key_thumbprint) == ("invite", SECRET.thumbprint)


def test_it_is_written_in_the_terms_of_rfc_8225() -> None:
    header, payload = parts(GOOD.assertion)
    assert header == {"alg": "Ed25519", "jwk": SECRET.public_jwk, "typ": "halfkey-invite+jwt"}
    assert payload == {
        "conference": "board",
        "iat": NOW,
        "jti": "n0nce-of-the-tests",
        "mky": [{"alg": "sha-256", "dig": BINDING.fingerprint.value.hex().upper()}],
        "role": "participant",
        "ssrcs": [7, 3_000_000_000],
        "tls-id": "Xz0" * 8,
    }


def test_what_is_signed_is_read_back() -> None:
    assert forge(KEY, HEADER, PAYLOAD) == GOOD.assertion  # the control of the forgeries below
    assert verify(carried(GOOD, forge(KEY, HEADER, PAYLOAD))) == CLAIMS


@pytest.mark.parametrize("reason", OTHER_BINDINGS)
def test_it_holds_for_one_offer_only(reason: Reason) -> None:
    assert verifier(INVITE).verify(GOOD, BINDING, NOW)
    with refuses(reason):
        verifier(INVITE).verify(GOOD, OTHER_BINDINGS[reason], NOW)
    with refuses(reason):
        check_possession(GOOD, SECRET.thumbprint, OTHER_BINDINGS[reason])


def test_the_order_of_the_ssrcs_in_the_offer_does_not_matter() -> None:
    turned = dataclasses.replace(BINDING, ssrcs=BINDING.ssrcs[::-1])
    assert verifier(INVITE).verify(GOOD, turned, NOW)


def test_it_holds_for_a_minute_give_or_take_the_skew() -> None:
    for now in (NOW - CLOCK_SKEW, NOW, NOW + MAXIMUM_AGE + CLOCK_SKEW):
        assert verify(GOOD, now) == CLAIMS
    with refuses("expired"):
        verify(GOOD, NOW + MAXIMUM_AGE + CLOCK_SKEW + 0.1)
    with refuses("future"):
        verify(GOOD, NOW - CLOCK_SKEW - 0.1)
    assert CLAIMS.replayable_until == NOW + MAXIMUM_AGE + CLOCK_SKEW


def test_an_invite_expires() -> None:
    soon = dataclasses.replace(INVITE, expires_at=NOW + 1)
    assert verifier(soon).verify(GOOD, BINDING, NOW)
    with refuses("expired"):
        verifier(soon).verify(GOOD, BINDING, NOW + 1)
    forever = dataclasses.replace(INVITE, expires_at=None)
    assert verifier(forever).verify(GOOD, BINDING, NOW + 1)


def test_a_revoked_or_unknown_invite_opens_nothing() -> None:
    assert verifier(INVITE).verify(GOOD, BINDING, NOW)
    with refuses("key"):
        verifier().verify(GOOD, BINDING, NOW)
    with refuses("key"):
        verifier(INVITE).verify(InviteSecret.make("board").sign(CLAIMS), BINDING, NOW)


def test_an_invite_for_another_conference_opens_nothing() -> None:
    elsewhere = dataclasses.replace(INVITE, conference="boards")
    with refuses("conference"):
        verifier(elsewhere).verify(GOOD, BINDING, NOW)


def test_a_role_is_what_the_invite_gives() -> None:
    chair = SECRET.sign(dataclasses.replace(CLAIMS, role="chair"))
    with refuses("role"):
        verify(chair)
    promoted = dataclasses.replace(INVITE, role="chair")
    assert verifier(promoted).verify(chair, BINDING, NOW)[0].role == "chair"


def test_an_invite_signs_for_its_conference_only() -> None:
    with pytest.raises(UsageError):
        SECRET.sign(dataclasses.replace(CLAIMS, conference="boards"))


def test_another_person_can_check_the_proof_long_after() -> None:
    assert check_possession(GOOD, SECRET.thumbprint, BINDING) == CLAIMS
    assert check_possession(GOOD, SECRET.thumbprint, BINDING, NOW) == CLAIMS
    with refuses("expired"):
        check_possession(GOOD, SECRET.thumbprint, BINDING, NOW + 1000)
    with refuses("key"):
        check_possession(GOOD, InviteSecret.make("board").thumbprint, BINDING)
    with refuses("protocol"):
        check_possession(dataclasses.replace(GOOD, protocol="bogus"), SECRET.thumbprint, BINDING)
    # In the envelope of another kind, which wants another algorithm or type.
    with refuses("algorithm"):
        check_possession(dataclasses.replace(GOOD, protocol="passport"), SECRET.thumbprint, BINDING)
    with refuses("type"):
        check_possession(dataclasses.replace(GOOD, protocol="oidc"), SECRET.thumbprint, BINDING)


def test_only_configured_protocols_are_accepted() -> None:
    verifiers = Verifiers([verifier(INVITE)])
    assert verifiers.verify(str(GOOD), BINDING, NOW)[1] == CLAIMS
    for protocol in ("oidc", "bogus", "Invite"):
        with refuses("protocol"):
            verifiers.verify(str(dataclasses.replace(GOOD, protocol=protocol)), BINDING, NOW)
    with refuses("protocol"):
        verifiers.verify(str(dataclasses.replace(GOOD, domain="idp.example")), BINDING, NOW)
    with refuses("protocol"):
        verifier(INVITE).verify(dataclasses.replace(GOOD, protocol="oidc"), BINDING, NOW)
    with refuses("malformed"):
        verifiers.verify(str(GOOD) + "=", BINDING, NOW)
    with refuses("too_large"):
        verifiers.verify(str(GOOD) * 100, BINDING, NOW)


def header(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (HEADER | changes).items() if value is not None}


EC = ECKey.generate_key("P-256")

HEADERS: list[tuple[str, dict[str, Any], Reason]] = [
    ("no algorithm", header(alg=None), "algorithm"),
    ("alg none", header(alg="none"), "algorithm"),
    ("alg is no string", header(alg=["Ed25519"]), "algorithm"),
    ("a symmetric algorithm", header(alg="HS256"), "algorithm"),
    ("an algorithm of another kind", header(alg="ES256"), "algorithm"),
    ("no type", header(typ=None), "type"),
    ("another type", header(typ="JWT"), "type"),
    ("the type of another kind", header(typ="halfkey-oidc+jwt"), "type"),
    ("the type in other letters", header(typ="Halfkey-Invite+jwt"), "type"),
    ("no key", header(jwk=None), "malformed"),
    ("a key of another type", header(jwk=EC.as_dict(private=False)), "key"),
    ("a private key", header(jwk=SECRET.public_jwk | {"d": encode(bytes(32))}), "key"),
    ("a short key", header(jwk=SECRET.public_jwk | {"x": encode(bytes(31))}), "key"),
    ("a key that is no string", header(jwk=SECRET.public_jwk | {"x": 7}), "key"),
    ("a key that is text", header(jwk="x"), "key"),
    ("a critical extension", header(crit=["exp"], exp=1), "malformed"),
    ("an unencoded payload", header(b64=False, crit=["b64"]), "malformed"),
    ("a compressed payload", header(zip="DEF"), "malformed"),
    ("a key id", header(kid="1"), "malformed"),
    ("a key's address", header(jku="https://evil.example"), "malformed"),
]


@pytest.mark.parametrize(
    ("forged", "reason"), [c[1:] for c in HEADERS], ids=[c[0] for c in HEADERS]
)
def test_a_header_that_departs_from_the_form_is_refused(
    forged: dict[str, Any], reason: Reason
) -> None:
    with refuses(reason):
        verify(carried(GOOD, forge(KEY, forged, PAYLOAD)))


PAYLOADS: list[tuple[str, dict[str, Any]]] = [
    ("another member", {"exp": 1}),
    ("a role that is null", {"role": None}),
    ("a conference that is a list", {"conference": ["board"]}),
    ("a conference with a slash", {"conference": "bo/rd"}),
    ("a time that is text", {"iat": str(NOW)}),
    ("a time that is true", {"iat": True}),
    ("a time with a fraction", {"iat": NOW + 0.5}),
    ("a time before 1970", {"iat": -1}),
    ("a time past every clock", {"iat": 1 << 60}),
    ("a nonce that is short", {"jti": "short"}),
    ("a nonce that is long", {"jti": "n" * 129}),
    ("a nonce that is a number", {"jti": 1}),
    ("ssrcs that are one", {"ssrcs": 7}),
    ("ssrcs out of order", {"ssrcs": [3_000_000_000, 7]}),
    ("an ssrc twice", {"ssrcs": [7, 7]}),
    ("an ssrc of 33 bits", {"ssrcs": [1 << 32]}),
    ("an ssrc that is true", {"ssrcs": [True]}),
    ("too many ssrcs", {"ssrcs": list(range(MAXIMUM_SSRCS + 1))}),
    ("a tls-id that is short", {"tls-id": "x" * 19}),
    ("no media key", {"mky": []}),
    ("two media keys", {"mky": PAYLOAD["mky"] * 2}),
    ("a media key that is text", {"mky": PAYLOAD["mky"][0]["dig"]}),
    ("a weak hash", {"mky": [{"alg": "sha-1", "dig": "AB" * 20}]}),
    ("a hash that is cut", {"mky": [{"alg": "sha-512", "dig": "AB" * 32}]}),
    ("a hash in lower case", {"mky": [{"alg": "sha-256", "dig": "ab" * 32}]}),
    ("a hash with colons", {"mky": [{"alg": "sha-256", "dig": "AB:" * 31 + "AB"}]}),
    ("a media key with more", {"mky": [PAYLOAD["mky"][0] | {"extra": 1}]}),
]


@pytest.mark.parametrize("change", [c[1] for c in PAYLOADS], ids=[c[0] for c in PAYLOADS])
def test_a_payload_that_departs_from_the_form_is_refused(change: dict[str, Any]) -> None:
    with refuses("malformed"):
        verify(carried(GOOD, forge(KEY, HEADER, PAYLOAD | change)))


@pytest.mark.parametrize("member", PAYLOAD)
def test_every_member_is_needed(member: str) -> None:
    cut = {name: value for name, value in PAYLOAD.items() if name != member}
    with refuses("malformed"):
        verify(carried(GOOD, forge(KEY, HEADER, cut)))


SPELLINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("a member twice", lambda text: text.replace(b"{", b'{"iat":1,', 1)),
    ("a member twice, deeper", lambda text: text.replace(b"[{", b'[{"alg":"sha-256",', 1)),
    ("a space", lambda text: text + b" "),
    ("another order", lambda text: b'{"tls-id"' + text[text.rindex(b":") : -1] + b"}"),
    ("an escape", lambda text: text.replace(b"board", rb"\u0062oard")),
    ("a lone surrogate", lambda text: text.replace(b"board", rb"\ud800")),
    ("a NaN", lambda text: text.replace(str(NOW).encode(), b"NaN")),
    ("an exponent", lambda text: text.replace(str(NOW).encode(), b"18e8")),
    ("a number without end", lambda text: text.replace(str(NOW).encode(), b"1" * 5000)),
    ("brackets without end", lambda text: b"[" * 9000),
    ("a list", lambda text: b"[]"),
    ("no text", lambda text: b"\xff"),
    ("nothing", lambda text: b""),
]


@pytest.mark.parametrize("change", [c[1] for c in SPELLINGS], ids=[c[0] for c in SPELLINGS])
def test_json_has_one_spelling(change: Callable[[bytes], bytes]) -> None:
    text = compact(PAYLOAD)
    assert change(text) != text
    with refuses("malformed"):
        verify(carried(GOOD, forge(KEY, HEADER, change(text))))
    with refuses("malformed"):
        verify(carried(GOOD, forge(KEY, change(compact(HEADER) + b" "), PAYLOAD)))


def test_base64url_has_one_spelling() -> None:
    first, second, last = GOOD.assertion.split(".")
    assert verify(carried(GOOD, f"{first}.{second}.{last}")) == CLAIMS
    other = last[:-1] + chr(ord(last[-1]) + 1)  # the last character's spare bits
    for token in (
        f"{first}.{second}.{other}",
        f"{first}.{second}.{last}==",
        f"{first}.{second}\n.{last}",
        f"{first}.{second}.{last}.",
        f"{first}..{last}",
        f"{first}.{second}",
        f"{first}.{second}.{last}".replace("_", "/").replace("-", "+"),
    ):
        with refuses("malformed"):
            verify(carried(GOOD, token))


def test_a_signature_holds_for_one_text_and_one_key() -> None:
    first, second, last = GOOD.assertion.split(".")
    changed = encode(compact(PAYLOAD | {"iat": NOW + 1}))
    mallory = OKPKey.generate_key("Ed25519")
    for token in (
        f"{first}.{changed}.{last}",
        f"{first}.{second}.{encode(bytes(64))}",
        f"{first}.{second}.{encode(bytes(63))}",
        f"{first}.{second}.",
        # Signed by another key, under the invited one's name.
        forge(mallory, HEADER, PAYLOAD),
    ):
        with refuses("signature"):
            verify(carried(GOOD, token))


def test_a_public_key_is_no_shared_secret() -> None:
    """HS256 keyed by the public key, which everybody has: the classic confusion."""
    public = read_public_key(SECRET.public_jwk, "Ed25519")
    signed = ".".join(encode(compact(part)) for part in (header(alg="HS256"), PAYLOAD))
    for secret in (public.as_pem(private=False), decode(SECRET.public_jwk["x"])):
        mac = hmac.digest(secret, signed.encode(), "sha256")
        with refuses("algorithm"):
            verify(carried(GOOD, f"{signed}.{encode(mac)}"))
        # Also where nothing but the list of algorithms stands in between.
        with refuses("algorithm"):
            UnverifiedToken(f"{signed}.{encode(mac)}").verified(public, ["Ed25519"])
        with refuses("signature"):
            UnverifiedToken(f"{signed}.{encode(mac)}").verified(public, ["HS256"])


def test_a_token_is_bounded() -> None:
    assert UnverifiedToken(GOOD.assertion).header == HEADER
    with refuses("too_large"):
        UnverifiedToken(GOOD.assertion + "A" * MAXIMUM_TOKEN)
    with refuses("malformed"):
        UnverifiedToken("A" * 2049 + GOOD.assertion)


def test_no_secret_is_shown() -> None:
    assert repr(SECRET) == "<InviteSecret for board>"
    assert "d" not in SECRET.public_jwk
    assert thumbprint(read_public_key(SECRET.public_jwk, "Ed25519")) == SECRET.thumbprint
    made = InviteSecret.make("board")
    assert len(made.value) == 16
    assert made.value != InviteSecret.make("board").value


@pytest.mark.parametrize(
    "change",
    [
        {"id": "a b"},
        {"conference": ""},
        {"role": "x" * 65},
        {"name": ""},
        {"name": "a\x1b"},
        {"thumbprint": "x"},
        {"devices": 0},
    ],
)
def test_an_invite_is_bounded(change: dict[str, Any]) -> None:
    with pytest.raises(CodecError):
        dataclasses.replace(INVITE, **change)


binding_values = st.builds(
    Binding,
    conference=st.just("board"),
    fingerprint=st.binary().map(lambda der: Fingerprint.of(der, "sha-512")),
    tls_id=st.from_regex(r"[A-Za-z0-9+/_-]{20,255}", fullmatch=True),
    ssrcs=st.lists(st.integers(0, (1 << 32) - 1), max_size=MAXIMUM_SSRCS).map(tuple),
)


@given(binding_values, st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True))
def test_every_claim_comes_back_as_it_was(binding: Binding, role: str) -> None:
    claims = Claims.of(binding, role, NOW)
    invite = dataclasses.replace(INVITE, role=role)
    parsed = IdentityAssertion.parse(str(SECRET.sign(claims)))
    assert verifier(invite).verify(parsed, binding, NOW)[1] == claims
    assert claims.nonce != Claims.of(binding, role, NOW).nonce


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.data())
def test_any_signed_json_is_refused_and_nothing_else(data: st.DataObject) -> None:
    """A participant signs what it likes, rightly: the worst input that has a right signature."""
    head, body = dict(HEADER), dict(PAYLOAD)
    target = data.draw(st.sampled_from([head, body]))
    member = data.draw(st.sampled_from(sorted(target)) | st.text())
    value = data.draw(json_values)
    if target.get(member) == value or (member == "ssrcs" and value == []):
        return
    target[member] = value
    texts = [compact(part) for part in (head, body)]
    with pytest.raises(AssertionRefused):
        verify(carried(GOOD, forge(KEY, *texts)))


@given(st.text(max_size=200) | st.text(".", min_size=2, max_size=4))
def test_any_text_is_refused_and_nothing_else(text: str) -> None:
    with pytest.raises(AssertionRefused):
        Verifiers([verifier(INVITE)]).verify(text, BINDING, NOW)
    if text and text.isascii():
        with pytest.raises(AssertionRefused):
            verify(carried(GOOD, text))


@given(st.integers(0, len(GOOD.assertion) - 1), st.characters(min_codepoint=1, max_codepoint=127))
def test_any_character_changed_is_refused(place: int, character: str) -> None:
    if GOOD.assertion[place] == character:
        return
    changed = GOOD.assertion[:place] + character + GOOD.assertion[place + 1 :]
    with pytest.raises(AssertionRefused):
        verify(carried(GOOD, changed))
