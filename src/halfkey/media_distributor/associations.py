"""Which DTLS association of a participant a datagram belongs to (RFC 9185 section 5.3).

Each association has an identifier of its own, and only the Endpoint begins one. So a ClientHello
from a participant whose hop has keys begins another: the *successor*. The established association
goes on until MediaKeys for the successor come, so that a handshake that fails costs no media.

Nothing is read of DTLS but the head of a datagram's first record, which anybody can read.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from halfkey.demux import is_protected_dtls, may_be_client_hello
from halfkey.media_distributor.conference import Participant

SUCCESSOR_AGE = 7.0
"""Seconds after which another ClientHello is of another handshake than the one under way: Endpoints
give one up after six. Until then it is taken for a repetition, of which a stranger could send any
number."""


class Associations:
    """The associations of all participants, by identifier.

    Args:
        random: gives that many random bytes.
    """

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._participants: dict[UUID, Participant] = {}

    def __len__(self) -> int:
        return len(self._participants)

    def find(self, association_id: UUID) -> Participant | None:
        """Whose association it is."""
        return self._participants.get(association_id)

    def carrying(self, participant: Participant, data: bytes, now: float) -> list[UUID]:
        """The associations that a datagram of the participant goes to.

        It is two where keys protect it: who holds them can tell whose it is, and we can't.
        """
        if participant.association_id is None:
            participant.association_id = self._begin(participant)
        elif participant.is_keyed and may_be_client_hello(data):
            if participant.successor_id is None:
                participant.successor_id = self._begin(participant)
                participant.successor_since = now
            return [participant.successor_id]
        if participant.successor_id is None:
            return [participant.association_id]
        if is_protected_dtls(data):
            return [participant.association_id, participant.successor_id]
        return [participant.successor_id]

    def given_up(self, participant: Participant, data: bytes, now: float) -> UUID | None:
        """Forgets a successor that the Endpoint gave up, as a datagram of it shows."""
        if not may_be_client_hello(data) or now - participant.successor_since < SUCCESSOR_AGE:
            return None
        return self.end_successor(participant)

    def establish(self, participant: Participant, association_id: UUID) -> None:
        """Notes that the hop's keys are this association's: an earlier one is over."""
        if association_id == participant.successor_id:
            if participant.association_id is not None:
                del self._participants[participant.association_id]
            participant.association_id, participant.successor_id = association_id, None

    def end(self, participant: Participant) -> UUID | None:
        """Forgets the established association, or the only one: the successor takes its place."""
        ended, participant.association_id = participant.association_id, participant.successor_id
        participant.successor_id = None
        return self._forget(ended)

    def end_successor(self, participant: Participant) -> UUID | None:
        """Forgets the successor."""
        ended, participant.successor_id = participant.successor_id, None
        return self._forget(ended)

    def _begin(self, participant: Participant) -> UUID:
        association_id = UUID(bytes=self._random(16), version=4)
        self._participants[association_id] = participant
        return association_id

    def _forget(self, association_id: UUID | None) -> UUID | None:
        if association_id is not None:
            del self._participants[association_id]
        return association_id
