"""Typed attribute values: `parse` and ``str()`` undo each other; junk raises CodecError only."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.errors import CodecError
from halfkey.sdp.attributes import (
    Candidate,
    Direction,
    ExtensionMap,
    FormatParameters,
    Group,
    RTCPFeedback,
    RTPMap,
    Setup,
    SourceAttribute,
    parse_fingerprint,
    parse_ice_pwd,
    parse_ice_ufrag,
    parse_mid,
    parse_tls_id,
)

PARSERS: dict[str, Callable[[str], object]] = {
    "rtpmap": RTPMap.parse,
    "fmtp": FormatParameters.parse,
    "rtcp-fb": RTCPFeedback.parse,
    "extmap": ExtensionMap.parse,
    "ssrc": SourceAttribute.parse,
    "group": Group.parse,
    "candidate": Candidate.parse,
}

EXAMPLES = [
    ("rtpmap", "111 opus/48000/2"),
    ("rtpmap", "96 VP8/90000"),
    ("fmtp", "111 minptime=10;useinbandfec=1"),
    ("rtcp-fb", "96 nack pli"),
    ("rtcp-fb", "* ccm fir"),
    ("extmap", "1 urn:ietf:params:rtp-hdrext:sdes:mid"),
    ("extmap", "4/recvonly http://example.com/082005/ext.htm#xmeta short"),
    ("ssrc", "4294967295 cname:abc def"),
    ("ssrc", "1 x"),
    ("group", "BUNDLE"),
    ("group", "BUNDLE 0 1 audio"),
    # RFC 8839 section 5.1, the example.
    (
        "candidate",
        "2 1 udp 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998",
    ),
    ("candidate", "1 1 udp 2130706431 2001:db8::1 9 typ host generation 0"),
]


@pytest.mark.parametrize(("name", "value"), EXAMPLES)
def test_values_come_back(name: str, value: str) -> None:
    assert str(PARSERS[name](value)) == value


@pytest.mark.parametrize("name", PARSERS)
@given(value=st.text(max_size=60) | st.from_regex(r"[0-9]{1,12}[ /:][a-z*]* ?[0-9/ a-z]*"))
def test_junk_raises_codec_errors_only(name: str, value: str) -> None:
    try:
        parsed = PARSERS[name](value)
    except CodecError:
        return
    assert PARSERS[name](str(parsed)) == parsed


@given(
    st.integers(1, 255),
    st.from_regex(r"[!-~]{1,40}", fullmatch=True),
    st.none() | st.sampled_from(Direction),
    st.from_regex(r"([!-~]([ -~]*))?", fullmatch=True),
)
def test_extension_maps_round_trip(
    number: int, uri: str, direction: Direction | None, parameters: str
) -> None:
    made = ExtensionMap(number, uri, direction, parameters)
    assert ExtensionMap.parse(str(made)) == made


@given(st.ip_addresses(), st.integers(0, 65535), st.integers(0, 9))
def test_host_candidates_round_trip(address: object, port: int, index: int) -> None:
    made = Candidate.host(str(address), port, index)
    assert Candidate.parse(str(made)) == made
    assert made.is_address


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rtpmap", "128 opus/48000"),
        ("extmap", "0 urn:x"),
        ("extmap", "256 urn:x"),
        ("ssrc", "4294967296 cname:x"),
        ("candidate", "1 0 udp 1 192.0.2.1 9 typ host"),
        ("candidate", "1 1 udp 0 192.0.2.1 9 typ host"),
        ("candidate", "1 1 udp 2147483648 192.0.2.1 9 typ host"),
        ("candidate", "1 1 udp 1 192.0.2.1 65536 typ host"),
        ("candidate", "1 1 udp 1 192.0.2.1 9 typ host raddr"),
    ],
)
def test_values_out_of_range_are_refused(name: str, value: str) -> None:
    with pytest.raises(CodecError, match=name):
        PARSERS[name](value)


def test_fingerprints_get_one_form() -> None:
    digest = ":".join(f"{n:02x}" for n in range(0xA0, 0xC0))
    assert parse_fingerprint(f"SHA-256 {digest}") == f"sha-256 {digest.upper()}"
    for wrong in (f"sha-256 {digest}:00", f"sha-256  {digest[:-1]}", f"md5 {digest[:47]}", ""):
        with pytest.raises(CodecError, match="fingerprint"):
            parse_fingerprint(wrong)


@pytest.mark.parametrize(
    ("parser", "shortest", "longest"),
    [
        (parse_tls_id, 20, 255),
        (parse_ice_ufrag, 4, 256),
        (parse_ice_pwd, 22, 256),
        (parse_mid, 1, 16),
    ],
)
def test_lengths_of_opaque_values(
    parser: Callable[[str], str], shortest: int, longest: int
) -> None:
    assert parser("x" * shortest) == "x" * shortest
    assert parser("x" * longest) == "x" * longest
    for wrong in (
        "x" * (shortest - 1),
        "x" * (longest + 1),
        "x" * (shortest - 1) + "\u00e9",
        "x y" * 9,
    ):
        with pytest.raises(CodecError):
            parser(wrong)


def test_directions_mirror() -> None:
    assert {d.value: d.mirrored.value for d in Direction} == {
        "sendrecv": "sendrecv",
        "sendonly": "recvonly",
        "recvonly": "sendonly",
        "inactive": "inactive",
    }


def test_setup_knows_no_holdconn() -> None:
    assert Setup.parse("active") is Setup.ACTIVE
    with pytest.raises(CodecError):
        Setup.parse("holdconn")
