"""DTLS without I/O, with the extensions of RFC 5764, RFC 8844 and RFC 8870.

One `Connection` is one association. Its owner moves datagrams, arms one timer and takes events.
"""

from __future__ import annotations

from halfkey.dtls.certificate import Certificate
from halfkey.dtls.configuration import ClientHelloSummary, Configuration, Role, ServerParameters
from halfkey.dtls.connection import Connection
from halfkey.dtls.cookie import CookieSecrets
from halfkey.dtls.events import (
    ConnectionTerminated,
    EKTKeyAcknowledged,
    EKTKeyReceived,
    Event,
    HandshakeCompleted,
    SRTPKeyingMaterial,
)
from halfkey.dtls.fingerprint import Fingerprint
from halfkey.dtls.registries import AlertDescription, CipherSuite, NamedGroup, ProtocolVersion

__all__ = [
    "AlertDescription",
    "Certificate",
    "CipherSuite",
    "ClientHelloSummary",
    "Configuration",
    "Connection",
    "ConnectionTerminated",
    "CookieSecrets",
    "EKTKeyAcknowledged",
    "EKTKeyReceived",
    "Event",
    "Fingerprint",
    "HandshakeCompleted",
    "NamedGroup",
    "ProtocolVersion",
    "Role",
    "SRTPKeyingMaterial",
    "ServerParameters",
]
