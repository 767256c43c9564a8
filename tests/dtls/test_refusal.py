"""What a client can say of a refusal that it can't believe: it came before there were keys."""

from __future__ import annotations

from halfkey.dtls import AlertDescription, Configuration, Connection
from halfkey.dtls.states import State
from halfkey.profiles import DOUBLE_128, DOUBLE_256
from tests.dtls.helpers import (
    PEER,
    Network,
    client_configuration,
    connected,
    deliver,
    ekt_key,
    of_each_version,
    only_1_2,
    plaintext_record,
    server_configuration,
)

pytestmark = of_each_version

HANDSHAKING = (State.EXPECT_CERTIFICATE, State.EXPECT_FINISHED)
REFUSAL = plaintext_record(21, bytes([2, AlertDescription.HANDSHAKE_FAILURE]))


class Restarting(Network):
    """Each repeated ClientHello meets a new server, as a Media Distributor makes associations."""

    def __init__(self, client: Configuration, server: Configuration) -> None:
        super().__init__(client, server)
        self._of_server = server
        self._association = 0

    def drain(self) -> None:
        super().drain()
        if self.server.connection.is_terminated:
            self._association += 1
            peer = PEER + bytes([self._association])
            self.server.connection = Connection(self._of_server, peer)


@only_1_2
def test_who_is_asked_for_cookies_without_end_says_what_may_be_the_reason() -> None:
    client = client_configuration(srtp_profiles=(DOUBLE_128,))
    server = server_configuration(srtp_profiles=(DOUBLE_256,))
    ended = Restarting(client, server).start().run(30).client.terminated
    assert ended.alert is ended.hint is AlertDescription.HANDSHAKE_FAILURE
    assert ended.explanation == "too many cookies (it may have refused: handshake_failure)"


def test_a_refusal_out_of_nowhere_is_no_reason_once_connected() -> None:
    def fate(index: int, sender: str, datagram: bytes) -> list[tuple[float, bytes]]:
        if sender == "server":
            return deliver(index, sender, datagram)
        forged = [(0.0, REFUSAL)] if network.server.connection.state in HANDSHAKING else []
        return forged + deliver(index, sender, datagram)

    network = Network(client_configuration(), server_configuration())
    network.fate = fate
    network.start().run(5)
    assert network.server.connection.is_connected
    assert network.server.connection.counters["plaintext_alert"]
    network.fate = lambda *_: []
    network.server.connection.send_ekt_key(ekt_key(), network.now)
    network.run(120)
    assert network.server.terminated.explanation == "ekt_key not acknowledged"


def test_an_alert_under_the_key_is_no_hint() -> None:
    network = connected()
    network.server.connection.close(network.now)
    network.drain()
    network.run(1)
    assert network.client.terminated.hint is None
    assert network.client.terminated.alert is AlertDescription.CLOSE_NOTIFY
