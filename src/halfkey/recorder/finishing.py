"""The last step: what is known only at the end, chapters and titles, comes into the file.

Matroska has chapters in front of the media. So the packets are copied, without decoding, into a
new file beside the first, which then takes its place at once. If that fails, the first stays.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from halfkey.recorder.matroska import claim, writing
from halfkey.recorder.speaker import NamedChapter

if TYPE_CHECKING:
    from av.container import Chapter as ContainerChapter  # a name of the stubs only


_OPTIONS = {"cluster_time_limit": "2000"}  # milliseconds


@dataclass(frozen=True, slots=True)
class Part:
    """A file whose streams go into the recording.

    Attributes:
        path: where it is.
        title: the title of its streams, None for none.
    """

    path: Path
    title: str | None = None


def finish(parts: Sequence[Part], out: Path, chapters: Sequence[NamedChapter], title: str) -> None:
    """Copies the parts into one file named `out`, which takes the place of one that is there.

    Raises:
        OutputError: it could not be written; nothing has changed.
        ConfigurationError: likewise.
    """
    beside = out.with_name(f".{out.name}.finishing")
    with writing(beside):
        beside.unlink(missing_ok=True)  # left behind by one that was killed here
    file = claim(beside, overwrite=False)
    try:
        with file, writing(out):
            with av.open(file, "w", "matroska", options=dict(_OPTIONS)) as container:
                container.metadata["title"] = title
                _copy(parts, container, _chapters(chapters))
            os.fsync(file.fileno())
        with writing(out):
            beside.replace(out)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _chapters(chapters: Sequence[NamedChapter]) -> list[ContainerChapter]:
    return [
        {
            "id": number,
            "start": round(chapter.start * 1000),
            "end": round(chapter.end * 1000),
            "time_base": Fraction(1, 1000),
            "metadata": {"title": chapter.title},
        }
        for number, chapter in enumerate(chapters, 1)
    ]


def _copy(
    parts: Sequence[Part], container: OutputContainer, chapters: list[ContainerChapter]
) -> None:
    with ExitStack() as stack:
        flows = []
        for part in parts:
            source = stack.enter_context(av.open(str(part.path)))
            copies: dict[int, Stream] = {}
            for stream in source.streams:
                copies[stream.index] = copy = container.add_stream_from_template(stream)
                if part.title is not None:
                    copy.metadata["title"] = part.title
            flows.append(_packets(source, copies))
        # Not before there are streams: PyAV begins the file when it is given chapters.
        container.set_chapters(chapters)
        for _, packet in heapq.merge(*flows, key=lambda timed: timed[0]):
            container.mux_one(packet)


def _packets(
    source: InputContainer, copies: dict[int, Stream]
) -> Iterator[tuple[float, Packet[Any]]]:
    for packet in source.demux():
        if packet.dts is not None:
            at = float(packet.dts * packet.time_base)
            packet.stream = copies[packet.stream.index]
            yield at, packet
