"""Who is admitted where: conferences by name, participants by tls-id.

One (tls-id, fingerprint) pair belongs to one participant of one conference: it is what a DTLS
association proves, and so what decides whose conference key is given (RFC 9185 section 5.4).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from halfkey.dtls import Fingerprint
from halfkey.errors import HalfkeyError
from halfkey.key_distributor.conference import Conference, Participant
from halfkey.key_distributor.credentials import AdmissionRecord, VerifiedIdentity
from halfkey.key_distributor.policy import ConferencePolicy, Policy

_TLS_ID = re.compile(r"[A-Za-z0-9+/_-]{20,255}")  # RFC 8842 section 4
_OWN_TLS_ID_BYTES = 24
MAXIMUM_NAME_LENGTH = 128


class AdmissionRefused(HalfkeyError):  # noqa: N818 (an outcome)
    """An admission contradicts what is there, or a bound; the message is one line.

    Attributes:
        malformed: whether the values themselves are wrong, whoever else is admitted.
        reason: a short fixed name, for the audit log.
    """

    def __init__(self, message: str, *, malformed: bool = False, reason: str = "admission") -> None:
        super().__init__(message)
        self.malformed = malformed
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Admission:
    """What the answer to a participant's offer needs.

    Attributes:
        fingerprint: of the Key Distributor's DTLS certificate.
        tls_id: the Key Distributor's tls-id for this participant.
        assertion: the Key Distributor's a=identity value; None for none.
        is_new: False if the very same admission stood already.
    """

    fingerprint: str
    tls_id: str
    assertion: str | None
    is_new: bool


class Registry:
    """The admitted participants.

    Args:
        policy: the bounds.
        random: the source of tls-ids, and of all that a conference draws.
        policy_of: what holds for the conference of a name; asked when it begins.
    """

    def __init__(
        self,
        policy: Policy,
        random: Callable[[int], bytes],
        policy_of: Callable[[str], ConferencePolicy] = lambda name: ConferencePolicy(),
    ) -> None:
        self._policy = policy
        self._random = random
        self._policy_of = policy_of
        self.conferences: dict[str, Conference] = {}
        self._by_tls_id: dict[bytes, Participant] = {}

    def __len__(self) -> int:
        return len(self._by_tls_id)

    def prepare(
        self,
        conference: str,
        participant: str,
        fingerprint: Fingerprint,
        tls_id: str,
        identity: VerifiedIdentity | None = None,
    ) -> tuple[Participant, bool]:
        """Gives the participant that would be admitted, and whether it is new.

        One that is new is not admitted before `add`: until then nothing is kept of it.

        Raises:
            AdmissionRefused: see there.
        """
        _check_names(conference, participant, tls_id)
        standing = self.find(conference, participant)
        if standing is not None:
            known = standing.fingerprint, standing.tls_id, standing.identity
            if known == (fingerprint, tls_id, identity):
                return standing, False
            raise AdmissionRefused(
                "this participant is admitted with another fingerprint, tls_id or assertion; "
                "remove it first"
            )
        if tls_id.encode() in self._by_tls_id:
            raise AdmissionRefused("tls_id is in use by another participant; make a fresh one")
        place = self._place(conference)
        own_tls_id = self._random(_OWN_TLS_ID_BYTES).hex()
        return Participant(place, participant, fingerprint, tls_id, own_tls_id, identity), True

    def add(self, admitted: Participant) -> None:
        """Admits whom `prepare` has just given; its conference begins with the first."""
        place = admitted.conference
        self.conferences[place.name] = place
        place.participants[admitted.id] = admitted
        self._by_tls_id[admitted.tls_id.encode()] = admitted

    def _place(self, conference: str) -> Conference:
        """The conference of that name, or a new one; with room for one more.

        Raises:
            AdmissionRefused: there is none.
        """
        place = self.conferences.get(conference)
        if place is None:
            if len(self.conferences) >= self._policy.conferences:
                raise AdmissionRefused("there are too many conferences; wait until one ends")
            place = Conference(conference, self._random, self._policy_of(conference))
        if len(place.participants) >= self._policy.participants:
            raise AdmissionRefused("the conference is full; wait until somebody leaves")
        return place

    def restore(self, record: AdmissionRecord, last_spi: int | None) -> Participant:
        """Puts an admission back that stood before a restart, and gives the participant.

        Args:
            record: of it.
            last_spi: the SPI that its conference gave out last.
        """
        place = self.conferences.get(record.conference)
        if place is None:
            policy = self._policy_of(record.conference)
            place = Conference(record.conference, self._random, policy, last_spi)
        admitted = Participant(
            place,
            record.participant,
            record.fingerprint,
            record.tls_id,
            record.own_tls_id,
            record.identity,
            record.own_assertion,
            media_distributor=record.media_distributor,
        )
        self.add(admitted)
        return admitted

    def remove(self, participant: Participant) -> None:
        """Ends an admission; a conference without any is forgotten."""
        place = participant.conference
        del self._by_tls_id[participant.tls_id.encode()]
        del place.participants[participant.id]
        if not place.participants:
            del self.conferences[place.name]

    def find(self, conference: str, participant: str) -> Participant | None:
        """The participant of that name, if it is admitted."""
        place = self.conferences.get(conference)
        return place.participants.get(participant) if place else None

    def by_external_session_id(self, external_session_id: bytes) -> Participant | None:
        """The participant whose tls-id this is, if any."""
        return self._by_tls_id.get(external_session_id)


def _check_names(conference: str, participant: str, tls_id: str) -> None:
    for what, name in (("conference", conference), ("participant", participant)):
        if not 1 <= len(name) <= MAXIMUM_NAME_LENGTH or not name.isprintable():
            raise AdmissionRefused(
                f"{what}: use 1 to {MAXIMUM_NAME_LENGTH} printable characters", malformed=True
            )
    if not _TLS_ID.fullmatch(tls_id):
        raise AdmissionRefused(
            "tls_id: use 20 to 255 letters, digits, '+', '/', '-' or '_' (RFC 8842)",
            malformed=True,
        )
