"""How a side deviates from the protocol, and what that must come to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from halfkey.dtls import AlertDescription, HandshakeCompleted
from halfkey.dtls.handshake import Encodable
from halfkey.dtls.messages.certificate_1_3 import CertificateRequest
from halfkey.dtls.messages.client_hello import ClientHello
from halfkey.dtls.messages.encrypted_extensions import EncryptedExtensions
from halfkey.dtls.messages.server_hello import ServerHello
from halfkey.dtls.registries import AlertLevel, ContentType, HandshakeType
from tests.dtls.helpers import (
    Change,
    Network,
)

Extended = ClientHello | ServerHello | EncryptedExtensions | CertificateRequest
Deviate = Callable[[str, Change], None]


def without(unwanted: HandshakeType) -> Change:
    return lambda kind, message: None if kind is unwanted else message


def replacing(wanted: HandshakeType, replace: Callable[..., Encodable]) -> Change:
    return lambda kind, message: replace(message) if kind is wanted else message


def with_extensions(change: Callable[[dict[int, bytes]], None]) -> Callable[..., Encodable]:
    def apply(hello: Extended) -> Extended:
        extensions = dict(hello.extensions)
        change(extensions)
        return dataclasses.replace(hello, extensions=extensions)

    return apply


def assert_refused_by(side: str, network: Network, alert: AlertDescription) -> None:
    if side == "server" and network.server.connection.holds_nothing:
        assert_refused_at_the_gate(network, alert)
        return
    assert network.side(side).terminated.alert is alert
    for name in ("client", "server"):
        assert not network.side(name).connection.is_connected
    # The one that refused never announced the peer as authenticated.
    assert network.side(side).of(HandshakeCompleted) == []
    if side == "server":  # whose word comes last: a client that isn't let in has no keys
        assert network.client.of(HandshakeCompleted) == []


def assert_refused_at_the_gate(network: Network, alert: AlertDescription) -> None:
    """The server has said so in plain text, as often as it was asked, and kept nothing of it."""
    alerts = [datagram for datagram in network.server.sent if datagram[0] == ContentType.ALERT]
    assert alerts
    assert {datagram[13:] for datagram in alerts} == {bytes([AlertLevel.FATAL, alert])}
    assert network.server.connection.counters["client_hello_refused"] == len(alerts)
    assert network.server.events == []
    assert network.client.of(HandshakeCompleted) == []
