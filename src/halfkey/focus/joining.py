"""Joining and updating: what is asked of whom, in which order, and undone when it fails."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from http import HTTPStatus
from typing import NoReturn, TypeVar

from halfkey.errors import CodecError
from halfkey.focus.broadcast import Broadcast
from halfkey.focus.clients import (
    Admission,
    Allocation,
    Client,
    KeyDistributorClient,
    MediaDistributorClient,
    MustWait,
    Refused,
    Unavailable,
)
from halfkey.focus.core import (
    Conferences,
    JoinRefused,
    Participant,
    ParticipantState,
    UpdateKind,
    check_update,
)
from halfkey.focus.problems import Problem, unavailable, waiting
from halfkey.focus.removal import Removals
from halfkey.sdp import Answer, Offer, build_answer

T = TypeVar("T")


@dataclass
class Joining:
    """The dealings with both Distributors behind a POST or PATCH.

    Attributes:
        conferences: where participants are.
        broadcast: told of what changes.
        key_distributor: asked first: who isn't admitted costs the other nothing.
        media_distributor: asked second.
        removals: undoes what was half done.
    """

    conferences: Conferences
    broadcast: Broadcast
    key_distributor: KeyDistributorClient
    media_distributor: MediaDistributorClient
    removals: Removals

    async def join(self, conference: str, offer: Offer) -> tuple[Participant, str]:
        """Takes a participant in.

        Returns:
            The participant, with its answer, and its token.

        Raises:
            Problem: it can't join; nothing is left of the attempt, or will be soon.
        """
        try:
            participant = self.conferences.reserve(conference, offer)
        except JoinRefused as refusal:
            if refusal.temporary:
                raise unavailable(str(refusal)) from None
            raise Problem(HTTPStatus.CONFLICT, str(refusal)) from None
        owed: list[Client] = []
        try:
            answer = await self._agree(participant, owed)
            if participant.put_out:
                raise Problem(HTTPStatus.FORBIDDEN, "not admitted: you were put out meanwhile")
        except BaseException as fault:
            # Whatever happened, and be it that we shut down: who may know it must forget it.
            await self.removals.remove(participant, tuple(owed))
            if isinstance(fault, Unavailable):
                raise unavailable(str(fault)) from fault
            raise
        token = self.conferences.complete(participant, answer)
        self.broadcast.drain()
        return participant, token

    async def _agree(self, participant: Participant, owed: list[Client]) -> Answer:
        """Has the participant admitted and allocated; the answer is made of both.

        Args:
            participant: which.
            owed: takes the clients that may know the participant, whatever becomes of the call.
        """
        offer, conference, identifier = participant.offer, participant.conference, participant.id
        kd, md = self.key_distributor, self.media_distributor
        try:
            admission = await _ask(kd, kd.admit(conference, identifier, offer), owed)
        except Refused as refusal:
            raise Problem(HTTPStatus.FORBIDDEN, f"not admitted: {refusal}") from refusal
        except MustWait:
            raise waiting() from None
        allocation = await _ask(md, _served(md.allocate(conference, identifier, offer)), owed)
        return _answer(participant, offer, admission, allocation)

    async def update(self, participant: Participant, offer: Offer) -> None:
        """Takes over an updated offer; ``participant.answer`` is the answer to it.

        Raises:
            Problem: it asks for what can't be had; the offer in force stays in force.
        """
        kind = check_update(participant.offer, offer)
        if kind is UpdateKind.UNSUPPORTED:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "only the name and, both at once, ice-ufrag and ice-pwd can be changed",
            )
        answer = None
        if kind is UpdateKind.ICE_RESTART:
            answer = await self._restart(participant, offer)
        self.conferences.update(participant, offer, answer)
        self.broadcast.drain()

    async def _restart(self, participant: Participant, offer: Offer) -> Answer:
        """Restarts the participant's ICE; its DTLS association goes on (RFC 8842 section 4)."""
        if participant.updating or participant.answer is None:
            raise Problem(HTTPStatus.CONFLICT, "another update is under way")
        transport = participant.answer.transport
        admission = Admission(transport.fingerprint, transport.tls_id, participant.answer.identity)
        participant.updating = True
        try:
            allocation = await _served(
                self.media_distributor.allocate(participant.conference, participant.id, offer)
            )
            answer = _answer(participant, offer, admission, allocation, restarted=True)
        except Unavailable as fault:
            raise unavailable(str(fault)) from fault
        finally:
            participant.updating = False
        if participant.state is not ParticipantState.PRESENT:
            await self._forget(participant)
        return answer

    async def _forget(self, participant: Participant) -> NoReturn:
        """It left while its ICE restarted: the Media Distributor may have made it anew."""
        try:
            await self.media_distributor.remove(participant.conference, participant.id)
        except Unavailable as fault:
            raise unavailable(str(fault)) from fault
        raise Problem(HTTPStatus.NOT_FOUND, "no such participant")


async def _ask(client: Client, answer: Awaitable[T], owed: list[Client]) -> T:
    """Waits for a client's answer; the client stays in `owed` if it may have acted."""
    owed.append(client)
    try:
        return await answer
    except (Refused, MustWait, Problem):
        owed.remove(client)
        raise
    except Unavailable as fault:
        if not fault.reached:
            owed.remove(client)
        raise


async def _served(allocation: Awaitable[Allocation]) -> Allocation:
    """Waits for the Media Distributor; what it refuses is the offer's fault."""
    try:
        return await allocation
    except Refused as refusal:
        taken = refusal.status == HTTPStatus.CONFLICT
        status = HTTPStatus.CONFLICT if taken else HTTPStatus.UNPROCESSABLE_ENTITY
        raise Problem(status, f"the offer can't be served: {refusal}") from refusal


def _answer(
    participant: Participant,
    offer: Offer,
    admission: Admission,
    allocation: Allocation,
    *,
    restarted: bool = False,
) -> Answer:
    """The answer made of what both Distributors gave.

    Raises:
        Unavailable: it doesn't hold together.
    """
    try:
        return build_answer(
            offer,
            session_id=participant.session_id,
            fingerprint=admission.fingerprint,
            tls_id=admission.tls_id,
            ice_ufrag=allocation.ice_ufrag,
            ice_pwd=allocation.ice_pwd,
            candidates=allocation.candidates,
            identity=admission.assertion,
            version=participant.answer_version + restarted,
        )
    except CodecError as error:
        raise Unavailable(f"the Distributors' answers make no SDP: {error}") from error
