"""Who is in the conference and which SSRCs are whose, as the Focus says.

The Focus isn't trusted with keys, and a name here is what it claims: what a packet proves end to
end is only that a member of the conference sent it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from halfkey.ekt.outbound import Kind

SOURCE_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Source:
    """One stream of a participant.

    Attributes:
        participant_id: the Focus's public id of its sender.
        name: the sender's display name, as it claims.
        kind: ``"audio"`` or ``"video"``.
        ssrc: its SSRC.
    """

    participant_id: str
    name: str
    kind: Kind
    ssrc: int


class Roster:
    """The sources of all participants but ourselves.

    Attributes:
        own: our own SSRCs.

    Args:
        own: our own SSRCs.
    """

    def __init__(self, own: frozenset[int]) -> None:
        self.own = own
        self._sources: dict[int, Source] = {}

    def find(self, ssrc: int) -> Source | None:
        """The source with this SSRC."""
        return self._sources.get(ssrc)

    def apply(self, event: str, data: dict[str, Any]) -> tuple[list[Source], list[Source]]:
        """Takes in an event of the Focus; what is malformed in it is passed over.

        Returns:
            The sources that came, and those that went.
        """
        before = dict(self._sources)
        if event == "roster":
            self._sources = {}
            participants = data.get("participants")
            for participant in participants if isinstance(participants, list) else []:
                self._join(participant)
        elif event == "joined":
            self._join(data)
        elif event == "left":
            for source in before.values():
                if source.participant_id == data.get("id"):
                    del self._sources[source.ssrc]
        elif event == "renamed":
            self._rename(data)
        came = [source for ssrc, source in self._sources.items() if ssrc not in before]
        went = [source for ssrc, source in before.items() if ssrc not in self._sources]
        return came, went

    def _join(self, participant: Any) -> None:
        if not isinstance(participant, dict):
            return
        identifier, name = participant.get("id"), participant.get("name")
        sources = participant.get("sources")
        if not isinstance(identifier, str) or not isinstance(sources, list):
            return
        for entry in sources:
            source = _source(identifier, name if isinstance(name, str) else "", entry)
            if source is None or source.ssrc in self.own or len(self._sources) >= SOURCE_LIMIT:
                continue
            # First come, first served: a later claim can't take an SSRC over.
            self._sources.setdefault(source.ssrc, source)

    def _rename(self, data: dict[str, Any]) -> None:
        name = data.get("name")
        if isinstance(name, str):
            for ssrc, source in self._sources.items():
                if source.participant_id == data.get("id"):
                    self._sources[ssrc] = replace(source, name=name)


def _source(participant_id: str, name: str, entry: Any) -> Source | None:
    if not isinstance(entry, dict):
        return None
    ssrc, kind = entry.get("ssrc"), entry.get("kind")
    if not isinstance(ssrc, int) or isinstance(ssrc, bool) or not 0 <= ssrc < 1 << 32:
        return None
    known = kind_of(kind)
    return None if known is None else Source(participant_id, name, known, ssrc)


def kind_of(value: object) -> Kind | None:
    """The kind of media that a word names, None for others."""
    if value == "audio":
        return "audio"
    return "video" if value == "video" else None
