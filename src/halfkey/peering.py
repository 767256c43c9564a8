"""What is said of a peer that no TLS connection can be had with: a line each, at nobody's rate."""

from __future__ import annotations

import logging
import os
import ssl
from dataclasses import dataclass

_MOST_KINDS = 8
"""How many kinds of fault are told until a connection holds: a peer chooses its faults."""

_PEER_REFUSES = frozenset(
    f"{version}_ALERT_{alert}"
    for version in ("SSLV3", "TLSV1", "TLSV13")
    for alert in (
        "ACCESS_DENIED",
        "BAD_CERTIFICATE",
        "CERTIFICATE_EXPIRED",
        "CERTIFICATE_REQUIRED",
        "CERTIFICATE_REVOKED",
        "CERTIFICATE_UNKNOWN",
        "UNKNOWN_CA",
        "UNSUPPORTED_CERTIFICATE",
    )
)

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Peer:
    """The other side of a connection, as operators know it.

    Attributes:
        name: such as ``"the Key Distributor"``.
        bundle: our option that says whose certificates we believe.
        its_bundle: the option over there that must hold ours.
        option: our option with its address, for one that we dial.
    """

    name: str
    bundle: str
    its_bundle: str
    option: str = ""


class FaultTeller:
    """Warns of connections that don't come about, of each kind of fault once until one does.

    Args:
        peer: whom they are to be with.
    """

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._told: set[str] = set()

    def succeeded(self) -> None:
        """A connection holds: what is said from now on is news."""
        self._told.clear()

    def failed(self, address: tuple[str, int], fault: Exception) -> None:
        """One that we dialled came to nothing."""
        text = self._tls_fault(fault)
        self._tell(
            text or f"can't be reached ({reason(fault)}); look at {self._peer.option}", address
        )

    def ended(self, address: tuple[str, int], ending: Exception | None) -> None:
        """A connection that we dialled was over as soon as it was made.

        In TLS 1.3 that is how a client learns that its certificate isn't believed; and asyncio's
        servers close without saying so.
        """
        text = None if ending is None else self._tls_fault(ending)
        self._tell(
            text
            or "ends connections at once; if nothing else says why, it may not believe our "
            f"certificate: look at its {self._peer.its_bundle}",
            address,
        )

    def refused(self, address: tuple[str, int], fault: Exception) -> None:
        """One that the other side dialled did; who only knocks is no fault of ours."""
        text = self._tls_fault(fault)
        if text is not None:
            self._tell(text, address)

    def _tls_fault(self, fault: Exception) -> str | None:
        peer = self._peer
        if isinstance(fault, ssl.SSLCertVerificationError):
            why = fault.verify_message
            return f"shows a certificate that isn't believed ({why}); look at {peer.bundle}"
        if not isinstance(fault, ssl.SSLError):
            return None
        why = (fault.reason or "unknown").replace("_", " ").lower()
        if fault.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
            return f"shows no certificate; give it one that {peer.bundle} holds"
        if fault.reason in _PEER_REFUSES:
            return f"doesn't believe our certificate ({why}); look at its {peer.its_bundle}"
        return f"speaks no TLS 1.3 that we understand ({why})"

    def _tell(self, text: str, address: tuple[str, int]) -> None:
        if text in self._told or len(self._told) >= _MOST_KINDS:
            return
        self._told.add(text)
        _logger.warning("%s at %s:%d %s", self._peer.name, *address, text)


def reason(fault: Exception) -> str:
    """What the system says, in one line and without asyncio's additions."""
    if isinstance(fault, OSError) and fault.errno is not None:
        # The numbers of resolvers are negative, and strerror doesn't know them.
        return os.strerror(fault.errno) if fault.errno > 0 else str(fault.strerror)
    return " ".join(str(fault).split()).rstrip(".")
