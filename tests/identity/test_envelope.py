"""The value of a=identity: one spelling, known members, bounded."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.errors import CodecError
from halfkey.identity.envelope import MAXIMUM_ENVELOPE, IdentityAssertion
from halfkey.identity.jose import MAXIMUM_TOKEN
from halfkey.sdp.identity import external_id_hash

ASSERTION = IdentityAssertion("idp.example", "invite", "a.b.c")
TEXT = b'{"idp":{"domain":"idp.example","protocol":"invite"},"assertion":"a.b.c"}'


def value(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_the_json_of_rfc_8827_is_read_in_any_order() -> None:
    assert IdentityAssertion.parse(value(TEXT)) == ASSERTION
    assert IdentityAssertion.parse(value(b" " + TEXT + b"\n")) == ASSERTION
    assert IdentityAssertion.parse(str(ASSERTION)) == ASSERTION


def test_external_id_hash_is_over_the_json() -> None:
    content = base64.b64decode(str(ASSERTION))
    assert external_id_hash(str(ASSERTION)) == hashlib.sha256(content).digest()


@given(
    st.from_regex(r"[A-Za-z0-9.:-]{1,255}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9._-]{1,32}", fullmatch=True),
    st.text(st.characters(min_codepoint=1, max_codepoint=127), min_size=1, max_size=500),
)
def test_it_comes_back_as_it_was(domain: str, protocol: str, assertion: str) -> None:
    made = IdentityAssertion(domain, protocol, assertion)
    assert IdentityAssertion.parse(str(made)) == made


@given(st.text() | st.binary().map(value))
def test_anything_else_is_a_codec_error(text: str) -> None:
    with pytest.raises(CodecError):
        IdentityAssertion.parse(text)


@pytest.mark.parametrize(
    "content",
    [
        TEXT[:-1],
        TEXT.replace(b"assertion", b"assertions"),
        TEXT.replace(b'"a.b.c"', b"7"),
        TEXT.replace(b'"a.b.c"', b'""'),
        TEXT.replace(b'"a.b.c"', b'"\\u00e9"'),
        TEXT.replace(b'"invite"', b"null"),
        TEXT.replace(b'"invite"', b'"in vite"'),
        TEXT.replace(b"idp.example", b"idp/example"),
        TEXT.replace(b"a.b.c", b"a" * (MAXIMUM_TOKEN + 1)),
        TEXT.replace(b"{", b'{"extra":1,', 1),
        TEXT.replace(b'"idp":{', b'"idp":{"extra":1,'),
        TEXT.replace(b"{", b'{"assertion":"a.b.c",', 1),
        TEXT.replace(b'"idp":{', b'"idp":{"protocol":"invite",'),
        b"[" * 10_000,
        b"\xff",
        b'{"idp":1,"assertion":"a"}',
    ],
)
def test_what_departs_from_the_form_is_refused(content: bytes) -> None:
    with pytest.raises(CodecError):
        IdentityAssertion.parse(value(content))


@pytest.mark.parametrize("content", [TEXT, TEXT + b" ", TEXT + b"  "])
def test_base64_has_one_spelling(content: bytes) -> None:
    right = value(content)
    assert IdentityAssertion.parse(right) == ASSERTION
    wrong = {right + "=", right.rstrip("=") + "\n", f" {right}", right[:8] + "\n" + right[8:]}
    if right.endswith("="):
        wrong.add(right.rstrip("="))
        last = right.rstrip("=")[-1]
        wrong.add(right.replace(f"{last}=", f"{chr(ord(last) + 1)}=", 1))
    for text in wrong:
        with pytest.raises(CodecError):
            IdentityAssertion.parse(text)


def test_a_long_value_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(CodecError, match="longer"):
        IdentityAssertion.parse("A" * (MAXIMUM_ENVELOPE + 4))
    longest = IdentityAssertion("d" * 255, "p" * 32, "a" * MAXIMUM_TOKEN)
    assert IdentityAssertion.parse(str(longest)) == longest


def test_the_assertion_is_not_in_the_repr() -> None:
    assert "idp.example" in repr(ASSERTION)
    assert "a.b.c" not in repr(ASSERTION)
