"""EKT keys: who gets which one when, and what was acknowledged (RFC 8870 sections 4.5, 5.2.2, 6).

Each Endpoint has at most one EKTKey under way. One that is still waiting for an older key's
acknowledgement gets the newest next, and none in between: so a slow Endpoint holds up nobody, and
nothing queues up behind it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from halfkey.key_distributor.association import Association
from halfkey.key_distributor.conference import Conference, Participant, Rekey, SPIsExhausted
from halfkey.key_distributor.events import (
    EKTKeyAcknowledged,
    EKTKeyIssued,
    Event,
    RekeyDecided,
    Rekeyed,
)
from halfkey.key_distributor.policy import Policy, Suite
from halfkey.key_distributor.statistics import Statistics

JOIN_SPACING = 0.25
"""Seconds between an EKTKey and the next that a join may cause: what a change of keys takes at the
Endpoints (RFC 8870 section 4.3.1)."""


class Keying:
    """The EKT keys of all conferences.

    Args:
        policy: ttl and rekey interval.
        statistics: to count in.
        events: to tell in.
        arm: sets the timer of a conference.
    """

    def __init__(
        self,
        policy: Policy,
        statistics: Statistics,
        events: deque[Event],
        arm: Callable[[Conference, float | None], None],
    ) -> None:
        self._policy = policy
        self._statistics = statistics
        self._events = events
        self._arm = arm
        self._marked: dict[Conference, str] = {}

    def mark(self, conference: Conference, reason: str) -> None:
        """Notes that the conference needs a new key; several reasons make one rekey."""
        self._marked.setdefault(conference, reason)

    def welcome(self, participant: Participant, suite: Suite, now: float) -> None:
        """Gives a participant that has just become associated the current key, or a new one.

        Where the conference rekeys on join, who joins others waits for the new key, so that it
        never holds the one before; joins that come fast share a rekey.

        Raises:
            SPIsExhausted: it would be the conference's first key, and no SPI is free.
        """
        conference = participant.conference
        if conference.current is None:
            conference.new_parameter_set(suite.cipher, self._policy, now)
            self._arm(conference, conference.rekey_at)
        elif conference.policy.rekey_on_join:
            conference.request_rekey(conference.current.issued_at + JOIN_SPACING, "joined")
            self._arm(conference, conference.rekey_at)
            return
        if participant.association is not None:
            self._offer(participant.association, conference, now)

    def rekey_marked(self, now: float) -> tuple[list[Association], list[Association]]:
        """Makes the new keys that are needed.

        Returns:
            The associations in which something waits to be sent now, and those that must end since
            their conference can have no new key.
        """
        sending: list[Association] = []
        ending: list[Association] = []
        while self._marked:
            conference, reason = self._marked.popitem()
            try:
                sending += self._rekey(conference, reason, now)
            except SPIsExhausted:
                ending += [one.association for one in conference.associated() if one.association]
            self._arm(conference, conference.rekey_at)
        return sending, ending

    def acknowledged(self, association: Association, spi: int, now: float) -> None:
        """Notes an acknowledgement, and sends on what is newer."""
        participant = association.participant
        if participant is None or spi != association.sent_spi:
            return
        conference = participant.conference
        association.is_acknowledged = True
        self._statistics.ekt_keys_acknowledged += 1
        self._events.append(EKTKeyAcknowledged(conference.name, participant.id, spi))
        self._tell(conference, conference.acknowledge(participant, spi), now)
        self._offer(association, conference, now)

    def gone(self, association: Association, participant: Participant, reason: str) -> None:
        """Notes that a participant's current association has ended.

        The rekey comes with `rekey_marked`, and only if the participant was given the current key.
        After the last one the key is dropped there.
        """
        conference = participant.conference
        current = conference.current
        if current is None:
            return
        if association.sent_spi == current.spi or not conference.associated():
            self.mark(conference, reason)

    def probe(self, association: Association, now: float) -> None:
        """Sends the EKTKey that the Endpoint holds once more, unless one is under way.

        To the Endpoint it is no news, and it acknowledges it. Whoever doesn't is gone, and a Media
        Distributor that has lost the association says so.
        """
        participant = association.participant
        current = None if participant is None else participant.conference.current
        if current is None or current.spi != association.sent_spi or _is_over(association):
            return
        if association.is_acknowledged:
            association.connection.send_ekt_key(current.message(now), now)
            association.is_acknowledged = False

    def stop_waiting(self, participant: Participant, now: float) -> None:
        """Completes the rekeys that wait for nobody but this participant."""
        conference = participant.conference
        self._tell(conference, conference.stop_waiting(participant), now)

    def _rekey(self, conference: Conference, reason: str, now: float) -> list[Association]:
        associated = conference.associated()
        suite = conference.suite
        if not associated or suite is None:
            conference.drop_parameter_set()
            conference.suite = None
            return []
        current = conference.new_parameter_set(suite.cipher, self._policy, now)
        self._statistics.rekeys += 1
        conference.begin_rekey(current.spi, reason, now)
        self._events.append(RekeyDecided(conference.name, current.spi, reason))
        associations = [one.association for one in associated if one.association is not None]
        for association in associations:
            self._offer(association, conference, now)
        return associations

    def _offer(self, association: Association, conference: Conference, now: float) -> None:
        """Sends the current key, unless it was sent or another is under way."""
        current = conference.current
        if current is None or current.spi == association.sent_spi or _is_over(association):
            return
        if association.sent_spi is None or association.is_acknowledged:
            message = current.message(now)
            association.connection.send_ekt_key(message, now)
            if association.connection.fault is not None:
                return  # the key went nowhere, and nothing may say that it did
            association.sent_spi = current.spi
            association.is_acknowledged = False
            self._statistics.ekt_keys_issued += 1
            if association.participant is not None:
                issued = conference.name, association.participant.id, current.spi, message.ekt_ttl
                self._events.append(EKTKeyIssued(*issued))

    def _tell(self, conference: Conference, completed: list[Rekey], now: float) -> None:
        for rekey in completed:
            if rekey.acknowledged:
                ms = (now - rekey.decided_at) * 1000
                self._events.append(
                    Rekeyed(conference.name, rekey.spi, rekey.reason, ms, rekey.acknowledged)
                )


def _is_over(association: Association) -> bool:
    """Whether the Endpoint's last datagram has ended it: that is told behind what else it did."""
    return association.connection.is_terminated
