"""Keeps in the store what has to survive a restart, as it happens, and puts it back."""

from __future__ import annotations

from halfkey.key_distributor.core import KeyDistributor
from halfkey.key_distributor.credentials import AdmissionRecord
from halfkey.key_distributor.events import Admitted, EKTKeyIssued, Event, Removed
from halfkey.key_distributor.store import Store


class Persistence:
    """Between the core and the store.

    Keys are not kept: after a restart Endpoints associate again, by the admissions that are, and
    get a new EKTKey with an SPI that was not in use before.

    Args:
        core: whose events `on_event` takes.
        store: where to keep things.
    """

    def __init__(self, core: KeyDistributor, store: Store) -> None:
        self._core = core
        self._store = store
        self._spis: dict[str, int] = {}

    def restore(self, now: float) -> int:
        """Puts back who was admitted; gives their number.

        Args:
            now: monotonic seconds.
        """
        records = self._store.admissions()
        for record in records:
            self._core.restore(record, self._store.last_spi(record.conference), now)
        return len(records)

    def on_event(self, event: Event) -> None:
        """Notes an event."""
        if isinstance(event, Admitted):
            participant = self._core.find(event.conference, event.participant)
            if participant is not None:
                record = AdmissionRecord(
                    event.conference,
                    participant.id,
                    participant.fingerprint,
                    participant.tls_id,
                    participant.own_tls_id,
                    participant.identity,
                    participant.own_assertion,
                )
                self._store.save_admission(record)
        elif isinstance(event, Removed):
            self._store.delete_admission(event.conference, event.participant)
            if self._core.conference(event.conference) is None:
                self._spis.pop(event.conference, None)
                self._store.forget_spi(event.conference)
        elif isinstance(event, EKTKeyIssued) and self._spis.get(event.conference) != event.spi:
            self._spis[event.conference] = event.spi
            self._store.note_spi(event.conference, event.spi)
