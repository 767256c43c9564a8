"""PASSporTs: the form of RFC 8225, the chain, and whom a certificate may speak for."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID
from hypothesis import given
from hypothesis import strategies as st

from halfkey.errors import CodecError
from halfkey.identity.certificates import (
    MAXIMUM_CHAIN,
    TN_AUTHORIZATION_LIST,
    SigningCertificates,
)
from halfkey.identity.claims import (
    ANY_CONFERENCE,
    CLOCK_SKEW,
    MAXIMUM_AGE,
    AssertionRefused,
    Claims,
    Reason,
)
from halfkey.identity.envelope import IdentityAssertion
from halfkey.identity.jose import canonical
from halfkey.identity.passport import PassportSigner, PassportVerifier
from halfkey.identity.proof import FORMS
from halfkey.identity.verifier import check_possession
from tests.identity.certificates import (
    AT_NOW,
    DAY,
    Holder,
    domains,
    issue,
    number_range,
    numbers,
    one,
    provider,
    signed_again,
    uris,
)
from tests.identity.helpers import (
    BINDING,
    CLAIMS,
    NOW,
    OTHER_BINDINGS,
    carried,
    compact,
    encode,
    forge,
    parts,
    refuses,
)

URL = "https://certificates.example:8443/ada.pem"
ROOT = issue("root", authority=True)
BETWEEN = issue("between", ROOT, authority=True)
ADA = issue("Ada", BETWEEN, uris("sip:ada@example.org"))
SIGNER = PassportSigner(ADA.jose, URL, "sip:ada@example.org", "conf.example")
GOOD = SIGNER.sign(CLAIMS)
HEADER, PAYLOAD = parts(GOOD.assertion)


def verifier(
    *chain: Holder,
    roots: Sequence[Holder] = (ROOT,),
    providers: Sequence[str] = (),
    conferences: Sequence[str] = ("board",),
) -> PassportVerifier:
    supplied = {URL: [holder.certificate for holder in chain]}
    authorities = SigningCertificates([root.certificate for root in roots], providers)
    return PassportVerifier(authorities, supplied.get, "conf.example", ["participant"], conferences)


USUAL = verifier(ADA, BETWEEN)


def verify(assertion: IdentityAssertion, now: float = NOW) -> Claims:
    person, claims = USUAL.verify(assertion, BINDING, now)
    assert person.identity == "sip:ada@example.org"
    return claims


def speaks(holder: Holder, identity: str, providers: Sequence[str] = ()) -> str:
    """Signs as that identity with that certificate, and verifies."""
    signer = PassportSigner(holder.jose, URL, identity, "conf.example")
    judge = verifier(holder, BETWEEN, providers=providers)
    return judge.verify(signer.sign(CLAIMS), BINDING, NOW)[0].identity


def test_a_good_passport_names_its_originator() -> None:
    person, claims = USUAL.verify(GOOD, BINDING, NOW)
    assert claims == CLAIMS
    assert (person.identity, person.name) == ("sip:ada@example.org", "ada@example.org")
    assert (person.kind, person.role) == ("passport", "participant")
    assert check_possession(GOOD, person.key_thumbprint, BINDING) == CLAIMS


def test_a_name_is_cut_and_the_identity_is_not() -> None:
    identity = f"sip:{'a' * 128}@example.org"
    holder = issue("Long", BETWEEN, uris(identity))
    signed = PassportSigner(holder.jose, URL, identity, "conf.example").sign(CLAIMS)
    person, _ = verifier(holder, BETWEEN).verify(signed, BINDING, NOW)
    assert (person.identity, person.name) == (identity, "a" * 64)


def test_it_has_what_the_rfcs_ask_for() -> None:
    header, payload = parts(GOOD.assertion)
    assert header == {
        "alg": "ES256",
        "jwk": {n: v for n, v in ADA.jose.as_dict(private=False).items() if n in "crv kty x y"},
        "ppt": "msec",
        "typ": "passport",
        "x5u": URL,
    }
    assert payload["orig"] == {"uri": "sip:ada@example.org"}
    assert payload["dest"] == {"uri": ["sip:board@conf.example"]}
    assert payload["iat"] == NOW
    assert [list(key) for key in payload["mky"]] == [["alg", "dig"]]
    assert parts(PassportSigner(ADA.jose, URL, "tel:+4930123", "c").sign(CLAIMS).assertion)[1][
        "orig"
    ] == {"tn": "4930123"}


# RFC 8225 appendix A. Its signature is left out: it holds with neither key printed there.
RFC_HEADER = {
    "alg": "ES256",
    "typ": "passport",
    "x5u": "https://cert.example.org/passport.cer",
}
RFC_PAYLOAD = {
    "iat": 1471375418,
    "orig": {"tn": "12155551212"},
    "dest": {"uri": ["sip:alice@example.com"]},
}
RFC_ENCODED = (
    "eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9j"
    "ZXJ0LmV4YW1wbGUub3JnL3Bhc3Nwb3J0LmNlciJ9"
    "."
    "eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdCI"
    "6MTQ3MTM3NTQxOCwib3JpZyI6eyJ0biI6IjEyMTU1NTUxMjEyIn19"
)


def test_json_is_written_as_in_the_example_of_the_rfc() -> None:
    assert f"{encode(canonical(RFC_HEADER))}.{encode(canonical(RFC_PAYLOAD))}" == RFC_ENCODED


@pytest.mark.parametrize("reason", OTHER_BINDINGS)
def test_it_holds_for_one_offer_only(reason: Reason) -> None:
    assert verify(GOOD) == CLAIMS
    with refuses(reason):
        USUAL.verify(GOOD, OTHER_BINDINGS[reason], NOW)


def test_it_holds_for_a_minute_give_or_take_the_skew() -> None:
    for now in (NOW - CLOCK_SKEW, NOW + MAXIMUM_AGE + CLOCK_SKEW):
        assert verify(GOOD, now) == CLAIMS
    with refuses("expired"):
        verify(GOOD, NOW + MAXIMUM_AGE + CLOCK_SKEW + 1)
    with refuses("future"):
        verify(GOOD, NOW - CLOCK_SKEW - 1)


def test_it_is_for_conferences_of_this_domain() -> None:
    signer = dataclasses.replace(SIGNER, domain="elsewhere.example")
    with refuses("audience"):
        verify(signer.sign(CLAIMS))


def test_a_conference_is_one_of_those_configured() -> None:
    with refuses("scope"):
        verifier(ADA, BETWEEN, conferences=["weekly"]).verify(GOOD, BINDING, NOW)
    verifier(ADA, BETWEEN, conferences=[ANY_CONFERENCE]).verify(GOOD, BINDING, NOW)


def test_a_role_is_one_of_those_configured() -> None:
    with refuses("role"):
        verify(SIGNER.sign(dataclasses.replace(CLAIMS, role="chair")))


def test_the_provider_named_is_the_one_that_has_the_certificate() -> None:
    with refuses("issuer"):
        verify(dataclasses.replace(GOOD, domain="evil.example"))
    with refuses("protocol"):
        verify(dataclasses.replace(GOOD, protocol="invite"))


@pytest.mark.parametrize(
    ("chain", "roots"),
    [
        ((), (ROOT,)),
        ((ADA,), (ROOT,)),
        ((BETWEEN, ADA), (ROOT,)),
        ((ADA, BETWEEN), (issue("root", authority=True),)),
        ((ADA, *[BETWEEN] * MAXIMUM_CHAIN), (ROOT,)),
    ],
    ids=["no chain", "a gap", "wrong order", "another root of that name", "a long chain"],
)
def test_a_chain_has_to_reach_a_root(chain: Sequence[Holder], roots: Sequence[Holder]) -> None:
    assert verifier(ADA, BETWEEN, roots=(ROOT,)).verify(GOOD, BINDING, NOW)
    assert verifier(ADA, roots=(BETWEEN,)).verify(GOOD, BINDING, NOW)
    with refuses("certificate"):
        verifier(*chain, roots=roots).verify(GOOD, BINDING, NOW)


NO_AUTHORITY = issue("no authority", ROOT)

BAD_CERTIFICATES = {
    "expired": issue("Ada", BETWEEN, uris("sip:ada@example.org"), until=AT_NOW - DAY / 2),
    "no signature allowed": issue("Ada", BETWEEN, uris("sip:ada@example.org"), sign=False),
    "an authority's": issue("Ada", BETWEEN, uris("sip:ada@example.org"), authority=True),
    "unknown critical extension": issue(
        "Ada",
        BETWEEN,
        uris("sip:ada@example.org"),
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"),
        critical=x509.UnrecognizedExtension,
    ),
    "self-signed": issue("Ada", None, uris("sip:ada@example.org")),
    "signed by no authority": issue("Ada", NO_AUTHORITY, uris("sip:ada@example.org")),
}


@pytest.mark.parametrize("what", BAD_CERTIFICATES)
def test_a_certificate_that_is_of_no_use_is_refused(what: str) -> None:
    assert speaks(ADA, "sip:ada@example.org") == "sip:ada@example.org"
    holder = BAD_CERTIFICATES[what]
    signer = PassportSigner(holder.jose, URL, "sip:ada@example.org", "conf.example")
    between = NO_AUTHORITY if what == "signed by no authority" else BETWEEN
    with refuses("certificate"):
        verifier(holder, between).verify(signer.sign(CLAIMS), BINDING, NOW)


def test_a_certificate_on_another_curve_is_refused() -> None:
    """Its key can't be that of the proof anyway; the certificate is refused first."""
    holder = issue("Ada", BETWEEN, uris("sip:ada@example.org"), curve=ec.SECP384R1())
    with refuses("certificate"):
        verifier(holder, BETWEEN).verify(GOOD, BINDING, NOW)


def test_the_key_is_the_certificates() -> None:
    eve = issue("Eve", BETWEEN, uris("sip:eve@example.org"))
    with refuses("key"):
        verifier(eve, BETWEEN).verify(GOOD, BINDING, NOW)
    # Eve's key in the header, Ada's certificate behind the address.
    with refuses("key"):
        verify(dataclasses.replace(SIGNER, key=eve.jose).sign(CLAIMS))
    # Ada's key in the header, Eve's signature.
    with refuses("signature"):
        verify(carried(GOOD, forge(eve.jose, HEADER, PAYLOAD)))


def test_an_address_that_is_not_supplied_is_refused() -> None:
    with refuses("certificate"):
        verify(dataclasses.replace(SIGNER, certificate_url=URL + "x").sign(CLAIMS))


TELEPHONE = issue(
    "Tel", BETWEEN, numbers(one("4930111"), number_range("4930200", 100), provider("SPC1"))
)

SPEAKS: list[tuple[Holder, str, Sequence[str]]] = [
    (ADA, "sip:ada@example.org", ()),
    (ADA, "sip:ada@EXAMPLE.org", ()),
    (issue("D", BETWEEN, domains("example.org")), "sip:anyone@example.org", ()),
    (issue("D", BETWEEN, domains("EXAMPLE.org")), "sip:anyone@example.org", ()),
    (issue("T", BETWEEN, uris("tel:+4930111")), "tel:+4930111", ()),
    (TELEPHONE, "tel:+4930111", ()),
    (TELEPHONE, "tel:+4930200", ()),
    (TELEPHONE, "tel:+4930299", ()),
    (TELEPHONE, "tel:+4930999", ("SPC1",)),
]

SPEAKS_NOT: list[tuple[Holder, str, Sequence[str]]] = [
    (ADA, "sip:Ada@example.org", ()),
    (ADA, "sips:ada@example.org", ()),
    (ADA, "sip:ada@example.com", ()),
    (ADA, "tel:+4930111", ()),
    (issue("D", BETWEEN, domains("example.org")), "sip:anyone@sub.example.org", ()),
    (issue("D", BETWEEN, domains("*.example.org")), "sip:anyone@sub.example.org", ()),
    (issue("D", BETWEEN, domains("4930111")), "tel:+4930111", ()),
    (issue("T", BETWEEN, uris("tel:+493011")), "tel:+4930111", ()),
    (issue("Nobody", BETWEEN), "sip:ada@example.org", ()),
    (issue("Nobody", BETWEEN), "tel:+4930111", ("SPC1",)),
    (TELEPHONE, "sip:4930111@example.org", ("SPC1",)),
    (TELEPHONE, "tel:+4930112", ()),
    (TELEPHONE, "tel:+4930199", ()),
    (TELEPHONE, "tel:+4930300", ()),
    (TELEPHONE, "tel:+49302000", ()),
    (TELEPHONE, "tel:+4930999", ("SPC2",)),
    (issue("R", BETWEEN, numbers(number_range("4930111", 1))), "tel:+4930111", ()),
    (issue("R", BETWEEN, numbers(number_range("9999990", 99))), "tel:+10000000", ()),
    (issue("R", BETWEEN, numbers(number_range("493011x", 9))), "tel:+4930111", ()),
    (issue("R", BETWEEN, numbers(b"\x05\x00")), "tel:+4930111", ("SPC1",)),
    (issue("R", BETWEEN, numbers(one("4930111")[:-1])), "tel:+4930111", ("SPC1",)),
]


@pytest.mark.parametrize(("holder", "identity", "providers"), SPEAKS)
def test_a_certificate_speaks_for_what_it_lists(
    holder: Holder, identity: str, providers: Sequence[str]
) -> None:
    assert speaks(holder, identity, providers).lower() == identity.lower()


@pytest.mark.parametrize(("holder", "identity", "providers"), SPEAKS_NOT)
def test_a_certificate_speaks_for_nothing_else(
    holder: Holder, identity: str, providers: Sequence[str]
) -> None:
    with refuses("identity"):
        speaks(holder, identity, providers)


CHANGES: list[tuple[dict[str, Any], dict[str, Any], Reason]] = [
    ({"typ": "JWT"}, {}, "type"),
    ({"typ": "halfkey-invite+jwt"}, {}, "type"),
    ({"ppt": "shaken"}, {}, "type"),
    ({"ppt": ["msec"]}, {}, "type"),
    ({"alg": "none"}, {}, "algorithm"),
    ({"alg": "HS256"}, {}, "algorithm"),
    ({"alg": "Ed25519"}, {}, "algorithm"),
    ({"alg": "ES384"}, {}, "algorithm"),
    ({"x5u": URL.replace("https", "http")}, {}, "malformed"),
    ({"x5u": URL + "\n"}, {}, "malformed"),
    ({"x5u": URL + "a" * 300}, {}, "malformed"),
    ({"x5u": 7}, {}, "malformed"),
    ({"x5c": []}, {}, "malformed"),
    ({}, {"orig": {"tn": "4930111", "uri": "sip:ada@example.org"}}, "malformed"),
    ({}, {"orig": {}}, "malformed"),
    ({}, {"orig": "sip:ada@example.org"}, "malformed"),
    ({}, {"orig": {"uri": ["sip:ada@example.org"]}}, "malformed"),
    ({}, {"orig": {"uri": "sip:ada@EXAMPLE.org"}}, "malformed"),
    ({}, {"orig": {"uri": "tel:+4930111"}}, "malformed"),
    ({}, {"orig": {"tn": "+4930111"}}, "malformed"),
    ({}, {"orig": {"tn": "4930111\n"}}, "malformed"),
    ({}, {"orig": {"uri": "sip:eve@example.org"}}, "identity"),
    ({}, {"dest": {"uri": []}}, "audience"),
    ({}, {"dest": {"uri": ["sip:boards@conf.example"]}}, "audience"),
    ({}, {"dest": {"uri": ["sip:board@conf.example", "sip:x@y"]}}, "audience"),
    ({}, {"dest": None}, "audience"),
    ({}, {"attest": "A"}, "malformed"),
]


@pytest.mark.parametrize(("header", "payload", "reason"), CHANGES)
def test_what_departs_from_the_form_is_refused(
    header: dict[str, Any], payload: dict[str, Any], reason: Reason
) -> None:
    assert verify(carried(GOOD, forge(ADA.jose, HEADER, PAYLOAD))) == CLAIMS
    with refuses(reason):
        verify(carried(GOOD, forge(ADA.jose, HEADER | header, PAYLOAD | payload)))


@pytest.mark.parametrize("member", sorted({*HEADER, *PAYLOAD}))
def test_every_member_is_needed(member: str) -> None:
    header = {name: value for name, value in HEADER.items() if name != member}
    payload = {name: value for name, value in PAYLOAD.items() if name != member}
    with pytest.raises(AssertionRefused):
        verify(carried(GOOD, forge(ADA.jose, header, payload)))


def test_the_compact_form_is_refused() -> None:
    """RFC 8225 section 7 leaves header and payload out; we carry all of it."""
    with refuses("malformed"):
        verify(carried(GOOD, ".." + GOOD.assertion.rpartition(".")[2]))


@pytest.mark.parametrize(
    "change",
    [
        {"certificate_url": "http://a.example/b"},
        {"certificate_url": "https://a.example"},
        {"identity": "ada"},
        {"identity": "tel:0301234"},
        {"identity": "sip:a@b@c"},
    ],
)
def test_a_signer_says_at_once_what_it_cannot_sign(change: dict[str, str]) -> None:
    with pytest.raises(CodecError):
        dataclasses.replace(SIGNER, **change)


def test_a_signers_key_is_not_shown() -> None:
    assert repr(SIGNER) == "<PassportSigner for sip:ada@example.org>"
    assert FORMS["passport"].algorithms == ("ES256",)


@given(st.integers(0, len(GOOD.assertion) - 1), st.characters(min_codepoint=1, max_codepoint=127))
def test_any_character_changed_is_refused(place: int, character: str) -> None:
    if GOOD.assertion[place] == character:
        return
    changed = GOOD.assertion[:place] + character + GOOD.assertion[place + 1 :]
    with pytest.raises(AssertionRefused):
        verify(carried(GOOD, changed))


@given(st.sampled_from(["x5u", "ppt", "orig", "dest", "jwk"]), st.data())
def test_any_signed_json_is_refused_and_nothing_else(member: str, data: st.DataObject) -> None:
    inner = st.none() | st.booleans() | st.integers() | st.text()
    text = st.sampled_from(["tn", "uri", "sip:ada@example.org", "4930111", "msec"]) | st.text()
    value = data.draw(inner | st.lists(inner, max_size=3) | st.dictionaries(text, inner | text))
    header, payload = dict(HEADER), dict(PAYLOAD)
    target = header if member in header else payload
    if target[member] == value:
        return
    target[member] = value
    with pytest.raises(AssertionRefused):
        verify(carried(GOOD, forge(ADA.jose, compact(header), compact(payload))))


AUTHORITIES = SigningCertificates([ROOT.certificate], ["SPC1"])


@given(st.binary(max_size=100))
def test_any_telephone_list_is_read_or_lists_nothing(encoded: bytes) -> None:
    assert AUTHORITIES.may_speak_for(TELEPHONE.certificate, "tel:+4930111")
    extension = x509.UnrecognizedExtension(TN_AUTHORIZATION_LIST, encoded)
    holder = issue("T", BETWEEN, extension)
    assert not AUTHORITIES.may_speak_for(holder.certificate, "tel:+4930111")


EXTENSIONS = [
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.NAME_CONSTRAINTS,
    TN_AUTHORIZATION_LIST,
]
NAMES_OF_A_KIND_UNKNOWN = bytes.fromhex("3004a302 3000")  # an x400Address


@given(
    st.sampled_from(EXTENSIONS),
    st.binary(max_size=40) | st.just(NAMES_OF_A_KIND_UNKNOWN),
)
def test_any_extension_of_a_believed_authority_is_refused_and_nothing_else(
    oid: x509.ObjectIdentifier, value: bytes
) -> None:
    extension = x509.UnrecognizedExtension(oid, value)
    holder = issue("Ada", BETWEEN, extension, instead=oid)
    signer = PassportSigner(holder.jose, URL, "sip:ada@example.org", "conf.example")
    with pytest.raises(AssertionRefused):
        verifier(holder, BETWEEN).verify(signer.sign(CLAIMS), BINDING, NOW)


def test_no_name_of_a_kind_unknown_stands_in_the_way_of_a_refusal() -> None:
    san = ExtensionOID.SUBJECT_ALTERNATIVE_NAME
    holder = issue("Ada", BETWEEN, x509.UnrecognizedExtension(san, NAMES_OF_A_KIND_UNKNOWN))
    assert not AUTHORITIES.may_speak_for(holder.certificate, "sip:ada@example.org")
    assert AUTHORITIES.may_speak_for(ADA.certificate, "sip:ada@example.org")


TBS = ADA.certificate.tbs_certificate_bytes


def judge(certificate: x509.Certificate) -> None:
    AUTHORITIES.verified([certificate, BETWEEN.certificate], NOW)
    assert AUTHORITIES.may_speak_for(certificate, "sip:ada@example.org")


def test_a_certificate_signed_again_is_as_good() -> None:
    """The control of the two below."""
    judge(x509.load_der_x509_certificate(signed_again(TBS, BETWEEN)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # The curve's name becomes one that nobody knows, the key's algorithm likewise.
        ("06082a8648ce3d030107", "06082a8648ce3d03017f"),
        ("06072a8648ce3d0201", "06072a8648ce3d027f"),
        # subjectKeyIdentifier becomes a second authorityKeyIdentifier, and a second keyUsage.
        ("0603551d0e", "0603551d23"),
        ("0603551d0e", "0603551d0f"),
    ],
)
def test_a_certificate_that_cannot_be_read_is_refused(old: str, new: str) -> None:
    assert TBS.count(bytes.fromhex(old)) == 1
    changed = TBS.replace(bytes.fromhex(old), bytes.fromhex(new))
    certificate = x509.load_der_x509_certificate(signed_again(changed, BETWEEN))
    with refuses("certificate"):
        judge(certificate)


def test_a_certificate_with_an_extension_twice_speaks_for_nobody() -> None:
    twice = TBS.replace(bytes.fromhex("0603551d0e"), bytes.fromhex("0603551d11"))
    certificate = x509.load_der_x509_certificate(signed_again(twice, BETWEEN))
    assert not AUTHORITIES.may_speak_for(certificate, "sip:ada@example.org")


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@given(st.integers(0, len(TBS) - 1), st.integers(0, 255))
def test_any_byte_changed_by_a_believed_authority_raises_nothing_else(
    place: int, value: int
) -> None:
    changed = TBS[:place] + bytes([value]) + TBS[place + 1 :]
    try:
        certificate = x509.load_der_x509_certificate(signed_again(changed, BETWEEN))
    except (ValueError, x509.InvalidVersion):
        return  # whoever supplies certificates can't load it
    with contextlib.suppress(AssertionRefused):
        AUTHORITIES.verified([certificate, BETWEEN.certificate], NOW)
    assert AUTHORITIES.may_speak_for(certificate, "sip:ada@example.org") in (True, False)
