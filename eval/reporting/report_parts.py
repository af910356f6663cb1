"""What the pages of evaluations are made of: the style, tables with escaped cells, and interval plots."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1c2430; background: #fff; overflow-wrap: break-word }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.5rem } h3 { font-size: 1rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #dde3ea }
th:first-child, td:first-child { position: sticky; left: 0; background: #fff }
td.number, th.number { text-align: right; white-space: nowrap }
tr.mean td { font-weight: 600 }
td.bar { min-width: 8rem; width: 30% } td.bar svg { display: block; width: 100%; height: 1.1rem }
figure { margin: .5rem 0 1rem } figure img { display: block; height: 96px }
figcaption, .note { font-size: .85rem; color: #5a6675 }
.failed { color: #a4262c }
summary { cursor: pointer }
@media (max-width: 600px) { body { font-size: 14px; margin: 1rem auto; padding: 0 .75rem }
  table { font-size: 13px } th, td { padding-right: .4rem } td.bar { min-width: 3.5rem } }
@media (prefers-color-scheme: dark) { body, th:first-child, td:first-child { background: #14181d }
  body { color: #e3e8ee } th, td { border-color: #333c47 } .failed { color: #ff8f8f }
  figcaption, .note { color: #9aa7b5 } }
"""


@dataclass(frozen=True)
class Bar:
    """A cell with a plot of three shares of the cell's width, each in [0, 1]; it reads `label` aloud."""

    low: float
    middle: float
    high: float
    label: str


Cell = str | Bar


# What `launch --web` serves, at its usual address (launch/dashboard/options.py).
LIVE_PAGE = 'A robot that runs now: <a href="http://127.0.0.1:8010/">its page</a> (ideomotor launch --web)'


def page(title: str, sections: Iterable[str]) -> str:
    """A page that fetches nothing; `sections` are HTML, empty ones left out."""
    body = "\n".join(filter(None, sections))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{html.escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{body}
<footer><p>{LIVE_PAGE}</p></footer>
</body>
</html>
"""


def table(
    name: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    numbers: Iterable[int] = (),
    mean: str = "",
) -> str:
    """A table.

    Args:
        name: its id in the page.
        headings: texts, like every cell that is not a plot.
        rows: a cell for each heading.
        numbers: columns that are set to the right.
        mean: first cell of rows that stand for the others.
    """
    right = set(numbers)
    classes = [' class="number"' if column in right else "" for column in range(len(headings))]
    head = "".join(f"<th{c}>{html.escape(text)}</th>" for c, text in zip(classes, headings, strict=True))
    body = "\n".join(
        ('<tr class="mean">' if mean and row[0] == mean else "<tr>")
        + "".join(_cell(cell, c) for cell, c in zip(row, classes, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table id="{name}">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>'
        "</table></div>"
    )


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text; empty where there is none."""
    return f'<p class="{kind}">{html.escape(text)}</p>' if text else ""


def _cell(cell: Cell, kind: str) -> str:
    if isinstance(cell, str):
        return f"<td{kind}>{html.escape(cell)}</td>"
    low, middle, high = (100 * min(max(share, 0.0), 1.0) for share in (cell.low, cell.middle, cell.high))
    return (
        '<td class="bar"><svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" '
        f'aria-label="{html.escape(cell.label, quote=True)}">'
        '<rect x="0" y="4.5" width="100" height="1" fill="#8884"/>'
        f'<rect x="{low:.2f}" y="2" width="{high - low:.2f}" height="6" fill="#3b78c4" fill-opacity=".45"/>'
        f'<rect x="{min(max(middle - 0.4, 0), 99.2):.2f}" y="0" width=".8" height="10" fill="#3b78c4"/>'
        "</svg></td>"
    )
