"""The Key Distributor without I/O: admission, DTLS associations through tunnels, EKT keys.

What a participant goes through: admitted by the Focus's word; its ClientHello comes in a
TunneledDtls; `select` finds it by external_session_id and chooses a profile; the handshake proves
its certificate; MediaKeys (outer halves only) go to the Media Distributor, then the conference's
EKTKey to the Endpoint; its acknowledgement comes back. When somebody who held the current EKTKey is
gone, everybody else gets a new one.

Drain contract: after any call that takes `now`, write `data_to_send` of every tunnel that
`tunnels_to_send` names, close those for which `is_over` says so, take every `next_event`, and arm
one timer for `next_timer`.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable
from typing import Any
from uuid import UUID

from halfkey import dtls
from halfkey.demux import may_be_client_hello
from halfkey.key_distributor.association import Association, AssociationState, AssociationTable
from halfkey.key_distributor.conference import Conference, Participant, SPIsExhausted
from halfkey.key_distributor.credentials import AdmissionRecord, VerifiedIdentity
from halfkey.key_distributor.events import (
    Admitted,
    Associated,
    Disassociated,
    Event,
    Faulted,
    Refused,
    Removed,
    TunnelClosed,
    TunnelOpened,
)
from halfkey.key_distributor.guarding import INTERNAL_ERROR
from halfkey.key_distributor.handshakes import (
    Bar,
    Handshakes,
    is_proven,
    media_keys,
)
from halfkey.key_distributor.keying import Keying
from halfkey.key_distributor.policy import ConferencePolicy, Policy
from halfkey.key_distributor.registry import Admission, Registry
from halfkey.key_distributor.statistics import Statistics
from halfkey.key_distributor.timers import Timers
from halfkey.key_distributor.tunnels import Tunnel, Tunnels
from halfkey.tunnel import State, SupportedProfiles, TunneledDtls

REQUESTED_SPACING = 1.0
"""Seconds between an EKTKey and the next that a request may cause."""

_REFUSALS_TOLD_PER_SECOND = 10

_FAULT_SPACING = 10.0
"""Seconds between a fault of ours that is told and the next; all are counted."""

_S = AssociationState


class KeyDistributor:
    """The Key Distributor of any number of conferences.

    Attributes:
        statistics: counters.

    Args:
        policy: settings and bounds.
        certificate: for the DTLS associations; its fingerprint is what Endpoints believe.
        random: the source of keys, salts, SPIs, tls-ids and of DTLS's randomness.
        policy_of: what holds for the conference of a name; asked when it begins.
        bar: why somebody who was admitted may not come in any more, a short fixed name; asked at
            each handshake. None for whoever may.

    Raises:
        ConfigurationError: the policy is out of range.
    """

    def __init__(
        self,
        policy: Policy,
        certificate: dtls.Certificate,
        random: Callable[[int], bytes] = os.urandom,
        policy_of: Callable[[str], ConferencePolicy] = lambda name: ConferencePolicy(),
        bar: Bar = lambda participant: None,
    ) -> None:
        policy.check()
        self.statistics = Statistics()
        self._policy = policy
        self._fingerprint = str(certificate.fingerprint())
        self._registry = Registry(policy, random, policy_of)
        self._tunnels = Tunnels()
        self._table = AssociationTable(policy)
        self._handshakes = Handshakes(
            policy,
            certificate,
            self._registry,
            self._table,
            self._tunnels,
            random,
            self.statistics.noise,
            bar,
        )
        self._timers: Timers[Association | Conference | Participant] = Timers()
        self._events: deque[Event] = deque()
        self._keying = Keying(policy, self.statistics, self._events, self._timers.arm)
        self._refusals_told = (0, 0)
        self._fault_told_at = -math.inf

    # Admission

    def admit(
        self,
        conference: str,
        participant: str,
        fingerprint: dtls.Fingerprint,
        tls_id: str,
        identity: VerifiedIdentity | None = None,
        vouch: Callable[[Participant, str], str] | None = None,
        *,
        now: float,
    ) -> Admission:
        """Admits a participant; the same again gives the same answer.

        An admission ends with the Endpoint's close_notify, by `remove`, or `Policy.admission_age`
        after it was left without an association.

        Args:
            conference: its name; it begins with its first participant.
            participant: the id within the conference.
            fingerprint: what the Endpoint's certificate must have.
            tls_id: what the Endpoint must send as external_session_id.
            identity: who it has shown to be; then its external_id_hash must fit too.
            vouch: makes our own assertion, of the participant and our fingerprint; called for a
                participant that is new.
            now: monotonic seconds.

        Raises:
            AdmissionRefused: a value is malformed, taken, or there is no room.
        """
        admitted, is_new = self._registry.prepare(
            conference, participant, fingerprint, tls_id, identity
        )
        if is_new:
            admitted.admitted_at = now
            if vouch is not None:
                # Before it is admitted: nobody is whom we can't vouch for.
                admitted.own_assertion = vouch(admitted, self._fingerprint)
            self._registry.add(admitted)
            self._expect(admitted, now)
            who = () if identity is None else (identity.person.identity, identity.person.name)
            self._events.append(Admitted(conference, participant, *who))
        return Admission(self._fingerprint, admitted.own_tls_id, admitted.own_assertion, is_new)

    def remove(
        self,
        conference: str,
        participant: str,
        now: float,
        reason: str = "left",
        by: str | None = None,
    ) -> bool:
        """Ends an admission and its association, and rekeys; False if there is none.

        Args:
            conference: its name.
            participant: the id within the conference.
            now: monotonic seconds.
            reason: ``"left"``, ``"evicted"``, ``"revoked"`` or ``"replaced"``.
            by: see `Removed`.
        """
        found = self._registry.find(conference, participant)
        if found is None:
            return False
        self._remove(found, reason, by, now)
        self._settle(now)
        return True

    def _remove(self, participant: Participant, reason: str, by: str | None, now: float) -> None:
        for association in self._table.of_participant(participant):
            self._end(association, reason, now)
        self._timers.arm(participant, None)
        self._registry.remove(participant)
        who = None if participant.identity is None else participant.identity.person.identity
        self._events.append(Removed(participant.conference.name, participant.id, reason, by, who))

    def _absent(self, participant: Participant, now: float) -> None:
        """Ends an admission that no association came of, unless none could come.

        Without its tunnel nobody can shake hands, and media goes on under the keys in place.
        """
        if self._tunnels.may_bring(participant.media_distributor):
            self._remove(participant, "absent", None, now)
        else:
            self._expect(participant, now)

    def _expect(self, participant: Participant, now: float) -> None:
        """Lets an admission without association end, if none comes."""
        self._timers.arm(participant, now + self._policy.admission_age)

    def restore(self, record: AdmissionRecord, last_spi: int | None, now: float) -> None:
        """Puts an admission back that stood before a restart; see `Registry.restore`."""
        self._expect(self._registry.restore(record, last_spi), now)

    def find(self, conference: str, participant: str) -> Participant | None:
        """The participant of that id, if it is admitted."""
        return self._registry.find(conference, participant)

    def conference(self, name: str) -> Conference | None:
        """The conference of that name, if anybody is admitted to it."""
        return self._registry.conferences.get(name)

    def conference_names(self) -> list[str]:
        """The conferences that anybody is admitted to."""
        return list(self._registry.conferences)

    def devices(self, conference: str, identity: str) -> list[Participant]:
        """Those participants of a conference who are this person, in the order of admission."""
        place = self.conference(conference)
        admitted = place.participants.values() if place is not None else ()
        return [
            one
            for one in admitted
            if one.identity is not None and one.identity.person.identity == identity
        ]

    def rekey(self, conference: str, now: float, reason: str = "requested") -> bool:
        """Gives everybody in the conference a new EKTKey; False if there is no such conference.

        Requests that come faster than one each `REQUESTED_SPACING` are served as one.

        Args:
            conference: its name.
            now: monotonic seconds.
            reason: to give, a short fixed name.
        """
        place = self._registry.conferences.get(conference)
        if place is None:
            return False
        if place.current is not None:
            place.request_rekey(place.current.issued_at + REQUESTED_SPACING, reason)
            self._timers.arm(place, place.rekey_at)
            self.handle_timer(now)
        return True

    # Tunnels

    def open_tunnel(self, media_distributor: bytes) -> int:
        """Notes a TLS connection with a Media Distributor, and gives it an id.

        Args:
            media_distributor: a hash of the certificate that it has proved.
        """
        tunnel = self._tunnels.open(media_distributor)
        self._events.append(TunnelOpened(tunnel.id, media_distributor.hex()))
        return tunnel.id

    def receive_data(self, tunnel_id: int, data: bytes, now: float) -> None:
        """Takes what came on a tunnel's connection; never raises for it."""
        tunnel = self._tunnels.get(tunnel_id)
        if tunnel is None:
            return
        for message in self._tunnels.receive(tunnel, data, now):
            if isinstance(message, TunneledDtls):
                self._receive_dtls(tunnel, message, now)
            elif isinstance(message, SupportedProfiles):
                self._adopt(tunnel, now)
            else:
                self._endpoint_disconnected(tunnel, message.association_id, now)
        self._settle(now)

    def tunnels_to_send(self) -> list[int]:
        """Takes the ids of tunnels that may have something to send."""
        return self._tunnels.take_waiting()

    def data_to_send(self, tunnel_id: int) -> bytes:
        """Takes what is to be written on a tunnel's connection."""
        tunnel = self._tunnels.get(tunnel_id)
        return tunnel.end.data_to_send() if tunnel else b""

    def is_over(self, tunnel_id: int) -> bool:
        """Whether the connection is to be closed, once its `data_to_send` is written."""
        tunnel = self._tunnels.get(tunnel_id)
        return tunnel is None or tunnel.end.state is State.TERMINATED

    def close_tunnel(self, tunnel_id: int, now: float) -> None:
        """Notes that a tunnel's connection is gone.

        Connected associations wait `Policy.orphan_age` for another from the same Media Distributor.
        """
        tunnel = self._tunnels.get(tunnel_id)
        if tunnel is None:
            return
        self._tunnels.close(tunnel)
        self._events.append(TunnelClosed(tunnel.id, tunnel.media_distributor.hex()))
        if not self._tunnels.reaches(tunnel.media_distributor):
            for association in self._table.of(tunnel.media_distributor):
                if association.state is _S.CONNECTED:
                    association.deadline = now + self._policy.orphan_age
                    self._arm(association)
                else:
                    self._end(association, "tunnel_lost", now)
        self._settle(now)

    # Time, events, figures

    def next_timer(self) -> float | None:
        """When `handle_timer` wants to be called (monotonic seconds), or None."""
        return self._timers.next()

    def handle_timer(self, now: float) -> None:
        """Retransmits, gives up, rekeys, and ends admissions, where that is due."""
        for due in self._timers.take_due(now):
            if isinstance(due, Conference):
                self._keying.mark(due, due.rekey_reason)
            elif isinstance(due, Participant):
                self._absent(due, now)
            elif due.state is not _S.ENDED:
                self._association_timer(due, now)
        self._settle(now)

    def next_event(self) -> Event | None:
        """Takes the oldest event, or None."""
        return self._events.popleft() if self._events else None

    def snapshot(self) -> dict[str, Any]:
        """All counters and figures of the moment, JSON-able."""
        return self.statistics.as_dict(
            associations_now=len(self._table),
            half_open_now=self._table.half_open,
            conferences_now=len(self._registry.conferences),
            participants_now=len(self._registry),
            tunnels_now=len(self._tunnels),
        )

    # Associations

    def _receive_dtls(self, tunnel: Tunnel, message: TunneledDtls, now: float) -> None:
        known = self._table.get(tunnel.media_distributor, message.association_id)
        association = known or self._begin(tunnel, message, now)
        if association is None:
            return
        if not association.may_take(len(message.dtls_message)):
            self.statistics.dropped["handshake_bytes"] += 1
            return
        association.tunnel = tunnel.id
        self._handshakes.receive(association, message.dtls_message, now)
        if association.connection.holds_nothing:
            self._send(association)  # with the cookie all comes back that we need to know
            if association.connection.fault is None:
                self._forget(association)
            else:
                self._drain(association, now)
        else:
            self._keep(association)
            self._drain(association, now)

    def _begin(self, tunnel: Tunnel, message: TunneledDtls, now: float) -> Association | None:
        """Only a ClientHello begins an association, and none begins twice."""
        if self._table.has_ended(tunnel.media_distributor, message.association_id):
            self.statistics.dropped["ended_association"] += 1
            return None
        if not may_be_client_hello(message.dtls_message):
            self.statistics.dropped["unknown_association"] += 1
            return None
        deadline = now + self._policy.handshake_age
        association = Association(
            tunnel.media_distributor, message.association_id, tunnel.id, now, deadline
        )
        association.connection = self._handshakes.connection(association)
        return association

    def _keep(self, association: Association) -> None:
        """Keeps an association that holds part of a ClientHello; another may have to give way."""
        if association.state is _S.EXPECT_CLIENT_HELLO and not association.connection.is_terminated:
            displaced = self._table.keep_unproven(association)
            if displaced is not None:
                self._forget(displaced)
                self.statistics.dropped["too_many_unproven"] += 1

    def _forget(self, association: Association) -> None:
        self._table.forget(association)
        self._timers.arm(association, None)

    def _drain(self, association: Association, now: float) -> None:
        """Handles what a connection tells, and sends what it has to send."""
        connection = association.connection
        while association.state is not _S.ENDED and (event := connection.next_event()):
            if isinstance(event, dtls.HandshakeCompleted):
                self._completed(association, event, now)
            elif isinstance(event, dtls.EKTKeyAcknowledged):
                self._keying.acknowledged(association, event.ekt_spi, now)
            elif isinstance(event, dtls.ConnectionTerminated):
                self._terminated(association, event, now)
        if association.state is not _S.ENDED:
            self._send(association)
            self._arm(association)

    def _send(self, association: Association) -> None:
        for datagram in association.connection.datagrams_to_send():
            if not self._tunnels.send_dtls(association, datagram):
                self.statistics.dropped["no_tunnel"] += 1

    def _arm(self, association: Association) -> None:
        timers = (association.connection.next_timer(), association.deadline)
        self._timers.arm(association, min((at for at in timers if at is not None), default=None))

    def _association_timer(self, association: Association, now: float) -> None:
        if association.deadline is not None and association.deadline <= now:
            if association.state is _S.EXPECT_CLIENT_HELLO:
                self._forget(association)
                self.statistics.dropped["client_hello_timeout"] += 1
                return
            is_connected = association.state is _S.CONNECTED
            self._end(association, "tunnel_lost" if is_connected else "handshake_timeout", now)
        else:
            association.connection.handle_timer(now)
            self._drain(association, now)

    def _completed(
        self, association: Association, event: dtls.HandshakeCompleted, now: float
    ) -> None:
        """The handshake is complete: MediaKeys first of all (RFC 9185 section 5.4), then EKTKey."""
        if association.connection.is_terminated:
            return  # the same datagram has ended it, which is told next
        participant, suite = association.participant, association.suite
        if participant is None or suite is None or not is_proven(participant, self._policy, event):
            self._end(association, "not_proven", now)
            return
        bar = self._handshakes.bar(participant)  # it may have changed since the ClientHello
        if bar is not None:
            self._end(association, bar, now)
            return
        conference = participant.conference
        conference.suite = conference.suite or suite
        if conference.suite != suite:  # two first participants at once chose differently
            self._end(association, "profile_conflict", now)
            return
        self._table.change(association, _S.CONNECTED)
        association.deadline = None
        self._tunnels.send_media_keys(association, media_keys(association.id, event))
        self.statistics.associations += 1
        self.statistics.handshakes[f"{event.version.title} {event.group.name}"] += 1
        self._events.append(
            Associated(conference.name, participant.id, association.id, event.srtp_profile)
        )
        self._timers.arm(participant, None)
        participant.media_distributor = association.media_distributor
        replaced, participant.association = participant.association, association
        if replaced is not None:
            self._end(replaced, "replaced", now)
        try:
            self._keying.welcome(participant, suite, now)
        except SPIsExhausted:
            self._end(association, "spi_exhausted", now)

    def _terminated(
        self, association: Association, event: dtls.ConnectionTerminated, now: float
    ) -> None:
        closed_by_peer = event.by_peer and event.alert is dtls.AlertDescription.CLOSE_NOTIFY
        participant = association.participant
        has_left = (
            closed_by_peer and participant is not None and participant.association is association
        )
        if association.connection.fault is not None:
            reason = INTERNAL_ERROR
        elif association.state is _S.CONNECTED:
            reason = "left" if closed_by_peer else "disconnected"
        elif association.refusal is not None:
            reason = association.refusal
        elif event.by_peer:
            reason = "refused_by_endpoint"
        elif event.alert is dtls.AlertDescription.BAD_CERTIFICATE:
            reason = "fingerprint_mismatch"
        else:
            reason = "handshake_failed"
        self._end(association, reason, now)
        if has_left and participant is not None:
            # It is gone for good, whether or not the Focus says so. Who only begins another
            # handshake doesn't close the association that this takes the place of.
            self._remove(participant, reason, None, now)

    def _endpoint_disconnected(self, tunnel: Tunnel, association_id: UUID, now: float) -> None:
        association = self._table.get(tunnel.media_distributor, association_id)
        if association is None:
            self._table.remember_end(tunnel.media_distributor, association_id)
            self.statistics.dropped["unknown_association"] += 1
        else:
            self._end(association, "disconnected", now, tell_media_distributor=False)

    def _end(
        self,
        association: Association,
        reason: str,
        now: float,
        tell_media_distributor: bool = True,
    ) -> None:
        """Ends an association, whoever wanted it to (RFC 9185 section 5.4)."""
        if association.state is _S.ENDED:
            return
        was_connected = association.state is _S.CONNECTED
        self._table.change(association, _S.ENDED)
        self._timers.arm(association, None)
        association.connection.close(now)
        if tell_media_distributor:
            self._send(association)  # close_notify, or the alert that refuses
            self._tunnels.send_disconnect(association)
        if association.connection.fault is not None:
            self._note_fault(association.connection.fault, now)
        if was_connected:
            self._note_end(association, reason, now)
        else:
            self._note_refusal(reason, now)

    def _note_end(self, association: Association, reason: str, now: float) -> None:
        self.statistics.ended[reason] += 1
        participant = association.participant
        if participant is None:
            return
        name = participant.conference.name
        self._events.append(Disassociated(name, participant.id, association.id, reason))
        if participant.association is association:
            participant.association = None
            self._expect(participant, now)
            why = reason if reason in ("left", "evicted", "revoked") else "disconnected"
            self._keying.gone(association, participant, why)
            self._keying.stop_waiting(participant, now)

    def _note_refusal(self, reason: str, now: float) -> None:
        """Counts it, and tells it unless many were told in this second."""
        self.statistics.refused[reason] += 1
        second, told = self._refusals_told
        told = told + 1 if second == int(now) else 1
        self._refusals_told = (int(now), told)
        if told <= _REFUSALS_TOLD_PER_SECOND:
            self._events.append(Refused(reason))

    def _note_fault(self, place: str, now: float) -> None:
        """Tells a fault of ours, unless another was told lately: a peer may cause many."""
        self.statistics.faults += 1
        if now >= self._fault_told_at + _FAULT_SPACING:
            self._fault_told_at = now
            self._events.append(Faulted(place))

    def _adopt(self, tunnel: Tunnel, now: float) -> None:
        """A Media Distributor is here, maybe again: its associations go on, if it knows them still.

        RFC 9185 has no way to ask, and a Media Distributor that restarted can't say what it has
        forgotten. So something goes to each Endpoint by this newest tunnel: for an association
        that it doesn't know, the Media Distributor answers with EndpointDisconnect.
        """
        self._tunnels.send_owed(tunnel)
        for association in self._table.of(tunnel.media_distributor):
            if association.state is _S.CONNECTED:
                association.deadline, association.tunnel = None, tunnel.id
                self._keying.probe(association, now)
                self._drain(association, now)

    def _settle(self, now: float) -> None:
        """Rekeys where that is due; ends when that causes nothing more."""
        while True:
            sending, ending = self._keying.rekey_marked(now)
            for association in sending:
                self._drain(association, now)
            for association in ending:
                self._end(association, "spi_exhausted", now)
            if not sending and not ending:
                return
