"""What somebody who has proved nothing can make a server hold, once the cookie was good."""

from __future__ import annotations

import gc
import sys
from types import FunctionType, ModuleType

from halfkey.dtls import Configuration
from halfkey.dtls.messages.client_hello import ClientHello
from halfkey.dtls.registries import HandshakeType
from halfkey.dtls.states import State
from tests.dtls.deviations import Deviate, replacing, with_extensions
from tests.dtls.helpers import Network, client_configuration, of_each_version, server_configuration

pytestmark = of_each_version

UNKNOWN = range(0x8000, 0x8000 + 600)
ON_THE_WIRE = 4 * len(UNKNOWN)
"""Of an empty extension each, in bytes."""
SHARED = Configuration | ModuleType | FunctionType | type


def reached(root: object) -> list[object]:
    """All that an object keeps alive by itself."""
    seen: dict[int, object] = {}
    ahead = [root]
    while ahead:
        one = ahead.pop()
        if id(one) not in seen and not isinstance(one, SHARED):
            seen[id(one)] = one
            ahead += gc.get_referents(one)
    return list(seen.values())


def size(root: object) -> int:
    return sum(sys.getsizeof(one) for one in reached(root))


def half_open() -> Network:
    """A server that has answered the ClientHello with the cookie, and hears nothing more."""
    network = Network(client_configuration(), server_configuration()).start()
    while network.server.connection.state is State.EXPECT_CLIENT_HELLO:
        assert network.step(network.now + 1)
    return network


def with_many_extensions(deviate: Deviate) -> None:
    added = dict.fromkeys(UNKNOWN, b"")
    change = with_extensions(lambda extensions: extensions.update(added))
    deviate("client", replacing(HandshakeType.CLIENT_HELLO, change))


def test_a_client_hello_is_forgotten_once_it_is_answered(deviate: Deviate) -> None:
    plain = size(half_open().server.connection)
    with_many_extensions(deviate)
    connection = half_open().server.connection
    assert [one for one in reached(connection) if isinstance(one, ClientHello)] == []
    # The transcript has it as it came, to be hashed.
    assert ON_THE_WIRE // 2 < size(connection) - plain < 2 * ON_THE_WIRE


def test_a_client_hello_is_much_longer_when_it_is_read() -> None:
    """The control of the test before: what is weighed there would show."""
    hello = ClientHello(0xFEFD, bytes(32), b"", b"", (), b"\0", dict.fromkeys(UNKNOWN, b""))
    assert size(hello) > 4 * ON_THE_WIRE
