"""How a side deviates from the protocol, and what that must come to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from halfkey.dtls import AlertDescription, HandshakeCompleted
from halfkey.dtls.handshake import Encodable
from halfkey.dtls.messages.client_hello import ClientHello
from halfkey.dtls.messages.server_hello import ServerHello
from halfkey.dtls.registries import (
    HandshakeType,
)
from tests.dtls.helpers import (
    Change,
    Network,
)

Deviate = Callable[[str, Change], None]


def without(unwanted: HandshakeType) -> Change:
    return lambda kind, message: None if kind is unwanted else message


def replacing(wanted: HandshakeType, replace: Callable[..., Encodable]) -> Change:
    return lambda kind, message: replace(message) if kind is wanted else message


def with_extensions(change: Callable[[dict[int, bytes]], None]) -> Callable[..., Encodable]:
    def apply(hello: ClientHello | ServerHello) -> ClientHello | ServerHello:
        extensions = dict(hello.extensions)
        change(extensions)
        return dataclasses.replace(hello, extensions=extensions)

    return apply


def assert_refused_by(side: str, network: Network, alert: AlertDescription) -> None:
    assert network.side(side).terminated.alert is alert
    for name in ("client", "server"):
        assert not network.side(name).connection.is_connected
    # The one that refused never announced the peer as authenticated.
    assert network.side(side).of(HandshakeCompleted) == []
