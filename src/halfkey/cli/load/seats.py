"""Who is in the conferences of a run, in the order in which they come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from halfkey.cli.load.options import LoadOptions
from halfkey.cli.load.traffic import Bursts
from halfkey.sdp.codecs import OPUS, VP8, Codec

CODECS = {codec.kind: codec for codec in (OPUS, VP8)}


@dataclass(frozen=True, slots=True)
class Seat:
    """One participant.

    Attributes:
        number: of its conference.
        name: its own, in the conference.
        stream: the number of what it sends, among all; None for who sends nothing.
        receives: whether it is sent what the others send.
    """

    number: int
    name: str
    stream: int | None
    receives: bool

    @property
    def conference(self) -> str:
        """The conference's name."""
        return f"load-{self.number}"


def seats(options: LoadOptions) -> Iterator[Seat]:
    """All of them; senders go first, so that each receiver's slots are filled as it comes."""
    senders = options.receivers if options.speakers is None else options.speakers
    for stream in range(options.streams):
        number, index = divmod(stream, senders)
        yield Seat(number, f"s{index}", stream, receives=options.speakers is None)
    for number in range(options.conferences):
        for index in range(0 if options.speakers is None else options.receivers):
            yield Seat(number, f"r{index}", None, receives=True)


def codec(options: LoadOptions) -> Codec:
    """What the streams claim to be."""
    return CODECS[options.scenario.kind]


def schedule(options: LoadOptions, stream: int) -> tuple[Bursts, float]:
    """When a stream sends how much, and how much later than others it begins."""
    traffic = options.traffic
    return traffic.as_bursts(), traffic.interval * stream / options.streams
