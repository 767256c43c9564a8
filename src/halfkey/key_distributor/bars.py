"""Why somebody who was admitted may not come in any more; asked again at each handshake."""

from __future__ import annotations

from collections.abc import Callable

from halfkey.dtls import Fingerprint
from halfkey.identity.claims import Person
from halfkey.key_distributor.conference import Participant
from halfkey.key_distributor.store import Store

EVICTED, REJECTED = "evicted", "rejected"
"""A person put out, until that is lifted; a device turned away in the waiting room, for a while."""


class Bars:
    """What keeps people out, as the store has it at the moment.

    An invite's expiry bounds coming in: admissions and handshakes. Who is in stays, and gets the
    keys of rekeys. Its revocation ends being in as well, which is the administration's doing.

    Args:
        store: invites, and who must stay out.
        clock: Unix time, seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    def of_participant(self, participant: Participant) -> str | None:
        """Why an admitted participant may not shake hands; None if it may."""
        identity = participant.identity
        if identity is None:
            return None
        bar = self.of(participant.conference.name, identity.person)
        # Who is in isn't put out for another device of the same person that was turned away.
        return None if bar == REJECTED else bar

    def of(self, conference: str, person: Person, device: Fingerprint | None = None) -> str | None:
        """Why a person may not come into a conference; None for whoever may.

        Args:
            conference: its name.
            person: who.
            device: the certificate that it comes with; None for any that it may have.

        Returns:
            ``"invite_revoked"``, ``"invite_expired"``, `EVICTED` or `REJECTED`.
        """
        if person.kind == "invite":
            invite = self._store.invite_by_thumbprint(person.key_thumbprint)
            if invite is None:
                return "invite_revoked"
            if invite.has_expired(self._clock()):
                return "invite_expired"
        fingerprint = "" if device is None else str(device)
        return self._store.excluded(conference, person.identity, self._clock(), fingerprint)
