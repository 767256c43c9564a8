"""Which version two sides come to, and that nobody on the way has a say in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from halfkey.dtls import AlertDescription, ConnectionTerminated, HandshakeCompleted
from halfkey.dtls import extensions as codec
from halfkey.dtls.handshake import Encodable
from halfkey.dtls.messages.client_hello import ClientHello
from halfkey.dtls.messages.framing import Fragment, decode_fragments
from halfkey.dtls.messages.hello_verify_request import HelloVerifyRequest
from halfkey.dtls.messages.key_exchange import ServerKeyExchange
from halfkey.dtls.messages.server_hello import (
    DOWNGRADE_SENTINEL,
    HELLO_RETRY_REQUEST_RANDOM,
    ServerHello,
)
from halfkey.dtls.registries import (
    DTLS_1_2,
    DTLS_1_3,
    CipherSuite,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    ProtocolVersion,
)
from halfkey.errors import ConfigurationError
from tests.dtls.deviations import Deviate, assert_refused_by, replacing, with_extensions
from tests.dtls.helpers import (
    RECORD_HEADER,
    Delivery,
    Network,
    client_configuration,
    connected,
    deliver,
    handshake_record,
    is_unified,
    plaintext_record,
    server_configuration,
    split_records,
)

A = AlertDescription
BOTH = (DTLS_1_2, DTLS_1_3)
Versions = tuple[ProtocolVersion, ...]


def network_of(client: Versions, server: Versions) -> Network:
    return Network(client_configuration(versions=client), server_configuration(versions=server))


@pytest.mark.parametrize(
    ("client", "server", "version"),
    [
        (BOTH, BOTH, DTLS_1_3),
        (BOTH[::-1], BOTH, DTLS_1_3),
        (BOTH, (DTLS_1_2,), DTLS_1_2),
        (BOTH, (DTLS_1_3,), DTLS_1_3),
        ((DTLS_1_2,), BOTH, DTLS_1_2),
        ((DTLS_1_3,), BOTH, DTLS_1_3),
        ((DTLS_1_2,), (DTLS_1_2,), DTLS_1_2),
        ((DTLS_1_3,), (DTLS_1_3,), DTLS_1_3),
    ],
)
def test_the_latest_that_both_speak(
    client: Versions, server: Versions, version: ProtocolVersion
) -> None:
    network = network_of(client, server).start().run(5)
    assert network.client.completed.version is network.server.completed.version is version
    assert network.client.completed.keying_material == network.server.completed.keying_material
    last = split_records(network.datagrams[-1][1])[-1]
    assert is_unified(last) == (version is DTLS_1_3)


@pytest.mark.parametrize(
    ("client", "server"), [((DTLS_1_2,), (DTLS_1_3,)), ((DTLS_1_3,), (DTLS_1_2,))]
)
def test_without_a_common_version_the_client_says_what_may_be_the_reason(
    client: Versions, server: Versions
) -> None:
    network = network_of(client, server).start().run(60)
    assert network.client.terminated == ConnectionTerminated(
        "handshake timed out", hint=A.PROTOCOL_VERSION
    )
    # The server has kept nothing of it.
    assert network.server.events == []
    assert network.server.connection.holds_nothing
    assert network.server.connection.counters["client_hello_refused"] == 7


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"versions": ()}, "versions"),
        ({"cipher_suites": (CipherSuite.AES_128_GCM_SHA256,)}, "DTLS 1.2"),
        ({"cipher_suites": (CipherSuite.ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,)}, "DTLS 1.3"),
        ({"groups": (NamedGroup.X25519MLKEM768,)}, "DTLS 1.2"),
    ],
)
def test_settings_that_leave_a_version_nothing(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        client_configuration(**{"versions": BOTH, **changes})


def test_a_list_is_as_good_as_a_tuple_and_frozen_with_the_rest() -> None:
    suites, groups = list(CipherSuite), [NamedGroup.X25519]
    changes = {"versions": list(BOTH), "cipher_suites": suites, "groups": groups}
    client, server = client_configuration(**changes), server_configuration(**changes)
    suites.clear()
    groups.clear()
    network = Network(client, server).start().run(5)
    assert network.client.completed.group is NamedGroup.X25519
    assert client.cipher_suites == tuple(CipherSuite)


# --- somebody on the way


def rewriting(change: Callable[[ClientHello], ClientHello]) -> Callable[[bytes], bytes]:
    """Changes a ClientHello that is one record, in plain text as it is."""

    def rewrite(datagram: bytes) -> bytes:
        (fragment,) = decode_fragments(datagram[RECORD_HEADER:])
        body = change(ClientHello.decode(fragment.data)).encode()
        changed = Fragment(fragment.message_type, len(body), fragment.message_seq, 0, body)
        payload = changed.encode()
        return datagram[:11] + len(payload).to_bytes(2, "big") + payload

    return rewrite


def without_1_3(hello: ClientHello) -> ClientHello:
    kept = dict(hello.extensions)
    del kept[ExtensionType.SUPPORTED_VERSIONS], kept[ExtensionType.KEY_SHARE]
    return dataclasses.replace(hello, extensions=kept)


def test_an_offer_of_1_3_that_is_taken_out_on_the_way_is_missed() -> None:
    """RFC 8446 section 4.1.3: the server's random says that it could have done better."""
    rewrite = rewriting(without_1_3)

    def fate(index: int, sender: str, datagram: bytes) -> Delivery:
        is_hello = sender == "client" and datagram[0] == 22
        return deliver(index, sender, rewrite(datagram) if is_hello else datagram)

    network = network_of(BOTH, BOTH)
    network.fate = fate
    network.start().run(5)
    assert network.client.terminated.alert is A.ILLEGAL_PARAMETER
    assert network.client.terminated.reason == "downgraded by somebody on the way"
    assert network.client.of(HandshakeCompleted) == network.server.of(HandshakeCompleted) == []


@pytest.mark.parametrize("sentinel", [b"DOWNGRD\x01", b"DOWNGRD\x00"])
def test_both_sentinels_are_known(deviate: Deviate, sentinel: bytes) -> None:
    deviate(
        "server",
        replacing(
            HandshakeType.SERVER_HELLO,
            lambda hello: dataclasses.replace(hello, random=hello.random[:24] + sentinel),
        ),
    )
    network = network_of(BOTH, (DTLS_1_2,)).start().run(5)
    assert_refused_by("client", network, A.ILLEGAL_PARAMETER)


@pytest.mark.parametrize(("server", "says_so"), [(BOTH, True), ((DTLS_1_2,), False)])
def test_who_speaks_1_2_only_for_the_clients_sake_says_so(
    deviate: Deviate, server: Versions, says_so: bool
) -> None:
    hellos: list[ServerHello] = []

    def note(kind: HandshakeType, message: Encodable) -> Encodable:
        if isinstance(message, ServerHello):
            hellos.append(message)
        return message

    deviate("server", note)
    network = network_of((DTLS_1_2,), server).start().run(5)
    assert network.client.completed.version is DTLS_1_2
    (hello,) = hellos
    assert hello.random.endswith(DOWNGRADE_SENTINEL) is says_so


def set_extension(extension_type: int, content: bytes) -> Callable[..., Encodable]:
    return with_extensions(lambda extensions: extensions.update({int(extension_type): content}))


TLS_AES = CipherSuite.AES_128_GCM_SHA256
FALLEN: dict[str, tuple[Callable[..., Encodable], AlertDescription]] = {
    "suite_of_1_3": (
        lambda hello: dataclasses.replace(hello, cipher_suite=TLS_AES),
        A.ILLEGAL_PARAMETER,
    ),
    "key_share": (
        set_extension(
            ExtensionType.KEY_SHARE, codec.KeyShareEntry(NamedGroup.X25519, bytes(32)).encode()
        ),
        A.ILLEGAL_PARAMETER,
    ),
    "cookie": (set_extension(ExtensionType.COOKIE, b"\0\1x"), A.UNSUPPORTED_EXTENSION),
    "says_1_2_in_the_extension": (
        set_extension(ExtensionType.SUPPORTED_VERSIONS, codec.encode_uint16(DTLS_1_2)),
        A.ILLEGAL_PARAMETER,
    ),
    "no_extended_master_secret": (
        with_extensions(
            lambda extensions: extensions.pop(int(ExtensionType.EXTENDED_MASTER_SECRET))
        ),
        A.HANDSHAKE_FAILURE,
    ),
    "random_of_a_retry": (
        lambda hello: dataclasses.replace(hello, random=HELLO_RETRY_REQUEST_RANDOM),
        A.MISSING_EXTENSION,
    ),
    "version_1_0": (lambda hello: dataclasses.replace(hello, version=0xFEFF), A.PROTOCOL_VERSION),
}


@pytest.mark.parametrize(("change", "alert"), FALLEN.values(), ids=FALLEN)
def test_on_falling_to_1_2_all_of_server_hello_is_checked(
    deviate: Deviate, change: Callable[..., Encodable], alert: AlertDescription
) -> None:
    deviate("server", replacing(HandshakeType.SERVER_HELLO, change))
    network = network_of(BOTH, (DTLS_1_2,)).start().run(5)
    assert_refused_by("client", network, alert)


def test_on_falling_to_1_2_a_group_of_1_3_is_refused(deviate: Deviate) -> None:
    hybrid = NamedGroup.X25519MLKEM768

    def change(message: ServerKeyExchange) -> Encodable:
        # Signed or not: the group is looked at first.
        return dataclasses.replace(message, group=hybrid)

    deviate("server", replacing(HandshakeType.SERVER_KEY_EXCHANGE, change))
    network = network_of(BOTH, (DTLS_1_2,)).start().run(5)
    assert_refused_by("client", network, A.ILLEGAL_PARAMETER)
    assert network.client.terminated.reason == "group not offered"


def after_retry_request(client: Versions = BOTH) -> Network:
    """A client that has had a HelloRetryRequest, and hears nothing more."""
    network = network_of(client, BOTH)
    network.fate = lambda index, sender, datagram: (
        deliver(index, sender, datagram) if index < 2 else []
    )
    return network.start().run(0.05)


def hello_of(version: ProtocolVersion, random: bytes = bytes(32)) -> bytes:
    extensions: dict[int, bytes] = {}
    suite = CipherSuite.ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    if version is DTLS_1_3:
        extensions = {ExtensionType.SUPPORTED_VERSIONS: codec.encode_uint16(DTLS_1_3)}
        suite = TLS_AES
    return ServerHello(DTLS_1_2, random, b"", suite, 0, extensions).encode()


def test_after_a_retry_request_the_version_stays() -> None:
    network = after_retry_request()
    hello = handshake_record(HandshakeType.SERVER_HELLO, 1, hello_of(DTLS_1_2))
    network.client.connection.receive_datagram(hello, network.now)
    network.drain()
    assert network.client.terminated.alert is A.ILLEGAL_PARAMETER


def test_a_second_retry_request_is_refused() -> None:
    """RFC 8446 section 4.1.4."""
    network = after_retry_request()
    body = hello_of(DTLS_1_3, HELLO_RETRY_REQUEST_RANDOM)
    network.client.connection.receive_datagram(
        handshake_record(HandshakeType.SERVER_HELLO, 1, body), network.now
    )
    network.drain()
    assert network.client.terminated.alert is A.UNEXPECTED_MESSAGE


@pytest.mark.parametrize("versions", [BOTH, (DTLS_1_3,)])
def test_after_a_retry_request_a_cookie_of_1_2_is_noise(versions: Versions) -> None:
    network = after_retry_request(versions)
    body = HelloVerifyRequest(0xFEFF, b"cookie").encode()
    client = network.client.connection
    client.receive_datagram(
        handshake_record(HandshakeType.HELLO_VERIFY_REQUEST, 1, body), network.now
    )
    assert client.counters["unexpected_plaintext"] == 1
    assert not client.is_terminated


def test_after_a_cookie_of_1_2_there_is_no_1_3() -> None:
    """RFC 9147 section 5.2: who speaks 1.3 sends no HelloVerifyRequest."""
    network = network_of(BOTH, BOTH)
    network.fate = lambda *_: []
    network.start()
    client = network.client.connection
    request = HelloVerifyRequest(0xFEFF, b"cookie").encode()
    client.receive_datagram(
        handshake_record(HandshakeType.HELLO_VERIFY_REQUEST, 0, request), network.now
    )
    assert len(client.datagrams_to_send()) == 1
    retry = hello_of(DTLS_1_3, HELLO_RETRY_REQUEST_RANDOM)
    client.receive_datagram(handshake_record(HandshakeType.SERVER_HELLO, 1, retry), network.now)
    network.drain()
    assert network.client.terminated.alert is A.ILLEGAL_PARAMETER


def test_a_cookie_of_1_2_tells_a_client_of_1_3_alone_that_there_is_no_common_version() -> None:
    network = network_of((DTLS_1_3,), BOTH)
    network.fate = lambda *_: []
    network.start()
    request = HelloVerifyRequest(0xFEFF, b"cookie").encode()
    network.client.connection.receive_datagram(
        handshake_record(HandshakeType.HELLO_VERIFY_REQUEST, 0, request), network.now
    )
    network.drain()
    assert network.client.terminated.alert is A.PROTOCOL_VERSION
    assert network.client.terminated.reason == "no common version"


def test_a_client_of_1_3_alone_takes_no_server_hello_of_1_2() -> None:
    network = network_of((DTLS_1_3,), BOTH)
    network.fate = lambda *_: []
    network.start()
    hello = handshake_record(HandshakeType.SERVER_HELLO, 0, hello_of(DTLS_1_2))
    network.client.connection.receive_datagram(hello, network.now)
    network.drain()
    assert network.client.terminated.alert is A.PROTOCOL_VERSION


def test_a_connection_of_one_version_ignores_records_of_the_other() -> None:
    for ours, theirs in ((DTLS_1_2, DTLS_1_3), (DTLS_1_3, DTLS_1_2)):
        network = network_of((ours,), (ours,)).start().run(5)
        other = network_of((theirs,), (theirs,)).start().run(5)
        strange = [
            record
            for _, datagram in other.datagrams
            for record in split_records(datagram)
            if is_unified(record) or record[3:5] != bytes(2)
        ]
        assert strange
        for side in (network.client, network.server):
            for record in strange:
                side.connection.receive_datagram(record, network.now)
            side.connection.receive_datagram(plaintext_record(22, b""), network.now)
            assert side.connection.is_connected
            assert side.connection.datagrams_to_send() == []
            assert side.connection.next_event() is None


def test_both_are_offered_by_default_and_1_3_comes_of_it() -> None:
    # The defaults of Configuration, not those of the tests.
    versions = dataclasses.fields(type(client_configuration()))
    default = next(field.default for field in versions if field.name == "versions")
    assert isinstance(default, tuple)
    assert set(default) == set(BOTH)
    assert connected().client.completed.version is DTLS_1_3
