"""Evaluates on goals of several skills: the list of episodes in, one row per episode out."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.eval.batched_rollout import play_batched
from ideomotor.eval.drivers import Requests
from ideomotor.eval.episode_spec import EpisodeSpec
from ideomotor.eval.goals.episode import goal_episode
from ideomotor.eval.goals.oracle import steps_of
from ideomotor.eval.goals.rows import GoalRow, row_from_json
from ideomotor.eval.goals.setup import GoalSetup
from ideomotor.eval.policy_spec import DrivingPolicy, PolicySpec, fingerprint_of
from ideomotor.eval.rollout import answered
from ideomotor.eval.rows import ROWS_FILE, append_row, kept_rows
from ideomotor.eval.suites import HELD_OUT_SEEDS
from ideomotor.eval.workers import in_order, in_order_grouped


def goal_specs(
    tasks: Sequence[str], episodes: int, seed_start: int = HELD_OUT_SEEDS, level: str = "light",
    delay_ms: int = 0,
) -> list[EpisodeSpec]:  # fmt: skip
    """The episodes of suite goals, in phrasings that nobody trained or tuned with.

    Tasks take turns: what an interrupted run has done is of all of them.

    Raises:
        UserError: fewer than one episode.
    """
    if episodes < 1:
        raise UserError(f"episodes: got {episodes}, expected at least 1")
    return [
        EpisodeSpec(task, seed_start + number, "heldout", level, delay_ms)
        for number in range(episodes)
        for task in tasks
    ]


def evaluate_goals(
    specs: Sequence[EpisodeSpec],
    policy_spec: PolicySpec,
    setup: GoalSetup,
    *,
    workers: int = 1,
    batch: int = 1,
    out: Path | None = None,
    resume: bool = False,
    on_row: Callable[[GoalRow], None] | None = None,
) -> list[GoalRow]:
    """Runs every episode of the list and returns the rows in the list's order.

    Args:
        specs: the episodes, see `goal_specs`.
        policy_spec: who carries the instructions out; without a policy the scripted experts of the skills.
        setup: who plans and what is seen.
        workers, batch, out, resume, on_row: as in `run.evaluate`.

    Raises:
        UserError: unusable checkpoint or setup, a delay that the policy cannot be given, or `out` holds other
            rows.
    """
    policy = policy_spec.load()  # a bad one is refused here, before any process starts
    for delay_ms in {spec.delay_ms for spec in specs if policy}:
        assert policy is not None
        policy.timing.delay_ticks("delay-ms", delay_ms)
    fingerprint = hashlib.sha256(f"{fingerprint_of(policy_spec)} {setup.fingerprint}".encode()).hexdigest()
    with contextlib.ExitStack() as cleanup:
        done: dict[EpisodeSpec, GoalRow] = {}
        if out:
            done = kept_rows(out, specs, fingerprint, resume, cleanup, row_from_json, "policy or setup")
        missing = [spec for spec in specs if spec not in done]
        how: dict[str, Any] = dict(policy_spec=policy_spec, setup=setup)
        if policy and batch > 1:
            run = functools.partial(run_goals, batch=batch, **how)
            new = in_order_grouped(run, missing, batch, workers)  # long episodes: kept soon
        else:
            new = in_order(functools.partial(run_goal, **how), missing, workers)
        cleanup.callback(new.close)
        rows = []
        for spec in specs:
            row = done.get(spec)
            if row is None:
                row = next(new)
                if out:
                    append_row(out / ROWS_FILE, row)
            rows.append(row)
            if on_row:
                on_row(row)
    return rows


def run_goal(spec: EpisodeSpec, policy_spec: PolicySpec, setup: GoalSetup) -> GoalRow:
    """Runs one episode in this process."""
    policy = policy_spec.load()
    return answered(_play(spec, policy, setup), policy)


def run_goals(
    specs: Sequence[EpisodeSpec], policy_spec: PolicySpec, setup: GoalSetup, batch: int
) -> list[GoalRow]:
    """Runs episodes in this process, up to `batch` at once (see `batched_rollout`)."""
    from ideomotor.vla.policy import EpisodePolicy

    policy = policy_spec.load()
    assert isinstance(policy, EpisodePolicy)  # no others are run in batches
    return play_batched(lambda number, own: _play(specs[number], own, setup), len(specs), policy, batch)


def _play(spec: EpisodeSpec, policy: DrivingPolicy | None, setup: GoalSetup) -> Requests[GoalRow]:
    from ideomotor.sim.open_world import task_world

    world = task_world(spec.task, spec.seed, level=spec.perturbation, split=spec.phrasing)
    try:
        steps = tuple(call.skill for call in steps_of(world))
        delay_ticks = round(spec.delay_ms * load_embodiment("so101").control_hz / 1000)
        requests = goal_episode(
            world,
            policy,
            setup.executor(world),
            setup.seer(world),
            delay_ticks=delay_ticks,
            return_home=setup.return_home,
        )
        return GoalRow(spec, world.instruction, (yield from requests), steps)
    except Exception as error:
        error.add_note(f"in the episode {spec}")
        raise
    finally:
        world.close()
