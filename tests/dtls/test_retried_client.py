"""What a client makes of a HelloRetryRequest, good or bad, and what a server of its answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from halfkey.dtls import (
    AlertDescription,
    ConnectionTerminated,
    CookieSecrets,
    HandshakeCompleted,
)
from halfkey.dtls import extensions as codec
from halfkey.dtls.handshake import Encodable
from halfkey.dtls.messages.client_hello import ClientHello
from halfkey.dtls.messages.server_hello import HELLO_RETRY_REQUEST_RANDOM, ServerHello
from halfkey.dtls.registries import (
    DTLS_1_2,
    DTLS_1_3,
    CipherSuite,
    ContentType,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    SignatureScheme,
)
from tests.dtls.deviations import Deviate, assert_refused_by, replacing, with_extensions
from tests.dtls.helpers import (
    Network,
    client_configuration,
    connected,
    handshake_record,
    server_configuration,
)
from tests.dtls.test_retry import read_hello

A = AlertDescription
X25519, P256 = NamedGroup.X25519, NamedGroup.SECP256R1
SUITE = CipherSuite.AES_128_GCM_SHA256
VERSION = {int(ExtensionType.SUPPORTED_VERSIONS): codec.encode_uint16(DTLS_1_3)}
COOKIE = {int(ExtensionType.COOKIE): codec.encode_cookie(b"a cookie")}
OTHER_GROUP = {int(ExtensionType.KEY_SHARE): codec.encode_uint16(P256)}
GOOD = ServerHello(
    DTLS_1_2, HELLO_RETRY_REQUEST_RANDOM, b"", SUITE, 0, {**VERSION, **COOKIE, **OTHER_GROUP}
)


def retried(*hellos: ServerHello) -> Network:
    """A client that was answered with these, and nobody else."""
    settings = {"versions": (DTLS_1_3,), "groups": (X25519, P256)}
    network = Network(client_configuration(**settings), server_configuration(**settings))
    network.fate = lambda *_: []
    network.start()
    for message_seq, hello in enumerate(hellos):
        record = handshake_record(HandshakeType.SERVER_HELLO, message_seq, hello.encode())
        network.client.connection.receive_datagram(record, network.now)
        network.drain()
    return network


@pytest.mark.parametrize(
    ("extensions", "group"),
    [
        ({**VERSION, **COOKIE}, X25519),
        ({**VERSION, **OTHER_GROUP}, P256),
        (GOOD.extensions, P256),
    ],
    ids=["cookie", "group", "both"],
)
def test_what_a_server_asks_for_is_repeated_and_nothing_else_changes(
    extensions: dict[int, bytes], group: NamedGroup
) -> None:
    network = retried(dataclasses.replace(GOOD, extensions=extensions))
    first, second = (read_hello(datagram) for datagram in network.client.sent)
    changed = {ExtensionType.COOKIE, ExtensionType.KEY_SHARE}
    kept = [
        {one: what for one, what in hello.extensions.items() if one not in changed}
        for hello in (first, second)
    ]
    assert kept[0] == kept[1]
    bare = [dataclasses.replace(hello, extensions={}) for hello in (first, second)]
    assert bare[0] == bare[1]
    cookie = second.extensions.get(ExtensionType.COOKIE)
    assert cookie == extensions.get(ExtensionType.COOKIE)
    shares = codec.decode_key_shares(second.extensions[ExtensionType.KEY_SHARE])
    assert [share.group for share in shares] == [group]
    assert (group is X25519) == (
        first.extensions[ExtensionType.KEY_SHARE] == second.extensions[ExtensionType.KEY_SHARE]
    )


def asking_for(group: int) -> ServerHello:
    share = {ExtensionType.KEY_SHARE: codec.encode_uint16(group)}
    return dataclasses.replace(GOOD, extensions={**GOOD.extensions, **share})


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        (dataclasses.replace(GOOD, extensions=VERSION), "nothing to retry with"),
        (asking_for(X25519), "group not offered, or key share sent already"),
        (asking_for(24), "group not offered, or key share sent already"),
        (dataclasses.replace(GOOD, session_id=b"echoed"), "session id echoed"),
        (dataclasses.replace(GOOD, compression_method=1), "compression not offered"),
        (dataclasses.replace(GOOD, cipher_suite=0x1304), "cipher suite not offered"),
        (
            dataclasses.replace(GOOD, cipher_suite=CipherSuite.ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
            "cipher suite not offered",
        ),
    ],
    ids=[
        "for_nothing",
        "for_the_same_group",
        "for_an_unknown_group",
        "session_id",
        "compression",
        "unknown_suite",
        "suite_of_1_2",
    ],
)
def test_retry_requests_that_are_refused(hello: ServerHello, reason: str) -> None:
    network = retried(hello)
    assert network.client.terminated == ConnectionTerminated(reason, A.ILLEGAL_PARAMETER)
    assert len(network.client.sent) == 2  # the ClientHello and an alert


def test_the_suite_of_a_retry_request_stays() -> None:
    """RFC 8446 section 4.1.4."""
    share = codec.KeyShareEntry(P256, bytes(65)).encode()
    hello = ServerHello(
        DTLS_1_2,
        bytes(32),
        b"",
        CipherSuite.AES_256_GCM_SHA384,
        0,
        {**VERSION, ExtensionType.KEY_SHARE: share},
    )
    changed = retried(GOOD, hello).client.terminated
    assert changed.reason == "cipher suite changed after the retry"
    assert changed.alert is A.ILLEGAL_PARAMETER
    # With the suite that it had, the next thing is looked at, and found to be no point.
    same = retried(GOOD, dataclasses.replace(hello, cipher_suite=SUITE)).client.terminated
    assert same.reason == "unusable public key"


def shares(*groups: NamedGroup) -> Callable[..., Encodable]:
    entries = [codec.KeyShareEntry(group, bytes([9]) + bytes(31)) for group in groups]

    def change(hello: ClientHello) -> Encodable:
        if ExtensionType.COOKIE not in hello.extensions:
            return hello  # the first one
        share = {int(ExtensionType.KEY_SHARE): codec.encode_key_shares(entries)}
        return with_extensions(lambda extensions: extensions.update(share))(hello)

    return change


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ((P256, P256), "key share repeated, or of a group not offered"),
        ((P256, NamedGroup.X25519MLKEM768), "key share repeated, or of a group not offered"),
        ((X25519,), "not the key share that was asked for"),
        ((), "not the key share that was asked for"),
        ((P256, X25519), "not the key share that was asked for"),
    ],
)
def test_answers_to_a_retry_request_that_are_refused(
    deviate: Deviate, named: tuple[NamedGroup, ...], reason: str
) -> None:
    deviate("client", replacing(HandshakeType.CLIENT_HELLO, shares(*named)))
    network = Network(
        client_configuration(versions=(DTLS_1_3,), groups=(X25519, P256)),
        server_configuration(versions=(DTLS_1_3,), groups=(P256,)),
    )
    network.start().run(5)
    assert_refused_by("server", network, A.ILLEGAL_PARAMETER)
    assert network.server.terminated.reason == reason
    assert network.client.of(HandshakeCompleted) == []


class NoCookies(CookieSecrets):
    """For a server that needs none, as another check has shown where the client is."""

    def accepts(self, cookie: bytes, peer: bytes, parameters: bytes, now: float) -> bool:
        return True


@pytest.mark.parametrize(("group", "hellos"), [(X25519, 1), (P256, 2)])
def test_a_server_without_cookies_asks_again_only_for_a_key_share(
    group: NamedGroup, hellos: int
) -> None:
    network = Network(
        client_configuration(versions=(DTLS_1_3,), groups=(X25519, P256)),
        server_configuration(versions=(DTLS_1_3,), groups=(group,), cookie_secrets=NoCookies()),
    )
    network.start().run(5)
    assert network.client.completed.group is network.server.completed.group is group
    plain = [datagram for datagram in network.client.sent if datagram[0] == ContentType.HANDSHAKE]
    assert len(plain) == hellos


def test_a_signature_scheme_of_another_curve(deviate: Deviate) -> None:
    """RFC 8446 section 4.2.3: in 1.3 a scheme names the curve too."""
    verify = HandshakeType.CERTIFICATE_VERIFY
    scheme = SignatureScheme.ECDSA_SECP384R1_SHA384
    deviate("client", replacing(verify, lambda one: dataclasses.replace(one, scheme=scheme)))
    network = connected(
        client_configuration(versions=(DTLS_1_3,)), server_configuration(versions=(DTLS_1_3,))
    )
    assert_refused_by("server", network, A.ILLEGAL_PARAMETER)
    assert network.server.terminated.reason == "signature scheme of another curve"
