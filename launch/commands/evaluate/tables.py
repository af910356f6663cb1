"""The results of an evaluation in a terminal: rates with their intervals, and what else was measured."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def show_evaluation(console: Console, results: dict[str, Any]) -> None:
    """Prints an `eval` JSON object, as far as it has it."""
    from ideomotor.eval import phrasings
    from ideomotor.eval.plans import sentence
    from ideomotor.eval.stats import confidence, sequential

    table = Table("task", box=None, pad_edge=False, title=f"suite {results['suite']}, {results['policy']}")
    for heading in ("solved", "rate", "95 % interval"):
        table.add_column(heading, justify="right")
    table.add_column("")
    counts = [(rate["successes"], rate["episodes"]) for rate in results["tasks"].values()]
    overall: dict[str, Any] = {
        **results["mean"],
        "successes": sum(successes for successes, _ in counts),
        "episodes": sum(episodes for _, episodes in counts),
    }
    levels = [(f"[bold]{name}[/bold]", found) for name, found in results.get("levels", {}).items()]
    for name, rate in [*results["tasks"].items(), *levels, ("[bold]all[/bold]", overall)]:
        table.add_row(
            name,
            f"{rate['successes']}/{rate['episodes']}",
            f"{rate['rate']:.1%}",
            f"{rate['low']:.1%} to {rate['high']:.1%}",
            _bar(rate["low"], rate["rate"], rate["high"]),
        )
    console.print(table)
    if "level_average" in results:
        mean = results["level_average"]
        interval = f"{mean['low']:.1%} to {mean['high']:.1%}"
        console.print(f"mean of the {len(levels)} levels: {mean['rate']:.1%} ({interval})")
    smooth = results["smoothness"]
    if smooth["jerk_ratio"] is not None:
        console.print(
            f"hand-over: jerk {smooth['boundary_jerk']:.0f} rad/s³ at boundaries, "
            f"{smooth['interior_jerk']:.0f} inside chunks, ratio {smooth['jerk_ratio']:.2f} (medians of "
            f"episodes); largest step {1000 * smooth['largest_step']:.1f} mrad; {results['holds']} holds"
        )
    if results["plan"]:
        console.print(sentence(results["plan"]), highlight=False)
    if results.get("stopping"):
        console.print(sequential.sentence(results), highlight=False)
    if results.get("phrasings"):
        console.print(phrasings.sentence(results["phrasings"]), highlight=False)
    if results.get("without"):
        console.print(_without_table(results))
    if results.get("generalization"):
        _show_generalization(console, results["generalization"])
    if results.get("confidence"):
        console.print(confidence.sentence(results["confidence"]), highlight=False)


def _without_table(results: dict[str, Any]) -> Table:
    """Each missing sense beside the same episodes with all of them."""
    table = Table("without", box=None, pad_edge=False)
    for heading in ("solved", "rate", "95 % interval", "lost", "gained", "p"):
        table.add_column(heading, justify="right")
    for senses, found in results["without"].items():
        table.add_row(
            senses,
            f"{found['successes']}/{found['episodes']}",
            f"{found['rate']:.1%}",
            f"{found['low']:.1%} to {found['high']:.1%}",
            str(found["lost"]),
            str(found["gained"]),
            f"{found['p']:.2g}",
        )
    return table


def _show_generalization(console: Console, found: dict[str, Any]) -> None:
    from ideomotor.eval.reporting.generalization import BRIEF, HEADINGS, NOTE, cells

    table = Table(box=None, pad_edge=False)
    for heading in BRIEF:
        table.add_column(heading, justify="left" if heading in BRIEF[:2] else "right", no_wrap=True)
    for row in cells(found):
        table.add_row(*(row[HEADINGS.index(heading)] for heading in BRIEF))
    console.print(table)
    console.print(NOTE, highlight=False)


def _bar(low: float, rate: float, high: float, width: int = 24) -> str:
    """A rate and its interval as a line of characters from 0 to 100 %."""
    first, middle, last = (round(value * (width - 1)) for value in (low, rate, high))
    return "".join(
        "●" if i == middle else "━" if first <= i <= last else "[dim]·[/dim]" for i in range(width)
    )
