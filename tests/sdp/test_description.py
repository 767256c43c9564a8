"""The line-keeping parser (RFC 8866): byte for byte back, and nothing but CodecError on junk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.errors import CodecError
from halfkey.sdp import SessionDescription
from halfkey.sdp.description import MAXIMUM_LENGTH, MAXIMUM_MEDIA
from tests.sdp.samples import ANSWER, OFFER

HEAD = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"

# RFC 8866 section 5, the example.
RFC_EXAMPLE = """\
v=0
o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1
s=Call to John Smith
i=SDP Offer #1
u=http://www.jdoe.example.com/home.html
e=Jane Doe <jane@jdoe.example.com>
p=+1 617 555-6011
c=IN IP4 198.51.100.1
t=0 0
m=audio 49170 RTP/AVP 0
m=audio 49180 RTP/AVP 0
m=video 51372 RTP/AVP 99
c=IN IP6 2001:db8::2
a=rtpmap:99 h263-1998/90000
"""

TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABC0189!#$%&'*+-.^_`{|}~", min_size=1, max_size=12)
VALUE = st.text(
    st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), min_size=1, max_size=40
)
ENDING = st.sampled_from(["\r\n", "\n"])


@st.composite
def attribute_lines(draw: st.DrawFn) -> str:
    value = draw(st.none() | VALUE)
    return f"a={draw(TOKEN)}{'' if value is None else ':' + value}{draw(ENDING)}"


@st.composite
def descriptions(draw: st.DrawFn) -> str:
    text = "".join(line + draw(ENDING) for line in HEAD.splitlines())
    text += "".join(draw(st.lists(attribute_lines(), max_size=6)))
    for _ in range(draw(st.integers(0, 4))):
        formats = " ".join(draw(st.lists(TOKEN, min_size=1, max_size=4)))
        port = draw(st.integers(0, 65535))
        text += f"m={draw(TOKEN)} {port} {draw(TOKEN)}/{draw(TOKEN)} {formats}{draw(ENDING)}"
        text += "".join(draw(st.lists(attribute_lines(), max_size=6)))
    return text


@given(descriptions())
def test_every_line_comes_back_byte_for_byte(text: str) -> None:
    parsed = SessionDescription.parse(text.encode())
    assert str(parsed).encode() == text.encode()
    assert [line.number for line in parsed.lines] == list(range(1, text.count("\n") + 1))


@pytest.mark.parametrize("text", [OFFER, ANSWER, RFC_EXAMPLE])
def test_whole_descriptions_come_back(text: str) -> None:
    assert str(SessionDescription.parse(text)) == text


def test_unknown_attributes_stay_in_order() -> None:
    attributes = (
        "a=zebra\r\na=x-one:1\r\na=identity:abc==\r\na=x-one:2\r\na=apple: spaced : out \r\n"
    )
    parsed = SessionDescription.parse(HEAD + attributes + "m=audio 9 RTP/AVP 0\r\n" + attributes)
    assert str(parsed.session).endswith(attributes)
    assert [line.attribute_value for line in parsed.media[0].attributes("x-one")] == ["1", "2"]
    assert parsed.session.attributes("apple")[0].attribute_value == " spaced : out "


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_junk_raises_codec_errors_only(data: bytes | str) -> None:
    with pytest.raises(CodecError):
        SessionDescription.parse(data)


@given(st.text("vosiuepcbtrzkma=:/ 019\r\n", max_size=60))
def test_almost_lines_raise_codec_errors_only(tail: str) -> None:
    try:
        parsed = SessionDescription.parse(HEAD + tail)
    except CodecError:
        return
    assert str(parsed) == HEAD + tail


def test_every_truncation_within_a_line_is_refused() -> None:
    for length in range(len(OFFER)):
        if OFFER[:length].endswith("\n") and length >= OFFER.index("a=group"):
            assert str(SessionDescription.parse(OFFER[:length])) == OFFER[:length]
        else:
            with pytest.raises(CodecError):
                SessionDescription.parse(OFFER[:length])


REFUSED = {
    "empty": ("", "no v= line"),
    "no origin": ("v=0\r\ns=-\r\nt=0 0\r\n", "no o= line"),
    "no name": ("v=0\r\no=- 1 1 IN IP4 x\r\nt=0 0\r\n", "no s= line"),
    "no time": ("v=0\r\no=- 1 1 IN IP4 x\r\ns=-\r\n", "no t= line"),
    "version 1": (HEAD.replace("v=0", "v=1"), "line 1: the version"),
    "bad origin": (HEAD.replace("- 1 1", "- one 1"), "line 2: o="),
    "no final line ending": (HEAD + "a=x", "line 5: doesn't end in CRLF"),
    "a bare CR": (HEAD + "a=x\ry\r\n", "line 5: doesn't end in CRLF"),
    "an empty line": (HEAD + "\r\n", "line 5: not of the form"),
    "no value": (HEAD + "b=\r\n", "line 5: b= has no value"),
    "NUL": (HEAD + "a=x:\0\r\n", "line 5: a value holds"),
    "an unknown type": (HEAD + "x=1\r\n", "line 5: 'x' is no type"),
    "a type that stands elsewhere": (HEAD + "m=a 9 b 0\r\nt=0 0\r\n", "line 6: 't' is no type"),
    "an order that isn't the RFC's": (HEAD + "a=x\r\nb=AS:1\r\n", "line 6: b= stands too late"),
    "a line twice": (HEAD.replace("s=-\r\n", "s=-\r\ns=-\r\n"), "line 4: s= stands twice"),
    "z without r": (HEAD + "z=0 0\r\n", "line 5: z= follows t="),
    "a bad attribute name": (HEAD + "a=b d:1\r\n", "line 5: a= is malformed"),
    "an attribute that breaks off": (HEAD + "a=b:\r\n", "line 5: a= is malformed"),
    "a port too high": (HEAD + "m=audio 65536 RTP/AVP 0\r\n", "line 5: m= is malformed"),
    "no format": (HEAD + "m=audio 9 RTP/AVP\r\n", "line 5: m= is malformed"),
    "too long": (HEAD + "a=x:" + "y" * MAXIMUM_LENGTH + "\r\n", "longer than"),
    "too many sections": (HEAD + "m=a 0 b 0\r\n" * (MAXIMUM_MEDIA + 1), "media sections"),
    "a lone surrogate": (HEAD + "a=x:\ud800\r\n", "UTF-8"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_faults_name_their_line(text: str, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        SessionDescription.parse(text)


def test_repeats_are_read() -> None:
    text = HEAD + "r=7d 1h 0 25h\r\nz=2882844526 -1h\r\nt=1 2\r\nr=1 2 3\r\nk=prompt\r\n"
    assert str(SessionDescription.parse(text)) == text
