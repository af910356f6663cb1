"""The rows of a benchmark, as DESIGN section 7 has them, and how they are shown."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def row(
    name: str,
    value: float,
    unit: str,
    peer: str | None = None,
    peer_value: float | None = None,
    smaller: bool = True,
) -> dict[str, Any]:
    """One figure of ours and, if there is one, of a peer; `ratio` says how many times better ours is.

    Args:
        smaller: whether less is better.
    """
    ratio = None
    if peer_value is not None:
        ratio = peer_value / value if smaller else value / peer_value
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": peer if peer_value is not None else None,
        "peer_value": peer_value,
        "ratio": ratio,
    }


def table(rows: list[dict[str, Any]]) -> Table:
    """For people."""
    shown = Table(box=None, pad_edge=False)
    for title in ("what", "ours", "unit", "peer", "theirs", "ratio"):
        shown.add_column(title, no_wrap=True)
    for each in rows:
        peer_value, ratio = each["peer_value"], each["ratio"]
        shown.add_row(
            each["name"],
            f"{each['value']:.3g}",
            each["unit"],
            each["peer"] or "",
            f"{peer_value:.3g}" if peer_value else "",
            f"{ratio:.1f}" if ratio else "",
        )
    return shown
