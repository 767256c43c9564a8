"""The handshakes' states and transitions, as data (RFC 5246 section 7.3, RFC 8446 appendix A).

A full handshake with certificates on both sides; what may be missing in TLS at large is required
here, so each state but the first of a client admits one message. DTLS 1.2 (RFC 6347 section 4.2.4):

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

DTLS 1.3 (RFC 9147 section 5.7), in {} under the handshake's keys, in [] under those that follow:

    Client                                   Server
    ClientHello                 -------->
                                <--------    HelloRetryRequest (cookie)
    ClientHello (cookie)        -------->
                                             ServerHello, {EncryptedExtensions,
                                <--------    CertificateRequest, Certificate,
                                             CertificateVerify, Finished}
    {Certificate, CertificateVerify,
    Finished}                   -------->
                                <--------    [ACK]
                                <--------    [ekt_key], any number of times
    [ACK]                       -------->
    [KeyUpdate]                 <------->    [KeyUpdate], each with an ACK

A client of 1.3 that has checked the server's Finished is in EXPECT_ACK, which no table has, since
an ACK is no message: only with the ACK of its last flight does it know that it was let in.

ChangeCipherSpec is no message and changes no state: a record's epoch says which key it is under,
and the epochs below say which key a message must come under.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.record import (
    APPLICATION_EPOCH,
    HANDSHAKE_EPOCH,
    PLAINTEXT_EPOCH,
    PROTECTED_EPOCH,
)
from halfkey.dtls.registries import AlertDescription, HandshakeType, ProtocolVersion


class State(Enum):
    """What a side of the handshake waits for."""

    EXPECT_CLIENT_HELLO = "EXPECT_CLIENT_HELLO"
    EXPECT_SERVER_HELLO = "EXPECT_SERVER_HELLO"
    EXPECT_SECOND_SERVER_HELLO = "EXPECT_SECOND_SERVER_HELLO"
    EXPECT_ENCRYPTED_EXTENSIONS = "EXPECT_ENCRYPTED_EXTENSIONS"
    EXPECT_CERTIFICATE = "EXPECT_CERTIFICATE"
    EXPECT_SERVER_KEY_EXCHANGE = "EXPECT_SERVER_KEY_EXCHANGE"
    EXPECT_CERTIFICATE_REQUEST = "EXPECT_CERTIFICATE_REQUEST"
    EXPECT_SERVER_HELLO_DONE = "EXPECT_SERVER_HELLO_DONE"
    EXPECT_CLIENT_KEY_EXCHANGE = "EXPECT_CLIENT_KEY_EXCHANGE"
    EXPECT_CERTIFICATE_VERIFY = "EXPECT_CERTIFICATE_VERIFY"
    EXPECT_FINISHED = "EXPECT_FINISHED"
    EXPECT_ACK = "EXPECT_ACK"
    CONNECTED = "CONNECTED"
    TERMINATED = "TERMINATED"


@dataclass(frozen=True, slots=True)
class Row:
    """What a state admits.

    Attributes:
        epoch: the epoch that the message must come in; after KeyUpdate, a later one.
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

CLIENT_1_3: StateTable = {
    _S.EXPECT_SERVER_HELLO: Row(
        PLAINTEXT_EPOCH,
        {
            _H.HELLO_RETRY_REQUEST: _S.EXPECT_SECOND_SERVER_HELLO,
            _H.SERVER_HELLO: _S.EXPECT_ENCRYPTED_EXTENSIONS,
        },
    ),
    _S.EXPECT_SECOND_SERVER_HELLO: Row(
        PLAINTEXT_EPOCH, {_H.SERVER_HELLO: _S.EXPECT_ENCRYPTED_EXTENSIONS}
    ),
    _S.EXPECT_ENCRYPTED_EXTENSIONS: Row(
        HANDSHAKE_EPOCH, {_H.ENCRYPTED_EXTENSIONS: _S.EXPECT_CERTIFICATE_REQUEST}
    ),
    _S.EXPECT_CERTIFICATE_REQUEST: Row(
        HANDSHAKE_EPOCH, {_H.CERTIFICATE_REQUEST: _S.EXPECT_CERTIFICATE}
    ),
    _S.EXPECT_CERTIFICATE: Row(HANDSHAKE_EPOCH, {_H.CERTIFICATE: _S.EXPECT_CERTIFICATE_VERIFY}),
    _S.EXPECT_CERTIFICATE_VERIFY: Row(HANDSHAKE_EPOCH, {_H.CERTIFICATE_VERIFY: _S.EXPECT_FINISHED}),
    _S.EXPECT_FINISHED: Row(HANDSHAKE_EPOCH, {_H.FINISHED: _S.CONNECTED}),
    _S.CONNECTED: Row(
        APPLICATION_EPOCH,
        {
            _H.EKT_KEY: _S.CONNECTED,
            _H.KEY_UPDATE: _S.CONNECTED,
            _H.NEW_SESSION_TICKET: _S.CONNECTED,
        },
    ),
}

SERVER_1_3: StateTable = {
    _S.EXPECT_CLIENT_HELLO: Row(PLAINTEXT_EPOCH, {_H.CLIENT_HELLO: _S.EXPECT_CERTIFICATE}),
    _S.EXPECT_CERTIFICATE: Row(HANDSHAKE_EPOCH, {_H.CERTIFICATE: _S.EXPECT_CERTIFICATE_VERIFY}),
    _S.EXPECT_CERTIFICATE_VERIFY: Row(HANDSHAKE_EPOCH, {_H.CERTIFICATE_VERIFY: _S.EXPECT_FINISHED}),
    _S.EXPECT_FINISHED: Row(HANDSHAKE_EPOCH, {_H.FINISHED: _S.CONNECTED}),
    _S.CONNECTED: Row(APPLICATION_EPOCH, {_H.KEY_UPDATE: _S.CONNECTED}),
}

CLIENT_TABLES: Mapping[ProtocolVersion, StateTable] = {
    ProtocolVersion.DTLS_1_2: CLIENT_1_2,
    ProtocolVersion.DTLS_1_3: CLIENT_1_3,
}
SERVER_TABLES: Mapping[ProtocolVersion, StateTable] = {
    ProtocolVersion.DTLS_1_2: SERVER_1_2,
    ProtocolVersion.DTLS_1_3: SERVER_1_3,
}


def next_state(states: StateTable, state: State, message_type: int) -> State:
    """The state that a message leads to.

    Raises:
        ProtocolFault: unexpected_message if the state doesn't admit its type.
    """
    row = states.get(state)
    for admitted, following in row.transitions.items() if row is not None else ():
        if admitted == message_type:
            return following
    raise ProtocolFault(AlertDescription.UNEXPECTED_MESSAGE, "unexpected message")


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
