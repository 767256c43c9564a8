"""Who is there, as an Endpoint's process tells it, in objects fit for JSON.

- ``waiting`` {at}: in the waiting room
- ``person`` {id, name, role, identity, unverified}: somebody is there, or stands otherwise than
  before; `unverified` is null or a reason of `halfkey.vouching.standing`
- ``person_left`` {id, name, role, identity}
- ``roster`` {unverified}: the whole of it is verified, or not
- ``code`` {code}: the conference code
- ``key_distributor_restarted`` {instance}, ``statement_refused`` {reason}

Changes that come together are told together, so that nobody counts as unverified for the moment
that an assertion takes to follow its roster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from halfkey.endpoint.endpoint import Endpoint
from halfkey.endpoint.events import Event, Waiting
from halfkey.vouching.people import People
from halfkey.vouching.roster import RosterEntry
from halfkey.vouching.standing import (
    KeyDistributorRestarted,
    PersonChanged,
    PersonJoined,
    PersonLeft,
    RosterStateChanged,
    StatementRefused,
)

SETTLING_SECONDS = 0.5

Report = Callable[[Mapping[str, Any]], None]

_UNTOLD = "untold"


class Presence:
    """Tells of the people in one Endpoint's conference.

    Args:
        endpoint: whose.
        report: called with each object.
    """

    def __init__(self, endpoint: Endpoint, report: Report) -> None:
        self._endpoint = endpoint
        self._report = report
        self._changed = asyncio.Event()
        self._told: dict[str, tuple[RosterEntry, str | None]] = {}
        self._roster: str | None = _UNTOLD
        self._code: str | None = None

    def take(self, event: Event) -> None:
        """Takes an event of the Endpoint's; those that are not about people are passed over."""
        if isinstance(event, Waiting):
            self._report({"event": "waiting", "at": event.at})
        elif isinstance(event, KeyDistributorRestarted):
            self._report({"event": "key_distributor_restarted", "instance": event.instance})
        elif isinstance(event, StatementRefused):
            self._report({"event": "statement_refused", "reason": event.reason})
        elif isinstance(event, PersonJoined | PersonLeft | PersonChanged | RosterStateChanged):
            self._changed.set()

    async def run(self) -> None:
        """Tells what has changed, for ever."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(SETTLING_SECONDS)
            self._changed.clear()
            people = self._endpoint.people
            if people is not None:
                self._tell(people)
                # It takes its time on purpose, and media goes on meanwhile.
                self._tell_code(await asyncio.to_thread(people.code))

    def _tell(self, people: People) -> None:
        standings = people.people()
        present = {one.entry.id for one in standings}
        for gone in [one for one in self._told if one not in present]:
            entry, _ = self._told.pop(gone)
            self._report({"event": "person_left", **_who(entry)})
        if people.reason != self._roster:
            self._roster = people.reason
            self._report({"event": "roster", "unverified": people.reason})
        for one in standings:
            if self._told.get(one.entry.id) != (one.entry, one.reason):
                self._told[one.entry.id] = one.entry, one.reason
                self._report({"event": "person", **_who(one.entry), "unverified": one.reason})

    def _tell_code(self, code: str | None) -> None:
        if code is not None and code != self._code:
            self._code = code
            self._report({"event": "code", "code": code})


def _who(entry: RosterEntry) -> dict[str, str]:
    return {"id": entry.id, "name": entry.name, "role": entry.role, "identity": entry.identity}
