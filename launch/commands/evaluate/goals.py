"""`ideomotor eval --suite goals`: tasks of several skills each, planned, checked and recovered."""

from __future__ import annotations

import json as json_text
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from ideomotor.control.ctrl_c import loading
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError, unknown_name
from ideomotor.datasets.outputs import check_output_folder
from ideomotor.launch.commands.evaluate.options import EvalArguments, refuse_others
from ideomotor.launch.console import Output, write_whole
from ideomotor.launch.environments import ROBOT

if TYPE_CHECKING:
    from ideomotor.eval.goals.rows import GoalRow
    from ideomotor.eval.goals.setup import GoalSetup

ABLATIONS = {
    "no_verification": "verify", "no_candidates": "candidates", "no_memory": "memory",
    "no_recovery": "recovery",
}  # {option: field of a `GoalSetup`}  # fmt: skip
ONLY_HERE = ("planner", "perception", "imagine", "return_home", *ABLATIONS)
MEANT = (
    "policy", "expert", "lerobot", "remote", "suite", "tasks", "episodes", "seed_start", "randomize",
    "delay_ms", "workers", "batch", "out", "resume", "json", *ONLY_HERE,
)  # fmt: skip

HEADINGS = ("reached", "rate", "95 %", "p^n", "sub-goals", "tries", "replans", "calls", "s")


@dataclass(frozen=True)
class GoalOptions:
    """Who carries out which goals, and what is left out."""

    arguments: EvalArguments
    tasks: tuple[str, ...]
    setup: GoalSetup


def refuse_goal_options(arguments: EvalArguments) -> None:
    """Raises UserError for an option of suite goals in another suite."""
    for name in ONLY_HERE:
        if getattr(arguments, name):
            raise UserError(
                f"{name.replace('_', '-')}: belongs to suite 'goals', got suite {arguments.suite!r}"
            )


def goal_options(arguments: EvalArguments) -> GoalOptions:
    """What was typed with --suite goals; UserError for what has no meaning or cannot be run."""
    refuse_others(arguments, MEANT, "has no meaning in suite 'goals'")
    if arguments.expert and arguments.policy:
        raise UserError("policy: --expert and --policy exclude each other")
    if arguments.expert and (arguments.batch > 1 or arguments.delay_ms):
        raise UserError("expert: has no networks, so neither --batch nor --delay-ms")
    for name, value, least in (
        ("episodes", arguments.count, 1),
        ("workers", arguments.workers, 1),
        ("batch", arguments.batch, 1),
        ("seed-start", arguments.seed_start or 0, 0),
        ("delay-ms", arguments.delay_ms, 0),
    ):
        if value < least:
            raise UserError(f"{name}: got {value}, expected at least {least}")
    if arguments.resume and not arguments.out:
        raise UserError("resume: needs --out, the folder of the interrupted evaluation")
    if arguments.out:
        check_output_folder("out", arguments.out)

    with loading():
        from ideomotor.eval.goals.setup import ORACLE, PERCEPTIONS, PLANNERS, GoalSetup
        from ideomotor.sim.long_horizon import GOAL_TASKS

    names = [name.strip() for name in arguments.tasks.split(",")] if arguments.tasks is not None else []
    for name in names:
        if name not in GOAL_TASKS:
            raise unknown_name("task", name, GOAL_TASKS)
    planner, perception = arguments.planner or PLANNERS[0], arguments.perception or PERCEPTIONS[0]
    if planner not in PLANNERS and ":" not in planner:
        raise unknown_name("planner", planner, PLANNERS)
    if perception not in PERCEPTIONS:
        raise unknown_name("perception", perception, PERCEPTIONS)
    if arguments.imagine and planner == ORACLE:
        raise UserError("imagine: the oracle's plan is the only one, expected another --planner")
    kept = {field: not getattr(arguments, name) for name, field in ABLATIONS.items()}
    more = {"return_home": arguments.return_home, "imagine": arguments.imagine}
    setup = GoalSetup(planner, perception, **kept, **more)
    return GoalOptions(arguments, tuple(dict.fromkeys(names)) or tuple(GOAL_TASKS), setup)


def evaluate_goal_suite(options: GoalOptions) -> int:
    """Runs the goals and reports each task's share of reached ones, with intervals."""
    arguments = options.arguments
    output = Output(arguments.json)
    with loading():
        from ideomotor.eval.goals.run import evaluate_goals, goal_specs
        from ideomotor.eval.goals.summary import goal_summary
        from ideomotor.eval.policy_spec import PolicySpec
        from ideomotor.eval.rows import RESULTS_FILE
        from ideomotor.eval.suites import HELD_OUT_SEEDS
        from ideomotor.launch.checkpoints import chosen_policy, policy_name

        embodiment = load_embodiment(ROBOT)
        policy = None
        if not arguments.expert:
            policy = chosen_policy(arguments.policy, embodiment, arguments.lerobot, arguments.remote)
    start = HELD_OUT_SEEDS if arguments.seed_start is None else arguments.seed_start
    specs = goal_specs(options.tasks, arguments.count, start, arguments.randomize, arguments.delay_ms)
    with output.progress() as progress:
        bar = progress.add_task("evaluating goals", total=len(specs))

        def on_row(row: GoalRow) -> None:
            progress.update(bar, advance=1, description=f"evaluating {row.spec.task}")

        rows: Sequence[GoalRow] = evaluate_goals(
            specs,
            PolicySpec(policy, ROBOT),
            options.setup,
            workers=arguments.workers,
            batch=arguments.batch,
            out=arguments.out,
            resume=arguments.resume,
            on_row=on_row,
        )
    name = "expert" if arguments.expert else policy_name(arguments.policy)
    results = goal_summary(name, options.setup, rows)
    if arguments.out:
        _write(arguments.out, RESULTS_FILE, results)
    output.result(results)
    show_goals(output.text, results)
    return 0


def _write(folder: Path, name: str, results: dict[str, Any]) -> None:
    write_whole(folder / name, json_text.dumps(results, indent=1) + "\n")


def show_goals(console: Console, results: dict[str, Any]) -> None:
    """Prints the JSON object of suite goals as tables."""
    setup = results["setup"]
    left_out = [field for field in ABLATIONS.values() if not setup[field]]
    how = f"planner {setup['planner']}, perception {setup['perception']}" + (
        f", without {', '.join(left_out)}" if left_out else ""
    )
    how += ", plans imagined" if setup.get("imagine") else ""
    how += ", from home each time" if setup["return_home"] else ""
    console.print(f"suite goals, {results['policy']}, {how}", highlight=False)
    table = Table("task", box=None, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    counts = list(results["tasks"].values())
    overall = {
        **results["mean"],
        "successes": sum(found["successes"] for found in counts),
        "episodes": sum(found["episodes"] for found in counts),
    }
    for name, found in [*results["tasks"].items(), ("[bold]all[/bold]", overall)]:
        table.add_row(
            name,
            f"{found['successes']}/{found['episodes']}",
            f"{found['rate']:.0%}",
            f"{100 * found['low']:.0f} to {100 * found['high']:.0f}",
            f"{found['chain']['rate']:.0%}" if found["chain"] else "",
            f"{found['subgoals']['mean']:.0%}",
            f"{found['attempts']['mean']:.1f}",
            f"{found['replans']['mean']:.2f}",
            f"{found['planner_calls']['mean']:.2f}",
            f"{found['seconds']['mean']:.1f}",
        )
    console.print(table)
    skills = ", ".join(
        f"{name} {found['rate']:.0%} of {found['episodes']}" for name, found in results["skills"].items()
    )
    console.print(f"first attempts: {skills}", highlight=False)
    seen, facts = results["detection"], results["facts"]
    if seen["attempts"]:
        console.print(
            f"success seen: precision {_share(seen['precision'])}, recall {_share(seen['recall'])}",
            highlight=False,
        )
    if facts["precision"] is not None and facts["recall"] is not None:
        console.print(
            f"facts seen: precision {facts['precision']:.1%}, recall {facts['recall']:.1%}", highlight=False
        )


def _share(found: dict[str, Any]) -> str:
    interval = f"{found['low']:.1%} to {found['high']:.1%}"
    return f"{found['rate']:.1%} ({interval}) of {found['episodes']}"
