"""`ideomotor eval`: a policy on a suite, as a table for people and JSON and HTML to keep."""

from __future__ import annotations

import json as json_text
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.control.handover import DEFAULT, HANDOVERS
from ideomotor.launch.console import Output, write_whole
from ideomotor.launch.questions import evaluate_questions

QUESTIONS = "questions"  # a suite of its own kind, see `launch/questions.py`
MAX_DELAY_MS = 250  # the longest prefix that decoders are trained with is 30 ticks


@dataclass(frozen=True)
class EvalOptions:
    """Evaluates a policy, the bundled one by default, on a fixed list of episodes."""

    policy: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """checkpoint folder; the bundled policy by default"""

    expert: bool = False
    """evaluate the scripted experts instead of a policy"""

    suite: Annotated[str, tyro.conf.arg(metavar="NAME")] = "builtin"
    """builtin: new scenes and phrasings; familiar: new scenes, phrasings of the demonstrations;
    swap: told to use another object than success is judged by; questions: the interpreter alone is asked
    about 8 still scenes for each of --episodes"""

    tasks: Annotated[str | None, tyro.conf.arg(metavar="A,B")] = None
    """only these tasks"""

    episodes: Annotated[int, tyro.conf.arg(metavar="N")] = 50
    """episodes of each task"""

    seed_start: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """first seed of each task; by default one that demonstrations do not reach"""

    delay_ms: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """simulated inference time [ms]"""

    handover: Annotated[str, tyro.conf.arg(metavar="NAME")] = DEFAULT
    """how a chunk takes over from the one before: rtc (ours), or sync, naive, ensemble to compare with"""

    robot: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")] = "so101"
    """robot, or embodiment file"""

    workers: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """processes to run with; does not change the results"""

    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """folder for results.json, report.html and the finished episodes that --resume continues from"""

    resume: bool = False
    """continue an interrupted evaluation in --out"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the results as JSON; - is standard output"""


def evaluate(options: EvalOptions) -> int:
    """Runs the suite and reports every task's share of solved episodes with its interval."""
    if options.suite == QUESTIONS:
        return evaluate_questions(options)
    output = Output(options.json)
    tasks = _check(options)

    from ideomotor.eval.report import render_html
    from ideomotor.eval.run import Pilot, summary
    from ideomotor.eval.run import evaluate as run_suite
    from ideomotor.eval.suites import HELD_OUT_SEEDS, suite
    from ideomotor.launch.policy import policy_folder, policy_name

    folder = None if options.expert else policy_folder(options.policy)
    first = HELD_OUT_SEEDS if options.seed_start is None else options.seed_start
    specs = suite(options.suite, tasks, options.episodes, first, options.delay_ms, options.handover)
    with output.progress() as progress:
        bar = progress.add_task(f"evaluating {options.suite}", total=len(specs))
        rows = run_suite(
            specs,
            Pilot(folder, options.robot),
            workers=options.workers,
            out=options.out,
            resume=options.resume,
            on_row=lambda row: progress.update(bar, advance=1, description=f"evaluating {row.spec.task}"),
        )
    name = "expert" if options.expert else policy_name(options.policy)
    results = summary(options.suite, name, rows)
    _show(output.text, results)
    if options.out:
        write_whole(options.out / "results.json", json_text.dumps(results, indent=1) + "\n")
        write_whole(options.out / "report.html", render_html(results))
        output.text.print(f"report: {options.out / 'report.html'}", markup=False)
    output.result(results)
    return 0


def _check(options: EvalOptions) -> list[str]:
    """The tasks to evaluate, in their listed order."""
    from ideomotor.eval.suites import SUITES
    from ideomotor.sim.tasks import TASKS

    if options.suite not in SUITES:
        raise unknown_name("suite", options.suite, (*SUITES, QUESTIONS))
    if options.expert and options.policy:
        raise UserError("policy: --expert and --policy exclude each other")
    if options.expert and options.suite == "swap":
        raise UserError("suite: 'swap' tests a policy's understanding; the expert is not told anything")
    if options.handover not in HANDOVERS:
        raise unknown_name("handover", options.handover, HANDOVERS)
    if not 0 <= options.delay_ms <= MAX_DELAY_MS:
        raise UserError(f"delay-ms: got {options.delay_ms}, expected 0 to {MAX_DELAY_MS}")
    if options.expert and (options.delay_ms or options.handover != DEFAULT):
        raise UserError("expert: has neither delays nor chunks to hand over")
    if options.resume and not options.out:
        raise UserError("resume: needs --out, the folder of the interrupted evaluation")
    for name, value, least in (
        ("episodes", options.episodes, 1),
        ("workers", options.workers, 1),
        ("seed-start", options.seed_start or 0, 0),
    ):
        if value < least:
            raise UserError(f"{name}: got {value}, expected at least {least}")
    if options.tasks is None:
        return list(TASKS)
    names = list(dict.fromkeys(name.strip() for name in options.tasks.split(",")))
    for name in names:
        if name not in TASKS:
            raise unknown_name("task", name, TASKS)
    return names


def _show(console: Console, results: dict[str, Any]) -> None:
    from ideomotor.eval.plans import sentence

    table = Table("task", box=None, pad_edge=False, title=f"suite {results['suite']}, {results['policy']}")
    for heading in ("solved", "rate", "95 % interval"):
        table.add_column(heading, justify="right")
    table.add_column("")
    counts = [(rate["successes"], rate["episodes"]) for rate in results["tasks"].values()]
    overall = {
        **results["mean"],
        "successes": sum(successes for successes, _ in counts),
        "episodes": sum(episodes for _, episodes in counts),
    }
    for name, rate in [*results["tasks"].items(), ("[bold]all[/bold]", overall)]:
        table.add_row(
            name,
            f"{rate['successes']}/{rate['episodes']}",
            f"{rate['rate']:.1%}",
            f"{rate['low']:.1%} to {rate['high']:.1%}",
            _bar(rate["low"], rate["rate"], rate["high"]),
        )
    console.print(table)
    smooth = results["smoothness"]
    if smooth["jerk_ratio"] is not None:
        console.print(
            f"hand-over: jerk {smooth['boundary_jerk']:.0f} rad/s³ at boundaries, "
            f"{smooth['interior_jerk']:.0f} inside chunks, ratio {smooth['jerk_ratio']:.2f} (medians of "
            f"episodes); largest step {1000 * smooth['largest_step']:.1f} mrad; {results['holds']} holds"
        )
    if results["plan"]:
        console.print(sentence(results["plan"]), highlight=False)


def _bar(low: float, rate: float, high: float, width: int = 24) -> str:
    """A rate and its interval as a line of characters from 0 to 100 %."""
    first, middle, last = (round(value * (width - 1)) for value in (low, rate, high))
    return "".join(
        "●" if i == middle else "━" if first <= i <= last else "[dim]·[/dim]" for i in range(width)
    )
