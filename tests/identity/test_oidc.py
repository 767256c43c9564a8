"""ID tokens and the keys they name; `tests/interop/oidc` has the same with a real provider."""

from __future__ import annotations

import dataclasses
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey, RSAKey

from halfkey.errors import CodecError, ConfigurationError
from halfkey.identity.claims import (
    ANY_CONFERENCE,
    CLOCK_SKEW,
    MAXIMUM_AGE,
    AssertionRefused,
    Person,
    Reason,
)
from halfkey.identity.envelope import IdentityAssertion
from halfkey.identity.invite import InviteSecret
from halfkey.identity.keyset import KeySet
from halfkey.identity.oidc import Issuer, LoginKey, OIDCVerifier, is_safe_url, wanted_key
from halfkey.identity.verifier import check_possession
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

NAME = "https://login.example:8443/tenant"
ISSUER = Issuer(
    NAME,
    "halfkey",
    frozenset({"participant"}),
    frozenset({"board"}),
    frozenset({"RS256", "ES256"}),
)
RSA, EC = RSAKey.generate_key(2048), ECKey.generate_key("P-256")
LOGIN = LoginKey()

HEADER = {"alg": "RS256", "kid": "r", "typ": "JWT"}
TOKEN: dict[str, Any] = {
    "iss": NAME,
    "sub": "248289761001",
    "aud": "halfkey",
    "exp": NOW + 600,
    "iat": NOW - 600,
    "nonce": LOGIN.thumbprint,
    "name": "Ada",
}


class Keys:
    """The provider's keys, known at any time."""

    def __init__(self, known: bool = True) -> None:
        listed = [RSA.as_dict(private=False) | {"kid": "r"}, EC.as_dict(private=False)]
        self._keys = KeySet({"keys": listed}) if known else None

    def key_set(self, issuer: str, now: float) -> KeySet | None:
        return self._keys if issuer == NAME else None


def signed(id_token: str, login: LoginKey = LOGIN) -> IdentityAssertion:
    return login.sign(CLAIMS, id_token, NAME)


def verify(assertion: IdentityAssertion, now: float = NOW, issuer: Issuer = ISSUER) -> Person:
    person, claims = OIDCVerifier([issuer], Keys()).verify(assertion, BINDING, now)
    assert claims == CLAIMS
    return person


def of(payload: dict[str, Any], header: dict[str, Any] | None = None) -> IdentityAssertion:
    return signed(forge(RSA, HEADER if header is None else header, payload))


GOOD = of(TOKEN)


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in TOKEN.items() if name not in names}


def test_a_good_assertion_names_who_logged_in() -> None:
    person = verify(GOOD)
    assert person.identity == f"oidc:{NAME}#248289761001"
    assert (person.name, person.role, person.kind) == ("Ada", "participant", "oidc")
    assert person.key_thumbprint == LOGIN.thumbprint
    assert check_possession(GOOD, LOGIN.thumbprint, BINDING) == CLAIMS
    header, payload = parts(GOOD.assertion)
    assert (header["alg"], header["typ"]) == ("Ed25519", "halfkey-oidc+jwt")
    assert payload["id_token"] == forge(RSA, HEADER, TOKEN)


@pytest.mark.parametrize(
    "payload",
    [
        TOKEN | {"aud": ["halfkey"]},
        TOKEN | {"azp": "halfkey"},
        TOKEN | {"exp": NOW + 0.5},
        TOKEN | {"nbf": NOW},
        TOKEN | {"email": "ada@example.org", "amr": ["pwd"]},
        without("nonce") | {"cnf": {"jkt": LOGIN.thumbprint}},
        TOKEN | {"cnf": {"jkt": LOGIN.thumbprint}, "nonce": "anything"},
    ],
)
def test_what_openid_connect_leaves_open_is_taken(payload: dict[str, Any]) -> None:
    assert verify(of(payload)).name == "Ada"
    assert verify(of(payload, {"alg": "RS256", "kid": "r"})).name == "Ada"


def test_a_token_of_either_algorithm_and_without_a_key_id_is_taken() -> None:
    assert verify(signed(forge(EC, {"alg": "ES256"}, TOKEN))).name == "Ada"
    assert verify(signed(forge(RSA, {"alg": "RS256"}, TOKEN))).name == "Ada"


def test_json_of_a_foreign_signer_need_not_be_canonical() -> None:
    turned = b" " + compact(TOKEN).replace(b",", b", ")
    assert verify(signed(forge(RSA, HEADER, turned))).name == "Ada"


NAMES = [
    ({"name": "Ada"}, "Ada"),
    ({"name": "", "preferred_username": "ada"}, "ada"),
    ({"name": "A\x1b[31m", "preferred_username": "ada"}, "ada"),
    ({"name": "a" * 65, "preferred_username": ["ada"]}, "248289761001"),
    ({"name": None}, "248289761001"),
]


@pytest.mark.parametrize(("claims", "name"), NAMES)
def test_a_name_that_can_be_shown_is_chosen(claims: dict[str, Any], name: str) -> None:
    assert verify(of(TOKEN | claims)).name == name


FORGED: list[tuple[dict[str, Any], Reason]] = [
    (TOKEN | {"iss": "https://evil.example"}, "issuer"),
    (TOKEN | {"iss": NAME + "/"}, "issuer"),
    (TOKEN | {"iss": [NAME]}, "issuer"),
    (without("iss"), "issuer"),
    (TOKEN | {"aud": "another"}, "audience"),
    (TOKEN | {"aud": ["halfkey", "another"]}, "audience"),
    (TOKEN | {"aud": []}, "audience"),
    (without("aud"), "audience"),
    (TOKEN | {"azp": "another"}, "audience"),
    (TOKEN | {"exp": NOW - CLOCK_SKEW}, "expired"),
    (TOKEN | {"exp": str(NOW + 600)}, "malformed"),
    (TOKEN | {"exp": True}, "malformed"),
    (TOKEN | {"exp": 1e300}, "malformed"),
    (without("exp"), "malformed"),
    (TOKEN | {"iat": NOW + CLOCK_SKEW + 1}, "future"),
    (without("iat"), "malformed"),
    (TOKEN | {"nbf": NOW + CLOCK_SKEW + 1}, "future"),
    (TOKEN | {"nbf": None}, "malformed"),
    (TOKEN | {"nonce": LoginKey().thumbprint}, "key"),
    (TOKEN | {"nonce": None}, "key"),
    (without("nonce"), "key"),
    (TOKEN | {"cnf": {"jkt": LoginKey().thumbprint}}, "key"),
    (TOKEN | {"cnf": {}}, "key"),
    (TOKEN | {"cnf": None}, "key"),
    (TOKEN | {"cnf": LOGIN.thumbprint}, "key"),
    (without("sub"), "malformed"),
    (TOKEN | {"sub": ""}, "malformed"),
    (TOKEN | {"sub": "a" * 256}, "malformed"),
    (TOKEN | {"sub": "a\n"}, "malformed"),
    (TOKEN | {"sub": "é"}, "malformed"),
]


@pytest.mark.parametrize(("payload", "reason"), FORGED)
def test_a_token_that_is_not_for_this_is_refused(payload: dict[str, Any], reason: Reason) -> None:
    with refuses(reason):
        verify(of(payload))


HEADERS: list[tuple[dict[str, Any], Reason]] = [
    (HEADER | {"typ": "at+jwt"}, "type"),
    (HEADER | {"typ": "halfkey-oidc+jwt"}, "type"),
    (HEADER | {"typ": 1}, "type"),
    (HEADER | {"alg": "none"}, "algorithm"),
    (HEADER | {"alg": "HS256"}, "algorithm"),
    (HEADER | {"alg": "RS512"}, "algorithm"),
    (HEADER | {"alg": ["RS256"]}, "algorithm"),
    (HEADER | {"alg": "Ed25519"}, "algorithm"),  # none that this issuer is configured with
    (HEADER | {"alg": "ES256"}, "key"),
    (HEADER | {"alg": "ES256", "kid": None}, "signature"),
    (HEADER | {"kid": "unknown"}, "key"),
    (HEADER | {"kid": 7}, "key"),
    (HEADER | {"crit": ["kid"]}, "malformed"),
    (HEADER | {"b64": True}, "malformed"),
    (HEADER | {"x5c": ["a" * 2048]}, "malformed"),
    ({"kid": "r"}, "algorithm"),
]


@pytest.mark.parametrize(("header", "reason"), HEADERS)
def test_a_token_signed_otherwise_is_refused(header: dict[str, Any], reason: Reason) -> None:
    with refuses(reason):
        verify(of(TOKEN, header))


def test_a_token_signed_by_another_is_refused() -> None:
    for key, header in (
        (RSAKey.generate_key(2048), HEADER),
        (RSAKey.generate_key(2048), HEADER | {"jwk": RSA.as_dict(private=False)}),
        (ECKey.generate_key("P-256"), {"alg": "ES256"}),
    ):
        with refuses("signature"):
            verify(signed(forge(key, header, TOKEN)))
    own = OKPKey.generate_key("Ed25519")
    with refuses("algorithm"):
        verify(signed(forge(own, {"alg": "Ed25519", "jwk": own.as_dict(private=False)}, TOKEN)))


def test_a_public_key_is_no_shared_secret() -> None:
    text = ".".join(encode(compact(part)) for part in (HEADER | {"alg": "HS256"}, TOKEN))
    mac = hmac.digest(RSA.as_pem(private=False), text.encode(), "sha256")
    with refuses("algorithm"):
        verify(signed(f"{text}.{encode(mac)}"))


def test_a_token_alone_opens_nothing() -> None:
    """Somebody who saw an assertion has its ID token, but not the key."""
    seen = parts(GOOD.assertion)[1]["id_token"]
    with refuses("key"):
        verify(signed(seen, LoginKey()))
    with pytest.raises(AssertionRefused):
        verify(carried(GOOD, seen))


def test_the_proof_is_for_one_offer_and_a_short_time() -> None:
    verifier = OIDCVerifier([ISSUER], Keys())
    for reason, binding in OTHER_BINDINGS.items():
        with refuses(reason):  # type: ignore[arg-type]
            verifier.verify(GOOD, binding, NOW)
    assert verify(GOOD, NOW + MAXIMUM_AGE + CLOCK_SKEW)
    with refuses("expired"):
        verify(GOOD, NOW + MAXIMUM_AGE + CLOCK_SKEW + 1)
    with refuses("future"):
        verify(GOOD, NOW - CLOCK_SKEW - 1)


def test_configuration_decides() -> None:
    with refuses("role"):
        verify(GOOD, issuer=dataclasses.replace(ISSUER, roles=frozenset({"chair"})))
    with refuses("scope"):
        verify(GOOD, issuer=dataclasses.replace(ISSUER, conferences=frozenset({"weekly"})))
    verify(GOOD, issuer=dataclasses.replace(ISSUER, conferences=frozenset({ANY_CONFERENCE})))
    with refuses("algorithm"):
        verify(GOOD, issuer=dataclasses.replace(ISSUER, algorithms=frozenset({"ES256"})))
    with refuses("issuer"):
        OIDCVerifier([], Keys()).verify(GOOD, BINDING, NOW)
    with refuses("issuer"):
        verify(dataclasses.replace(GOOD, domain="login.example"))
    with refuses("protocol"):
        verify(dataclasses.replace(GOOD, protocol="invite"))
    with refuses("key"):
        OIDCVerifier([ISSUER], Keys(known=False)).verify(GOOD, BINDING, NOW)


def test_the_key_that_is_wanted_is_named() -> None:
    assert wanted_key(GOOD) == (NAME, "r", "RS256")
    assert wanted_key(signed(forge(EC, {"alg": "ES256"}, TOKEN))) == (NAME, None, "ES256")
    assert wanted_key(of(without("iss"))) is None
    assert wanted_key(of(TOKEN, {"kid": "r"})) is None
    assert wanted_key(signed("a.b.c")) is None
    first, second, last = GOOD.assertion.split(".")
    broken = carried(GOOD, f"{first}.{second}.{encode(bytes(64))}")
    assert wanted_key(broken) is None  # so nothing is fetched for a proof that doesn't hold
    assert len(decode(last)) == 64
    assert wanted_key(InviteSecret.make("board").sign(CLAIMS)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "http://login.example"},
        {"issuer": "https://a@login.example"},
        {"issuer": "https://login.example/?a"},
        {"issuer": "https://login.example:port"},
        {"issuer": "login.example"},
        {"audience": ""},
        {"roles": frozenset()},
        {"algorithms": frozenset()},
        {"algorithms": frozenset({"none"})},
        {"algorithms": frozenset({"RS256", "HS256"})},
    ],
)
def test_configuration_that_is_wrong_is_one_clear_line(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"^issuer ") as caught:
        dataclasses.replace(ISSUER, **change)
    assert "\n" not in str(caught.value)


def test_plain_http_stays_on_this_machine() -> None:
    for url in ("https://a.example", "http://127.0.0.1:8080/x", "http://[::1]:1", NAME):
        assert is_safe_url(url)
    for url in ("http://a.example", "http://127.0.0.1.evil.example", "ftp://localhost", "https:x"):
        assert not is_safe_url(url)


def test_an_id_token_that_is_too_long_is_not_signed() -> None:
    with pytest.raises(CodecError, match="too long"):
        signed("a" * 16_000)


def test_a_login_key_is_not_shown() -> None:
    assert repr(LOGIN) == f"<LoginKey {LOGIN.thumbprint}>"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.sampled_from(["iss", "aud", "azp", "exp", "iat", "nbf", "nonce", "cnf", "sub"]), json_values
)
def test_any_claim_may_be_anything(member: str, value: Any) -> None:
    payload = TOKEN | {member: value}
    try:
        person = verify(of(payload))
    except AssertionRefused:
        return
    # What still passes is within what OpenID Connect leaves open.
    assert person.identity == f"oidc:{NAME}#{payload['sub']}"
    assert member in ("exp", "iat", "nbf", "sub")


@given(st.text(max_size=200) | st.integers(0, 400).map(lambda place: f"{place}"))
def test_any_id_token_is_refused_and_nothing_else(text: str) -> None:
    proof = parts(GOOD.assertion)
    body = compact(proof[1] | {"id_token": text})
    with pytest.raises(AssertionRefused):
        verify(carried(GOOD, forge(LOGIN._key, proof[0], body)))
