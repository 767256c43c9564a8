"""Links: whole ones come back as they were, and damage is named without telling the secret."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.errors import CodecError, ConfigurationError
from halfkey.identity.invite import InviteSecret
from halfkey.identity.link import MAXIMUM_LINK, Link

LINK = Link(
    focus_url="https://focus.example.org:8443",
    conference="board",
    secret=InviteSecret(bytes(range(16)), "board"),
    authority=bytes(range(32)),
    focus=bytes(range(100, 132)),
    name="Zoë 👩",
)

names = st.text(min_size=1, max_size=64).filter(str.isprintable)
conferences = st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)
hosts = st.sampled_from(["focus.example:1", "[::1]:65535", "10.0.0.1", "localhost:8443"])


@given(
    host=hosts,
    conference=conferences,
    secret=st.binary(min_size=16, max_size=16),
    authority=st.binary(min_size=32, max_size=32),
    focus=st.none() | st.binary(min_size=32, max_size=32),
    name=names,
    role=conferences,
)
def test_a_link_comes_back_as_it_was(
    host: str,
    conference: str,
    secret: bytes,
    authority: bytes,
    focus: bytes | None,
    name: str,
    role: str,
) -> None:
    link = Link(
        focus_url=f"https://{host}",
        conference=conference,
        secret=InviteSecret(secret, conference),
        authority=authority,
        focus=focus,
        name=name,
        role=role,
    )
    assert Link.parse(str(link)) == link
    assert Link.parse(f"  {link}\n") == link


def test_everything_secret_is_in_the_fragment() -> None:
    before, _, fragment = str(LINK).partition("#")
    assert before == "https://focus.example.org:8443/join/board"
    assert fragment.isalnum()
    assert fragment == fragment.lower()


def test_the_secret_is_not_in_the_repr() -> None:
    shown = repr(LINK)
    assert "board" in shown
    assert LINK.secret.value.hex() not in shown
    assert repr(LINK.secret.value) not in shown


def test_a_link_cut_anywhere_is_refused() -> None:
    text = str(LINK)
    assert Link.parse(text) == LINK
    for length in range(len(text)):
        with pytest.raises(ConfigurationError):
            Link.parse(text[:length])
    for length in range(text.index("#") + 2, len(text)):
        with pytest.raises(ConfigurationError, match=r"cut or changed.*copy the whole link"):
            Link.parse(text[:length])


def test_a_character_changed_anywhere_is_refused() -> None:
    text = str(LINK)
    for place in range(len(text)):
        for other in "b3":
            if text[place] != other:
                with pytest.raises(ConfigurationError):
                    Link.parse(text[:place] + other + text[place + 1 :])


@given(st.text() | st.text().map(lambda rest: f"https://f/join/c#1{rest}"))
def test_any_other_text_gives_one_line(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:  # the checksum keeps chance out
        Link.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("http://focus.example/join/board#1aa", "not of the form"),
        ("https://focus.example/board#1aa", "not of the form"),
        ("https://focus.example/join/board?x=1#1aa", "not of the form"),
        ("https://focus.example/join/board", "ends before its '#'"),
        ("https://focus.example/join/board#2aaaa", "version"),
        ("https://[focus/join/board#1aaaa", "no web address"),
        (str(LINK) + "a" * MAXIMUM_LINK, "too long"),
        (str(LINK).upper().replace("HTTPS", "https").replace("JOIN", "join"), "cut or changed"),
        (str(LINK)[:90] + "\n" + str(LINK)[90:], "cut or changed"),
    ],
)
def test_the_fault_and_the_fix_are_named(text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault) as caught:
        Link.parse(text)
    assert "; " in str(caught.value)
    assert str(LINK)[60:] not in str(caught.value)


def made_by_hand(body: bytes) -> str:
    """A link with any body and the right checksum."""
    start = "https://focus.example.org:8443/join/board#1"
    data = body + hashlib.sha256(start.encode() + body).digest()[:6]
    return start + base64.b32encode(data).decode().rstrip("=").lower()


BODY = bytes(16) + bytes(32) + b"\0" + b"\1r" + b"\0\1n"


@pytest.mark.parametrize(
    "body",
    [
        BODY + b"\0",
        BODY[:-1],
        b"",
        BODY[:-1] + b"\xff",
        BODY.replace(b"\0\1r", b"\5short\1r"),
        BODY.replace(b"\1n", b"\0"),
        BODY.replace(b"\1n", b"\1\n"),
        BODY.replace(b"\1r", b"\1/"),
    ],
)
def test_a_body_that_halfkey_would_not_write_is_refused(body: bytes) -> None:
    assert Link.parse(made_by_hand(BODY)).name == "n"
    with pytest.raises(ConfigurationError):
        Link.parse(made_by_hand(body))


def test_base32_has_one_spelling() -> None:
    before, _, fragment = made_by_hand(BODY).partition("#")
    assert Link.parse(f"{before}#{fragment}").role == "r"
    spare = fragment[:-1] + chr(ord(fragment[-1]) + 1)  # the last character's spare bits
    for other in (fragment.upper(), fragment + "======", spare):
        with pytest.raises(ConfigurationError, match="cut or changed"):
            Link.parse(f"{before}#{other}")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"focus_url": "http://focus.example"}, "https://HOST:PORT"),
        ({"focus_url": "https://user@focus.example"}, "https://HOST:PORT"),
        ({"focus_url": "https://focus.example:99999"}, "https://HOST:PORT"),
        ({"focus_url": "https://focus.example/x"}, "https://HOST:PORT"),
        ({"conference": "a/b"}, "rename the conference"),
        ({"conference": "other"}, "secret is for another conference"),
        ({"authority": bytes(31)}, "SHA-256"),
        ({"focus": bytes(33)}, "SHA-256"),
        ({"name": ""}, "choose another name"),
        ({"name": "a\nb"}, "choose another name"),
        ({"name": "a" * 65}, "choose another name"),
        ({"role": "a b"}, "rename the role"),
    ],
)
def test_no_link_is_made_of_what_none_could_read(change: dict[str, object], fault: str) -> None:
    fields = {name: getattr(LINK, name) for name in Link.__dataclass_fields__}
    assert Link(**fields) == LINK
    with pytest.raises(ConfigurationError, match=fault):
        Link(**(fields | change))


def test_a_secret_of_another_length_is_none() -> None:
    with pytest.raises(CodecError, match="16 bytes"):
        InviteSecret(bytes(15), "board")


def test_a_secret_gives_another_key_for_another_conference() -> None:
    same = InviteSecret(bytes(16), "board")
    assert same == InviteSecret(bytes(16), "board")
    assert same.thumbprint == InviteSecret(bytes(16), "board").thumbprint
    assert same.thumbprint != InviteSecret(bytes(16), "boards").thumbprint
    assert same.thumbprint != InviteSecret(bytes(15) + b"\1", "board").thumbprint
    assert same != InviteSecret(bytes(16), "boards")
