"""The cookie exchange: stateless, bound to peer and parameters, with rotating secrets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from halfkey.dtls import Connection, CookieSecrets
from halfkey.dtls.cookie import COOKIE_LENGTH
from halfkey.dtls.faults import Counters, Noise
from halfkey.dtls.flight import FlightMessage, Packer
from halfkey.dtls.gate import Admission, Gate
from halfkey.dtls.messages.client_hello import ClientHello
from halfkey.dtls.messages.framing import Fragment, decode_fragments
from halfkey.dtls.messages.hello_verify_request import HelloVerifyRequest
from halfkey.dtls.record_layer import RecordWriter
from halfkey.dtls.registries import ContentType, HandshakeType
from halfkey.dtls.states import State
from tests.dtls.helpers import (
    PEER,
    Network,
    client_configuration,
    of_each_version,
    only_1_2,
    plaintext_record,
    record_number,
    seeded,
    server_configuration,
)

pytestmark = [of_each_version, only_1_2]

HELLO = ClientHello(0xFEFD, bytes(range(32)), b"", b"", (0xC02B, 0x00FF), b"\0", {23: b""})


def datagrams(hello: ClientHello, message_seq: int = 0, pmtu: int = 1200) -> list[bytes]:
    packer = Packer(RecordWriter(message_seq), pmtu)
    message = FlightMessage(HandshakeType.CLIENT_HELLO, message_seq, hello.encode(), 0)
    packer.add_message(message)
    return packer.take()


def gate(secrets: CookieSecrets | None = None, peer: bytes = PEER) -> tuple[Gate, Counters]:
    counters = Counters()
    secrets = secrets or CookieSecrets(random=seeded("gate"))
    return Gate(server_configuration(), secrets, peer, counters), counters


def with_cookie(answer: Admission | bytes | None, hello: ClientHello = HELLO) -> ClientHello:
    assert isinstance(answer, bytes)
    (fragment,) = decode_fragments(answer[13:])
    assert fragment.message_type == HandshakeType.HELLO_VERIFY_REQUEST
    cookie = HelloVerifyRequest.decode(fragment.data).cookie
    assert len(cookie) == COOKIE_LENGTH
    return ClientHello(
        hello.version,
        hello.random,
        hello.session_id,
        cookie,
        hello.cipher_suites,
        hello.compression_methods,
        hello.extensions,
    )


def test_a_good_cookie_admits() -> None:
    subject, counters = gate()
    (first,) = datagrams(HELLO)
    answer = subject.receive(first, 0.0)
    assert isinstance(answer, bytes)
    assert len(answer) <= len(first)
    (second,) = datagrams(with_cookie(answer), 1)
    admission = subject.receive(second, 0.1)
    assert isinstance(admission, Admission)
    assert admission.message.message_seq == 1
    assert admission.number == (0, 1)
    assert counters["cookie_missing"] == 1


@pytest.mark.parametrize(("before", "is_answered"), [(7, True), (8, False)])
def test_only_the_first_records_of_a_datagram_are_looked_at(before: int, is_answered: bool) -> None:
    subject, counters = gate()
    other = bytes([ContentType.ALERT]) + datagrams(HELLO)[0][1:11] + bytes(2)
    answer = subject.receive(other * before + datagrams(HELLO)[0], 0.0)
    assert (answer is not None) == is_answered
    assert counters["not_a_client_hello"] == before + (not is_answered)


def test_a_connection_holds_nothing_until_a_good_cookie() -> None:
    network = Network(client_configuration(), server_configuration())
    assert network.server.connection.holds_nothing
    network.start().step(network.now + 1)
    assert network.server.connection.counters["cookie_missing"] == 1
    assert network.server.connection.holds_nothing
    network.run(5)
    assert network.server.connection.is_connected
    assert not network.server.connection.holds_nothing
    assert not network.client.connection.holds_nothing


def test_counters_are_a_mapping_of_every_reason() -> None:
    counters = Counters()
    counters.count(Noise.REPLAYED)
    assert dict(counters) == {one.value: int(one is Noise.REPLAYED) for one in Noise}
    assert counters.nonzero() == {"replayed": 1}
    assert repr(counters) == "Counters({'replayed': 1})"
    assert "replayed" in counters
    assert "no such reason" not in counters
    with pytest.raises(KeyError):
        counters["no such reason"]


def test_only_a_part_of_a_client_hello_is_held() -> None:
    subject, _ = gate()
    assert subject.holds_nothing
    first, *rest = datagrams(HELLO, pmtu=60)
    assert subject.receive(first, 0.0) is None
    assert not subject.holds_nothing
    for datagram in rest:
        answer = subject.receive(datagram, 0.0)
    assert isinstance(answer, bytes)
    assert subject.holds_nothing


def test_the_answer_takes_over_record_number_and_message_seq() -> None:
    subject, _ = gate()
    (hello,) = datagrams(HELLO, 3)
    answer = subject.receive(hello, 0.0)
    assert isinstance(answer, bytes)
    assert answer[3:11] == hello[3:11]
    assert decode_fragments(answer[13:])[0].message_seq == 3


def in_small_fragments(hello: ClientHello, message_seq: int) -> list[Fragment]:
    body = hello.encode()
    return [
        Fragment(HandshakeType.CLIENT_HELLO, len(body), message_seq, at, body[at : at + 12])
        for at in range(0, len(body), 12)
    ]


def records_of_one(fragments: list[Fragment]) -> bytes:
    """A datagram with a record for each fragment."""
    writer = RecordWriter()
    return b"".join(writer.write(0, ContentType.HANDSHAKE, one.encode())[1] for one in fragments)


def one_record(fragments: list[Fragment]) -> bytes:
    """A datagram with all fragments in one record."""
    payload = b"".join(one.encode() for one in fragments)
    return RecordWriter().write(0, ContentType.HANDSHAKE, payload)[1]


@pytest.mark.parametrize("packed", [records_of_one, one_record])
def test_every_fragment_of_a_datagram_counts(packed: Callable[[list[Fragment]], bytes]) -> None:
    subject, counters = gate()
    answer = subject.receive(packed(in_small_fragments(HELLO, 0)), 0.0)
    second = in_small_fragments(with_cookie(answer), 1)
    assert subject.receive(packed(second[:-1]), 0.1) is None
    admission = subject.receive(packed(second[-1:]), 0.2)
    assert isinstance(admission, Admission)
    assert admission.message.body == with_cookie(answer).encode()
    assert counters["not_a_client_hello"] == counters["malformed_fragment"] == 0


@pytest.mark.parametrize(("repeated", "is_answered"), [(0, True), (3, True), (4, False)])
def test_only_the_first_fragments_of_a_datagram_are_looked_at(
    repeated: int, is_answered: bool
) -> None:
    subject, _ = gate()
    fragments = in_small_fragments(HELLO, 0)
    assert len(fragments) == 5
    datagram = one_record(fragments[:1] * repeated + fragments)
    assert (subject.receive(datagram, 0.0) is not None) == is_answered


@pytest.mark.parametrize(
    "changed",
    [
        {"random": bytes(32)},
        {"cipher_suites": (0xC02C, 0x00FF)},
        {"session_id": b"x"},
        {"compression_methods": b"\0\1"},
        {"version": 0xFEFC},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_the_cookie_is_bound_to_the_parameters(changed: dict[str, object]) -> None:
    subject, counters = gate()
    cookie = with_cookie(subject.receive(datagrams(HELLO)[0], 0.0)).cookie
    settings = {
        "version": HELLO.version,
        "random": HELLO.random,
        "session_id": HELLO.session_id,
        "cookie": cookie,
        "cipher_suites": HELLO.cipher_suites,
        "compression_methods": HELLO.compression_methods,
        "extensions": HELLO.extensions,
    }
    other = ClientHello(**{**settings, **changed})  # type: ignore[arg-type]
    assert isinstance(subject.receive(datagrams(other, 1)[0], 0.0), bytes)
    assert counters["cookie_invalid"] == 1


def test_the_cookie_is_bound_to_the_peer() -> None:
    secrets = CookieSecrets(random=seeded("shared"))
    here, _ = gate(secrets)
    elsewhere, counters = gate(secrets, b"198.51.100.9:5004")
    second = datagrams(with_cookie(here.receive(datagrams(HELLO)[0], 0.0)), 1)[0]
    assert isinstance(elsewhere.receive(second, 0.0), bytes)
    assert counters["cookie_invalid"] == 1
    assert isinstance(here.receive(second, 0.0), Admission)


@pytest.mark.parametrize(
    ("age", "good"), [(0.0, True), (59.0, True), (61.0, True), (121.0, False), (1e9, False)]
)
def test_secrets_rotate(age: float, good: bool) -> None:
    secrets = CookieSecrets(lifetime=60.0, random=seeded("rotating"))
    cookie = secrets.make(PEER, b"parameters", 0.0)
    assert secrets.accepts(cookie, PEER, b"parameters", age) is good


def test_a_cookie_from_just_before_a_rotation_lives_on() -> None:
    secrets = CookieSecrets(lifetime=60.0, random=seeded("rotating"))
    secrets.make(PEER, b"", 0.0)
    late = secrets.make(PEER, b"", 59.0)
    assert secrets.accepts(late, PEER, b"", 118.0)
    assert not secrets.accepts(late, PEER, b"", 121.0)


@pytest.mark.parametrize("cookie", [b"", b"x", bytes(32), bytes(255)])
def test_made_up_cookies_are_as_good_as_none(cookie: bytes) -> None:
    subject, counters = gate()
    made_up = ClientHello(0xFEFD, bytes(32), b"", cookie, (0xC02B,), b"\0", {})
    answer = subject.receive(datagrams(made_up)[0], 0.0)
    assert isinstance(subject.receive(datagrams(with_cookie(answer, made_up), 1)[0], 0), Admission)
    assert counters["cookie_invalid" if cookie else "cookie_missing"] == 1


def test_a_fragmented_client_hello_is_put_together() -> None:
    subject, _ = gate()
    big = ClientHello(0xFEFD, bytes(32), b"", b"", (0xC02B,), b"\0", {51: bytes(1500)})
    *pieces, last = datagrams(big, pmtu=300)
    assert len(pieces) > 3
    for piece in pieces:
        assert subject.receive(piece, 0.0) is None
    second = with_cookie(subject.receive(last, 0.0), big)
    verdicts = [subject.receive(piece, 0.0) for piece in reversed(datagrams(second, 1, 300))]
    assert isinstance(verdicts[-1], Admission)
    assert verdicts[:-1] == [None] * (len(verdicts) - 1)


def test_a_client_hello_in_one_record_with_a_fragment_that_does_not_fit() -> None:
    """It is answered under that record's number, though an ACK may not name the record."""
    subject, counters = gate()
    body = HELLO.encode()
    parts = [
        Fragment(HandshakeType.CLIENT_HELLO, length, 0, start, body[start:end])
        for length, start, end in ((len(body), 0, 9), (99, 0, 9), (len(body), 9, len(body)))
    ]
    record = plaintext_record(ContentType.HANDSHAKE, b"".join(one.encode() for one in parts), 77)
    answer = subject.receive(record, 0.0)
    assert isinstance(answer, bytes)
    assert record_number(answer) == (0, 77)
    assert counters["fragment_mismatch"] == counters["cookie_missing"] == 1


def test_fragments_before_the_cookie_are_bounded() -> None:
    subject, counters = gate()
    huge = ClientHello(0xFEFD, bytes(32), b"", b"", (0xC02B,), b"\0", {51: bytes(5000)})
    for piece in datagrams(huge, pmtu=1200):
        assert subject.receive(piece, 0.0) is None
    assert counters["not_a_client_hello"] == 5
    assert subject._partial is None
    for seq in range(9):
        subject.receive(datagrams(huge_enough(), seq, 300)[0], 0.0)
    assert subject._partial is not None
    assert subject._partial.held_bytes <= 4096


def huge_enough() -> ClientHello:
    return ClientHello(0xFEFD, bytes(32), b"", b"", (0xC02B,), b"\0", {51: bytes(3900)})


def test_a_server_stays_as_it_was_until_the_cookie_is_good() -> None:
    connection = Connection(server_configuration(), PEER)
    for _ in range(100):
        connection.receive_datagram(datagrams(HELLO)[0], 0.0)
        assert connection.datagrams_to_send() != []
        assert connection.next_timer() is None
        assert connection.state is State.EXPECT_CLIENT_HELLO
    assert connection._handshake is None
    connection.close(0.0)
    assert connection.datagrams_to_send() == []


def test_a_secret_that_changes_during_the_exchange_costs_a_round_trip() -> None:
    secrets = CookieSecrets(lifetime=0.004, random=seeded("hasty"))
    network = Network(client_configuration(), server_configuration(cookie_secrets=secrets))
    network.start()
    for _ in range(3):
        network.step(network.now + 1)
    secrets._lifetime = 1000.0
    network.run(5)
    assert network.server.connection.is_connected
    assert network.server.connection.counters["cookie_invalid"] == 1
