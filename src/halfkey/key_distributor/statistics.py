"""The Key Distributor's counters."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from halfkey.dtls.faults import Counters


@dataclass(slots=True)
class Statistics:
    """What happened since the start.

    Attributes:
        associations: handshakes completed with both proofs right.
        handshakes: the same by version of DTLS and group of the key exchange.
        ekt_keys_issued: EKTKey messages given to Endpoints.
        ekt_keys_acknowledged: of those, how many were acknowledged.
        rekeys: parameter sets that replaced another one.
        refused: associations refused, by reason.
        ended: associations that were connected and ended, by reason.
        faults: associations that a fault of ours ended.
        dropped: messages from Media Distributors that led to nothing, by reason.
        noise: what DTLS dropped in silence, over all associations, by reason.
    """

    associations: int = 0
    handshakes: Counter[str] = field(default_factory=Counter)
    ekt_keys_issued: int = 0
    ekt_keys_acknowledged: int = 0
    rekeys: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    noise: Counters = field(default_factory=Counters)

    def as_dict(self, **current: int) -> dict[str, Any]:
        """The counters as JSON-able values, with figures of the moment added."""
        return {
            "associations": self.associations,
            "handshakes": dict(self.handshakes),
            "ekt_keys_issued": self.ekt_keys_issued,
            "ekt_keys_acknowledged": self.ekt_keys_acknowledged,
            "rekeys": self.rekeys,
            "refused": dict(self.refused),
            "ended": dict(self.ended),
            "faults": self.faults,
            "dropped": dict(self.dropped),
            "noise": self.noise.nonzero(),
            **current,
        }
