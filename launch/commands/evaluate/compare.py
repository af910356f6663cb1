"""`ideomotor eval --compare A B`: which of two evaluations is better, if that can be said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ideomotor.control.ctrl_c import loading
from ideomotor.launch.commands.evaluate.options import EvalArguments, refuse_others
from ideomotor.launch.console import Output


@dataclass(frozen=True)
class CompareOptions:
    """Two finished evaluations of the same episodes: folders, or their results.json."""

    a: Path
    b: Path
    json: Path | None


def compare_options(arguments: EvalArguments) -> CompareOptions:
    """What was typed with --compare; UserError if anything else was."""
    refuse_others(
        arguments,
        ("compare", "json"),
        "has no meaning with --compare, which takes two finished evaluations",
    )
    assert arguments.compare is not None
    return CompareOptions(*arguments.compare, json=arguments.json)


def compare_evaluations(options: CompareOptions) -> int:
    """Shows B beside A, in pairs of episodes, and says in words what that comes to."""
    output = Output(options.json)

    with loading():
        from ideomotor.eval.rows import load_results
        from ideomotor.eval.stats.comparison import compare

    found = compare(load_results(options.a, "compare"), load_results(options.b, "compare"))
    found["a"]["path"], found["b"]["path"] = str(options.a), str(options.b)
    output.result(found)
    _show(output.text, found)
    return 0


def _show(console: Console, found: dict[str, Any]) -> None:
    for name in ("a", "b"):
        about = found[name]
        console.print(
            f"{name.upper()}: {about['path']}, suite {about['suite']}, {about['policy']}", markup=False
        )
    table = Table("task", box=None, pad_edge=False)
    for heading in ("episodes", "A", "B", "B - A", "95 % interval", "lost", "gained", "p", "verdict on B"):
        table.add_column(heading, justify="right")
    for task, row in [*found["tasks"].items(), ("[bold]all[/bold]", found["overall"])]:
        verdict = row["verdict"]
        table.add_row(
            task,
            str(row["episodes"]),
            f"{row['rate_a']:.1%}",
            f"{row['rate_b']:.1%}",
            f"{100 * row['difference']:+.1f}",
            f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}",
            str(row["lost"]),
            str(row["gained"]),
            f"{row['p_holm']:.2g}",
            verdict if row["needed"] is None else f"{verdict}, needs about {row['needed']}",
        )
    console.print(table)
    if len(found["tasks"]) > 1:
        console.print("The tasks' p-values are adjusted for their number (Holm).", markup=False)
    console.print(found["sentence"], markup=False)
