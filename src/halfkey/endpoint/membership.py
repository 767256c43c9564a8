"""Who we are in a conference that we joined with a credential, and who the others are.

It makes our identity assertion, holds the answer against the credential, and keeps `People`
informed of what the Focus carries. Whoever joins without one has none of this, and believes the
Focus.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from halfkey.dtls import Fingerprint
from halfkey.engine_timer import EngineTimer
from halfkey.errors import HalfkeyError
from halfkey.identity.claims import Binding, Claims
from halfkey.identity.credential import Credential
from halfkey.sdp import Answer
from halfkey.sdp.identity import external_id_hash
from halfkey.vouching.answer import AnswerVouch, DTLSIdentity, ExpectedAnswer
from halfkey.vouching.authority import Trust
from halfkey.vouching.people import Own, People
from halfkey.vouching.standing import Event, Standing

_LONGEST_PAUSE = 5.0


class NotVouchedForError(HalfkeyError):
    """The answer has no assertion of the Key Distributor's; the message is one line."""


class Membership:
    """One participation.

    Args:
        credential: what we join with: a link, for example.
        tell: called with what becomes known of people.
    """

    def __init__(self, credential: Credential, tell: Callable[[Event], None]) -> None:
        self._credential = credential
        self._tell = tell
        self._trust = Trust(credential.authority)
        self._loop = asyncio.get_running_loop()
        self._epoch = self._offered_epoch = _epoch()
        self._timer = EngineTimer(self._handle_timer)
        self._binding: Binding | None = None
        self._claims: Claims | None = None
        self._assertion = ""
        self._spi: int | None = None
        self._people: People | None = None

    @property
    def people(self) -> People | None:
        """Who is there; None before the answer has been verified."""
        return self._people

    @property
    def now(self) -> float:
        """Unix time; from one offer to the next no setting of the clock moves it."""
        return self._epoch + time.clock_gettime(time.CLOCK_BOOTTIME)

    def person_of(self, ssrc: int) -> Standing | None:
        """Whose a source is; None where nobody has vouched for it."""
        return None if self._people is None else self._people.person_of(ssrc)

    async def refresh(self) -> None:
        """Has the credential be good for another assertion.

        Raises:
            ConfigurationError: it can't be.
        """
        if self._credential.refresh is not None:
            await self._credential.refresh()

    def assert_identity(self, fingerprint: Fingerprint, tls_id: str, ssrcs: tuple[int, ...]) -> str:
        """Makes a fresh assertion; gives the value of a=identity for the offer.

        Args:
            fingerprint: of our certificate.
            tls_id: ours.
            ssrcs: that the offer declares.
        """
        self._offered_epoch = _epoch()
        credential = self._credential
        self._binding = Binding(credential.conference, fingerprint, tls_id, ssrcs)
        self._claims = Claims.of(self._binding, credential.role, int(time.time()))
        self._assertion = str(credential.signer.sign(self._claims))
        return self._assertion

    def verify(self, answer: Answer) -> tuple[bytes, bytes]:
        """Holds the answer against the credential and our offer, and begins to know people.

        Returns:
            Our external_id_hash, and the one that the Key Distributor must send.

        Raises:
            NotVouchedForError: the Key Distributor has not signed it.
            VouchRefused: what it is signed with doesn't hold.
        """
        if answer.identity is None or self._binding is None or self._claims is None:
            raise NotVouchedForError("the answer is not signed by the conference's Key Distributor")
        self._epoch = self._offered_epoch
        binding, transport = self._binding, answer.transport
        expected = ExpectedAnswer(
            binding.conference,
            DTLSIdentity(binding.fingerprint, binding.tls_id),
            self._claims.nonce,
            DTLSIdentity(Fingerprint.parse(transport.fingerprint), transport.tls_id),
        )
        vouch = AnswerVouch.verify(answer.identity, self._trust, expected, self.now)
        own = Own(vouch.participant, binding, self._assertion)
        stated = None if self._people is None else self._people.stated
        self._people = People(self._trust, own, vouch.admitted_at, self.now, stated)
        if self._spi is not None:
            self._people.ekt_key(self._spi, self.now)
        self._settle()
        return external_id_hash(self._assertion), external_id_hash(answer.identity)

    def focus_event(self, name: str, data: dict[str, Any]) -> None:
        """Takes what the Focus carries; what is malformed in it is passed over."""
        people = self._people
        if people is None:
            return
        if name in ("vouched-roster", "vouched-change"):
            statement = data.get("statement")
            if isinstance(statement, str):
                is_whole = name == "vouched-roster"
                receive = people.receive_roster if is_whole else people.receive_change
                receive(statement, self.now)
        elif name == "joined":
            self._take_assertion(people, data)
        elif name == "roster":
            participants = data.get("participants")
            for participant in participants if isinstance(participants, list) else []:
                self._take_assertion(people, participant)
        self._settle()

    def ekt_key(self, spi: int) -> None:
        """Notes that an EKTKey came over our own association."""
        self._spi = spi
        if self._people is not None:
            self._people.ekt_key(spi, self.now)
            self._settle()

    def close(self) -> None:
        """Nothing is told from now on."""
        self._timer.close()

    # Inside

    def _take_assertion(self, people: People, participant: Any) -> None:
        if not isinstance(participant, dict):
            return
        identifier, assertion = participant.get("id"), participant.get("assertion")
        if isinstance(identifier, str) and isinstance(assertion, str):
            people.receive_assertion(identifier, assertion, self.now)

    def _handle_timer(self) -> None:
        if self._people is not None:
            self._people.handle_timer(self.now)
            self._settle()

    def _settle(self) -> None:
        if self._people is None:
            return
        while (event := self._people.next_event()) is not None:
            self._tell(event)
        due = self._people.next_timer()
        # The loop's clock stands still while the machine sleeps: no long wait by it.
        pause = None if due is None else min(due - self.now, _LONGEST_PAUSE)
        self._timer.arm(None if pause is None else self._loop.time() + pause)


def _epoch() -> float:
    """When the machine was started, in Unix time as the system has it now.

    From one answer to the next our time goes on from there, whatever is done to the system's clock,
    and while the machine sleeps, which the event loop's clock does not: else whoever sets the clock
    back would keep a roster fresh.
    """
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
