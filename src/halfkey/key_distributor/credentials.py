"""What a participant has shown of itself when it was admitted."""

from __future__ import annotations

from dataclasses import dataclass, field

from halfkey.dtls import Fingerprint
from halfkey.identity.claims import Person


@dataclass(frozen=True, slots=True)
class VerifiedIdentity:
    """An identity assertion that was verified.

    Attributes:
        person: whom it names.
        ssrcs: the SSRCs that it binds, in the offer's order.
        nonce: the assertion's own, which the answer repeats.
        assertion: the a=identity value that it came in.
    """

    person: Person
    ssrcs: tuple[int, ...]
    nonce: str
    assertion: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AdmissionRecord:
    """An admission as it is kept for a restart.

    Attributes:
        conference: its conference.
        participant: its id there.
        fingerprint: of its certificate.
        tls_id: its own.
        own_tls_id: ours towards it.
        identity: who it has shown to be; None where the Focus's word was enough.
        own_assertion: our a=identity value, or None.
        media_distributor: through which it came last, by its certificate's hash; None before.
    """

    conference: str
    participant: str
    fingerprint: Fingerprint
    tls_id: str
    own_tls_id: str
    identity: VerifiedIdentity | None
    own_assertion: str | None = field(repr=False)
    media_distributor: bytes | None = None
