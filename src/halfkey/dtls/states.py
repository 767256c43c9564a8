"""The handshake's states and transitions, as data (RFC 6347 section 4.2.4, RFC 5246 section 7.3).

A full handshake with certificates on both sides; what may be missing in TLS at large is required
here, so each state but the first of a client admits one message:

    Client                                   Server
    ClientHello                 -------->
                                <--------    HelloVerifyRequest
    ClientHello (cookie)        -------->
                                             ServerHello, Certificate, ServerKeyExchange,
                                <--------    CertificateRequest, ServerHelloDone
    Certificate, ClientKeyExchange,
    CertificateVerify,
    [ChangeCipherSpec] Finished -------->
                                <--------    [ChangeCipherSpec] Finished
                                <--------    ekt_key, any number of times
    ACK                         -------->

ChangeCipherSpec is no message and changes no state: a record's epoch says which key it is under,
and the epochs below say which key a message must come under.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from halfkey.dtls.record import PLAINTEXT_EPOCH, PROTECTED_EPOCH
from halfkey.dtls.registries import HandshakeType


class State(Enum):
    """What a side of the handshake waits for."""

    EXPECT_CLIENT_HELLO = "EXPECT_CLIENT_HELLO"
    EXPECT_SERVER_HELLO = "EXPECT_SERVER_HELLO"
    EXPECT_CERTIFICATE = "EXPECT_CERTIFICATE"
    EXPECT_SERVER_KEY_EXCHANGE = "EXPECT_SERVER_KEY_EXCHANGE"
    EXPECT_CERTIFICATE_REQUEST = "EXPECT_CERTIFICATE_REQUEST"
    EXPECT_SERVER_HELLO_DONE = "EXPECT_SERVER_HELLO_DONE"
    EXPECT_CLIENT_KEY_EXCHANGE = "EXPECT_CLIENT_KEY_EXCHANGE"
    EXPECT_CERTIFICATE_VERIFY = "EXPECT_CERTIFICATE_VERIFY"
    EXPECT_FINISHED = "EXPECT_FINISHED"
    CONNECTED = "CONNECTED"
    TERMINATED = "TERMINATED"


@dataclass(frozen=True, slots=True)
class Row:
    """What a state admits.

    Attributes:
        epoch: the epoch that the message must come in.
        transitions: the next state, by the message's type; any other type is a fault.
    """

    epoch: int
    transitions: Mapping[HandshakeType, State]


StateTable = Mapping[State, Row]

_S, _H = State, HandshakeType

CLIENT_1_2: StateTable = {
    _S.EXPECT_SERVER_HELLO: Row(
        PLAINTEXT_EPOCH,
        {
            _H.HELLO_VERIFY_REQUEST: _S.EXPECT_SERVER_HELLO,
            _H.SERVER_HELLO: _S.EXPECT_CERTIFICATE,
        },
    ),
    _S.EXPECT_CERTIFICATE: Row(PLAINTEXT_EPOCH, {_H.CERTIFICATE: _S.EXPECT_SERVER_KEY_EXCHANGE}),
    _S.EXPECT_SERVER_KEY_EXCHANGE: Row(
        PLAINTEXT_EPOCH, {_H.SERVER_KEY_EXCHANGE: _S.EXPECT_CERTIFICATE_REQUEST}
    ),
    _S.EXPECT_CERTIFICATE_REQUEST: Row(
        PLAINTEXT_EPOCH, {_H.CERTIFICATE_REQUEST: _S.EXPECT_SERVER_HELLO_DONE}
    ),
    _S.EXPECT_SERVER_HELLO_DONE: Row(PLAINTEXT_EPOCH, {_H.SERVER_HELLO_DONE: _S.EXPECT_FINISHED}),
    _S.EXPECT_FINISHED: Row(PROTECTED_EPOCH, {_H.FINISHED: _S.CONNECTED}),
    _S.CONNECTED: Row(PROTECTED_EPOCH, {_H.EKT_KEY: _S.CONNECTED}),
}

SERVER_1_2: StateTable = {
    _S.EXPECT_CLIENT_HELLO: Row(PLAINTEXT_EPOCH, {_H.CLIENT_HELLO: _S.EXPECT_CERTIFICATE}),
    _S.EXPECT_CERTIFICATE: Row(PLAINTEXT_EPOCH, {_H.CERTIFICATE: _S.EXPECT_CLIENT_KEY_EXCHANGE}),
    _S.EXPECT_CLIENT_KEY_EXCHANGE: Row(
        PLAINTEXT_EPOCH, {_H.CLIENT_KEY_EXCHANGE: _S.EXPECT_CERTIFICATE_VERIFY}
    ),
    _S.EXPECT_CERTIFICATE_VERIFY: Row(PLAINTEXT_EPOCH, {_H.CERTIFICATE_VERIFY: _S.EXPECT_FINISHED}),
    _S.EXPECT_FINISHED: Row(PROTECTED_EPOCH, {_H.FINISHED: _S.CONNECTED}),
    _S.CONNECTED: Row(PROTECTED_EPOCH, {}),
}


def plaintext_types(states: StateTable) -> frozenset[int]:
    """The messages that may come in plain text, once a handshake has begun.

    Any other is not worth a look there: anybody can send it. A ClientHello begins a handshake, and
    has no place in one.
    """
    admitted = {
        message_type
        for row in states.values()
        if row.epoch == PLAINTEXT_EPOCH
        for message_type in row.transitions
    }
    return frozenset(admitted - {HandshakeType.CLIENT_HELLO})
