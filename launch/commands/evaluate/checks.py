"""What `ideomotor eval` checks before anything is loaded: each option by itself, and with the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ideomotor.control.chunk_handover import DEFAULT, HANDOVERS
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError, unknown_name
from ideomotor.datasets.outputs import check_output_folder
from ideomotor.launch.commands.evaluate.options import (
    GENERALIZATION,
    GOALS,
    OF_ENVIRONMENTS,
    PHRASINGS,
    QUESTIONS,
    EvalOptions,
)
from ideomotor.launch.environments import checked_tasks, parts_of, robot_of


def resolved(options: EvalOptions) -> EvalOptions:
    """With the environment that the suite is made of, and the robot that lives in it."""
    if options.suite in OF_ENVIRONMENTS:
        whole = OF_ENVIRONMENTS[options.suite]
        if options.env and options.env not in (whole, *parts_of(whole)):
            raise UserError(
                f"env: got {options.env!r}, expected {whole}, which suite {options.suite!r} is made of"
            )
        options = replace(options, env=options.env or whole)
    return replace(options, robot=robot_of(options.env, options.robot))


def check(options: EvalOptions, embodiment: Embodiment) -> list[str]:
    """The tasks to evaluate, in their listed order; UserError for what cannot be run."""
    from ideomotor.eval.suites import SUITES

    if options.suite not in SUITES:
        raise unknown_name("suite", options.suite, (*SUITES, QUESTIONS, GOALS))
    if options.handover not in HANDOVERS:
        raise unknown_name("handover", options.handover, HANDOVERS)
    if options.expert:
        _check_expert(options)
    if options.calibrate:
        _check_calibration(options)
    if options.suite == PHRASINGS and (options.seed_start is not None or options.env):
        raise UserError("suite: 'phrasings' has scenes of its own, so neither --seed-start nor --env")
    if options.resume and not options.out:
        raise UserError("resume: needs --out, the folder of the interrupted evaluation")
    if options.out:
        check_output_folder("out", options.out)
    _check_numbers(options)
    names = [name.strip() for name in options.tasks.split(",")] if options.tasks is not None else []
    tasks = checked_tasks(embodiment, names)
    if embodiment.environment is not None:
        _check_environment(options, embodiment, tasks)
    return tasks


def _check_expert(options: EvalOptions) -> None:
    if options.policy:
        raise UserError("policy: --expert and --policy exclude each other")
    if options.suite == "swap":
        raise UserError("suite: 'swap' tests a policy's understanding; the expert is not told anything")
    if options.delay_ms or options.handover != DEFAULT:
        raise UserError("expert: has neither delays nor chunks to hand over")
    sampling = options.steps or options.sampler or options.noise is not None
    if options.without or sampling or options.confidence:
        raise UserError("expert: has neither senses nor a sampler nor confidence")
    if options.batch > 1:
        raise UserError(
            f"batch: got {options.batch}, but an expert has no networks; --workers makes it faster"
        )


def _check_numbers(options: EvalOptions) -> None:
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


def _check_environment(options: EvalOptions, embodiment: Embodiment, tasks: Sequence[str]) -> None:
    from ideomotor.eval.suites import SUITES
    from ideomotor.sim.environments.external import check_seeding

    if SUITES[options.suite] in ("swapped", "named"):
        raise UserError(f"suite: {options.suite!r} names other objects, which {embodiment.name} knows not")
    for task in tasks:
        check_seeding(embodiment, task)


def checked_axes(options: EvalOptions, tasks: Sequence[str], embodiment: Embodiment) -> list[str]:
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
    from ideomotor.sim.generalization.axes import AXES, concerns

    environment = embodiment.environment
    fit = [
        name
        for name, axis in AXES.items()
        if (environment is None or axis.vary is None or name in environment.axes)
        and any(concerns(name, task, strength) for task in tasks for strength in axis.strengths)
    ]
    if options.axes is None:
        waits = HANDOVERS[options.handover].waits
        fit = [name for name in fit if not (name == "network" and waits)]
        return [name for name in fit if AXES[name].physical or not options.expert]
    names = list(dict.fromkeys(name.strip() for name in options.axes.split(",")))
    for name in names:
        if name not in AXES:
            raise unknown_name("axis", name, AXES)
        if name not in fit:
            raise UserError(f"axes: {name!r} means nothing to {', '.join(tasks)}")
        if options.expert and AXES[name].vary is None:
            raise UserError(f"axes: {name!r} is about what a policy senses; the expert knows the truth")
        if name == "network" and HANDOVERS[options.handover].waits:
            raise UserError(f"handover: {options.handover!r} waits for chunks, axis 'network' does not")
    return names


def _check_calibration(options: EvalOptions) -> None:
    """Raises UserError unless there is a checkpoint of the user's to write to, and episodes to fit on."""
    from ideomotor.eval.suites import HELD_OUT_SEEDS

    if options.policy is None:
        raise UserError("calibrate: needs --policy, the checkpoint to write to")
    if not Path(options.policy).is_dir():
        raise UserError(f"calibrate: policy: no folder {str(options.policy)!r} here to write to")
    if options.seed_start is None or options.seed_start + options.count > HELD_OUT_SEEDS:
        raise UserError(
            f"calibrate: needs --seed-start, of seeds before {HELD_OUT_SEEDS}: what is fitted on the suites' "
            "own seeds cannot be tested on them"
        )
    if options.without or options.suite == "swap":
        raise UserError("calibrate: needs episodes with all senses, told what they are judged by")
