"""What the Key Distributor does, into the audit log; no EKTKey leaves before its record is there.

Events become records as they happen. `commit`, called before anything is sent, waits for the disk
if a key is about to leave, once for however many.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from halfkey.audit import records
from halfkey.audit.log import AuditLog
from halfkey.identity.claims import Person
from halfkey.key_distributor import events


class Auditing:
    """Between the core's events and the log.

    Args:
        log: open for writing.
        instance: of this run.
    """

    def __init__(self, log: AuditLog, instance: str) -> None:
        self._log = log
        self._instance = instance
        self._last = 0
        self._issued: dict[tuple[str, int, int], list[str]] = defaultdict(list)

    def start(self, configuration: str) -> None:
        """Notes that the Key Distributor runs; returns when that is on the disk.

        Raises:
            AuditUnavailable: it isn't.
        """
        digest = records.configuration_hash(configuration.encode())
        self._log.append_durably(records.Started(self._instance, digest))

    def close(self) -> None:
        """Notes that the Key Distributor stops, and closes the log."""
        if self._log.fault is None:
            self._log.append(records.Stopped(self._instance))
        self._log.close()

    def note(self, record: records.Record) -> None:
        """Notes what no event tells; it is on the disk when this returns.

        Raises:
            AuditUnavailable: it isn't, so what it tells must not be done.
        """
        self._log.append_durably(record)

    def sync(self) -> None:
        """Returns when what events have told is on the disk.

        Raises:
            AuditUnavailable: it isn't.
        """
        if self._last:
            self._log.sync(self._last)

    def refused(self, reason: str, conference: str, participant: str) -> None:
        """Notes a refused admission.

        Raises:
            AuditUnavailable: the log takes no more.
        """
        self._log.append(records.Refused(reason, conference, participant))

    def waits(self, conference: str, participant: str, person: Person) -> None:
        """Notes that somebody has come into a waiting room.

        Raises:
            AuditUnavailable: the log takes no more.
        """
        self._log.append(records.Waiting(conference, participant, person.identity, person.name))

    def on_event(self, event: events.Event) -> None:
        """Notes an event; an admission is on the disk when this returns.

        What keeps admissions for a restart comes after: else a key could go to somebody of whom
        the log knows no name.

        Raises:
            AuditUnavailable: the log takes no more.
        """
        if isinstance(event, events.EKTKeyIssued):
            self._issued[event.conference, event.spi, event.ttl].append(event.participant)
            return
        make = _RECORDS.get(type(event))
        if make is not None:
            self._last = self._log.append(make(event))
        if isinstance(event, events.Admitted):
            self._log.sync(self._last)

    def commit(self) -> None:
        """Returns when the records of all keys that are about to leave are on the disk.

        Raises:
            AuditUnavailable: they aren't; nothing may be sent.
        """
        if not self._issued:
            return
        issued, self._issued = self._issued, defaultdict(list)
        last = 0
        for key, participants in issued.items():
            for record in records.ekt_keys_sent(*key, participants):
                last = self._log.append(record)
        self._log.sync(last)


def _admitted(event: events.Admitted) -> records.Record:
    return records.Admitted(event.conference, event.participant, event.identity, event.display_name)


def _removed(event: events.Removed) -> records.Record:
    return records.Removed(event.conference, event.participant, event.reason, event.by)


def _associated(event: events.Associated) -> records.Record:
    association = str(event.association_id)
    return records.Associated(event.conference, event.participant, association, event.srtp_profile)


def _disassociated(event: events.Disassociated) -> records.Record:
    association = str(event.association_id)
    return records.Disassociated(event.conference, event.participant, association, event.reason)


_RECORDS: dict[type[events.Event], Callable[..., records.Record]] = {
    events.Admitted: _admitted,
    events.Removed: _removed,
    events.Associated: _associated,
    events.Disassociated: _disassociated,
    events.EKTKeyAcknowledged: lambda event: records.EKTKeyAcknowledged(
        event.conference, event.participant, event.spi
    ),
    events.RekeyDecided: lambda event: records.Rekey(event.conference, event.spi, event.reason),
    events.Refused: lambda event: records.Refused(event.reason),
    events.TunnelOpened: lambda event: records.TunnelOpened(event.tunnel, event.media_distributor),
    events.TunnelClosed: lambda event: records.TunnelClosed(event.tunnel, event.media_distributor),
}
"""`Rekeyed` is not among them: it says what the acknowledgements have said."""
