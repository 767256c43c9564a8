"""Code points of TLS and DTLS, each declared once.

Sources: RFC 5246, RFC 6347, RFC 8446, RFC 9147, RFC 5764, RFC 7627, RFC 8844, RFC 8870. Values that
are not listed here are kept as plain integers by whoever parses them.
"""

from __future__ import annotations

from enum import IntEnum

DTLS_1_0 = 0xFEFF
"""Seen in record headers before a version is chosen, and in HelloVerifyRequest."""


class ProtocolVersion(IntEnum):
    """The versions that we speak; on the wire they count down (RFC 9147 section 5.3)."""

    DTLS_1_2 = 0xFEFD
    DTLS_1_3 = 0xFEFC

    @property
    def title(self) -> str:
        """For people: "DTLS 1.3"."""
        return self.name.replace("_", " ", 1).replace("_", ".")


DTLS_1_2 = ProtocolVersion.DTLS_1_2
DTLS_1_3 = ProtocolVersion.DTLS_1_3

TLS_EMPTY_RENEGOTIATION_INFO_SCSV = 0x00FF
"""RFC 5746 section 3.3: says what an empty renegotiation_info extension says."""


class ContentType(IntEnum):
    """The type of a record."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23
    ACK = 26


class HandshakeType(IntEnum):
    """The type of a handshake message (RFC 5246 section 7.4, RFC 9147 section 5.2, RFC 8870).

    HELLO_RETRY_REQUEST is none on the wire: a ServerHello with a random of its own is one (RFC
    8446 section 4.1.3), and the state tables tell it apart by a number that no message can have.
    """

    HELLO_REQUEST = 0
    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    HELLO_VERIFY_REQUEST = 3
    NEW_SESSION_TICKET = 4
    ENCRYPTED_EXTENSIONS = 8
    REQUEST_CONNECTION_ID = 9
    NEW_CONNECTION_ID = 10
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16
    FINISHED = 20
    KEY_UPDATE = 24
    EKT_KEY = 26
    MESSAGE_HASH = 254
    HELLO_RETRY_REQUEST = 0x102


class ExtensionType(IntEnum):
    """The extensions that we send or read."""

    SUPPORTED_GROUPS = 10
    EC_POINT_FORMATS = 11
    SIGNATURE_ALGORITHMS = 13
    USE_SRTP = 14
    PADDING = 21
    EXTENDED_MASTER_SECRET = 23
    SUPPORTED_EKT_CIPHERS = 39
    SUPPORTED_VERSIONS = 43
    COOKIE = 44
    KEY_SHARE = 51
    EXTERNAL_ID_HASH = 55
    EXTERNAL_SESSION_ID = 56
    RENEGOTIATION_INFO = 0xFF01


class CipherSuite(IntEnum):
    """The cipher suites for DTLS 1.3 (RFC 8446 appendix B.4) and 1.2 (RFC 5289, RFC 7905)."""

    AES_128_GCM_SHA256 = 0x1301
    AES_256_GCM_SHA384 = 0x1302
    CHACHA20_POLY1305_SHA256 = 0x1303
    ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 = 0xC02B
    ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 = 0xC02C
    ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 = 0xCCA9


class NamedGroup(IntEnum):
    """The groups for key exchange (RFC 8422 section 5.1.1, draft-ietf-tls-ecdhe-mlkem)."""

    SECP256R1 = 23
    X25519 = 29
    X25519MLKEM768 = 0x11EC

    @property
    def is_hybrid(self) -> bool:
        """Whether ML-KEM is part of it; such a group is for DTLS 1.3 only."""
        return self is NamedGroup.X25519MLKEM768


class SignatureScheme(IntEnum):
    """Signature schemes; in TLS 1.2 the two bytes are hash and signature (RFC 8446 4.2.3)."""

    ECDSA_SECP256R1_SHA256 = 0x0403
    ECDSA_SECP384R1_SHA384 = 0x0503


class AlertLevel(IntEnum):
    """How grave an alert is (RFC 5246 section 7.2)."""

    WARNING = 1
    FATAL = 2


class AlertDescription(IntEnum):
    """What an alert says (RFC 5246 section 7.2, RFC 8446 section 6)."""

    CLOSE_NOTIFY = 0
    UNEXPECTED_MESSAGE = 10
    BAD_RECORD_MAC = 20
    RECORD_OVERFLOW = 22
    HANDSHAKE_FAILURE = 40
    BAD_CERTIFICATE = 42
    UNSUPPORTED_CERTIFICATE = 43
    CERTIFICATE_REVOKED = 44
    CERTIFICATE_EXPIRED = 45
    CERTIFICATE_UNKNOWN = 46
    ILLEGAL_PARAMETER = 47
    UNKNOWN_CA = 48
    ACCESS_DENIED = 49
    DECODE_ERROR = 50
    DECRYPT_ERROR = 51
    PROTOCOL_VERSION = 70
    INSUFFICIENT_SECURITY = 71
    INTERNAL_ERROR = 80
    USER_CANCELED = 90
    NO_RENEGOTIATION = 100
    MISSING_EXTENSION = 109
    UNSUPPORTED_EXTENSION = 110
    CERTIFICATE_REQUIRED = 116
