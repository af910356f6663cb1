"""`ideomotor eval`: a policy on a suite, as a table for people and JSON and HTML to keep."""

from __future__ import annotations

import json as json_text
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ideomotor.control.ctrl_c import loading
from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.launch.commands.evaluate.checks import check, checked_axes, resolved
from ideomotor.launch.commands.evaluate.compare import compare_evaluations, compare_options
from ideomotor.launch.commands.evaluate.goals import evaluate_goal_suite, goal_options, refuse_goal_options
from ideomotor.launch.commands.evaluate.options import (
    DEFAULT_SUITE,
    GOALS,
    PHRASINGS,
    QUESTIONS,
    EvalArguments,
    EvalOptions,
)
from ideomotor.launch.commands.evaluate.questions import evaluate_questions, question_options
from ideomotor.launch.commands.evaluate.tables import show_evaluation
from ideomotor.launch.console import Output, write_whole
from ideomotor.launch.environments import NO_LEVEL, levels_of

if TYPE_CHECKING:
    from ideomotor.eval.episode_spec import EpisodeSpec
    from ideomotor.eval.policy_spec import PolicySource
    from ideomotor.eval.reporting.film import Strips
    from ideomotor.eval.rows import EpisodeRow


def evaluate(arguments: EvalArguments) -> int:
    """The command: a suite, a comparison of two evaluations, questions to an interpreter, or goals."""
    if arguments.compare:
        return compare_evaluations(compare_options(arguments))
    if arguments.suite == QUESTIONS:
        return evaluate_questions(question_options(arguments))
    if arguments.suite == GOALS:
        return evaluate_goal_suite(goal_options(arguments))
    refuse_goal_options(arguments)
    return evaluate_suite(arguments)


def evaluate_suite(options: EvalOptions) -> int:
    """Runs the suite and reports every task's share of solved episodes with its interval."""
    output = Output(options.json)
    options = resolved(options)
    embodiment = load_embodiment(options.robot)
    tasks = check(options, embodiment)

    with loading():
        from ideomotor.eval.reporting.film import Strips
        from ideomotor.eval.stats import sequential
        from ideomotor.eval.summary import summary
        from ideomotor.launch.checkpoints import chosen_policy, policy_name

    policy = (
        None if options.expert else chosen_policy(options.policy, embodiment, options.lerobot, options.remote)
    )
    specs = _specs(options, embodiment, tasks)
    if options.stop_at is not None:
        sequential.check(specs, options.stop_at)
    strips = Strips(options.out) if options.out else None
    rows = _rows(options, specs, policy, strips, output)
    if options.calibrate and isinstance(policy, Path):
        _calibrate(policy, rows)
    name = "expert" if options.expert else policy_name(options.policy)
    external = embodiment.environment is not None and options.suite == DEFAULT_SUITE
    title = embodiment.name if external else options.suite
    stopping = None if options.stop_at is None else sequential.figures(specs, rows, options.stop_at)
    results = summary(title, name, rows, stopping, levels_of(embodiment))
    if options.out and strips:
        _write_report(options.out, results, strips)
    output.result(results)
    show_evaluation(output.text, results)
    if options.calibrate:
        what = "what confidence means, and what solved episodes look like"
        output.text.print(f"calibrated: {what}, is written to {policy}", markup=False)
    if options.out:
        output.text.print(f"report: {options.out / 'report.html'}", markup=False)
    return 0


def _specs(options: EvalOptions, embodiment: Embodiment, tasks: Sequence[str]) -> list[EpisodeSpec]:
    from ideomotor.eval.suites import HELD_OUT_SEEDS, suite

    return suite(
        options.suite,
        tasks,
        options.episodes if options.suite == PHRASINGS else options.count,
        HELD_OUT_SEEDS if options.seed_start is None else options.seed_start,
        options.delay_ms,
        options.handover,
        NO_LEVEL if embodiment.environment else options.randomize,
        [part.strip() for part in options.without.split(",") if part.strip()],
        checked_axes(options, tasks, embodiment),
    )


def _rows(
    options: EvalOptions,
    specs: Sequence[EpisodeSpec],
    policy: Path | PolicySource | None,
    strips: Strips | None,
    output: Output,
) -> list[EpisodeRow]:
    """Runs the episodes, with a bar, and keeps the strips of their films."""
    from ideomotor.eval.policy_spec import PolicySpec
    from ideomotor.eval.run import evaluate as run_suite

    how = options.steps, options.sampler, options.noise
    confidence = "agreement" if options.calibrate else "told" if options.confidence else ""
    with output.progress() as progress, _saying_what_is_missing(len(specs), options) as finished:
        bar = progress.add_task(f"evaluating {options.suite}", total=len(specs))

        def on_row(row: EpisodeRow) -> None:
            finished.append(row.spec)
            if strips:
                strips.keep(row)
            progress.update(bar, advance=1, description=f"evaluating {row.spec.task}")

        return run_suite(
            specs,
            PolicySpec(policy, options.robot, *how, confidence, options.needed.of(policy)),
            workers=options.workers,
            batch=options.batch,
            ray=options.ray,
            out=options.out,
            resume=options.resume,
            on_row=on_row,
            stop_at=options.stop_at,
            film=strips is not None,
            watch=options.calibrate,
        )


def _write_report(folder: Path, results: dict[str, Any], strips: Strips) -> None:
    from ideomotor.eval.reporting.report import render_html
    from ideomotor.eval.rows import RESULTS_FILE

    write_whole(folder / RESULTS_FILE, json_text.dumps(results, indent=1) + "\n")
    write_whole(folder / "report.html", render_html(results, strips.load()))


@contextmanager
def _saying_what_is_missing(planned: int, options: EvalOptions) -> Generator[list[EpisodeSpec]]:
    """Gives a list to put finished episodes in; says how many lack when the block ends before its time."""
    finished: list[EpisodeSpec] = []
    try:
        yield finished
    except (Exception, KeyboardInterrupt) as error:
        if finished and not isinstance(error, UserError):
            how = "--resume runs them" if options.out else "--out would have kept the others"
            most = "at most " if options.stop_at is not None else ""
            lacking = planned - len(finished)
            print(f"{most}{lacking} of {planned} episodes are missing; {how}", file=sys.stderr)
        raise


def _calibrate(folder: Path, rows: Sequence[EpisodeRow]) -> None:
    from ideomotor.eval.seen_range import seen_range
    from ideomotor.eval.stats.confidence import fit_chances
    from ideomotor.eval.summary import judged_episode
    from ideomotor.vla.checkpoint import load_parts, save_confidence

    agreements, chances = fit_chances([judged_episode(row) for row in rows])
    confidence = load_parts(folder, parts=())[-1]
    save_confidence(folder, replace(confidence, agreements=agreements, chances=chances))
    solved = [row.seen for row in rows if row.success]
    seen_range(solved, (agreements, chances)).save(folder)
