"""Conferences and who is in them: what the Focus decides, without I/O.

A participant goes through `ParticipantState` in order: its place is reserved while the Key
Distributor and the Media Distributor are asked, it is present once both agreed, and it keeps its
place while they are told that it left, so that what waits to be told is bounded too.

After any call that changes something, drain `next_event`.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from halfkey.conference_name import is_conference_name
from halfkey.errors import HalfkeyError, UsageError
from halfkey.sdp import Answer, Offer

_IDENTIFIER_LENGTH = 8
_TOKEN_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Limits:
    """What a Focus bears.

    Attributes:
        conferences: that exist at once.
        participants: of one conference, those that are joining or leaving included.
        subscribers: to one conference's events.
        queued_events: that wait for a subscriber before it is dropped as too slow.
    """

    conferences: int = 1000
    participants: int = 1000
    subscribers: int = 2048
    queued_events: int = 256


class JoinRefused(HalfkeyError):  # noqa: N818 (an outcome, not a fault of ours)
    """A participant can't be taken in; the message is one line for it.

    Args:
        message: the line.
        temporary: whether trying again later may help.
    """

    def __init__(self, message: str, *, temporary: bool) -> None:
        super().__init__(message)
        self.temporary = temporary


class ParticipantState(Enum):
    """How far a participant has come."""

    JOINING = auto()
    PRESENT = auto()
    LEAVING = auto()
    GONE = auto()


_NEXT_STATES = {
    ParticipantState.JOINING: {ParticipantState.PRESENT, ParticipantState.LEAVING},
    ParticipantState.PRESENT: {ParticipantState.LEAVING},
    ParticipantState.LEAVING: {ParticipantState.GONE},
    ParticipantState.GONE: set(),
}


@dataclass(eq=False)
class Participant:
    """One participant of one conference.

    Attributes:
        conference: the conference's name.
        id: its public id, in the roster and toward the Key and Media Distributors.
        offer: its offer, as last accepted.
        session_id: of our answers' ``o=`` line.
        state: how far it has come.
        answer: what it was told last; None while it joins.
        answer_version: of the last answer, from 1 on.
        etag: names its ICE session (RFC 9725 section 4.3.1); changes when ICE restarts.
        updating: whether an update of it is under way.
        put_out: whether the Key Distributor put it out while it was joining, which must then fail.
    """

    conference: str
    id: str
    offer: Offer
    session_id: int
    state: ParticipantState = ParticipantState.JOINING
    answer: Answer | None = None
    answer_version: int = 1
    etag: str = ""
    updating: bool = False
    put_out: bool = False
    token_digest: bytes = field(default=b"", repr=False)

    @property
    def roster_entry(self) -> dict[str, Any]:
        """What the others may know of it; the name is as it claims."""
        sources = [
            {"ssrc": source.ssrc, "kind": source.kind, "mid": source.mid}
            for source in self.offer.sources
        ]
        entry: dict[str, Any] = {"id": self.id, "name": self.offer.name, "sources": sources}
        if self.offer.identity is not None:
            entry["assertion"] = self.offer.identity  # verbatim: whoever doubts us can check it
        return entry


@dataclass(frozen=True, slots=True)
class ConferenceEvent:
    """Something that everybody who follows a conference is told.

    Attributes:
        conference: which conference.
        name: ``"joined"``, ``"left"``, ``"renamed"``, ``"slot"``, ``"vouched-roster"``
            or ``"vouched-change"``.
        data: what is told, ready for JSON.
    """

    conference: str
    name: str
    data: dict[str, Any]


class Conferences:
    """All conferences of a Focus.

    Args:
        limits: what to bear.
        random: gives as many random bytes as it is asked for.
        changed: told of each participant that is another than before, to remember it.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        random: Callable[[int], bytes] = os.urandom,
        changed: Callable[[Participant], None] = lambda _: None,
    ) -> None:
        self._changed = changed
        self.limits = limits or Limits()
        self._random = random
        self._conferences: dict[str, dict[str, Participant]] = {}
        self._by_token: dict[bytes, Participant] = {}
        self._statements: dict[str, str] = {}
        self._outdated: set[str] = set()
        self._events: deque[ConferenceEvent] = deque()

    def restore(self, participant: Participant) -> None:
        """Puts a participant back that was there before a restart; nobody is told."""
        self._conferences.setdefault(participant.conference, {})[participant.id] = participant
        if participant.state is ParticipantState.PRESENT:
            self._by_token[participant.token_digest] = participant

    def next_event(self) -> ConferenceEvent | None:
        """The next thing to tell, or None."""
        return self._events.popleft() if self._events else None

    def reserve(self, conference: str, offer: Offer) -> Participant:
        """Gives a participant a place; `complete` or `start_removal` must follow.

        Raises:
            JoinRefused: there is no place, or an SSRC of the offer is taken.
            UsageError: the conference's name was not checked.
        """
        if not is_conference_name(conference):
            raise UsageError("not a conference name")
        participants = self._conferences.get(conference)
        if participants is None and len(self._conferences) >= self.limits.conferences:
            raise JoinRefused("no more conferences can be held here", temporary=True)
        present = participants or {}
        if len(present) >= self.limits.participants:
            raise JoinRefused("the conference is full", temporary=True)
        staying = [p for p in present.values() if p.state is not ParticipantState.LEAVING]
        taken = {source.ssrc for other in staying for source in other.offer.sources}
        for source in offer.sources:
            if source.ssrc in taken:
                # RFC 3550 section 8.2: who finds its SSRC taken chooses another.
                raise JoinRefused(f"SSRC {source.ssrc} is taken; choose another", temporary=False)
        session_id = int.from_bytes(self._random(8), "big") >> 1
        identifier = self._random(_IDENTIFIER_LENGTH).hex()
        participant = Participant(conference, identifier, offer, session_id)
        self._conferences.setdefault(conference, {})[identifier] = participant
        self._changed(participant)
        return participant

    def complete(self, participant: Participant, answer: Answer) -> str:
        """The participant is in.

        Returns:
            Its token: who presents it may change or end the participation. It isn't kept here.
        """
        self._advance(participant, ParticipantState.PRESENT)
        token = self._random(_TOKEN_LENGTH).hex()
        participant.token_digest = _digest(token)
        self._by_token[participant.token_digest] = participant
        self._answered(participant, participant.offer, answer)
        self._changed(participant)
        self._tell(participant.conference, "joined", participant.roster_entry)
        return token

    def start_removal(self, participant: Participant) -> bool:
        """The participant is out; `finish_removal` follows when both Distributors know.

        Returns:
            Whether this call is the one that removes it: False if it was out before.
        """
        if participant.state not in (ParticipantState.JOINING, ParticipantState.PRESENT):
            return False
        was_present = participant.state is ParticipantState.PRESENT
        self._advance(participant, ParticipantState.LEAVING)
        self._by_token.pop(participant.token_digest, None)
        self._changed(participant)
        if was_present:
            self._tell(participant.conference, "left", {"id": participant.id})
        return True

    def finish_removal(self, participant: Participant) -> None:
        """Frees the participant's place, and the conference if it was the last."""
        self._advance(participant, ParticipantState.GONE)
        self._changed(participant)
        participants = self._conferences[participant.conference]
        del participants[participant.id]
        if not participants:
            del self._conferences[participant.conference]
            self._statements.pop(participant.conference, None)

    def by_token(self, conference: str, token: str) -> Participant | None:
        """The participant whose token this is, if it is in that conference."""
        # Looked up by digest: the time it takes tells nothing about tokens that exist.
        participant = self._by_token.get(_digest(token))
        if participant is None or participant.conference != conference:
            return None
        return participant

    def by_id(self, conference: str, identifier: str) -> Participant | None:
        """The participant of that public id, in whatever state."""
        return self._conferences.get(conference, {}).get(identifier)

    def present(self, conference: str) -> list[Participant]:
        """Everybody who is in a conference, in the order of joining."""
        participants = self._conferences.get(conference, {}).values()
        return [p for p in participants if p.state is ParticipantState.PRESENT]

    def everybody_present(self) -> list[Participant]:
        """Everybody who is in any conference."""
        return [p for conference in self._conferences for p in self.present(conference)]

    def statistics(self) -> dict[str, Any]:
        """Figures of the moment: conferences, and participants by how far they have come."""
        states = Counter(
            participant.state.name.lower()
            for participants in self._conferences.values()
            for participant in participants.values()
        )
        living = [state for state in ParticipantState if state is not ParticipantState.GONE]
        return {
            "conferences": len(self._conferences),
            "participants": {state.name.lower(): states[state.name.lower()] for state in living},
        }

    def roster(self, conference: str) -> dict[str, Any]:
        """The data of a ``roster`` event."""
        return {"participants": [p.roster_entry for p in self.present(conference)]}

    def update(self, participant: Participant, offer: Offer, answer: Answer | None) -> None:
        """Takes over an offer that `check_update` let pass.

        Args:
            participant: one that is present.
            offer: the new offer.
            answer: the new answer where ICE restarts; otherwise None.
        """
        renamed = offer.name != participant.offer.name
        if answer is not None:
            participant.answer_version += 1
            self._answered(participant, offer, answer)
        participant.offer = offer
        self._changed(participant)
        if renamed:
            entry = {"id": participant.id, "name": offer.name}
            self._tell(participant.conference, "renamed", entry)

    def expect_statements(self) -> None:
        """The Key Distributor's events begin anew: one may have been missed of each conference."""
        self._outdated = set(self._statements)

    def vouched(self, conference: str, statement: str, change: str | None = None) -> None:
        """The Key Distributor has stated the roster; we carry it, and are not asked to read it.

        Args:
            conference: whose.
            statement: the roster, for who has none.
            change: what makes it of the one before, for who has that.
        """
        if conference not in self._conferences:
            return
        is_next = conference in self._statements and conference not in self._outdated
        self._statements[conference] = statement
        self._outdated.discard(conference)
        if change is None or not is_next:
            self._tell(conference, "vouched-roster", {"statement": statement})
        else:
            self._tell(conference, "vouched-change", {"statement": change})

    def statement(self, conference: str) -> dict[str, Any] | None:
        """The data of the latest ``vouched-roster`` event; None where there was none."""
        statement = self._statements.get(conference)
        return None if statement is None else {"statement": statement}

    def slot(self, conference: str, data: dict[str, Any]) -> None:
        """The Media Distributor put a source into a receiver's slot."""
        self._tell(conference, "slot", data)

    def _answered(self, participant: Participant, offer: Offer, answer: Answer) -> None:
        participant.offer, participant.answer = offer, answer
        participant.etag = f'"{self._random(_IDENTIFIER_LENGTH).hex()}"'

    def _tell(self, conference: str, name: str, data: dict[str, Any]) -> None:
        self._events.append(ConferenceEvent(conference, name, data))

    @staticmethod
    def _advance(participant: Participant, state: ParticipantState) -> None:
        if state not in _NEXT_STATES[participant.state]:
            raise UsageError(f"a participant can't go from {participant.state} to {state}")
        participant.state = state


class UpdateKind(Enum):
    """What an updated offer asks for."""

    NOTHING_BUT_NAME = auto()
    ICE_RESTART = auto()
    UNSUPPORTED = auto()


def check_update(current: Offer, new: Offer) -> UpdateKind:
    """Compares an updated offer with the one in force.

    Only the display name may change, and the ICE credentials, both at once (RFC 8445 section 9).
    """
    before, after = current.transport, new.transport
    same = replace(
        new,
        description=current.description,
        name=current.name,
        transport=replace(
            after,
            ice_ufrag=before.ice_ufrag,
            ice_pwd=before.ice_pwd,
            candidates=before.candidates,
        ),
    )
    changed = (before.ice_ufrag != after.ice_ufrag, before.ice_pwd != after.ice_pwd)
    if same != current or changed in ((True, False), (False, True)):
        return UpdateKind.UNSUPPORTED
    return UpdateKind.ICE_RESTART if all(changed) else UpdateKind.NOTHING_BUT_NAME


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
