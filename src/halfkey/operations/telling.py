"""Which events of a role go into its log, and which of their fields."""

from __future__ import annotations

import logging
from typing import Protocol

from halfkey.operations.journal import Journal
from halfkey.operations.metrics import Metrics


class Event(Protocol):
    """An event of a Key or Media Distributor."""

    @property
    def name(self) -> str:
        """What happened."""


_TOLD = {
    "tunnel-opened": ("tunnel up", ()),
    "tunnel-closed": ("tunnel down", ()),
    "removed": ("participant removed", ("reason",)),
    "associated": ("participant associated", ()),
    "disassociated": ("association ended", ("reason",)),
    "refused": ("association refused", ("reason",)),
    "faulted": ("association ended by a fault of ours", ("place",)),
    "rekeyed": ("rekeyed", ("reason", "ms", "participants")),
    "participant-keyed": ("participant keyed", ()),
    "participant-disconnected": ("participant disconnected", ("reason",)),
}


_WARNED = {"faulted"}
"""Those that an operator has to see whatever else is logged."""


class Telling:
    """Takes a role's events for its operator.

    Args:
        journal: the log.
        metrics: where durations are noted.
    """

    def __init__(self, journal: Journal, metrics: Metrics) -> None:
        self._journal = journal
        self._metrics = metrics

    def on_event(self, event: Event) -> None:
        """Takes an event; those that an operator needn't know are passed over."""
        if event.name not in _TOLD:
            return
        message, names = _TOLD[event.name]
        fields = {name: getattr(event, name) for name in names}
        level = logging.WARNING if event.name in _WARNED else logging.INFO
        self._journal.tell(message, level, **fields)
        if event.name == "rekeyed":
            self._metrics.rekeyed(fields["ms"] / 1000, fields["reason"])
