"""`ideomotor eval --suite questions`: what an interpreter knows about scenes, beside those who do not see."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ideomotor.control.ctrl_c import loading
from ideomotor.control.errors import UserError
from ideomotor.datasets.outputs import check_output_folder
from ideomotor.launch.commands.evaluate.options import EvalArguments, refuse_others
from ideomotor.launch.console import Output, write_whole

SCENES = 8  # scenes for each of --episodes, as many as there are tasks
MEANT = ("policy", "suite", "episodes", "seed_start", "randomize", "out", "json")
UNUSED = ("axes", "robot", "env")  # not refused: the scenes are the same whatever they say


@dataclass(frozen=True)
class QuestionOptions:
    """An interpreter and the scenes that it is asked about."""

    policy: str | None
    count: int  # of --episodes: `SCENES` scenes for each
    seed_start: int | None
    randomize: str
    out: Path | None
    json: Path | None


def question_options(arguments: EvalArguments) -> QuestionOptions:
    """What was typed with --suite questions; UserError for what has no meaning where nobody moves."""
    why = "has no meaning in suite 'questions', where an interpreter is asked"
    refuse_others(arguments, (*MEANT, *UNUSED), why)
    seed = arguments.seed_start
    for name, value, least in (("episodes", arguments.count, 1), ("seed-start", seed or 0, 0)):
        if value < least:
            raise UserError(f"{name}: got {value}, expected at least {least}")
    if arguments.out:
        check_output_folder("out", arguments.out)
    return QuestionOptions(
        arguments.policy, arguments.count, seed, arguments.randomize, arguments.out, arguments.json
    )


def evaluate_questions(options: QuestionOptions) -> int:
    """Asks the interpreter of a policy, or one that was trained alone, and shows a table of kinds."""
    output = Output(options.json)
    with loading():
        import torch

        from ideomotor.eval import localisation, questions
        from ideomotor.eval.suites import HELD_OUT_SEEDS
        from ideomotor.launch.checkpoints import policy_folder, policy_name
        from ideomotor.vla.checkpoint import load_interpreter

        torch.set_num_threads(1)
        interpreter = load_interpreter(policy_folder(options.policy))
    seed = HELD_OUT_SEEDS if options.seed_start is None else options.seed_start
    count = SCENES * options.count
    with output.progress() as progress:
        bar = progress.add_task("asking", total=count + options.count)

        def advance() -> None:
            progress.update(bar, advance=1)

        found = questions.evaluate_questions(interpreter, count, seed, options.randomize, advance)
        when = localisation.evaluate_localisation(interpreter, options.count, seed, progress=advance)
    results = {
        "suite": questions.SUITE,
        "policy": policy_name(options.policy),
        "seed_start": seed,
        **found,
        "localisation": when,
    }
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        write_whole(options.out / "results.json", json.dumps(results, indent=1) + "\n")
    output.result(results)
    _show(output.text, results)
    return 0


def _show(console: Console, results: dict[str, Any]) -> None:
    title = f"suite questions, {results['policy']}, {results['scenes']} scenes, {results['level']}"
    table = Table("kind", box=None, pad_edge=False, title=title)
    for heading in ("right", "rate", "95 % interval", "majority", "constant", "blind", "pixels p50", "p90"):
        table.add_column(heading, justify="right")
    for kind, row in [*results["kinds"].items(), ("[bold]all[/bold]", results["mean"])]:
        pixels = [_number(row[key]) for key in ("pixel_p50", "pixel_p90")]
        shares = [f"{row[key]:.1%}" for key in ("majority", "constant", "blind")]
        interval = f"{row['low']:.1%} to {row['high']:.1%}"
        table.add_row(
            kind, f"{row['right']}/{row['questions']}", f"{row['rate']:.1%}", interval, *shares, *pixels
        )
    console.print(table)
    console.print("Beside it: always a kind's most frequent answer; a form's in training; without pictures.")
    points, facts, plan = results["instructions"], results["facts"], results["plan"]
    console.print(
        f"Instructions: points {_number(points['pixel_p50'])} pixels off (median), "
        f"{_number(points['pixel_p90'])} (p90); subtask under way right in {plan['now']:.1%}, the next in "
        f"{plan['next']:.1%}; facts of plans {plan['facts_precision']:.1%} true.\n"
        f"Descriptions: {facts['precision']:.1%} of the facts true, {facts['recall']:.1%} of what is there."
    )
    if found := results["retrieval"]:
        console.print(
            f"Retrieval: a picture's own description first among {found['among']} in "
            f"{found['rate']:.1%} of {found['questions']} ({found['low']:.1%} to {found['high']:.1%})."
        )
    for kind, row in results["localisation"]["kinds"].items():
        console.print(
            f"When ({kind}): {row['right']}/{row['questions']} intervals with IoU of at least 0.5 "
            f"({row['low']:.1%} to {row['high']:.1%}), mean IoU {row['iou']:.2f}; always the usual interval "
            f"{row['majority']:.1%}, without pictures {row['blind']:.1%}."
        )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
