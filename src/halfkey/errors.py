"""The exceptions that Halfkey raises.

Three kinds are kept apart: what a person configured wrongly (`ConfigurationError`), what a caller
did wrongly (`UsageError`), and what arrived from a peer (`CodecError`, `PacketRejected`). The
last kind never leaves an engine: engines turn it into a counter, an alert or silence.
"""

from __future__ import annotations


class HalfkeyError(Exception):
    """The base of every exception raised by this package."""


class ConfigurationError(HalfkeyError):
    """An argument, file or setting is wrong.

    The message is one line that names the fault and the fix; commands print it and exit with
    status 2.
    """


class UsageError(HalfkeyError):
    """An object was used in a way that its contract rules out (a bug in the caller)."""


class CodecError(HalfkeyError, ValueError):
    """Bytes from a peer don't follow the wire format that they claim to follow."""


class PacketRejected(HalfkeyError):  # noqa: N818 (an outcome, not a fault of ours)
    """A packet was refused; `reason` is one of a fixed set of short names, used as a counter.

    Args:
        reason: for example ``"replayed"``, ``"hop_authentication"``, ``"malformed"``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
