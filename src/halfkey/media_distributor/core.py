"""The Media Distributor without I/O: who is where, and what is carried between whom.

    STUN ------> the packet path answers; what changes an address: IceLite ----> the address
    DTLS ------> TunneledDtls under the participant's association, never read (RFC 9185 section 5.3)
    MediaKeys -> the packet path gets the hop keys, and sources go into slots

Media packets never come here: the packet path, in Rust, is told by `MediaPath` calls what to do.
After each call that takes `now`: take datagrams, tunnel messages and events, arm one timer.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from halfkey.demux import PacketKind, classify
from halfkey.errors import HalfkeyError
from halfkey.ice import AddressNominated, Credentials, IceLite
from halfkey.ice.lite import Address
from halfkey.media_distributor.associations import Associations
from halfkey.media_distributor.conference import (
    Allocation,
    Conference,
    Key,
    Participant,
    SlotAssignment,
    Source,
)
from halfkey.media_distributor.events import (
    Event,
    ParticipantConnected,
    ParticipantDisconnected,
    ParticipantKeyed,
    SlotChanged,
)
from halfkey.profiles import DOUBLE_128, DOUBLE_256
from halfkey.tunnel.messages import (
    MAXIMUM_DTLS_MESSAGE_LENGTH,
    EndpointDisconnect,
    MediaKeys,
    TunneledDtls,
)

SUPPORTED_PROFILES = (DOUBLE_128, DOUBLE_256)

PRESENCE_TIMEOUT = 15.0
"""Seconds without an authentic connectivity check after which a participant is gone (RFC 7675)."""

CONNECT_TIMEOUT = 30.0
"""Seconds that an allocated participant has to show up."""

DIRECT_STAY = 86_400.0
"""Seconds that a participant of a load test stays without a sign of life."""

MAXIMUM_PARTICIPANTS = 4096
MAXIMUM_QUEUED_DATAGRAMS = 4096

TunnelMessage = TunneledDtls | EndpointDisconnect


class AllocationRefusedError(HalfkeyError):
    """A participant can't be taken; the message is one line for the Focus."""


class MediaPath(Protocol):
    """What the core asks of the packet path; participants are numbers there."""

    def add_participant(self, number: int, allocation: Allocation) -> None:
        """Makes a participant known, without address and keys."""

    def remove_participant(self, number: int) -> None:
        """Forgets a participant with its keys."""

    def set_address(self, number: int, address: Address) -> None:
        """Takes packets from, and sends them to, this address and no other."""

    def set_credentials(self, number: int, ours: Credentials, remote_ufrag: str) -> None:
        """Answers checks that are proved by these and change nothing, in place of earlier ones."""

    def checks(self) -> dict[int, tuple[int, float]]:
        """By participant: the checks that were answered, and the seconds since the last one."""

    def set_keys(self, number: int, keys: MediaKeys) -> None:
        """Uses these keys for the hop.

        Raises:
            ValueError: the keys don't fit their profile.
        """

    def clear_keys(self, number: int) -> None:
        """Wipes the keys of the hop."""

    def fill_slots(self, assignments: Sequence[SlotAssignment]) -> None:
        """Forwards sources to receivers, into their slots."""

    def clear_slot(self, receiver: int, mid: str) -> None:
        """Stops forwarding into this slot."""


class MediaDistributor:
    """All conferences of one Media Distributor.

    Args:
        path: forwards the media.
        keep_forwarding_after_disconnect: acts as a hostile Media Distributor, for demonstrations
            and tests only: whom the Focus or the Key Distributor removed is still forwarded to.
        random: gives that many random bytes.
    """

    def __init__(
        self,
        path: MediaPath,
        keep_forwarding_after_disconnect: bool = False,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._path = path
        self._is_hostile = keep_forwarding_after_disconnect
        self._ice = IceLite(random)
        self._conferences: dict[str, Conference] = {}
        self._participants: dict[Key, Participant] = {}
        self._by_address: dict[Address, Participant] = {}
        self._associations = Associations(random)
        self._next_number = 1
        self._outgoing: deque[tuple[Address, bytes]] = deque()
        self._to_tunnel: deque[TunnelMessage] = deque()
        self._events: deque[Event] = deque()
        self._timer: float | None = None
        self.is_tunnel_connected = False
        self.dropped: Counter[str] = Counter()

    # What the Focus asks for

    def has(self, key: Key) -> bool:
        """Whether a participant is in."""
        participant = self._participants.get(key)
        return participant is not None and not participant.has_left

    def participants(self) -> list[Key]:
        """Who is in."""
        return [p.key for p in self._participants.values() if not p.has_left]

    def allocate(self, key: Key, allocation: Allocation, now: float) -> Credentials:
        """Takes a participant in; again for the same one, restarts its ICE and nothing else.

        Who was removed and comes back is a new participant.

        Args:
            key: (conference, participant).
            allocation: what it sends, and can receive.
            now: monotonic seconds.

        Raises:
            AllocationRefusedError: an SSRC is taken in the conference, there are too many, or more
                than the ICE credentials would change.
        """
        known = self._participants.get(key)
        if known is not None and not known.has_left:
            return self._restart_ice(known, allocation, now)
        if known is not None:
            self._forget(known)
        if len(self._participants) >= MAXIMUM_PARTICIPANTS:
            raise AllocationRefusedError("this Media Distributor is full")
        conference = self._conferences.get(key[0], Conference())
        own = [source.ssrc for source in allocation.sources]
        taken = conference.ssrcs() & set(own)
        if taken or len(set(own)) != len(own):
            raise AllocationRefusedError(
                f"SSRC {min(taken, default=own[0])} is taken; choose another one"
            )
        participant = Participant(key, self._next_number, allocation, last_seen=now)
        self._arm(participant)
        self._path.add_participant(participant.number, allocation)
        self._next_number += 1
        self._participants[key] = participant
        self._conferences.setdefault(key[0], conference).participants[key] = participant
        return self._begin_ice(participant)

    def admit_directly(
        self, key: Key, allocation: Allocation, address: Address, keys: MediaKeys, now: float
    ) -> None:
        """Takes a participant in with address and hop keys, without ICE and a Key Distributor.

        For load tests of a Media Distributor that has no Key Distributor. The participant needs no
        connectivity checks and stays until it is removed, or for `DIRECT_STAY`.

        Raises:
            AllocationRefusedError: as `allocate`, or it is in already, its address is another's,
                or the keys can't be used.
        """
        if self.has(key):
            raise AllocationRefusedError("this participant is in already")
        if address in self._by_address:
            raise AllocationRefusedError("another participant has this address")
        self.allocate(key, allocation, now)
        participant = self._participants[key]
        participant.last_seen = now + DIRECT_STAY
        self._nominate(participant, address)
        self._receive_keys(participant, keys)
        if not participant.is_keyed:
            self.remove(key)
            raise AllocationRefusedError("the hop keys can't be used")

    def remove(self, key: Key) -> bool:
        """Takes a participant out; False if there is none."""
        if not self.has(key):
            return False
        participant = self._participants[key]
        self._disconnect(participant, "left")
        self._obey(self._forget, participant)
        self._place(key[0])
        return True

    def disconnect_everybody(self) -> None:
        """Takes everybody out, and says so to both sides: this Media Distributor is about to end.

        The Key Distributor then needn't wait for associations that won't come back (RFC 9185
        section 6.6).
        """
        for key in list(self._participants):
            self.remove(key)

    # What arrives

    def receive_datagram(self, data: bytes, source: Address, now: float) -> None:
        """Takes a datagram that is not media."""
        kind = classify(data)
        if kind is PacketKind.STUN:
            self._ice.receive_datagram(data, source)
            self._after_ice(now)
        elif kind is PacketKind.DTLS:
            self._receive_dtls(data, source, now)
        else:
            self.dropped["unknown_protocol"] += 1

    def receive_tunnel_message(
        self, message: MediaKeys | TunneledDtls | EndpointDisconnect
    ) -> None:
        """Takes what the Key Distributor sent."""
        participant = self._associations.find(message.association_id)
        if participant is None:
            self.dropped["unknown_association"] += 1
            if not isinstance(message, EndpointDisconnect):
                # Its Endpoint is gone, as far as we know: after a restart that is everybody's.
                self._to_tunnel.append(EndpointDisconnect(message.association_id))
        elif isinstance(message, TunneledDtls):
            if participant.address is not None:
                self._send(participant.address, message.dtls_message)
        elif isinstance(message, MediaKeys):
            self._receive_keys(participant, message)
        elif message.association_id == participant.successor_id:
            self._associations.end_successor(participant)
        else:
            self._associations.end(participant)
            if participant.is_keyed:
                event = ParticipantDisconnected(*participant.key, "key_distributor")
                self._tell(participant, event)
            self._obey(self._clear_keys, participant)

    def tunnel_connected(self, is_connected: bool) -> None:
        """Notes that there is a tunnel, or none.

        Established associations outlive a tunnel; a handshake that was under way doesn't, since
        the Key Distributor gives it up: the next DTLS datagram begins another association.
        """
        self.is_tunnel_connected = is_connected
        if not is_connected:
            for participant in self._participants.values():
                self._associations.end_successor(participant)
                if not participant.is_keyed:
                    self._associations.end(participant)

    def note_checks(self, now: float) -> None:
        """Notes who was seen by checks that the packet path answered; the timer does it, too."""
        checks = self._path.checks()
        for participant in self._participants.values():
            count, seconds = checks.get(participant.number, (0, 0.0))
            if count > participant.checks:
                participant.checks = count
                participant.last_seen = max(participant.last_seen, now - seconds)

    # What is to be done

    def datagrams_to_send(self) -> list[tuple[Address, bytes]]:
        """Takes the datagrams for participants."""
        taken = [*self._ice.datagrams_to_send(), *self._outgoing]
        self._outgoing.clear()
        return taken

    def tunnel_messages_to_send(self) -> list[TunnelMessage]:
        """Takes what goes to the Key Distributor; what came while there is no tunnel waits."""
        if not self.is_tunnel_connected:
            return []
        taken = list(self._to_tunnel)
        self._to_tunnel.clear()
        return taken

    def next_event(self) -> Event | None:
        """Takes the oldest event."""
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        """When `handle_timer` is due: no later than the first deadline, which may have moved."""
        return self._timer

    def handle_timer(self, now: float) -> None:
        """Takes out those who have not been seen for too long."""
        self.note_checks(now)
        for participant in list(self._participants.values()):
            if self._deadline(participant) <= now:
                was_connected = participant.address is not None
                self._disconnect(participant, "timeout" if was_connected else "never_connected")
                self._forget(participant)
                self._place(participant.key[0])
        self._timer = None
        for participant in self._participants.values():
            self._arm(participant)

    def statistics(self) -> dict[str, int]:
        """Figures of the moment."""
        return {
            "conferences": len(self._conferences),
            "participants": sum(not p.has_left for p in self._participants.values()),
            "associations": len(self._associations),
        }

    def drops(self) -> Counter[str]:
        """Datagrams and messages that led to nothing, by reason."""
        return self.dropped + self._ice.dropped

    # Inside

    @staticmethod
    def _deadline(participant: Participant) -> float:
        connected = participant.address is not None
        return participant.last_seen + (PRESENCE_TIMEOUT if connected else CONNECT_TIMEOUT)

    def _arm(self, participant: Participant) -> None:
        """Moves the timer forward to this participant's deadline, if that is earlier."""
        deadline = self._deadline(participant)
        self._timer = deadline if self._timer is None else min(self._timer, deadline)

    def _restart_ice(
        self, participant: Participant, allocation: Allocation, now: float
    ) -> Credentials:
        known = participant.allocation
        if replace(allocation, ice_ufrag=known.ice_ufrag, ice_pwd=known.ice_pwd) != known:
            raise AllocationRefusedError(
                "a participant's media can't be changed; take it out first, then in again"
            )
        participant.last_seen = now
        return self._begin_ice(participant)

    def _begin_ice(self, participant: Participant) -> Credentials:
        """What is proved by the credentials: the packet path answers, and hands on what isn't its
        to decide; that is proved here once more."""
        remote_ufrag = participant.allocation.ice_ufrag
        credentials = self._ice.add_session(participant.key, remote_ufrag)
        self._path.set_credentials(participant.number, credentials, remote_ufrag)
        return credentials

    def _send(self, address: Address, data: bytes) -> None:
        if len(self._outgoing) >= MAXIMUM_QUEUED_DATAGRAMS:
            self.dropped["send_queue_full"] += 1
        else:
            self._outgoing.append((address, data))

    def _after_ice(self, now: float) -> None:
        while (event := self._ice.next_event()) is not None:
            participant = self._participants.get(event.session)  # type: ignore[call-overload]
            if participant is None:
                continue
            participant.last_seen = now
            if isinstance(event, AddressNominated):
                self._nominate(participant, event.address)

    def _nominate(self, participant: Participant, address: Address) -> None:
        """RFC 8445 section 8.1: the nominated pair is the one in use; a later one replaces it."""
        if participant.address == address:
            return
        other = self._by_address.get(address)
        if other is not None and not other.has_left:
            self.dropped["address_in_use"] += 1
            return
        if other is not None:
            self._forget(other)
        is_first = participant.address is None
        if participant.address is not None:
            del self._by_address[participant.address]
        participant.address = address
        self._by_address[address] = participant
        self._arm(participant)
        self._path.set_address(participant.number, address)
        if is_first:
            self._tell(participant, ParticipantConnected(*participant.key))

    def _receive_dtls(self, data: bytes, source: Address, now: float) -> None:
        """Carries DTLS from a participant's address; nothing about it proves the participant."""
        participant = self._by_address.get(source)
        if participant is None:
            self.dropped["unknown_address"] += 1
            return
        if not self.is_tunnel_connected:
            self.dropped["no_tunnel"] += 1  # DTLS sends it again
            return
        if len(data) > MAXIMUM_DTLS_MESSAGE_LENGTH:
            self.dropped["dtls_too_long"] += 1
            return
        given_up = self._associations.given_up(participant, data, now)
        if given_up is not None:
            self._to_tunnel.append(EndpointDisconnect(given_up))
        for association_id in self._associations.carrying(participant, data, now):
            self._to_tunnel.append(TunneledDtls(association_id, data))

    def _receive_keys(self, participant: Participant, keys: MediaKeys) -> None:
        if keys.protection_profile not in SUPPORTED_PROFILES or keys.mki:
            self.dropped["unusable_media_keys"] += 1
            return
        digest = _digest(keys)
        if digest == participant.keys_digest:
            # Set anew, a key's indices would begin anew, and nonces would repeat.
            self.dropped["repeated_media_keys"] += 1
            return
        try:
            self._path.set_keys(participant.number, keys)
        except ValueError:
            self.dropped["unusable_media_keys"] += 1
            return
        participant.keys_digest = digest
        self._associations.establish(participant, keys.association_id)
        if not participant.is_keyed:
            participant.is_keyed = True
            self._tell(participant, ParticipantKeyed(*participant.key))
        self._place(participant.key[0])

    def _place(self, name: str) -> None:
        conference = self._conferences.get(name)
        if conference is None:
            return
        assignments: list[SlotAssignment] = []
        for receiver, slot, sender, source in conference.to_place():
            receiver.occupied[slot.mid] = source
            assignments.append((receiver.number, slot.mid, sender.number, source.ssrc))
            change = SlotChanged(name, receiver.key[1], slot.mid, source.ssrc)
            self._tell(receiver, change)
        self._path.fill_slots(assignments)

    def _clear_keys(self, participant: Participant) -> None:
        if participant.is_keyed:
            participant.is_keyed = False
            self._path.clear_keys(participant.number)

    def _obey(self, order: Callable[[Participant], None], participant: Participant) -> None:
        """Does to a removed participant what was ordered: all that a hostile one leaves undone.

        It is then forgotten when it falls silent, comes back, or its address is another's.
        """
        if not self._is_hostile:
            order(participant)

    def _tell(self, participant: Participant, event: Event) -> None:
        """Tells the Focus; of who is out, and only a hostile one knows any such, nothing more."""
        if not participant.has_left:
            self._events.append(event)

    def _disconnect(self, participant: Participant, reason: str) -> None:
        """Ends a participant's part, and says so to both sides; it is still to be forgotten."""
        self._leave_association(participant)
        if not participant.has_left:
            self._vacate(participant)
            self._tell(participant, ParticipantDisconnected(*participant.key, reason))
            participant.has_left = True

    def _leave_association(self, participant: Participant) -> None:
        # The successor, where there is one, moves up when the first is gone.
        while (association_id := self._associations.end(participant)) is not None:
            self._to_tunnel.append(EndpointDisconnect(association_id))

    def _vacate(self, participant: Participant) -> None:
        """Empties the slots that its sources are in.

        Who is forgotten next has no routes any more: to clear a thousand slots one by one first
        would be a thousand instructions that are waited for.
        """
        name = participant.key[0]
        gone: set[Source] = set(participant.allocation.sources)
        for receiver in self._conferences[name].participants.values():
            for mid in [mid for mid, source in receiver.occupied.items() if source in gone]:
                del receiver.occupied[mid]
                if self._is_hostile:
                    self._path.clear_slot(receiver.number, mid)
                self._tell(receiver, SlotChanged(name, receiver.key[1], mid, None))

    def _forget(self, participant: Participant) -> None:
        name = participant.key[0]
        self._leave_association(participant)
        self._ice.remove_session(participant.key)
        self._path.remove_participant(participant.number)
        if participant.address is not None:
            del self._by_address[participant.address]
        del self._participants[participant.key]
        del self._conferences[name].participants[participant.key]
        if not self._conferences[name].participants:
            del self._conferences[name]


def _digest(keys: MediaKeys) -> bytes:
    """What tells keys apart without keeping them."""
    both = (
        keys.client_write_SRTP_master_key,
        keys.client_write_SRTP_master_salt,
        keys.server_write_SRTP_master_key,
        keys.server_write_SRTP_master_salt,
    )
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in both)).digest()
