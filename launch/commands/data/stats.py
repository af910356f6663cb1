"""`ideomotor data stats`: the statistics of a dataset, a line for each joint and channel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.table import Table

from ideomotor.control.ctrl_c import loading
from ideomotor.launch.console import Output

MOST_COMPONENTS = 20  # of a feature in the table of all


@dataclass(frozen=True)
class StatsOptions:
    """Shows the statistics that training normalises with, by joint."""

    dataset: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """folder of the dataset"""

    feature: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """only this one, such as action"""

    exact: bool = False
    """compute from all rows, instead of showing what is stored: there, quantiles are means over episodes"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write all statistics as JSON; - is standard output"""


def stats(options: StatsOptions) -> int:
    """Prints a table; counters of rows are left to the JSON."""
    output = Output(options.json)

    with loading():
        from ideomotor.datasets.checking import summary

    found = summary.statistics(options.dataset, options.feature, exact=options.exact)
    output.result({"features": found})
    why_not = {name: values["why_not"] for name, values in found.items() if "why_not" in values}
    whole = [name for name in found if name not in why_not]
    shown = [name for name in whole if options.feature or not summary.is_counter(name)]
    left_out = [name for name in shown if not options.feature and len(found[name]["names"]) > MOST_COMPONENTS]
    shown = [name for name in shown if name not in left_out]
    table = Table(box=None, pad_edge=False)
    table.add_column("feature", min_width=max(map(len, ["feature", *shown])))  # never cut short
    components = [component for name in shown for component in found[name]["names"]]
    table.add_column("component", min_width=max(map(len, ["component", *components])))
    for name in summary.STATISTICS:
        table.add_column(name, justify="right", min_width=8)
    for feature in shown:
        values = found[feature]
        for i, component in enumerate(values["names"]):
            numbers = [values[name] for name in summary.STATISTICS]
            cells = ["-" if number is None else f"{number[i]:.4f}" for number in numbers]
            table.add_row("" if i else feature, component, *cells)
    output.text.print(table)
    for name, why in why_not.items():
        output.text.print(f"{name}: no statistics: {why}", markup=False)
    for name in left_out:
        output.text.print(f"{name}: {len(found[name]['names'])} components, shown with --feature {name}")
    return 0
