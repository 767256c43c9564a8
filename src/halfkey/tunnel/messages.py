"""The messages of the tunnel between Media Distributor and Key Distributor (RFC 9185 section 6).

    struct {
        MsgType msg_type;
        uint16 length;
        select (MsgType) { ... } body;
    } TunnelMessage;

Each message has `encode()`, which gives the whole TunnelMessage, and `decode(body)`. Association
ids are UUIDs; SRTP protection profiles stay plain integers, since a peer may know more of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar
from uuid import UUID

from halfkey.codec import Reader, Writer
from halfkey.errors import CodecError

VERSION = 0
"""The only version of the protocol so far (RFC 9185 section 6.2)."""

HEADER_LENGTH = 3
"""Bytes of msg_type and length before a body."""

MAXIMUM_BODY_LENGTH = 0xFFFF
MAXIMUM_DTLS_MESSAGE_LENGTH = MAXIMUM_BODY_LENGTH - 16 - 2


class MessageType(IntEnum):
    """MsgType (RFC 9185 section 8); 0 is reserved, the rest unassigned."""

    SUPPORTED_PROFILES = 1
    UNSUPPORTED_VERSION = 2
    MEDIA_KEYS = 3
    TUNNELED_DTLS = 4
    ENDPOINT_DISCONNECT = 5


def _message(message_type: MessageType, body: Writer) -> bytes:
    return Writer().uint8(message_type).vector(2, body.getvalue()).getvalue()


def _association_id(reader: Reader) -> UUID:
    return UUID(bytes=reader.read(16))


@dataclass(frozen=True, slots=True)
class SupportedProfiles:
    """The Media Distributor's first message (RFC 9185 section 6.2).

    Attributes:
        version: of the tunnel protocol.
        protection_profiles: what the Media Distributor supports, at least one.
    """

    message_type: ClassVar[MessageType] = MessageType.SUPPORTED_PROFILES

    version: int
    protection_profiles: tuple[int, ...]

    def encode(self) -> bytes:
        """The TunnelMessage on the wire."""
        body = Writer().uint8(self.version)
        with body.block(2) as profiles:
            for profile in self.protection_profiles:
                profiles.uint16(profile)
        return _message(self.message_type, body)

    @classmethod
    def decode(cls, body: bytes) -> SupportedProfiles:
        """Reads a body.

        Raises:
            CodecError: it is malformed.
        """
        reader = Reader(body)
        version = reader.uint8()
        profiles = reader.vector(2, 2)
        reader.finish()
        if len(profiles) % 2:
            raise CodecError("a list of profiles has an odd length")
        values = (int.from_bytes(profiles[at : at + 2], "big") for at in range(0, len(profiles), 2))
        return cls(version, tuple(values))


@dataclass(frozen=True, slots=True)
class UnsupportedVersion:
    """The Key Distributor's refusal of a version (RFC 9185 section 6.3).

    Attributes:
        highest_version: the highest that the Key Distributor supports.
    """

    message_type: ClassVar[MessageType] = MessageType.UNSUPPORTED_VERSION

    highest_version: int

    def encode(self) -> bytes:
        """The TunnelMessage on the wire."""
        return _message(self.message_type, Writer().uint8(self.highest_version))

    @classmethod
    def decode(cls, body: bytes) -> UnsupportedVersion:
        """Reads a body.

        Raises:
            CodecError: it is malformed.
        """
        reader = Reader(body)
        message = cls(reader.uint8())
        reader.finish()
        return message


@dataclass(frozen=True, slots=True)
class MediaKeys:
    """The hop-by-hop keys of one association (RFC 9185 section 6.4).

    With a double profile these are the outer halves alone. The client is the Endpoint; the
    server's keys are the Media Distributor's to use.

    Attributes:
        association_id: the association that they belong to.
        protection_profile: the profile that the DTLS handshake chose.
        mki: the master key identifier, empty if there is none.
        client_write_SRTP_master_key: 1 to 255 bytes, as the other three.
        server_write_SRTP_master_key: see above.
        client_write_SRTP_master_salt: see above.
        server_write_SRTP_master_salt: see above.
    """

    message_type: ClassVar[MessageType] = MessageType.MEDIA_KEYS

    association_id: UUID
    protection_profile: int
    mki: bytes
    client_write_SRTP_master_key: bytes = field(repr=False)  # noqa: N815 (RFC 9185's names)
    server_write_SRTP_master_key: bytes = field(repr=False)  # noqa: N815
    client_write_SRTP_master_salt: bytes = field(repr=False)  # noqa: N815
    server_write_SRTP_master_salt: bytes = field(repr=False)  # noqa: N815

    def encode(self) -> bytes:
        """The TunnelMessage on the wire."""
        body = Writer().write(self.association_id.bytes).uint16(self.protection_profile)
        body.vector(1, self.mki)
        body.vector(1, self.client_write_SRTP_master_key)
        body.vector(1, self.server_write_SRTP_master_key)
        body.vector(1, self.client_write_SRTP_master_salt)
        body.vector(1, self.server_write_SRTP_master_salt)
        return _message(self.message_type, body)

    @classmethod
    def decode(cls, body: bytes) -> MediaKeys:
        """Reads a body.

        Raises:
            CodecError: it is malformed.
        """
        reader = Reader(body)
        message = cls(
            _association_id(reader),
            reader.uint16(),
            reader.vector(1),
            reader.vector(1, 1),
            reader.vector(1, 1),
            reader.vector(1, 1),
            reader.vector(1, 1),
        )
        reader.finish()
        return message


@dataclass(frozen=True, slots=True)
class TunneledDtls:
    """One UDP payload of DTLS, in either direction (RFC 9185 section 6.5).

    Attributes:
        association_id: the association that it belongs to.
        dtls_message: one or more complete DTLS records, at least one byte.
    """

    message_type: ClassVar[MessageType] = MessageType.TUNNELED_DTLS

    association_id: UUID
    dtls_message: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The TunnelMessage on the wire."""
        body = Writer().write(self.association_id.bytes).vector(2, self.dtls_message)
        return _message(self.message_type, body)

    @classmethod
    def decode(cls, body: bytes) -> TunneledDtls:
        """Reads a body.

        Raises:
            CodecError: it is malformed.
        """
        reader = Reader(body)
        message = cls(_association_id(reader), reader.vector(2, 1))
        reader.finish()
        return message


@dataclass(frozen=True, slots=True)
class EndpointDisconnect:
    """An association has ended (RFC 9185 section 6.6); either side may say so.

    Attributes:
        association_id: the association that ended.
    """

    message_type: ClassVar[MessageType] = MessageType.ENDPOINT_DISCONNECT

    association_id: UUID

    def encode(self) -> bytes:
        """The TunnelMessage on the wire."""
        return _message(self.message_type, Writer().write(self.association_id.bytes))

    @classmethod
    def decode(cls, body: bytes) -> EndpointDisconnect:
        """Reads a body.

        Raises:
            CodecError: it is malformed.
        """
        reader = Reader(body)
        message = cls(_association_id(reader))
        reader.finish()
        return message


Message = SupportedProfiles | UnsupportedVersion | MediaKeys | TunneledDtls | EndpointDisconnect
