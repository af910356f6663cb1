"""A page of where tokens go among a decoder's experts, by task and phase: one file, no network, no script."""

from __future__ import annotations

import html

import numpy as np

from ideomotor.train.routing import Routing

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem;color:#1b1b1b;"
    "background:#fff}table{border-collapse:collapse;margin:0 0 2rem}th{font-weight:500;text-align:left;"
    "padding:.15rem .6rem .15rem 0}td{width:3.4rem;text-align:right;padding:.15rem .5rem;"
    "font-variant-numeric:tabular-nums}caption{text-align:left;font-weight:600;padding:.4rem 0}"
)


def routing_page(found: Routing, policy: str) -> str:
    """HTML with a table for each block: shares of a row's tokens in per cent, darker where there are more."""
    shares = found.explained_by_place()
    tables = [_table(found, block, share) for block, share in enumerate(shares)]
    name, windows = html.escape(policy), sum(found.windows.values())
    unused = ", ".join(found.unused()) or "none"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Experts of {name}</title>'
        f"<style>{STYLE}</style><h1>Experts of {name}</h1>"
        f"<p>{windows:,} recorded windows, as the policy answers them. Columns are experts, rows tasks and "
        "the first word of the subtask; a cell is the share of the row's tokens in per cent.</p>"
        f"<p>Nothing went to: {unused}.</p>{''.join(tables)}</html>\n"
    )


def _table(found: Routing, block: int, explained: float) -> str:
    experts = next(iter(found.counts.values())).shape[1]
    head = "".join(f"<th>{number}</th>" for number in range(experts))
    rows = [
        f"<tr><th>{html.escape(task)}, {html.escape(phase)} ({found.windows[task, phase]:,})</th>"
        f"{_cells(found.counts[task, phase][block])}</tr>"
        for task, phase in sorted(found.counts)
    ]
    rows.append(f"<tr><th>all</th>{_cells(found.total[block])}</tr>")
    title = f"Block {block}: {100 * explained:.0f} % of where a token goes follows from its row"
    return f"<table><caption>{title}</caption><tr><th></th>{head}</tr>{''.join(rows)}</table>"


def _cells(counts: np.ndarray) -> str:
    shares = counts / max(1, counts.sum())
    return "".join(
        f'<td style="background:rgba(38,98,176,{0.75 * share:.2f})">{100 * share:.0f}</td>'
        for share in shares.tolist()
    )
