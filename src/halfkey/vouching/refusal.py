"""Why a statement is refused."""

from __future__ import annotations

from typing import Literal

from halfkey.errors import HalfkeyError

Refusal = Literal[
    "algorithm",
    "authority",
    "base",
    "certificate",
    "conference",
    "expired",
    "fingerprint",
    "future",
    "instance",
    "malformed",
    "nonce",
    "protocol",
    "signature",
    "tls_id",
    "too_large",
    "type",
    "version",
]

_EXPLANATIONS: dict[Refusal, str] = {
    "algorithm": "its signature algorithm is not ES256",
    "authority": "it is not under the certificate authority of the link",
    "base": "it is a change of another roster than the newest",
    "certificate": "its certificate may not vouch",
    "conference": "it is for another conference",
    "expired": "it is too old, or its certificate is not valid now",
    "fingerprint": "it is for another certificate",
    "future": "it was issued in the future",
    "instance": "it is of a Key Distributor's run that has ended",
    "malformed": "it does not follow its format",
    "nonce": "it answers another assertion",
    "protocol": "it is not a Key Distributor's",
    "signature": "its signature does not hold",
    "tls_id": "it is for another tls-id",
    "too_large": "it is larger than allowed",
    "type": "it is a statement of another type",
    "version": "a newer one is known",
}


class VouchRefused(HalfkeyError):  # noqa: N818 (an outcome, not a fault of ours)
    """A statement that claims to be the Key Distributor's was refused.

    Attributes:
        reason: one of `Refusal`, for counters.

    The message is one line and holds nothing that the statement's sender chose.
    """

    def __init__(self, reason: Refusal) -> None:
        super().__init__(f"the Key Distributor's statement was refused: {_EXPLANATIONS[reason]}")
        self.reason: Refusal = reason
