"""`halfkey md --stats HOST:PORT`: what a running Media Distributor forwards, in tables."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from halfkey.cli.arguments import address, shown
from halfkey.cli.printing import table
from halfkey.errors import ConfigurationError

if TYPE_CHECKING:
    from halfkey.operations.distribution import Distribution
    from halfkey.operations.forwarding import Forwarding, ParticipantFigures

_SECONDS = 1.0
"""What lies between the two times that are compared."""

_SHOWN = 20

_Row = tuple[object, ...]


def _show(text: str | None) -> None:
    """Asks, prints and ends the command, before its other options are looked at."""
    if text is None:
        return
    from halfkey.operations.forwarding import NoAnswerError, ask

    place = address(text, "--stats")
    try:
        before, now = asyncio.run(ask(place, _SECONDS))
    except NoAnswerError as fault:
        raise ConfigurationError(
            f"--stats {shown(place)}: {fault}; give HOST:PORT of its --metrics-listen"
        ) from None
    _print(before, now)
    raise typer.Exit


Stats = Annotated[
    str | None,
    typer.Option(
        "--stats",
        metavar="HOST:PORT",
        is_eager=True,
        callback=_show,
        help="Show what the one with this --metrics-listen forwards, and do nothing else.",
    ),
]


def _print(before: Forwarding, now: Forwarding) -> None:
    table(("", "in the last second", "since it started"), _figures(before, now))
    typer.echo()
    table(
        ("participant", "from it/s", "refused", "to it/s", "unsent", "streams: lost, receivers"),
        _participants(before, now),
    )
    hidden = max(len(now.participants) - _SHOWN, 0) + now.left_out
    if hidden:
        typer.echo(f"and {hidden} more")


def _figures(before: Forwarding, now: Forwarding) -> Iterator[_Row]:
    for name, before_it, now_it in (
        ("packets received", before.received, now.received),
        ("packets forwarded", before.forwarded, now.forwarded),
        ("packets sent again", before.retransmitted, now.retransmitted),
        ("asked for again, kept no more", before.missed, now.missed),
    ):
        yield name, f"{now_it - before_it:,}", f"{now_it:,}"
    recent = now.latency.since(before.latency)
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
        yield f"added latency, {name}", _latency(recent, share), _latency(now.latency, share)
    for name, old, new in (
        ("datagrams received at once", before.received_at_once, now.received_at_once),
        ("messages sent at once", before.sent_at_once, now.sent_at_once),
        ("datagrams in a message", before.segments, now.segments),
    ):
        yield f"{name}, mean", _mean(new.since(old)), _mean(new)
    for reason, count in sorted(now.dropped.items()):
        yield f"dropped: {reason}", f"{count - before.dropped[reason]:,}", f"{count:,}"


def _participants(before: Forwarding, now: Forwarding) -> Iterator[_Row]:
    known = {one.number: one for one in before.participants}
    for one in now.participants[:_SHOWN]:
        old = known.get(one.number, one)
        yield (
            one.number,
            _rate(one.received - old.received, one.received_bytes - old.received_bytes),
            f"{one.refused:,}",
            _rate(one.sent - old.sent, one.sent_bytes - old.sent_bytes),
            f"{one.unsent:,}",
            _streams(one),
        )


def _streams(participant: ParticipantFigures) -> str:
    told = (
        f"{one.kind} {one.ssrc}: {one.lost:,}, {one.receivers:,}" for one in participant.streams
    )
    return "; ".join(told) or "none"


def _rate(packets: int, size: int) -> str:
    return f"{packets / _SECONDS:,.0f}, {size * 8e-3 / _SECONDS:,.0f} kbit"


def _latency(found: Distribution, share: float) -> str:
    seconds = found.quantile(share)
    return "none" if seconds is None else f"{seconds * 1e6:,.0f} us"


def _mean(found: Distribution) -> str:
    return "none" if found.mean is None else f"{found.mean:,.1f}"
