"""Participants who don't join: fresh keys for both sides, and the data plane alone."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from halfkey._media import LoadGenerator
from halfkey.cli.load.distributor import Distributor, Hop, distributor
from halfkey.cli.load.options import LoadOptions
from halfkey.cli.load.process import Usage
from halfkey.cli.load.seats import Seat, codec, schedule, seats
from halfkey.cli.load.telling import tell
from halfkey.cli.load.traffic import Bursts

_SPI = 1


class Direct:
    """A Media Distributor that takes hop keys from us.

    Args:
        options: of the run.
        distributor: the running one.
    """

    def __init__(self, options: LoadOptions, distributor: Distributor) -> None:
        self._options = options
        self._distributor = distributor
        self.media = distributor.media

    def usage(self) -> Usage:
        """What its process has used so far."""
        return self._distributor.usage()

    async def statistics(self) -> dict[str, Any]:
        """Its own counters."""
        return await self._distributor.statistics()

    async def admit_all(self, generator: LoadGenerator) -> None:
        """Tells both sides of everybody."""
        tell(self._options, f"admitting {self._options.participants} participants")
        length, kind = self._options.key_length, self._options.scenario.kind
        ekt = [
            (_SPI, secrets.token_bytes(length), secrets.token_bytes(14))
            for _ in range(self._options.conferences)
        ]
        for seat in seats(self._options):
            hop = Hop.make(self._options.profile.value, length)
            stream = self._stream(seat)
            at = generator.add(
                seat.number,
                client=hop.client,
                server=hop.server,
                ekt=ekt[seat.number],
                receives=seat.receives,
                stream=stream,
            )
            name = seat.conference, seat.name
            slots = self._options.slots if seat.receives else 0
            ssrc = None if stream is None else stream[0]
            await self._distributor.admit(name, at, hop, kind=kind, ssrc=ssrc, slots=slots)

    def hand_back(self, participant: int, datagram: bytes) -> None:
        """Takes what isn't media, and means nothing: nobody has joined."""

    def check(self) -> None:
        """Nobody can be lost: there is no consent, and there are no associations."""

    def _stream(self, seat: Seat) -> tuple[int, bytes, int, Bursts, float] | None:
        """What it sends: SSRC, key, payload type, and when how much."""
        if seat.stream is None:
            return None
        key = secrets.token_bytes(self._options.key_length)
        payload_type = codec(self._options).payload_type
        return seat.stream + 1, key, payload_type, *schedule(self._options, seat.stream)


@asynccontextmanager
async def direct(options: LoadOptions, credentials: Path) -> AsyncIterator[Direct]:
    """Starts it on loopback, and ends it.

    Raises:
        ChildFailed: it doesn't become ready.
    """
    async with distributor(credentials, options.out / "md.log", options.workers) as running:
        yield Direct(options, running)
