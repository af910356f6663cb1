"""Evaluates a policy, or the scripted expert, on a suite: the list in, one row per episode out.

Rows depend on the list alone, not on the number of workers or on what ran before. They are kept in a
JSON-lines file while the run goes on, so an interrupted run continues where it stopped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.eval.batched_rollout import GROUP, play_batched
from ideomotor.eval.drivers import Requests
from ideomotor.eval.episode_spec import EpisodeSpec
from ideomotor.eval.network import network_for
from ideomotor.eval.phrasings import instruction_in
from ideomotor.eval.policy_spec import DrivingPolicy, PolicySpec, check_fingerprint, fingerprint_of
from ideomotor.eval.rollout import answered, episode
from ideomotor.eval.rows import ROWS_FILE, EpisodeRow, append_row, kept_rows, row_from_json, row_of
from ideomotor.eval.seen_range import Watch
from ideomotor.eval.sensors import sensors_for
from ideomotor.eval.stats.sequential import Stopping
from ideomotor.eval.workers import in_order, in_order_grouped


def evaluate(
    specs: Sequence[EpisodeSpec],
    policy_spec: PolicySpec,
    *,
    workers: int = 1,
    batch: int = 1,
    ray: str = "",
    out: Path | None = None,
    resume: bool = False,
    on_row: Callable[[EpisodeRow], None] | None = None,
    stop_at: float | None = None,
    film: bool = False,
    watch: bool = False,
) -> list[EpisodeRow]:
    """Runs every episode of the list and returns the rows in the list's order.

    Args:
        specs: the episodes; entries are the keys of the result and must not repeat.
        policy_spec: who drives.
        workers: processes; each has its own policy and its own GL context.
        batch: episodes at once in each, with a policy, whose networks then run once for all of them; rounding
            differs (see `batched_rollout`).
        ray: address of a Ray cluster that runs the episodes instead, with the checkpoint under the same path.
        out: folder in which finished rows are kept, line by line; made if missing.
        resume: keep the rows already in `out` and run only what is missing.
        on_row: called with each row, in the list's order, those already in `out` included.
        stop_at: success rate; a task's episodes end when it is decided whether its rate is above or below
            (see `sequential`). What was run of them is the beginning of its list, whatever the workers.
        film: give the rows of a policy's failures a filmstrip, for `on_row` alone.
        watch: note in the rows what `seen_range` needs.

    Raises:
        UserError: unusable checkpoint, a delay that it cannot be given, or `out` holds rows and `resume` is
            not set, or holds rows of another policy, or another process is writing there.
        Exception: whatever an environment raised, with a note that names the episode. Rows finished before
            it are kept.
    """
    policy = policy_spec.load()  # a bad one is refused here, before any process starts
    if batch > 1 and not isinstance(policy_spec.policy, Path | None):
        raise UserError(f"batch: got {batch}, but a policy of others answers one episode at a time")
    if policy:
        for senses in {spec.without for spec in specs}:
            policy.run_without(filter(None, senses.split("+")))
        for delay_ms in {spec.delay_ms for spec in specs}:
            policy.timing.delay_ticks("delay-ms", delay_ms)
    fingerprint = fingerprint_of(policy_spec)
    stopping = Stopping(stop_at)
    rows = []
    with contextlib.ExitStack() as cleanup:
        done: dict[EpisodeSpec, EpisodeRow] = {}
        if out:
            done = kept_rows(out, specs, fingerprint, resume, cleanup, row_from_json, "policy or robot")
        # Asked when a worker is free: a few episodes begin before their task is decided; dropped below.
        missing = (spec for spec in specs if spec not in done and not stopping.decided(spec))
        how: dict[str, Any] = dict(
            policy_spec=policy_spec, film=film, watch=watch, fingerprint=fingerprint if ray else None
        )
        if policy and batch > 1:
            run = functools.partial(run_episodes, batch=batch, **how)
            new = in_order_grouped(run, missing, GROUP * batch, workers, ray)
        else:
            new = in_order(functools.partial(run_episode, **how), missing, workers, ray)
        cleanup.callback(new.close)
        for spec in specs:
            if stopping.decided(spec):
                continue
            row = done.get(spec)
            if row is None:
                row = next(found for found in new if found.spec == spec)
                if out:
                    append_row(out / ROWS_FILE, row)
            stopping.count(spec, row.success)
            if on_row:
                on_row(row)
            rows.append(dataclasses.replace(row, film=b""))  # thousands of failures would fill the memory
    return rows


def run_episode(
    spec: EpisodeSpec,
    policy_spec: PolicySpec,
    film: bool = False,
    watch: bool = False,
    fingerprint: str | None = None,
) -> EpisodeRow:
    """Runs one episode of a suite in this process; UserError if the policy here has another fingerprint."""
    check_fingerprint(policy_spec, fingerprint)
    policy = policy_spec.load()
    return answered(_run_noted(spec, policy, policy_spec.robot, film, watch), policy)


def run_episodes(
    specs: Sequence[EpisodeSpec],
    policy_spec: PolicySpec,
    film: bool,
    watch: bool,
    batch: int,
    fingerprint: str | None = None,
) -> list[EpisodeRow]:
    """Runs episodes of a suite in this process, up to `batch` at once (see `batched_rollout`)."""
    check_fingerprint(policy_spec, fingerprint)
    from ideomotor.vla.policy import EpisodePolicy

    policy = policy_spec.load()
    assert isinstance(policy, EpisodePolicy)  # no others are run in batches
    return play_batched(
        lambda number, own: _run_noted(specs[number], own, policy_spec.robot, film, watch),
        len(specs),
        policy,
        batch,
    )


def _run_noted(
    spec: EpisodeSpec, policy: DrivingPolicy | None, robot: str, film: bool, watch: bool
) -> Requests[EpisodeRow]:
    try:
        return (yield from _play(spec, policy, robot, film, watch))
    except Exception as error:
        error.add_note(f"in the episode {spec}")
        raise


def _play(
    spec: EpisodeSpec, policy: DrivingPolicy | None, robot: str, film: bool, watch: bool
) -> Requests[EpisodeRow]:
    from ideomotor.eval.reporting.film import Film
    from ideomotor.sim.open_world import open_world

    embodiment = load_embodiment(robot)
    split = "train" if spec.phrasing == "train" else "heldout"
    if policy:
        policy.run_without(filter(None, spec.without.split("+")))
    filmed = Film() if policy and film else None
    watched = Watch(embodiment) if policy and watch else None
    make_world = functools.partial(
        open_world,
        embodiment,
        spec.task,
        spec.seed,
        level=spec.perturbation,
        split=split,
        axis=spec.axis,
        strength=spec.strength,
    )
    free_instruction = instruction_in(spec)
    world = make_world(instruction=free_instruction)
    try:
        policy_instruction = world.instruction
        if spec.phrasing in ("swapped", "named"):
            other = world.alternative_instruction()
            assert other is not None, f"{spec}: nothing else in this scene can be named"
            policy_instruction = other
        if spec.phrasing == "named":
            world.close()
            world = make_world(instruction=policy_instruction)
        assert world.judging.judged, f"{policy_instruction!r} is {world.judging.sentence()}"
        delay_ticks = round(spec.delay_ms * embodiment.control_hz / 1000)
        requests = episode(
            world,
            policy,
            delay_ticks=delay_ticks,
            handover=spec.handover,
            instruction=policy_instruction,
            sensors=sensors_for(spec),
            network=network_for(spec),
        )
        if watched:
            requests = watched.over(requests)
        result = yield from filmed.watch(requests) if filmed else requests
        row = row_of(spec, result, embodiment, world.instruction, policy_instruction, world.subtask())
        return dataclasses.replace(
            row,
            plan=result.plan_score.counts() if policy and policy_instruction == world.instruction else {},
            film=filmed.strip() if filmed and not result.success else b"",
            seen=watched.to_json() if watched else {},
        )
    finally:
        world.close()
