"""What a person watches while the demo runs: who receives whom, the keys, and what happens."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from halfkey.cli.demo.report import Claim

_EVENTS_SHOWN = 8
_MOST_IN_FULL = 5
"""Participants up to which a cell has room for the bitrate as well."""


@dataclass(slots=True)
class Flow:
    """How one sender's media reaches one receiver, over the last half second or so."""

    pictures_per_second: float = 0.0
    audio_frames_per_second: float = 0.0
    kilobits_per_second: float = 0.0


@dataclass(slots=True)
class Row:
    """One participant's row.

    Attributes:
        state: a word or two, for example ``"joining"`` or ``"left, still listening"``.
        spi: the SPI of the EKTKey that it sends under; None before it has one.
        epoch: of its latest end-to-end key under that SPI.
        flows: by the sender's name.
    """

    state: str = "starting"
    spi: int | None = None
    epoch: int = 0
    flows: dict[str, Flow] = field(default_factory=dict)


class LiveView:
    """A table that redraws itself on a terminal; plain event lines where there is none.

    Args:
        names: the participants.
        quiet: show nothing at all (``--json``).
    """

    def __init__(self, names: Sequence[str], quiet: bool) -> None:
        self.rows = {name: Row() for name in names}
        self._quiet = quiet
        self._console = Console(file=sys.stdout, highlight=False)
        self._events: deque[str] = deque(maxlen=_EVENTS_SHOWN)
        self._started = time.monotonic()
        self._live: Live | None = None
        self._is_full = len(self.rows) <= _MOST_IN_FULL

    def __enter__(self) -> Self:
        if not self._quiet and self._console.is_terminal:
            self._live = Live(
                get_renderable=self._render, console=self._console, refresh_per_second=4
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def event(self, text: str) -> None:
        """Shows a line with the time since the start."""
        line = f"{time.monotonic() - self._started:6.1f} s  {text}"
        self._events.append(line)
        if self._live is None and not self._quiet:
            self._console.print(line, markup=False, soft_wrap=True)

    def conclude(self, claims: Sequence[Claim], files: Sequence[str]) -> None:
        """Shows each claim with its figure, and where the files are."""
        if self._quiet:
            return
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        for claim in claims:
            mark = Text("yes", "bold green") if claim.holds else Text("NO", "bold red")
            table.add_row(mark, Text(claim.text, "bold"), Text(claim.figure))
        self._console.print()
        self._console.print(table)
        self._console.print()
        for file in files:
            self._console.print(file, markup=False, soft_wrap=True)

    def _render(self) -> RenderableType:
        return Group(self._table(), *(Text(line, "dim") for line in self._events))

    def _table(self) -> Table:
        rate = ", kbit/s" if self._is_full else ""
        table = Table(title=f"who receives whom: pictures/s, audio frames/s{rate}")
        table.add_column("receiver")
        for sender in self.rows:
            title = f"from {sender}" if self._is_full else sender
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("sends under")
        for name, row in self.rows.items():
            cells = [self._cell(name, row, sender) for sender in self.rows]
            keys = row.state if row.spi is None else f"SPI {row.spi:04x} epoch {row.epoch}"
            if row.spi is not None and row.state:
                keys += f" ({row.state})"
            table.add_row(name, *cells, keys)
        return table

    def _cell(self, name: str, row: Row, sender: str) -> Text:
        if sender == name:
            return Text("")
        flow = row.flows.get(sender)
        if flow is None or not (flow.pictures_per_second or flow.audio_frames_per_second):
            return Text("nothing" if self._is_full else "-", "dim")
        figures = f"{flow.pictures_per_second:.0f}  {flow.audio_frames_per_second:.0f}"
        if self._is_full:
            figures += f"  {flow.kilobits_per_second:.0f}"
        return Text(figures, "green")
