"""The cookie of a HelloRetryRequest: without state, and bound to all that a client must repeat."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from halfkey.dtls import (
    AlertDescription,
    ClientHelloSummary,
    Configuration,
    Connection,
    CookieSecrets,
)
from halfkey.dtls import extensions as codec
from halfkey.dtls.configuration import MINIMUM_PMTU
from halfkey.dtls.crypto.key_exchange import AVAILABLE_GROUPS
from halfkey.dtls.faults import Counters
from halfkey.dtls.gate import Admission, Gate
from halfkey.dtls.messages.client_hello import ClientHello
from halfkey.dtls.messages.framing import decode_fragments
from halfkey.dtls.messages.hello_verify_request import HelloVerifyRequest
from halfkey.dtls.messages.server_hello import ServerHello
from halfkey.dtls.negotiation import Carried
from halfkey.dtls.registries import (
    DTLS_1_2,
    DTLS_1_3,
    CipherSuite,
    ExtensionType,
    HandshakeType,
    NamedGroup,
)
from halfkey.ekt.messages import EKTCipher
from halfkey.profiles import DOUBLE_256
from tests.dtls.helpers import (
    CLIENT_SESSION_ID,
    PEER,
    RECORD_HEADER,
    client_configuration,
    handshake_record,
    seeded,
    server_configuration,
)

ONLY_1_3 = (DTLS_1_3,)
X25519 = (NamedGroup.X25519,)
LIFETIME = 60.0
REFUSED = bytes([2, AlertDescription.ILLEGAL_PARAMETER])


class Retried:
    """A client that was sent a HelloRetryRequest, and the gate that sent it.

    Args:
        server_groups: what the server speaks; the client's one key share is of X25519.
    """

    def __init__(
        self, server_groups: tuple[NamedGroup, ...] = X25519, pmtu: int = 1200, **changes: object
    ) -> None:
        self.secrets = CookieSecrets(LIFETIME, seeded("cookies"))
        self.server = server_configuration(versions=ONLY_1_3, groups=server_groups)
        client = client_configuration(versions=ONLY_1_3, pmtu=pmtu, **changes)
        self.gate, self.counters = self.new_gate(PEER)
        self.client = Connection(client, PEER)
        self.client.start(0.0)
        self.first = self.client.datagrams_to_send()
        answers = [self.gate.receive(datagram, 0.0) for datagram in self.first]
        assert answers[:-1] == [None] * (len(answers) - 1)
        assert isinstance(answers[-1], bytes)
        self.request = answers[-1]
        self.client.receive_datagram(self.request, 0.0)
        self.second = self.client.datagrams_to_send()

    def new_gate(
        self, peer: bytes, configuration: Configuration | None = None
    ) -> tuple[Gate, Counters]:
        counters = Counters()
        return Gate(configuration or self.server, self.secrets, peer, counters), counters

    @property
    def hello(self) -> ClientHello:
        """The second one."""
        (datagram,) = self.second
        return read_hello(datagram)

    def try_hello(self, hello: ClientHello, now: float = 0.0) -> Admission | bytes | None:
        return self.gate.receive(
            handshake_record(HandshakeType.CLIENT_HELLO, 1, hello.encode()), now
        )

    def assert_refused(self, hello: ClientHello) -> None:
        before = self.counters["cookie_invalid"]
        answer = self.try_hello(hello)
        assert isinstance(answer, bytes)
        assert answer[RECORD_HEADER:] == REFUSED
        assert self.counters["cookie_invalid"] == before + 1
        assert self.gate.holds_nothing
        # What the client meant is let in, in the same breath.
        assert isinstance(self.try_hello(self.hello), Admission)


def read_hello(datagram: bytes) -> ClientHello:
    (fragment,) = decode_fragments(datagram[RECORD_HEADER:])
    assert fragment.is_whole
    return ClientHello.decode(fragment.data)


def with_extensions(hello: ClientHello, changes: dict[int, bytes | None]) -> ClientHello:
    extensions = {**hello.extensions, **changes}
    kept = {one: content for one, content in extensions.items() if content is not None}
    return dataclasses.replace(hello, extensions=kept)


def test_the_answer_is_no_longer_than_the_question_and_leaves_nothing_behind() -> None:
    subject = Retried()
    assert len(subject.request) <= len(subject.first[0])
    assert subject.gate.holds_nothing
    # Another gate with the same secrets lets in who was answered here.
    other, _ = subject.new_gate(PEER)
    admission = other.receive(subject.second[0], 0.0)
    assert isinstance(admission, Admission)
    assert admission.settled is not None
    assert admission.settled.group is NamedGroup.X25519
    assert not admission.settled.is_group_requested


def test_extensions_may_come_in_another_order() -> None:
    subject = Retried()
    backwards = dict(reversed(subject.hello.extensions.items()))
    assert list(backwards) != list(subject.hello.extensions)
    hello = dataclasses.replace(subject.hello, extensions=backwards)
    assert isinstance(subject.try_hello(hello), Admission)


CHANGES: dict[str, Callable[[ClientHello], ClientHello]] = {
    "random": lambda hello: dataclasses.replace(hello, random=bytes(32)),
    "cipher_suites": lambda hello: dataclasses.replace(
        hello, cipher_suites=hello.cipher_suites[::-1]
    ),
    "session_id": lambda hello: dataclasses.replace(hello, session_id=b"x"),
    "legacy_cookie": lambda hello: dataclasses.replace(hello, cookie=b"x"),
    "other_content": lambda hello: with_extensions(
        hello, {ExtensionType.EXTERNAL_SESSION_ID: codec.encode_external_session_id(bytes(20))}
    ),
    "extension_added": lambda hello: with_extensions(hello, {0xFFAA: b""}),
    "extension_left_out": lambda hello: with_extensions(
        hello, {ExtensionType.EXTERNAL_ID_HASH: None}
    ),
    "key_share_that_was_not_asked_for": lambda hello: with_extensions(
        hello,
        {
            ExtensionType.KEY_SHARE: codec.encode_key_shares(
                [codec.KeyShareEntry(NamedGroup.X25519, bytes([9]) + bytes(31))]
            )
        },
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_must_be_repeated_is_bound(change: Callable[[ClientHello], ClientHello]) -> None:
    subject = Retried()
    changed = change(subject.hello)
    assert changed != subject.hello
    subject.assert_refused(changed)


def test_every_bit_of_the_cookie_counts() -> None:
    subject = Retried()
    cookie = codec.decode_cookie(subject.hello.extensions[ExtensionType.COOKIE])
    for at in range(len(cookie)):
        for spoilt in (
            cookie[:at] + bytes([cookie[at] ^ 1]) + cookie[at + 1 :],
            cookie[: at or 1],
            cookie[:at] + b"\0" + cookie[at:],
        ):
            if spoilt != cookie:
                subject.assert_refused(
                    with_extensions(
                        subject.hello, {ExtensionType.COOKIE: codec.encode_cookie(spoilt)}
                    )
                )


def test_a_cookie_is_bound_to_the_peer() -> None:
    subject = Retried()
    elsewhere, counters = subject.new_gate(b"198.51.100.9:5004")
    answer = elsewhere.receive(subject.second[0], 0.0)
    assert isinstance(answer, bytes)
    assert answer[RECORD_HEADER:] == REFUSED
    assert counters["cookie_invalid"] == 1
    assert isinstance(subject.gate.receive(subject.second[0], 0.0), Admission)


@pytest.mark.parametrize(("age", "is_good"), [(0.9, True), (1.1, True), (2.1, False)])
def test_a_cookie_lives_for_one_to_two_lifetimes_of_a_secret(age: float, is_good: bool) -> None:
    subject = Retried()
    answer = subject.try_hello(subject.hello, age * LIFETIME)
    assert isinstance(answer, Admission) is is_good


@pytest.mark.parametrize(
    ("changes", "is_good"),
    [
        ({}, True),
        ({"groups": (NamedGroup.SECP256R1, NamedGroup.X25519)}, True),
        ({"groups": (NamedGroup.SECP256R1,)}, False),
        ({"cipher_suites": (CipherSuite.AES_128_GCM_SHA256,)}, True),
        ({"cipher_suites": (CipherSuite.AES_256_GCM_SHA384,)}, False),
    ],
    ids=["same", "more groups", "other groups", "fewer suites", "other suites"],
)
def test_a_cookie_settles_only_what_is_spoken_here(
    changes: dict[str, object], is_good: bool
) -> None:
    """A server with the same secrets and other settings is no way around them."""
    subject = Retried()
    settings = {"versions": ONLY_1_3, "groups": X25519, **changes}
    gate, counters = subject.new_gate(PEER, server_configuration(**settings))
    answer = gate.receive(subject.second[0], 0.0)
    if is_good:
        assert isinstance(answer, Admission)
        return
    assert isinstance(answer, bytes)
    assert answer[RECORD_HEADER:] == REFUSED
    assert counters["cookie_invalid"] == 1


def test_a_key_share_that_was_asked_for_may_be_any_of_its_group() -> None:
    subject = Retried(server_groups=(NamedGroup.SECP256R1,))
    first, second = read_hello(subject.first[0]), subject.hello
    shares = codec.decode_key_shares(second.extensions[ExtensionType.KEY_SHARE])
    assert [one.group for one in shares] == [NamedGroup.SECP256R1]
    assert first.extensions[ExtensionType.KEY_SHARE] != second.extensions[ExtensionType.KEY_SHARE]
    admission = subject.try_hello(second)
    assert isinstance(admission, Admission)
    assert admission.settled is not None
    assert admission.settled.is_group_requested


STRONG = (DOUBLE_256,), (EKTCipher.AESKW256,)


@pytest.mark.parametrize(
    ("foreseen", "suite"),
    [
        (STRONG, CipherSuite.AES_256_GCM_SHA384),
        (None, CipherSuite.AES_128_GCM_SHA256),  # a stranger: the client's first
    ],
    ids=["known", "stranger"],
)
def test_the_suite_fits_what_can_be_foreseen(foreseen: Carried | None, suite: CipherSuite) -> None:
    subject = Retried()
    seen: list[ClientHelloSummary] = []

    def foresee(summary: ClientHelloSummary) -> Carried | None:
        seen.append(summary)
        return foreseen

    configuration = server_configuration(
        versions=ONLY_1_3, groups=X25519, select=lambda summary: None, foresee=foresee
    )
    gate, _ = subject.new_gate(PEER, configuration)
    answer = gate.receive(subject.first[0], 0.0)
    assert isinstance(answer, bytes)
    (retry,) = decode_fragments(answer[RECORD_HEADER:])
    assert ServerHello.decode(retry.data).cipher_suite == suite
    assert [summary.external_session_id for summary in seen] == [CLIENT_SESSION_ID]


def test_the_cookies_of_both_versions_are_told_apart() -> None:
    """The same secrets make both."""
    subject = Retried()
    both = server_configuration(versions=(DTLS_1_2, DTLS_1_3), groups=X25519)
    gate, _ = subject.new_gate(PEER, both)
    old = Connection(client_configuration(versions=(DTLS_1_2,)), PEER)
    old.start(0.0)
    (hello,) = old.datagrams_to_send()
    answer = gate.receive(hello, 0.0)
    assert isinstance(answer, bytes)
    cookie = HelloVerifyRequest.decode(decode_fragments(answer[RECORD_HEADER:])[0].data).cookie
    subject.assert_refused(
        with_extensions(subject.hello, {ExtensionType.COOKIE: codec.encode_cookie(cookie)})
    )
    mac = codec.decode_cookie(subject.hello.extensions[ExtensionType.COOKIE])[-len(cookie) :]
    for made, is_good in ((cookie, True), (mac, False)):
        again = dataclasses.replace(read_hello(hello), cookie=made)
        record = handshake_record(HandshakeType.CLIENT_HELLO, 1, again.encode())
        assert isinstance(gate.receive(record, 0.0), Admission) is is_good


@pytest.mark.parametrize(
    ("change", "alert"),
    [
        (
            lambda hello: with_extensions(hello, {ExtensionType.SUPPORTED_GROUPS: None}),
            AlertDescription.MISSING_EXTENSION,
        ),
        (
            lambda hello: with_extensions(hello, {ExtensionType.KEY_SHARE: None}),
            AlertDescription.MISSING_EXTENSION,
        ),
        (
            lambda hello: with_extensions(hello, {ExtensionType.KEY_SHARE: b"\0"}),
            AlertDescription.DECODE_ERROR,
        ),
        (  # RFC 9147 section 5.3
            lambda hello: dataclasses.replace(hello, cookie=b"x"),
            AlertDescription.ILLEGAL_PARAMETER,
        ),
    ],
    ids=["no_groups", "no_key_share", "malformed_key_share", "legacy_cookie"],
)
def test_first_hellos_that_are_refused(
    change: Callable[[ClientHello], ClientHello], alert: AlertDescription
) -> None:
    subject = Retried()
    first = read_hello(subject.first[0])
    answer = subject.try_hello(change(first))
    assert isinstance(answer, bytes)
    assert answer[RECORD_HEADER:] == bytes([2, alert])
    assert subject.counters["client_hello_refused"] == 1
    again = subject.try_hello(first)
    assert isinstance(again, bytes)
    assert again[RECORD_HEADER] == HandshakeType.SERVER_HELLO


@pytest.mark.parametrize(
    ("changes", "counted"),
    [
        ({"versions": (DTLS_1_2,)}, "no_common_version"),
        ({"groups": (NamedGroup.SECP256R1,)}, "no_common_group"),
        ({"cipher_suites": (CipherSuite.AES_256_GCM_SHA384,)}, None),
    ],
    ids=["version", "group", "suite"],
)
def test_what_the_two_lack_in_common_is_counted(
    changes: dict[str, object], counted: str | None
) -> None:
    """An operator who requires a version, or the hybrid, sees who is kept out by that."""
    settings = {"versions": ONLY_1_3, "groups": X25519}
    counters = Counters()
    server = server_configuration(**settings)
    gate = Gate(server, CookieSecrets(random=seeded("cookies")), PEER, counters)
    client = Connection(client_configuration(**{**settings, **changes}), PEER)
    client.start(0.0)
    for datagram in client.datagrams_to_send():
        gate.receive(datagram, 0.0)
    expected = {"cookie_missing": 1} if counted is None else {"client_hello_refused": 1, counted: 1}
    assert counters.nonzero() == expected


@pytest.mark.skipif(
    not AVAILABLE_GROUPS[0].is_hybrid, reason="the cryptography package here has no ML-KEM"
)
def test_a_long_second_hello_has_its_cookie_in_the_first_fragment() -> None:
    """So that a server that keeps no fragments can check it; wolfSSL does."""
    subject = Retried(server_groups=AVAILABLE_GROUPS[:1], pmtu=MINIMUM_PMTU)
    (retry,) = decode_fragments(subject.request[RECORD_HEADER:])
    cookie = ServerHello.decode(retry.data).extensions[ExtensionType.COOKIE]
    assert len(subject.second) > 4
    assert cookie in subject.second[0]
    assert isinstance([subject.gate.receive(one, 0.0) for one in subject.second][-1], Admission)
