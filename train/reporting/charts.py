"""Line charts as SVG: values over samples seen, with marks for what others reached. No script, no network."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460, 210, 48, 8, 8, 24  # of a chart and its margins [pixels]
POINTS = 300  # of a line at most
COLOURS = 8


@dataclass(frozen=True)
class Line:
    """A curve: (x, y) points, in order of x."""

    name: str
    points: Sequence[tuple[float, float]]
    reference: bool = False  # another training's: dashed


@dataclass(frozen=True)
class Mark:
    """A level that another policy is at."""

    name: str
    y: float


def chart(title: str, unit: str, lines: Sequence[Line], marks: Sequence[Mark] = (), log: bool = False) -> str:
    """A figure with a legend; empty where no line of this training has a point that can be drawn.

    Args:
        title, unit: of the values.
        lines: of which points that are not finite, or not above 0 on a logarithmic axis, are left out.
        marks: drawn across.
        log: whether the values' axis is logarithmic.
    """
    lines = [Line(line.name, _thinned(_usable(line.points, log)), line.reference) for line in lines]
    lines = [line for line in lines if line.points]
    own = max((line.points[-1][0] for line in lines if not line.reference), default=None)
    if own is None:
        return ""
    marks = [mark for mark in marks if not log or mark.y > 0]
    right = max(min(line.points[-1][0], 2 * own) for line in lines)  # a short training is not squeezed away
    values = [y for line in lines for x, y in line.points if x <= right] + [mark.y for mark in marks]
    axes = _Axes(max(right, 1e-9), *_range(values, log), log)
    parts, legend = [*axes.grid()], []
    for number, line in enumerate(lines):
        colour = f"var(--c{number % COLOURS})"
        inside = [point for point in line.points if point[0] <= right]
        parts += _polyline(axes, inside, colour, "line mark" if line.reference else "line")
        last = _short(line.points[-1][1])
        legend.append(_key(colour, f"{'┄' if line.reference else '—'} {line.name}: {last}"))
    for number, mark in enumerate(marks, start=len(lines)):
        colour, ends = f"var(--c{number % COLOURS})", [(0.0, mark.y), (axes.right, mark.y)]
        parts += _polyline(axes, ends, colour, "line mark")
        legend.append(_key(colour, f"┄ {mark.name}: {_short(mark.y)}"))
    head = f"{html.escape(title)} <small>{html.escape(unit)}</small>"
    return (
        f'<figure><figcaption>{head}<div class="legend">{"".join(legend)}</div></figcaption>\n'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title, quote=True)}">'
        f"{''.join(parts)}</svg></figure>"
    )


@dataclass(frozen=True)
class _Axes:
    """From 0 to `right`, and from `low` to `high`."""

    right: float
    low: float
    high: float
    log: bool

    def across(self, x: float) -> float:
        """Of a value, in pixels."""
        return LEFT + (WIDTH - LEFT - RIGHT) * x / self.right

    def up(self, y: float) -> float:
        """Of a value, in pixels."""
        low, high, y = (math.log10(v) if self.log else v for v in (self.low, self.high, y))
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (y - low) / (high - low))

    def grid(self) -> Iterator[str]:
        """Lines and numbers."""
        for y in _ticks(self.low, self.high, self.log):
            at = f"{self.up(y):.1f}"
            yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>'
            yield f'<text x="{LEFT - 5}" y="{self.up(y) + 4:.1f}" text-anchor="end">{_short(y)}</text>'
        for x in _ticks(0.0, self.right, False)[1:]:
            anchor = "end" if self.across(x) > WIDTH - 40 else "middle"
            place = f'x="{self.across(x):.1f}" y="{HEIGHT - 7}"'
            yield f'<text {place} text-anchor="{anchor}">{_short(x)}</text>'


def _polyline(axes: _Axes, points: Sequence[tuple[float, float]], colour: str, kind: str) -> Iterator[str]:
    """A curve; of a single point, a dot."""
    pixels = [(f"{axes.across(x):.1f}", f"{axes.up(y):.1f}") for x, y in points]
    if len(pixels) == 1:
        yield f'<circle cx="{pixels[0][0]}" cy="{pixels[0][1]}" r="3" style="fill:{colour}"/>'
    path = " ".join(f"{x},{y}" for x, y in pixels)
    yield f'<polyline class="{kind}" style="stroke:{colour}" points="{path}"/>'


def _usable(points: Sequence[tuple[float, float]], log: bool) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if math.isfinite(y) and (y > 0 or not log)]


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most so many of them, the last one always."""
    stride = -(-len(points) // POINTS) if points else 1
    return points[::-1][::stride][::-1]


def _range(values: Sequence[float], log: bool) -> tuple[float, float]:
    """Where the axis begins and ends: with some room, and never of no length."""
    low, high = min(values), max(values)
    if log:
        return low / 1.15, high * 1.15
    low = 0.0 if low >= 0 else low
    return low, high * 1.05 if high > low else low + 1.0


def _ticks(low: float, high: float, log: bool) -> list[float]:
    """Round numbers within, from the smallest on."""
    if log:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [m * 10.0**d for d in decades for m in (1, 2, 5) if low <= m * 10.0**d <= high]
        return found if len(found) <= 6 else [y for y in found if math.log10(y) == round(math.log10(y))]
    step = 10.0 ** math.floor(math.log10(max(high - low, 1e-9)))
    step = next(step * m for m in (0.1, 0.2, 0.5, 1, 2) if (high - low) / (step * m) <= 6)
    first = math.ceil(low / step)
    return [n * step for n in range(first, math.floor(high / step) + 1)]


def _short(value: float) -> str:
    """A number in three digits: 0.123, 45.6, 12k, 1.2M."""
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:.3g}M"
    return f"{value / 1e3:.3g}k" if size >= 1e4 else f"{value:.3g}"


def _key(colour: str, text: str) -> str:
    return f'<span style="color:{colour}">{html.escape(text)}</span>'
