"""Lateness as a picture: one SVG with a histogram of each series, both axes logarithmic.

Written by hand, since a plotting library would weigh more than everything else the package needs at run
time, and an SVG is shown by browsers and code hosts alike.
"""

from __future__ import annotations

import html
from collections.abc import Mapping

import numpy as np

WIDTH, HEIGHT = 720, 320  # [px]
LEFT, RIGHT, TOP, BOTTOM = 56, 32, 40, 44
COLOURS = ("#2f6fde", "#d9822b", "#3a9d5d", "#a4262c")
BINS_PER_DECADE = 12


def lateness_svg(title: str, series: Mapping[str, np.ndarray], half_period_us: float) -> str:
    """Returns an SVG document.

    Args:
        title: shown above.
        series: {name: (n,) lateness [µs]}; values below 1 µs are drawn in the first bin.
        half_period_us: marked with a line: later ticks count as late.
    """
    top_us = max([10 * half_period_us, *(float(values.max()) for values in series.values() if len(values))])
    decades = int(np.ceil(np.log10(top_us)))
    edges = np.logspace(0, decades, decades * BINS_PER_DECADE + 1)
    counts = {
        name: np.histogram(np.clip(values, 1.0, edges[-1]), edges)[0] for name, values in series.items()
    }
    most = max(10, *(int(count.max()) for count in counts.values()), 10)
    height_decades = float(np.ceil(np.log10(most)))

    def x(us: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * np.log10(max(us, 1.0)) / decades

    def y(count: float) -> float:
        share = np.log10(max(count, 0.5) / 0.5) / (height_decades + np.log10(2))
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{html.escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{html.escape(title)}</text>',
    ]
    for power in range(decades + 1):
        at = x(10.0**power)
        parts.append(f'<path d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#e2e6ea"/>')
        parts.append(
            f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{_time(10**power)}</text>'
        )
    for power in range(int(height_decades) + 1):
        at = y(10.0**power)
        parts.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#e2e6ea"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{10**power}</text>')
    for (name, count), colour in zip(counts.items(), COLOURS, strict=False):
        path = f"M{LEFT} {HEIGHT - BOTTOM}"
        for low, high, n in zip(edges[:-1], edges[1:], count, strict=True):
            path += f"V{y(n) if n else HEIGHT - BOTTOM:.1f}H{x(high):.1f}" if low >= 1 else ""
        path += f"V{HEIGHT - BOTTOM}"
        parts.append(f'<path d="{path}" fill="{colour}" fill-opacity="0.18" stroke="{colour}"/>')
        row = list(counts).index(name)
        parts.append(
            f'<text x="{WIDTH - RIGHT - 4}" y="{TOP + 14 + 16 * row}" text-anchor="end" fill="{colour}">'
            f"{html.escape(name)}, {int(count.sum())} ticks</text>"
        )
    late = x(half_period_us)
    parts += [
        f'<path d="M{late:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#a4262c" stroke-dasharray="4 3"/>',
        f'<text x="{late + 4:.1f}" y="{HEIGHT - BOTTOM - 6}" fill="#a4262c">late</text>',
        f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">'
        "how long after its deadline a tick began</text>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _time(us: int) -> str:
    if us < 1000:
        return f"{us} µs"
    return f"{us // 1000} ms" if us < 1_000_000 else f"{us // 1_000_000} s"
