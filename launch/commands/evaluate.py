"""`ideomotor eval`: a policy on a suite, as a table for people and JSON and HTML to keep."""

from __future__ import annotations

import json as json_text
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ideomotor.control.chunk_handover import DEFAULT, HANDOVERS
from ideomotor.control.ctrl_c import loading
from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError, unknown_name
from ideomotor.datasets.outputs import check_output_folder
from ideomotor.launch.commands.compare import compare_evaluations
from ideomotor.launch.commands.evaluate_options import (
    DEFAULT_SUITE,
    GENERALIZATION,
    METAWORLD,
    MT50,
    PHRASINGS,
    QUESTIONS,
    EvalOptions,
)
from ideomotor.launch.commands.evaluate_tables import show_evaluation
from ideomotor.launch.commands.questions import evaluate_questions
from ideomotor.launch.console import Output, write_whole
from ideomotor.launch.environments import NO_LEVEL, checked_tasks, levels_of, robot_of

if TYPE_CHECKING:
    from ideomotor.eval.episode_spec import EpisodeSpec
    from ideomotor.eval.rows import EpisodeRow


def evaluate(options: EvalOptions) -> int:
    """Runs the suite and reports every task's share of solved episodes with its interval."""
    if options.compare:
        return compare_evaluations(options, *options.compare)
    if options.suite == QUESTIONS:
        return evaluate_questions(options)
    output = Output(options.json)
    options = _resolved(options)
    embodiment = load_embodiment(options.robot)
    tasks = _check(options, embodiment)

    with loading():
        from ideomotor.eval.policy_spec import PolicySpec
        from ideomotor.eval.reporting.film import Strips
        from ideomotor.eval.reporting.report import render_html
        from ideomotor.eval.rows import RESULTS_FILE
        from ideomotor.eval.run import evaluate as run_suite
        from ideomotor.eval.stats import sequential
        from ideomotor.eval.suites import HELD_OUT_SEEDS, suite
        from ideomotor.eval.summary import summary
        from ideomotor.launch.checkpoints import policy_folder, policy_name

    folder = None if options.expert else policy_folder(options.policy, embodiment.name)
    first = HELD_OUT_SEEDS if options.seed_start is None else options.seed_start
    without = [part.strip() for part in options.without.split(",") if part.strip()]
    specs = suite(
        options.suite,
        tasks,
        options.episodes if options.suite == PHRASINGS else options.count,
        first,
        options.delay_ms,
        options.handover,
        NO_LEVEL if embodiment.environment else options.randomize,
        without,
        _axes(options, tasks),
    )
    told = "agreement" if options.calibrate else "told" if options.confidence else ""
    if options.stop_at is not None:
        sequential.check(specs, options.stop_at)
    strips = Strips(options.out) if options.out else None
    with output.progress() as progress, _saying_what_is_missing(len(specs), options) as finished:
        bar = progress.add_task(f"evaluating {options.suite}", total=len(specs))

        def on_row(row: EpisodeRow) -> None:
            finished.append(row.spec)
            if strips:
                strips.keep(row)
            progress.update(bar, advance=1, description=f"evaluating {row.spec.task}")

        rows = run_suite(
            specs,
            PolicySpec(folder, options.robot, options.steps, options.sampler, options.noise, told),
            workers=options.workers,
            batch=options.batch,
            ray=options.ray,
            out=options.out,
            resume=options.resume,
            on_row=on_row,
            stop_at=options.stop_at,
            film=strips is not None,
        )
    if options.calibrate and folder:
        _calibrate(folder, rows)
    name = "expert" if options.expert else policy_name(options.policy)
    external = embodiment.environment is not None and options.suite == DEFAULT_SUITE
    title = embodiment.name if external else options.suite
    stopping = None if options.stop_at is None else sequential.figures(specs, rows, options.stop_at)
    results = summary(title, name, rows, stopping, levels_of(embodiment))
    if options.out and strips:
        write_whole(options.out / RESULTS_FILE, json_text.dumps(results, indent=1) + "\n")
        write_whole(options.out / "report.html", render_html(results, strips.load()))
    output.result(results)
    show_evaluation(output.text, results)
    if options.calibrate and folder:
        output.text.print(f"calibrated: what confidence means is written to {folder}", markup=False)
    if options.out:
        output.text.print(f"report: {options.out / 'report.html'}", markup=False)
    return 0


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


def _resolved(options: EvalOptions) -> EvalOptions:
    """With the environment that the suite is made of, and the robot that lives in it."""
    if options.suite == MT50:
        if options.env not in ("", METAWORLD):
            raise UserError(
                f"env: got {options.env!r}, expected {METAWORLD}, which suite {MT50!r} is made of"
            )
        options = replace(options, env=METAWORLD)
    return replace(options, robot=robot_of(options.env, options.robot))


def _check(options: EvalOptions, embodiment: Embodiment) -> list[str]:
    """The tasks to evaluate, in their listed order."""
    from ideomotor.eval.suites import SUITES

    if options.suite not in SUITES:
        raise unknown_name("suite", options.suite, (*SUITES, QUESTIONS))
    if options.expert and options.policy:
        raise UserError("policy: --expert and --policy exclude each other")
    if options.expert and options.suite == "swap":
        raise UserError("suite: 'swap' tests a policy's understanding; the expert is not told anything")
    if options.handover not in HANDOVERS:
        raise unknown_name("handover", options.handover, HANDOVERS)
    if options.expert and (options.delay_ms or options.handover != DEFAULT):
        raise UserError("expert: has neither delays nor chunks to hand over")
    sampling = options.steps or options.sampler or options.noise is not None
    if options.expert and (options.without or sampling or options.confidence):
        raise UserError("expert: has neither senses nor a sampler nor confidence")
    if options.expert and options.batch > 1:
        raise UserError(
            f"batch: got {options.batch}, but an expert has no networks; --workers makes it faster"
        )
    if options.calibrate:
        _check_calibration(options)
    if options.suite == PHRASINGS and (options.seed_start is not None or options.env):
        raise UserError("suite: 'phrasings' has scenes of its own, so neither --seed-start nor --env")
    if options.resume and not options.out:
        raise UserError("resume: needs --out, the folder of the interrupted evaluation")
    if options.out:
        check_output_folder("out", options.out)
    for name, value, least in (
        ("episodes", options.count, 1),
        ("workers", options.workers, 1),
        ("batch", options.batch, 1),
        ("steps", options.steps, 0),
        ("seed-start", options.seed_start or 0, 0),
        ("delay-ms", options.delay_ms, 0),
    ):
        if value < least:
            raise UserError(f"{name}: got {value}, expected at least {least}")
    names = [name.strip() for name in options.tasks.split(",")] if options.tasks is not None else []
    tasks = checked_tasks(embodiment, names)
    if embodiment.environment is not None:
        if SUITES[options.suite] in ("swapped", "named"):
            raise UserError(
                f"suite: {options.suite!r} names other objects, which {embodiment.name} knows not"
            )
        from ideomotor.sim.external import check_seeding

        for task in tasks:
            check_seeding(embodiment, task)
    return tasks


def _axes(options: EvalOptions, tasks: Sequence[str]) -> list[str]:
    """Of suite generalization; UserError for what cannot be varied here."""
    if options.suite != GENERALIZATION:
        if options.axes is not None:
            raise UserError(f"axes: belong to suite {GENERALIZATION!r}, got suite {options.suite!r}")
        return []
    if options.without or options.delay_ms or options.calibrate:
        raise UserError(
            f"suite: {GENERALIZATION!r} changes one thing at a time, so not with --without, --delay-ms or "
            "--calibrate (delay is one of its axes)"
        )
    from ideomotor.sim.generalization.axes import AXES

    fit = [
        name for name, axis in AXES.items() if any(axis.concerns(t, k) for t in tasks for k in axis.strengths)
    ]
    if options.axes is None:
        return [name for name in fit if AXES[name].physical or not options.expert]
    names = list(dict.fromkeys(name.strip() for name in options.axes.split(",")))
    for name in names:
        if name not in AXES:
            raise unknown_name("axis", name, AXES)
        if name not in fit:
            raise UserError(f"axes: {name!r} means nothing to {', '.join(tasks)}")
        if options.expert and AXES[name].vary is None:
            raise UserError(f"axes: {name!r} is about what a policy senses; the expert knows the truth")
    return names


def _check_calibration(options: EvalOptions) -> None:
    """Raises UserError unless there is a checkpoint of the user's to write to, and episodes to fit on."""
    from ideomotor.eval.suites import HELD_OUT_SEEDS

    if options.policy is None:
        raise UserError("calibrate: needs --policy, the checkpoint to write to")
    if not options.policy.is_dir():
        raise UserError(f"calibrate: policy: no folder {str(options.policy)!r} here to write to")
    if options.seed_start is None or options.seed_start + options.count > HELD_OUT_SEEDS:
        raise UserError(
            f"calibrate: needs --seed-start, of seeds before {HELD_OUT_SEEDS}: what is fitted on the suites' "
            "own seeds cannot be tested on them"
        )
    if options.without or options.suite == "swap":
        raise UserError("calibrate: needs episodes with all senses, told what they are judged by")


def _calibrate(folder: Path, rows: Sequence[EpisodeRow]) -> None:
    from ideomotor.eval.stats.confidence import fit_chances
    from ideomotor.eval.summary import judged_episode
    from ideomotor.vla.checkpoint import load_parts, save_confidence

    agreements, chances = fit_chances([judged_episode(row) for row in rows])
    confidence = load_parts(folder)[4]
    save_confidence(folder, replace(confidence, agreements=agreements, chances=chances))
