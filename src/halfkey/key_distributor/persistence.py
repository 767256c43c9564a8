"""Keeps in the store what has to survive a restart, as it happens, and puts it back."""

from __future__ import annotations

import contextlib

from halfkey.key_distributor.core import KeyDistributor
from halfkey.key_distributor.credentials import AdmissionRecord
from halfkey.key_distributor.events import Admitted, Associated, EKTKeyIssued, Event, Removed
from halfkey.key_distributor.store import Store, StoreUnavailable


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
        self._ways: dict[tuple[str, str], bytes | None] = {}

    def restore(self, now: float) -> int:
        """Puts back who was admitted; gives their number.

        Args:
            now: monotonic seconds.
        """
        records = self._store.admissions()
        for record in records:
            self._ways[record.conference, record.participant] = record.media_distributor
            self._core.restore(record, self._store.last_spi(record.conference), now)
        return len(records)

    def on_event(self, event: Event) -> None:
        """Notes an event."""
        if isinstance(event, Admitted):
            self._save(event.conference, event.participant)
        elif isinstance(event, Associated):
            # Without it a restart takes any way for that of the admission, and nothing worse.
            with contextlib.suppress(StoreUnavailable):
                self._note_way(event.conference, event.participant)
        elif isinstance(event, Removed):
            self._ways.pop((event.conference, event.participant), None)
            self._store.delete_admission(event.conference, event.participant)
            if self._core.conference(event.conference) is None:
                self._spis.pop(event.conference, None)
                self._store.forget_spi(event.conference)
        elif isinstance(event, EKTKeyIssued) and self._spis.get(event.conference) != event.spi:
            self._spis[event.conference] = event.spi
            self._store.note_spi(event.conference, event.spi)

    def _note_way(self, conference: str, participant: str) -> None:
        found = self._core.find(conference, participant)
        known = self._ways.get((conference, participant))
        if found is not None and found.media_distributor != known:
            self._save(conference, participant)

    def _save(self, conference: str, participant: str) -> None:
        found = self._core.find(conference, participant)
        if found is None:
            return
        record = AdmissionRecord(
            conference,
            found.id,
            found.fingerprint,
            found.tls_id,
            found.own_tls_id,
            found.identity,
            found.own_assertion,
            found.media_distributor,
        )
        self._store.save_admission(record)
        self._ways[conference, participant] = found.media_distributor
