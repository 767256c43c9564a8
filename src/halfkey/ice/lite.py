"""An ICE-lite agent for many peers on one socket (RFC 8445, RFC 8489, RFC 7675).

    datagram --receive_datagram--> USERNAME finds the session --> MESSAGE-INTEGRITY proves the peer
             --> a Binding response, and events: this address is validated, this one nominated

Most checks never get here: the packet path answers those that change nothing. What would move a
participant or claims our role is proved here as if nobody had looked at it.

A lite agent sends no checks of its own: it answers. What can't be proved to come from a session's
peer is dropped in silence, since an answer would only serve whoever forged the source address.
"""

from __future__ import annotations

import base64
import os
from collections import Counter, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from aioice import stun

Address = tuple[str, int]

_UFRAG_BYTES = 6
_PASSWORD_BYTES = 18
_HEADER_LENGTH = 20
_LONGEST_REQUEST = 548  # RFC 8489 section 6.1: what fits without knowledge of the path
_ROLE_CONFLICT = (487, "Role Conflict")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The agent's own ufrag and password for one session (RFC 8839 section 5.4)."""

    ice_ufrag: str
    ice_pwd: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AddressValidated:
    """A peer proved that it receives and sends at this address; also by each consent check.

    Attributes:
        session: the key that the session was added under.
        address: where the check came from.
    """

    session: Hashable
    address: Address


@dataclass(frozen=True, slots=True)
class AddressNominated:
    """The peer, which is controlling, wants to use this address (RFC 8445 section 7.3.1.5)."""

    session: Hashable
    address: Address


Event = AddressValidated | AddressNominated


@dataclass(slots=True)
class _Session:
    key: Hashable
    credentials: Credentials
    remote_ufrag: str


class IceLite:
    """Answers connectivity and consent checks for all sessions.

    Args:
        random: gives that many random bytes.
    """

    def __init__(self, random: Callable[[int], bytes] = os.urandom) -> None:
        self._random = random
        self._by_ufrag: dict[str, _Session] = {}
        self._by_key: dict[Hashable, _Session] = {}
        self._outgoing: deque[tuple[Address, bytes]] = deque()
        self._events: deque[Event] = deque()
        self.dropped: Counter[str] = Counter()

    def add_session(self, key: Hashable, remote_ufrag: str) -> Credentials:
        """Starts a session; again for the same key, restarts it with new credentials.

        Args:
            key: names the session in events.
            remote_ufrag: of the peer's offer.
        """
        self.remove_session(key)
        credentials = Credentials(self._token(_UFRAG_BYTES), self._token(_PASSWORD_BYTES))
        session = _Session(key, credentials, remote_ufrag)
        self._by_ufrag[credentials.ice_ufrag] = session
        self._by_key[key] = session
        return credentials

    def remove_session(self, key: Hashable) -> None:
        """Ends a session, if there is one: its checks get no answer any more."""
        session = self._by_key.pop(key, None)
        if session is not None:
            del self._by_ufrag[session.credentials.ice_ufrag]

    def receive_datagram(self, data: bytes, source: Address) -> None:
        """Takes a STUN message; whatever it is, this doesn't raise."""
        reason = self._receive(data, source)
        if reason is not None:
            self.dropped[reason] += 1

    def datagrams_to_send(self) -> list[tuple[Address, bytes]]:
        """Takes the answers."""
        taken = list(self._outgoing)
        self._outgoing.clear()
        return taken

    def next_event(self) -> Event | None:
        """Takes the oldest event."""
        return self._events.popleft() if self._events else None

    def _token(self, length: int) -> str:
        """Letters, digits, + and / (ice-char of RFC 8839), without padding."""
        return base64.b64encode(self._random(length)).decode()

    def _receive(self, data: bytes, source: Address) -> str | None:
        """Handles a message; gives the reason if it is dropped."""
        if not _HEADER_LENGTH <= len(data) <= _LONGEST_REQUEST:
            return "stun_malformed"
        try:
            message = stun.parse_message(data)
        except Exception:  # a library's parser on a stranger's bytes: any of its faults is this one
            return "stun_malformed"
        if message.message_method is not stun.Method.BINDING:
            return "stun_unsupported"
        if "FINGERPRINT" not in message.attributes:  # RFC 8445 section 7.2.2
            return "stun_malformed"
        if message.message_class is stun.Class.INDICATION:
            return None  # a keepalive
        if message.message_class is not stun.Class.REQUEST:
            return "stun_unsupported"
        return self._receive_request(message, source)

    def _receive_request(self, request: stun.Message, source: Address) -> str | None:
        session = self._session_of(request.attributes.get("USERNAME"))
        if session is None:
            return "stun_unknown_username"
        password = session.credentials.ice_pwd.encode()
        if not request.check_message_integrity(password):
            return "stun_authentication"
        if "ICE-CONTROLLED" in request.attributes:
            # RFC 8445 section 7.3.1.1: a lite agent is never the controlling one of the two.
            self._answer(request, source, password, ("ERROR-CODE", _ROLE_CONFLICT))
            return None
        self._answer(request, source, password, ("XOR-MAPPED-ADDRESS", source))
        self._events.append(AddressValidated(session.key, source))
        if "USE-CANDIDATE" in request.attributes:
            self._events.append(AddressNominated(session.key, source))
        return None

    def _session_of(self, username: object) -> _Session | None:
        """RFC 8445 section 7.2.2: the USERNAME is ours, a colon, theirs."""
        if not isinstance(username, str):
            return None
        ours, _, theirs = username.partition(":")
        session = self._by_ufrag.get(ours)
        return session if session is not None and session.remote_ufrag == theirs else None

    def _answer(
        self,
        request: stun.Message,
        source: Address,
        password: bytes,
        attribute: tuple[str, object],
    ) -> None:
        response = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.ERROR if attribute[0] == "ERROR-CODE" else stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
            attributes=dict([attribute]),
        )
        response.add_message_integrity(password)
        self._outgoing.append((source, bytes(response)))
