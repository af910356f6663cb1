"""How success falls along the axes of generalisation: figures, a table for terminals, a section with plots.

Every strength of an axis is compared with the very same episodes as they are in training.
"""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ideomotor.eval.stats.measures import aggregate, paired
from ideomotor.sim.generalization.axes import AXES

if TYPE_CHECKING:
    from ideomotor.eval.rows import EpisodeRow

HEADINGS = (
    *("axis", "strength", "solved", "rate", "95 % interval"),
    *("strength 0", "points", "lost", "gained", "p"),
)
BRIEF = ("axis", "strength", "solved", "95 % interval", "points", "p")  # of them, in a terminal
NOTE = (
    "Points: percentage points from the same episodes at strength 0, as they are in "
    "training; p by McNemar's exact test, each row alone."
)
WIDTH, HEIGHT, TOP, BOTTOM = 180, 118, 22, 96  # of a plot and of its 100 % and 0 % lines [SVG units]


def figures(rows: Sequence[EpisodeRow]) -> dict[str, Any]:
    """{axis: {"what", "strengths": [figures of each]}} of the rows that have an axis.

    Args:
        rows: of a suite, those of strength 0 among them.

    Returns:
        Of each strength: strength, value in words, the fields of `measures.Rate`, `before` (rate of the same
        episodes at strength 0), `difference`, `lost`, `gained`, `p`, and `tasks` ({name: Rate}).
    """
    before = {row.spec: row.success for row in rows if not row.spec.axis}
    groups: dict[str, dict[int, list[EpisodeRow]]] = {}
    for row in rows:
        if row.spec.axis:
            groups.setdefault(row.spec.axis, {}).setdefault(row.spec.strength, []).append(row)
    return {
        axis: {
            "what": AXES[axis].what,
            "strengths": [_strength(axis, strength, by[strength], before) for strength in sorted(by)],
        }
        for axis, by in groups.items()
    }


def cells(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """Rows of text under `HEADINGS`, for the terminal and the page alike."""
    return [
        (
            axis,
            f"{row['strength']}: {row['value']}",
            f"{row['successes']}/{row['episodes']}",
            f"{row['rate']:.1%}",
            f"{row['low']:.1%} to {row['high']:.1%}",
            f"{row['before']:.1%}",
            f"{100 * row['difference']:+.1f}",
            str(row["lost"]),
            str(row["gained"]),
            f"{row['p']:.2g}",
        )
        for axis, entry in found.items()
        for row in entry["strengths"]
    ]


def section(found: dict[str, Any]) -> str:
    """HTML: a small plot for each axis, then the table."""
    plots = "\n".join(_plot(axis, entry) for axis, entry in found.items())
    head = "".join(f"<th{_number(index)}>{name}</th>" for index, name in enumerate(HEADINGS))
    body = "\n".join(
        "<tr>" + "".join(f"<td{_number(i)}>{html.escape(cell)}</td>" for i, cell in enumerate(row)) + "</tr>"
        for row in cells(found)
    )
    return f"""<h2>Generalisation</h2>
<p>Share of episodes solved against the strength of one change at a time, with 95 % Wilson intervals; rings
are the same episodes without the change.</p>
<div style="display: flex; flex-wrap: wrap; gap: .5rem">
{plots}
</div>
<p>{NOTE} Lost and gained: episodes that are solved only without the change, and only with it.</p>
<div class="wide"><table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody></table></div>"""


def _strength(
    axis: str, strength: int, rows: Sequence[EpisodeRow], before: dict[Any, bool]
) -> dict[str, Any]:
    by_task, mean = aggregate((row.spec.task, row.success) for row in rows)
    delay = {spec.delay_ms for spec in before}
    assert len(delay) == 1, "a suite has one delay at strength 0"
    plain = {"axis": "", "strength": 0, "delay_ms": delay.pop()}
    pairs = [(before[dataclasses.replace(row.spec, **plain)], row.success) for row in rows]
    solved_before = sum(first for first, _ in pairs) / len(pairs)
    return {
        "strength": strength,
        "value": AXES[axis].name(strength),
        **dataclasses.asdict(mean),
        "before": solved_before,
        "difference": mean.rate - solved_before,
        **dataclasses.asdict(paired(pairs)),
        "tasks": {task: dataclasses.asdict(rate) for task, rate in by_task.items()},
    }


def _number(index: int) -> str:
    return ' class="number"' if index >= 2 else ""


def _plot(axis: str, entry: dict[str, Any]) -> str:
    """Rate and interval over strength, as an SVG that needs nothing else."""
    rows = entry["strengths"]
    words = "; ".join(f"{row['value']}: {row['rate']:.0%}" for row in rows)
    marks = []
    for row in rows:
        x = WIDTH * (row["strength"] - 0.5) / max(row["strength"] for row in rows)
        low, middle, high, before = (_y(row[key]) for key in ("low", "rate", "high", "before"))
        marks += [
            f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="#3b78c488" stroke-width="5"/>',
            f'<circle cx="{x:.1f}" cy="{before:.1f}" r="3.5" fill="none" stroke="currentColor"/>',
            f'<circle cx="{x:.1f}" cy="{middle:.1f}" r="3" fill="#3b78c4"/>',
            f'<text x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{row["strength"]}</text>',
        ]
    lines = "".join(f'<path d="M0 {_y(share):.1f}H{WIDTH}" stroke="#8886"/>' for share in (0, 0.5, 1))
    style = f"width: {WIDTH}px; height: {HEIGHT}px; font-size: 11px"
    label, title = html.escape(f"{axis}: {words}"), html.escape(f"{entry['what']}: {words}")
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" style="{style}" fill="currentColor" role="img" '
        f'aria-label="{label}"><title>{title}</title>'
        f'<text x="0" y="12" font-weight="600">{html.escape(axis)}</text>{lines}{"".join(marks)}</svg>'
    )


def _y(share: float) -> float:
    """Where a share is on the vertical axis."""
    return BOTTOM + share * (TOP - BOTTOM)
