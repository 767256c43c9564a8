"""What a peer can do to a connection: make noise, or break the protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from halfkey.dtls.registries import AlertDescription
from halfkey.errors import HalfkeyError


class ProtocolFault(HalfkeyError):  # noqa: N818 (named for what the peer did)
    """The peer broke the protocol; ends the association, never leaves the engine.

    Args:
        alert: what to tell the peer.
        reason: a short fixed text for our side.
    """

    def __init__(self, alert: AlertDescription, reason: str) -> None:
        super().__init__(reason)
        self.alert = alert
        self.reason = reason


class Noise(StrEnum):
    """Why something that arrived was dropped in silence."""

    MALFORMED_RECORD = "malformed_record"
    UNKNOWN_CONTENT_TYPE = "unknown_content_type"
    UNKNOWN_EPOCH = "unknown_epoch"
    EARLY_RECORD_LIMIT = "early_record_limit"
    UNEXPECTED_PLAINTEXT = "unexpected_plaintext"
    LATE_PLAINTEXT = "late_plaintext"
    DECRYPTION_FAILED = "decryption_failed"
    REPLAYED = "replayed"
    MALFORMED_FRAGMENT = "malformed_fragment"
    REASSEMBLY_LIMIT = "reassembly_limit"
    FRAGMENT_MISMATCH = "fragment_mismatch"
    STALE_MESSAGE = "stale_message"
    PLAINTEXT_ALERT = "plaintext_alert"
    MALFORMED_ALERT = "malformed_alert"
    WARNING_ALERT = "warning_alert"
    MALFORMED_CHANGE_CIPHER_SPEC = "malformed_change_cipher_spec"
    UNEXPECTED_APPLICATION_DATA = "unexpected_application_data"
    UNEXPECTED_ACK = "unexpected_ack"
    NOT_A_CLIENT_HELLO = "not_a_client_hello"
    COOKIE_MISSING = "cookie_missing"
    COOKIE_INVALID = "cookie_invalid"
    CLIENT_HELLO_REFUSED = "client_hello_refused"
    NO_COMMON_VERSION = "no_common_version"
    NO_COMMON_GROUP = "no_common_group"
    TERMINATED = "terminated"


class Counters(Mapping[str, int]):
    """How often each kind of noise was dropped; its keys are the values of `Noise`."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[Noise, int] = {}

    def count(self, noise: Noise) -> None:
        """Adds one."""
        self._counts[noise] = self._counts.get(noise, 0) + 1

    def nonzero(self) -> dict[str, int]:
        """What was dropped at all."""
        return {noise.value: count for noise, count in self._counts.items()}

    def __getitem__(self, reason: str) -> int:
        if reason not in _REASONS:
            raise KeyError(reason)
        return self._counts.get(Noise(reason), 0)

    def __contains__(self, reason: object) -> bool:
        return reason in _REASONS

    def __iter__(self) -> Iterator[str]:
        return iter(_REASONS)

    def __len__(self) -> int:
        return len(_REASONS)

    def __repr__(self) -> str:
        return f"Counters({self.nonzero()})"


_REASONS = tuple(noise.value for noise in Noise)
