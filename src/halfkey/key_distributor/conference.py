"""Conferences: who is admitted, which EKT parameter set is current, and how far a rekey has come.

No DTLS here: an `Association` is known only as something that was sent, and has acknowledged, SPIs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from halfkey.dtls import Fingerprint
from halfkey.ekt.messages import SRTP_MASTER_SALT_LENGTH, EKTCipher, EKTKey
from halfkey.errors import HalfkeyError
from halfkey.key_distributor.credentials import VerifiedIdentity
from halfkey.key_distributor.policy import ConferencePolicy, Policy, Suite
from halfkey.sdp.identity import external_id_hash

if TYPE_CHECKING:
    from halfkey.key_distributor.association import Association

_SPIS = 1 << 16
_OUTSTANDING_REKEYS = 16
"""Rekeys of one conference whose completion is waited for; the oldest is forgotten beyond that."""


class SPIsExhausted(HalfkeyError):  # noqa: N818 (names what happened)
    """Every SPI of a conference names a parameter set that Endpoints may still use."""


@dataclass(eq=False, slots=True)
class Participant:
    """Who was admitted.

    Attributes:
        conference: where.
        id: its id within the conference.
        fingerprint: its certificate must have it (RFC 8122).
        tls_id: its tls-id, which must come as external_session_id (RFC 8844 section 4).
        own_tls_id: the Key Distributor's tls-id towards it, different for every admission.
        identity: who it has shown to be; None where the Focus's word was enough.
        own_assertion: the a=identity value that the Key Distributor answered with; None for none.
        association: the association that is current, once the handshake is complete.
        media_distributor: through which it came last, by its certificate's hash; None before.
        admitted_at: when, monotonic seconds; 0 for who was admitted before a restart.
    """

    conference: Conference
    id: str
    fingerprint: Fingerprint
    tls_id: str
    own_tls_id: str
    identity: VerifiedIdentity | None = None
    own_assertion: str | None = field(default=None, repr=False)
    association: Association | None = None
    media_distributor: bytes | None = None
    admitted_at: float = 0.0

    @property
    def external_id_hash(self) -> bytes | None:
        """What must come as external_id_hash (RFC 8844 section 3.2); None for anything."""
        return None if self.identity is None else external_id_hash(self.identity.assertion)

    @property
    def own_external_id_hash(self) -> bytes:
        """What we send as external_id_hash."""
        return b"" if self.own_assertion is None else external_id_hash(self.own_assertion)


@dataclass(frozen=True, slots=True)
class EKTParameterSet:
    """A key-encryption key and what goes with it.

    Attributes:
        ekt_key: the KEK.
        srtp_master_salt: the salt of all master keys that it wraps.
        spi: its name within the conference.
        issued_at: when it was made.
        expires_at: the end of its life.
    """

    ekt_key: bytes = field(repr=False)
    srtp_master_salt: bytes = field(repr=False)
    spi: int
    issued_at: float
    expires_at: float

    def message(self, now: float) -> EKTKey:
        """The EKTKey for a participant that gets it now: its TTL is what is left of its life."""
        left = max(1, int(self.expires_at - now))
        return EKTKey(self.ekt_key, self.srtp_master_salt, self.spi, left)


@dataclass(slots=True)
class Rekey:
    """A rekey on its way to the participants.

    Attributes:
        spi: of the new parameter set.
        reason: why.
        decided_at: when.
        waiting: the participants whose acknowledgement is missing.
        acknowledged: how many have acknowledged.
    """

    spi: int
    reason: str
    decided_at: float
    waiting: set[str]
    acknowledged: int = 0


class Conference:
    """One conference.

    Attributes:
        name: its id.
        policy: what holds for it besides what holds for all.
        participants: everybody admitted, by id.
        suite: the profile and cipher that all of them use; None until the first has one.
        current: the parameter set in use; None while nobody is associated.
        rekey_at: when it is to be replaced; None while there is none.
        rekey_reason: the reason to give then.

    Args:
        name: its id.
        random: the source of keys, salts and the first SPI.
        policy: what holds for it besides.
        last_spi: the SPI that it gave out last, if it is one that goes on after a restart.
    """

    def __init__(
        self,
        name: str,
        random: Callable[[int], bytes],
        policy: ConferencePolicy | None = None,
        last_spi: int | None = None,
    ) -> None:
        self.name = name
        self.policy = policy or ConferencePolicy()
        self.participants: dict[str, Participant] = {}
        self.suite: Suite | None = None
        self.current: EKTParameterSet | None = None
        self.rekey_at: float | None = None
        self.rekey_reason = ""
        self._random = random
        first = int.from_bytes(random(2), "big") if last_spi is None else last_spi + 1
        self._next_spi = first % _SPIS
        self._live: set[int] = set()
        self._expiries: deque[tuple[float, int]] = deque()  # of those, oldest first
        self._rekeys: deque[Rekey] = deque()

    def associated(self) -> list[Participant]:
        """The participants with a current association."""
        return [one for one in self.participants.values() if one.association is not None]

    def new_parameter_set(self, cipher: EKTCipher, policy: Policy, now: float) -> EKTParameterSet:
        """Makes a fresh parameter set the current one; the old key is forgotten.

        Raises:
            SPIsExhausted: no SPI is free.
        """
        self.drop_parameter_set()
        expires_at = now + policy.ttl
        spi = self._take_spi(now, expires_at)
        key, salt = self._random(cipher.key_length), self._random(SRTP_MASTER_SALT_LENGTH)
        self.current = EKTParameterSet(key, salt, spi, now, expires_at)
        life, self.rekey_reason = policy.key_life
        self.rekey_at = now + life
        return self.current

    def drop_parameter_set(self) -> None:
        """Forgets the current key: nobody holds it any more, or nobody may."""
        self.current = None
        self.rekey_at = None

    def request_rekey(self, earliest: float, reason: str = "requested") -> None:
        """Asks for a new key, not before `earliest`."""
        if self.rekey_at is not None and earliest < self.rekey_at:
            self.rekey_at, self.rekey_reason = earliest, reason

    def _take_spi(self, now: float, expires_at: float) -> int:
        """An SPI that no parameter set within its TTL has, in this conference."""
        while self._expiries and self._expiries[0][0] <= now:
            self._live.discard(self._expiries.popleft()[1])
        if len(self._live) == _SPIS:
            raise SPIsExhausted(self.name)
        while self._next_spi in self._live:
            self._next_spi = (self._next_spi + 1) % _SPIS
        spi = self._next_spi
        self._next_spi = (spi + 1) % _SPIS
        self._live.add(spi)
        self._expiries.append((expires_at, spi))
        return spi

    def begin_rekey(self, spi: int, reason: str, now: float) -> None:
        """Notes that everybody associated shall acknowledge `spi`."""
        if len(self._rekeys) == _OUTSTANDING_REKEYS:
            self._rekeys.popleft()
        waiting = {participant.id for participant in self.associated()}
        self._rekeys.append(Rekey(spi, reason, now, waiting))

    def acknowledge(self, participant: Participant, spi: int) -> list[Rekey]:
        """Notes an acknowledgement; gives the rekeys that it completes.

        An older rekey whose key this participant was never sent counts as done with a newer one.
        """
        known = [number for number, rekey in enumerate(self._rekeys) if rekey.spi == spi]
        for rekey in list(self._rekeys)[: known[0] + 1] if known else []:
            if participant.id in rekey.waiting:
                rekey.waiting.remove(participant.id)
                rekey.acknowledged += 1
        return self._take_completed()

    def stop_waiting(self, participant: Participant) -> list[Rekey]:
        """Forgets a participant that is gone; gives the rekeys that this completes."""
        for rekey in self._rekeys:
            rekey.waiting.discard(participant.id)
        return self._take_completed()

    def _take_completed(self) -> list[Rekey]:
        completed = [rekey for rekey in self._rekeys if not rekey.waiting]
        self._rekeys = deque(rekey for rekey in self._rekeys if rekey.waiting)
        return completed
