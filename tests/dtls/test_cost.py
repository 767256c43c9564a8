"""What somebody who has proved nothing can make a server compute: each costly thing once."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric import ec

from halfkey.dtls import AlertDescription, Certificate, HandshakeCompleted
from halfkey.dtls.crypto.signatures import sign
from halfkey.dtls.messages.certificate import CertificateVerify
from halfkey.dtls.registries import HandshakeType
from tests.dtls.deviations import Deviate, replacing
from tests.dtls.helpers import (
    CLIENT_CERTIFICATE,
    SERVER_CERTIFICATE,
    Network,
    client_configuration,
    seeded,
    server_configuration,
    split_records,
)


class CountingKey:
    """A private key that counts its signatures."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.signatures = 0

    def sign(self, *arguments: Any) -> bytes:
        self.signatures += 1
        return self._key.sign(*arguments)


class Costs:
    """A server whose signatures and draws of randomness are counted."""

    def __init__(self) -> None:
        self.key = CountingKey(SERVER_CERTIFICATE.private_key)
        self.draws = 0
        source = seeded("counted")

        def random(length: int) -> bytes:
            self.draws += 1
            return source(length)

        certificate = Certificate(
            SERVER_CERTIFICATE.der, cast(ec.EllipticCurvePrivateKey, self.key)
        )
        configuration = server_configuration(certificate=certificate, random=random)
        self.network = Network(client_configuration(), configuration)

    def after_client_hellos(self) -> list[bytes]:
        """Has the server answer the ClientHello with the cookie; gives the ClientHellos."""
        self.network.start()
        while not self.key.signatures:
            assert self.network.step(self.network.now + 1)
        return [datagram for side, datagram in self.network.datagrams if side == "client"]


def test_nothing_is_computed_before_the_cookie() -> None:
    costs = Costs()
    costs.network.start()
    (hello,) = costs.network.client.sent
    before = costs.draws
    for number in range(50):
        numbered = hello[:5] + number.to_bytes(6, "big") + hello[11:]
        costs.network.server.connection.receive_datagram(numbered, costs.network.now)
    assert (costs.key.signatures, costs.draws) == (0, before)


def test_a_client_hello_with_its_cookie_is_answered_with_one_signature_and_one_key() -> None:
    costs = Costs()
    hellos = costs.after_client_hellos()
    draws, server = costs.draws, costs.network.server.connection
    server.datagrams_to_send()
    for _ in range(50):
        for hello in hellos:
            server.receive_datagram(hello, costs.network.now)
    assert (costs.key.signatures, costs.draws) == (1, draws)
    assert server.datagrams_to_send() == []
    costs.network.run(5)
    assert costs.network.server.of(HandshakeCompleted)


def test_a_flight_that_is_repeated_in_pieces_costs_nothing_more() -> None:
    costs = Costs()
    costs.network.start().run(5)
    draws, server = costs.draws, costs.network.server.connection
    for side, datagram in costs.network.datagrams:
        for record in split_records(datagram) if side == "client" else ():
            server.receive_datagram(record, costs.network.now)
    assert (costs.key.signatures, costs.draws) == (1, draws)
    assert server.is_connected


def test_a_wrong_proof_ends_it_so_that_no_second_is_tried(deviate: Deviate) -> None:
    def spoil(message: CertificateVerify) -> CertificateVerify:
        return dataclasses.replace(message, signature=sign(CLIENT_CERTIFICATE.private_key, b""))

    deviate("client", replacing(HandshakeType.CERTIFICATE_VERIFY, spoil))
    costs = Costs()
    costs.network.start().run(60)
    assert costs.key.signatures == 1
    assert costs.network.server.terminated.alert is AlertDescription.DECRYPT_ERROR
    assert not costs.network.server.of(HandshakeCompleted)
