"""Asking a Media Distributor what it forwards, at its operator's address."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from halfkey.errors import HalfkeyError
from halfkey.operations.asking import TIMEOUT_SECONDS, base_url, get_text
from halfkey.operations.distribution import Distribution
from halfkey.serving import Address


class NoAnswerError(HalfkeyError):
    """Nothing like a Media Distributor answers; the message says how."""


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """A stream of a participant's.

    Attributes:
        ssrc: of its packets.
        kind: ``"audio"`` or ``"video"``.
        received: authentic packets.
        lost: packets that are missing so far, by their numbers.
        receivers: how many get it.
    """

    ssrc: int
    kind: str
    received: int
    lost: int
    receivers: int


@dataclass(frozen=True, slots=True)
class ParticipantFigures:
    """A participant, by its number in the packet path.

    Attributes:
        number: nobody else has it as long as the process lives.
        received: packets from its address, good or bad.
        received_bytes: of them.
        refused: those of them that were dropped on arrival.
        sent: packets sealed for it.
        sent_bytes: of them.
        unsent: packets for it that could not be made.
        streams: what it sends.
    """

    number: int
    received: int
    received_bytes: int
    refused: int
    sent: int
    sent_bytes: int
    unsent: int
    streams: tuple[StreamFigures, ...]


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What a Media Distributor had counted at one moment.

    Attributes:
        received: media packets.
        forwarded: media packets sent on.
        retransmitted: those sent again to who had lost them.
        missed: those asked for again that were kept no more.
        dropped: packets and messages, by reason.
        latency: from arrival to leaving, of each forwarded packet, in seconds.
        received_at_once: datagrams of a worker's turn.
        sent_at_once: messages that the kernel took by one call.
        segments: datagrams of a message.
        participants: those with the most packets.
        left_out: how many others there are.
    """

    received: int
    forwarded: int
    retransmitted: int
    missed: int
    dropped: Counter[str]
    latency: Distribution
    received_at_once: Distribution
    sent_at_once: Distribution
    segments: Distribution
    participants: tuple[ParticipantFigures, ...]
    left_out: int

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self:
        """Reads what `/streams` answers; raises what dictionaries raise if it isn't that."""
        figures = found["statistics"]
        return cls(
            int(figures["received_packets"]),
            int(figures["forwarded_packets"]),
            int(figures["retransmitted_packets"]),
            int(figures["retransmission_cache_misses"]),
            Counter({str(name): int(count) for name, count in figures["dropped"].items()}),
            Distribution.of(figures["added_latency"]),
            Distribution.of(figures["received_at_once"]),
            Distribution.of(figures["sent_at_once"]),
            Distribution.of(figures["segments"]),
            tuple(_participant(one) for one in found["participants"]),
            int(found["participants_left_out"]),
        )


async def ask(address: Address, seconds: float) -> tuple[Forwarding, Forwarding]:
    """What a Media Distributor forwards: asked twice, so many seconds apart.

    Raises:
        NoAnswerError: nothing like a Media Distributor answers there.
    """
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        before = await _ask(session, address)
        await asyncio.sleep(seconds)
        return before, await _ask(session, address)


async def _ask(session: aiohttp.ClientSession, address: Address) -> Forwarding:
    try:
        return Forwarding.of(json.loads(await get_text(session, f"{base_url(address)}/streams")))
    except (aiohttp.ClientError, TimeoutError, OSError) as fault:
        raise NoAnswerError(f"can't be reached: {type(fault).__name__}") from None
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        raise NoAnswerError("answers, but not as a running Media Distributor does") from None


def _participant(found: Mapping[str, Any]) -> ParticipantFigures:
    return ParticipantFigures(
        number=int(found["participant"]),
        received=int(found["received_packets"]),
        received_bytes=int(found["received_bytes"]),
        refused=int(found["refused_packets"]),
        sent=int(found["sent_packets"]),
        sent_bytes=int(found["sent_bytes"]),
        unsent=int(found["unsent_packets"]),
        streams=tuple(_stream(one) for one in found["streams"]),
    )


def _stream(found: Mapping[str, Any]) -> StreamFigures:
    numbers = (int(found[name]) for name in ("received_packets", "lost", "receivers"))
    return StreamFigures(int(found["ssrc"]), str(found["kind"]), *numbers)
