"""`load.png`: latency and cost of a packet against the load, or a run's latencies and its time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

Report = dict[str, Any]
Point = tuple[float, float]
Colour = tuple[int, int, int]

_BACKGROUND: Colour = (255, 255, 255)
_INK: Colour = (32, 37, 46)
_FAINT: Colour = (110, 118, 132)
_GRID: Colour = (226, 230, 236)
_BLUE: Colour = (36, 104, 196)
_ORANGE: Colour = (214, 106, 28)
_RED: Colour = (200, 40, 48)

_WIDTH = 1200
_LEFT, _RIGHT, _PANEL = 110, 190, 300
_FIRST, _APART, _BELOW = 130, 380, 90
"""Where the first diagram's frame begins, how far the next is, and what is left below the last."""

_SCALE = 2
"""Drawn larger and scaled down, so that lines are smooth."""

_ROUND = 1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10
"""First digits of numbers that an axis may end with."""

LOSS_SHOWN = 0.001
"""From this share of lost packets on, a point is drawn hollow."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One curve: its name, colour, and the value of each report (None where there is none).

    `measured` is whether each report has its own, which a loss makes doubtful.
    """

    name: str
    colour: Colour
    value: Callable[[Report], float | None]
    measured: bool = True


_LATENCY = (
    _Line("p99", _ORANGE, lambda one: one["latency_us"]["p99"]),
    _Line("p50", _BLUE, lambda one: one["latency_us"]["p50"]),
)
_COST = (
    _Line("Media Distributor", _BLUE, lambda one: one["cpu_us_per_forwarded_packet"]),
    _Line("the floor", _FAINT, lambda one: one.get("floor_us_per_packet"), measured=False),
)


_OVER_TIME_MEMORY = (_Line("memory", _BLUE, lambda one: one["md_rss_bytes"] / 2**20, False),)
_OVER_TIME_MISSING = (_Line("missing", _ORANGE, lambda one: one["missing"], False),)
_DISTRIBUTIONS = (
    _Line("to the receivers", _ORANGE, lambda one: one.get("receivers"), False),
    _Line("in the worker", _BLUE, lambda one: one.get("worker"), False),
)


@dataclass(frozen=True, slots=True)
class _Diagram:
    """What one of them shows.

    Attributes:
        name: its title.
        lines: its curves.
        reports: what has their points.
        across: a report's place on the horizontal axis.
        logarithmic: whether the vertical axis is.
    """

    name: str
    lines: Sequence[_Line]
    reports: Sequence[Report]
    across: Callable[[Report], float]
    logarithmic: bool = False


def draw_sweep(path: Path, title: str, reports: Sequence[Report]) -> None:
    """Draws the curves of a sweep and saves them as PNG."""
    about = "Offered load, packets a second to all receivers. Hollow: more than 0.1% were lost."

    def load(report: Report) -> float:
        return float(report["offered_pps"])

    _draw(
        path,
        (title, about),
        _Diagram("Added latency", _LATENCY, reports, load, logarithmic=True),
        _Diagram("CPU for a forwarded packet, us", _COST, reports, load),
    )


def draw_run(path: Path, title: str, report: Report) -> None:
    """Draws a run's latencies, and memory and missing packets over its time; saves them as PNG."""
    about = "Missing: offered until then, and lost or still under way."
    samples = report["samples"]

    def seconds(sample: Report) -> float:
        return float(sample["seconds"])

    _draw(
        path,
        (title, about),
        _Diagram(
            "Added latency that so many percent of the packets don't exceed",
            _DISTRIBUTIONS,
            _shares(report["latency_counts"]),
            lambda one: float(one["percent"]),
            logarithmic=True,
        ),
        _Diagram(
            "Resident memory of the Media Distributor, MiB, over the seconds from the start",
            _OVER_TIME_MEMORY,
            samples,
            seconds,
        ),
        _Diagram(
            "Missing packets, over the seconds from the start", _OVER_TIME_MISSING, samples, seconds
        ),
    )


def _shares(counts: dict[str, Sequence[tuple[float, int]]]) -> list[Report]:
    """Points of each curve: microseconds, and how many percent took no longer."""
    points: list[Report] = []
    for name, found in counts.items():
        total, seen = sum(count for _, count in found), 0
        for size, count in found:
            points.append({"percent": 100 * seen / total, name: size})
            seen += count
            points.append({"percent": 100 * seen / total, name: size})
    return points


def _draw(path: Path, text: tuple[str, str], *diagrams: _Diagram) -> None:
    size = _WIDTH, _FIRST + _APART * (len(diagrams) - 1) + _PANEL + _BELOW
    image = Image.new("RGB", (size[0] * _SCALE, size[1] * _SCALE), _BACKGROUND)
    pen = _Pen(ImageDraw.Draw(image))
    pen.text((_LEFT, 28), text[0], _INK, 26)
    pen.text((_LEFT, 66), text[1], _FAINT, 16)
    for number, diagram in enumerate(diagrams):
        _Panel(pen, _FIRST + number * _APART, diagram).draw()
    image.resize(size, Image.Resampling.LANCZOS).save(path)


class _Pen:
    """Draws in the picture's own coordinates."""

    def __init__(self, pen: ImageDraw.ImageDraw) -> None:
        self._pen = pen

    def text(self, at: Point, text: str, colour: Colour, size: int, anchor: str = "la") -> None:
        font = ImageFont.load_default(size * _SCALE)
        self._pen.text(_scaled(at), text, colour, font, anchor=anchor)

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        self._pen.line(
            [_scaled(one) for one in points], colour, round(width * _SCALE), joint="curve"
        )

    def dot(self, at: Point, colour: Colour, hollow: bool) -> None:
        inside = _BACKGROUND if hollow else colour
        outline = _RED if hollow else colour
        self._pen.circle(_scaled(at), 5 * _SCALE, inside, outline, 2 * _SCALE)


class _Panel:
    """One diagram on the picture.

    Args:
        pen: draws.
        top: of its frame.
        diagram: what it shows.
    """

    def __init__(self, pen: _Pen, top: int, diagram: _Diagram) -> None:
        self._pen = pen
        self._top, self._bottom = top, top + _PANEL
        self._diagram = diagram
        self._across = diagram.across
        self._most = 1.0
        self._logarithmic = diagram.logarithmic
        self._least_value, self._most_value = 0.0, 1.0

    def draw(self) -> None:
        """Draws axes and curves."""
        reports, lines = self._diagram.reports, self._diagram.lines
        self._pen.text((_LEFT, self._top - 28), self._diagram.name, _INK, 17)
        self._most = _ceiling(max(map(self._across, reports), default=1.0))
        values = [v for line in lines for one in reports if (v := line.value(one)) is not None]
        self._range(values)
        self._axes()
        heights: list[float] = []
        for line in lines:
            self._curve(line, reports, heights)

    def _range(self, values: Sequence[float]) -> None:
        if not self._logarithmic:
            self._most_value = _ceiling(max(values, default=1.0) * 1.1)
            return
        positive = [value for value in values if value > 0] or [1.0]
        self._least_value = 10.0 ** math.floor(math.log10(min(positive)))
        most = 10.0 ** math.ceil(math.log10(max(positive)))
        self._most_value = max(most, 10 * self._least_value)

    def _axes(self) -> None:
        right = _WIDTH - _RIGHT
        for value in self._ticks():
            y = self._y(value)
            self._pen.line([(_LEFT, y), (right, y)], _GRID, 1)
            self._pen.text((_LEFT - 12, y), self._named(value), _FAINT, 15, "rm")
        for part in range(5):
            load = self._most * part / 4
            self._pen.text((self._x(load), self._bottom + 10), _short(load), _FAINT, 15, "ma")
        self._pen.line([(_LEFT, self._bottom), (right, self._bottom)], _FAINT, 1.5)

    def _named(self, value: float) -> str:
        if not self._logarithmic:
            return _short(value)
        unit, factor = ("us", 1) if value < 1e3 else ("ms", 1e3) if value < 1e6 else ("s", 1e6)
        return f"{value / factor:.3g} {unit}"

    def _ticks(self) -> list[float]:
        if self._logarithmic:
            decades = round(math.log10(self._most_value / self._least_value))
            return [self._least_value * 10**decade for decade in range(decades + 1)]
        return [self._most_value * part / 4 for part in range(5)]

    def _curve(self, line: _Line, reports: Sequence[Report], heights: list[float]) -> None:
        found = [(one, line.value(one)) for one in reports]
        points = [
            (one, (self._x(self._across(one)), self._y(v))) for one, v in found if v is not None
        ]
        if not points:
            return
        self._pen.line([point for _, point in points], line.colour, 2.5)
        for one, point in points if line.measured else ():
            self._pen.dot(point, line.colour, one["lost"] > LOSS_SHOWN * one["offered"])
        x, y = points[-1][1]
        while any(abs(y - other) < 20 for other in heights):
            y += 20  # names that would lie on each other
        heights.append(y)
        self._pen.text((x + 14, y), line.name, line.colour, 16, "lm")

    def _x(self, load: float) -> float:
        return _LEFT + (_WIDTH - _RIGHT - _LEFT) * load / self._most

    def _y(self, value: float) -> float:
        if self._logarithmic:
            decades = math.log10(self._most_value / self._least_value)
            share = math.log10(max(value, self._least_value) / self._least_value) / decades
        else:
            share = value / self._most_value
        return self._bottom - _PANEL * share


def _scaled(at: Point) -> Point:
    return at[0] * _SCALE, at[1] * _SCALE


def _ceiling(value: float) -> float:
    """The next number whose quarters are round."""
    base = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(base * step for step in _ROUND if base * step >= value)


def _short(number: float) -> str:
    if number < 1e3:
        return f"{number:.3g}"
    return f"{number / 1e6:.3g}M" if number >= 1e6 else f"{number / 1e3:.3g}k"
