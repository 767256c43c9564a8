"""The two ends of a tunnel, without I/O (RFC 9185 section 5).

The Media Distributor speaks first, with SupportedProfiles, whichever side dialled. A Key
Distributor that doesn't know the version answers UnsupportedVersion and closes; the Media
Distributor then dials again with the version it was told, if it speaks it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from halfkey.errors import UsageError
from halfkey.tunnel.messages import (
    HEADER_LENGTH,
    VERSION,
    MediaKeys,
    MessageType,
    SupportedProfiles,
    UnsupportedVersion,
)
from halfkey.tunnel.stream import State, Transitions, TunnelEnd

_T = MessageType


class MediaDistributorTunnel(TunnelEnd):
    """The Media Distributor's end of one TLS connection.

    Events: `MediaKeys`, `TunneledDtls`, `EndpointDisconnect`, `UnsupportedVersion` (directly before
    the end), `TunnelTerminated`.

    Args:
        supported_profiles: SRTP protection profiles, at least one; fixed for this tunnel.
        version: of the protocol.
    """

    INITIAL_STATE: ClassVar[State] = State.EXPECT_FIRST_MESSAGE
    TRANSITIONS: ClassVar[Transitions] = {
        # RFC 9185 section 5.5: UnsupportedVersion is the first answer or none.
        State.EXPECT_FIRST_MESSAGE: {
            _T.UNSUPPORTED_VERSION: State.TERMINATED,
            _T.MEDIA_KEYS: State.ESTABLISHED,
            _T.TUNNELED_DTLS: State.ESTABLISHED,
            _T.ENDPOINT_DISCONNECT: State.ESTABLISHED,
        },
        State.ESTABLISHED: {
            _T.MEDIA_KEYS: State.ESTABLISHED,
            _T.TUNNELED_DTLS: State.ESTABLISHED,
            _T.ENDPOINT_DISCONNECT: State.ESTABLISHED,
        },
    }

    def __init__(self, supported_profiles: Iterable[int], version: int = VERSION) -> None:
        super().__init__()
        profiles = tuple(supported_profiles)
        if not profiles:
            raise UsageError("SupportedProfiles needs at least one profile")
        self._send(SupportedProfiles(version, profiles))

    def _look_ahead(self) -> None:
        """Four octets tell an UnsupportedVersion; what a newer version appends is discarded."""
        first = self._splitter.first_octets()
        if (
            self.state is State.EXPECT_FIRST_MESSAGE
            and len(first) > HEADER_LENGTH
            and first[0] == _T.UNSUPPORTED_VERSION
            and first[1:HEADER_LENGTH] != bytes(2)
        ):
            self._events.append(UnsupportedVersion(first[HEADER_LENGTH]))
            self.statistics.messages_received += 1
            self.close("unsupported_version")


class KeyDistributorTunnel(TunnelEnd):
    """The Key Distributor's end of one TLS connection.

    Events: `SupportedProfiles` (once, first), `TunneledDtls`, `EndpointDisconnect`,
    `TunnelTerminated`.
    """

    INITIAL_STATE: ClassVar[State] = State.EXPECT_SUPPORTED_PROFILES
    TRANSITIONS: ClassVar[Transitions] = {
        State.EXPECT_SUPPORTED_PROFILES: {_T.SUPPORTED_PROFILES: State.ESTABLISHED},
        # RFC 9185 section 5.3: the list of profiles stays the same for the tunnel's life.
        State.ESTABLISHED: {
            _T.TUNNELED_DTLS: State.ESTABLISHED,
            _T.ENDPOINT_DISCONNECT: State.ESTABLISHED,
        },
    }

    def send_media_keys(self, keys: MediaKeys) -> None:
        """Queues MediaKeys.

        Raises:
            UsageError: the tunnel has no SupportedProfiles yet.
        """
        if self.state is State.EXPECT_SUPPORTED_PROFILES:
            raise UsageError("MediaKeys before SupportedProfiles")
        self._send(keys)

    def _receive_expected(self, message_type: MessageType, body: bytes) -> None:
        """Judges the version before the rest, which another version may lay out differently."""
        if message_type is _T.SUPPORTED_PROFILES and body[:1] not in (b"", bytes([VERSION])):
            self._send(UnsupportedVersion(VERSION))
            self.close("unsupported_version")
            return
        super()._receive_expected(message_type, body)
