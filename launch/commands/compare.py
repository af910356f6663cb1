"""`ideomotor eval --compare A B`: which of two evaluations is better, if that can be said."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from ideomotor.control.ctrl_c import loading
from ideomotor.control.errors import UserError
from ideomotor.launch.console import Output

if TYPE_CHECKING:
    from ideomotor.launch.commands.evaluate_options import EvalOptions


def compare_evaluations(options: EvalOptions, a: Path, b: Path) -> int:
    """Shows B beside A, in pairs of episodes, and says in words what that comes to."""
    for field in fields(options):
        if field.name not in ("compare", "json") and getattr(options, field.name) != field.default:
            name = field.name.replace("_", "-")
            raise UserError(f"{name}: has no meaning with --compare, which takes two finished evaluations")
    output = Output(options.json)

    with loading():
        from ideomotor.eval.rows import load_results
        from ideomotor.eval.stats.comparison import compare

    found = compare(load_results(a, "compare"), load_results(b, "compare"))
    found["a"]["path"], found["b"]["path"] = str(a), str(b)
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
