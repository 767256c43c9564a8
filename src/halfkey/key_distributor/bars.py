"""Why somebody who was admitted may not come in any more; asked again at each handshake."""

from __future__ import annotations

from collections.abc import Callable

from halfkey.identity.claims import Person
from halfkey.key_distributor.conference import Participant
from halfkey.key_distributor.store import Store


class Bars:
    """What keeps people out, as the store has it at the moment.

    An invite's expiry bounds coming in: admissions and handshakes. Who is in stays, and gets the
    keys of rekeys. Its revocation ends being in as well, which is the administration's doing.

    Args:
        store: invites and evictions.
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
        return self.of(participant.conference.name, identity.person)

    def of(self, conference: str, person: Person) -> str | None:
        """Why a person may not come into a conference; None for whoever may.

        Returns:
            ``"invite_revoked"``, ``"invite_expired"`` or ``"evicted"``.
        """
        if person.kind == "invite":
            invite = self._store.invite_by_thumbprint(person.key_thumbprint)
            if invite is None:
                return "invite_revoked"
            if invite.has_expired(self._clock()):
                return "invite_expired"
        return "evicted" if self._store.is_evicted(conference, person.identity) else None
