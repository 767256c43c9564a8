"""No key goes under a weaker one: profile, EKT cipher and cipher suite fit (RFC 8870 section 6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import pytest

from halfkey.dtls import AlertDescription, Connection
from halfkey.dtls.crypto.suites import SUITES, of_version
from halfkey.dtls.handshake import Encodable
from halfkey.dtls.messages.client_hello import ClientHello
from halfkey.dtls.messages.server_hello import ServerHello
from halfkey.dtls.registries import (
    DTLS_1_2,
    DTLS_1_3,
    CipherSuite,
    ExtensionType,
    HandshakeType,
    ProtocolVersion,
)
from halfkey.ekt.messages import EKTCipher
from halfkey.profiles import DOUBLE_128, DOUBLE_256, SRTPProtectionProfile
from tests.dtls.deviations import Deviate, replacing, with_extensions
from tests.dtls.helpers import (
    Network,
    client_configuration,
    connected,
    of_each_version,
    server_configuration,
)

pytestmark = of_each_version

AES_128, AES_256, CHACHA = range(3)
"""Which suite of the version: 1.2 and 1.3 have them in the same order."""
ALL = (AES_128, AES_256, CHACHA)
WRAP_128, WRAP_256 = EKTCipher.AESKW128, EKTCipher.AESKW256


@pytest.fixture
def hellos(deviate: Deviate) -> list[Encodable]:
    """The ClientHellos and ServerHellos that are sent, in order."""
    sent: list[Encodable] = []

    def note(_: HandshakeType, message: Encodable) -> Encodable:
        if isinstance(message, ClientHello | ServerHello):
            sent.append(message)
        return message

    for side in ("client", "server"):
        deviate(side, note)
    return sent


def named(version: ProtocolVersion, suites: Iterable[int]) -> tuple[CipherSuite, ...]:
    return tuple(of_version(CipherSuite, version)[suite] for suite in suites)


def chosen(hellos: list[Encodable]) -> CipherSuite:
    return CipherSuite(cast("ServerHello", hellos[-1]).cipher_suite)


def offered(hellos: list[Encodable]) -> tuple[int, ...]:
    return cast("ClientHello", hellos[0]).cipher_suites[:3]


@pytest.mark.parametrize(
    ("profiles", "suites"),
    [
        ((DOUBLE_128,), (AES_128, AES_256, CHACHA)),
        ((DOUBLE_128, DOUBLE_256), (AES_128, AES_256, CHACHA)),
        ((DOUBLE_256, DOUBLE_128), (AES_256, CHACHA, AES_128)),
        ((DOUBLE_256,), (AES_256, CHACHA, AES_128)),
    ],
)
def test_a_client_offers_first_what_its_best_profile_needs(
    version: ProtocolVersion,
    hellos: list[Encodable],
    profiles: tuple[SRTPProtectionProfile, ...],
    suites: tuple[int, ...],
) -> None:
    connected(client_configuration(srtp_profiles=profiles))
    assert offered(hellos) == named(version, suites)


@pytest.mark.parametrize(
    ("profile", "ciphers", "client_suites", "suite", "cipher"),
    [
        (DOUBLE_128, (WRAP_128, WRAP_256), ALL, AES_128, WRAP_128),
        (DOUBLE_256, (WRAP_128, WRAP_256), ALL, AES_256, WRAP_256),
        (DOUBLE_128, (WRAP_256,), ALL, AES_256, WRAP_256),
        (DOUBLE_256, (WRAP_256,), (CHACHA, AES_128), CHACHA, WRAP_256),
        # The last resort.
        (DOUBLE_256, (WRAP_256,), (AES_128,), AES_128, WRAP_256),
        # AESKW128 doesn't go with a suite of 256 bits.
        (DOUBLE_128, (WRAP_128, WRAP_256), (CHACHA,), CHACHA, WRAP_256),
        (DOUBLE_256, (), ALL, AES_256, None),
        (DOUBLE_128, (), (CHACHA,), CHACHA, None),
    ],
)
def test_a_server_chooses_what_carries_the_key(
    version: ProtocolVersion,
    hellos: list[Encodable],
    profile: SRTPProtectionProfile,
    ciphers: tuple[EKTCipher, ...],
    client_suites: tuple[int, ...],
    suite: int,
    cipher: EKTCipher | None,
) -> None:
    network = connected(
        client_configuration(cipher_suites=named(version, client_suites)),
        server_configuration(srtp_profiles=(profile,), ekt_ciphers=ciphers),
    )
    assert network.client.completed.ekt_cipher is cipher
    assert network.client.completed.keying_material == network.server.completed.keying_material
    assert (chosen(hellos),) == named(version, [suite])


@pytest.mark.parametrize(
    ("profile", "suites"), [(DOUBLE_128, (AES_256, CHACHA)), (DOUBLE_256, (AES_128,))]
)
def test_a_server_refuses_where_the_ekt_cipher_would_be_the_weakest(
    version: ProtocolVersion, profile: SRTPProtectionProfile, suites: tuple[int, ...]
) -> None:
    network = connected(
        client_configuration(cipher_suites=named(version, suites)),
        server_configuration(srtp_profiles=(profile,), ekt_ciphers=(WRAP_128,)),
    )
    assert network.server.terminated.alert is AlertDescription.HANDSHAKE_FAILURE


@pytest.mark.parametrize(
    ("profile", "suites", "is_refused"),
    [
        (DOUBLE_128, (AES_128,), False),
        (DOUBLE_128, (AES_256,), True),
        (DOUBLE_256, (AES_128,), True),
    ],
)
def test_a_client_refuses_an_ekt_cipher_that_is_the_weakest(
    version: ProtocolVersion,
    deviate: Deviate,
    profile: SRTPProtectionProfile,
    suites: tuple[int, ...],
    is_refused: bool,
) -> None:
    """The server negotiates no EKT, and then says AESKW128 all the same."""

    def say_aeskw128(extensions: dict[int, bytes]) -> None:
        extensions[ExtensionType.SUPPORTED_EKT_CIPHERS] = bytes([WRAP_128])

    carrier = {
        DTLS_1_2: HandshakeType.SERVER_HELLO,
        DTLS_1_3: HandshakeType.ENCRYPTED_EXTENSIONS,
    }[version]
    deviate("server", replacing(carrier, with_extensions(say_aeskw128)))
    network = Network(
        client_configuration(cipher_suites=named(version, suites)),
        server_configuration(srtp_profiles=(profile,), ekt_ciphers=()),
    )
    network.start().run(5)
    client: Connection = network.client.connection
    assert client.is_terminated is is_refused
    if is_refused:
        assert network.client.terminated.reason == "EKT cipher too weak"
    else:
        assert network.client.completed.ekt_cipher is WRAP_128


def test_every_suite_is_judged() -> None:
    assert set(SUITES) == set(CipherSuite)
