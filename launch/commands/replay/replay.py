"""`ideomotor replay`: plays a recorded episode on an arm, on its twin, or in simulation.

On an arm it is a launch whose policy is the recording: the same looking over, control process, safety filter,
log and way out. The arm goes slowly from where it stands to the first command, and then does what was
commanded. Exit codes are those of `ideomotor launch`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.interrupts import as_interrupts
from ideomotor.control.safety.way import check_within
from ideomotor.launch.commands.replay.options import ReplayOptions, about, arrangement_of, check, scene_of
from ideomotor.launch.console import Output

if TYPE_CHECKING:
    from ideomotor.datasets.loading.trajectory import Trajectory
    from ideomotor.sim.protocol import EpisodeWorld


def replay(options: ReplayOptions) -> int:
    """The command."""
    output = Output(options.json)
    check(options)
    embodiment, trajectory = _read(options, output)
    if options.sim:
        _simulated(options, output, embodiment, trajectory)
        return 0
    from ideomotor.launch.commands.replay.on_arm import replay_on_arm

    with as_interrupts():  # whatever would end it now, nothing has torque and all is cleaned up
        code, outcome = replay_on_arm(options, output, embodiment, trajectory)
        _tell(outcome, output)
        return code


def _read(options: ReplayOptions, output: Output) -> tuple[Embodiment, Trajectory]:
    """What is to be played; UserError if it cannot be."""
    from ideomotor.datasets.loading.trajectory import read_trajectory

    embodiment = load_embodiment(options.robot)
    trajectory = read_trajectory(options.data, options.episode, embodiment, options.map)
    first = f"{options.data}: episode {options.episode} begins out of reach"
    check_within(embodiment, trajectory.commands[0], first)
    say, hz = output.text.print, embodiment.control_hz
    say(f"episode      {options.episode} of {options.data}: {trajectory.instruction}", markup=False)
    rate = f"recorded at {trajectory.recorded_hz:g} Hz"
    say(f"commands     {trajectory.ticks} at {hz} Hz, {trajectory.ticks / hz:.1f} s, {rate}")
    outside = (trajectory.commands < embodiment.lower) | (trajectory.commands > embodiment.upper)
    if beyond := int(outside.any(1).sum()):
        say(f"note: {beyond} of them are out of the joints' limits, and are held at these")
    return embodiment, trajectory


def _simulated(
    options: ReplayOptions, output: Output, embodiment: Embodiment, trajectory: Trajectory
) -> None:
    from ideomotor.launch.runtime.replaying.lockstep_replay import replay_in_world
    from ideomotor.launch.runtime.replaying.replay_figures import PlayedTicks
    from ideomotor.sim.world import World

    if embodiment.arms:
        raise UserError(f"sim: {embodiment.name} has no simulated world, expected --twin or --port")
    played, began = PlayedTicks(), time.monotonic()
    world = _world(options, embodiment, trajectory)
    try:
        if isinstance(world, World) and (arrangement := arrangement_of(options, trajectory)):
            world.put_back(arrangement)
        result = replay_in_world(world, trajectory, embodiment, options.speed, played)
        judging = world.judging
    finally:
        world.close()
    ticks = round(result.seconds * embodiment.control_hz)
    task, seed, level = scene_of(options, trajectory)
    outcome = {
        **about(options, embodiment, trajectory),
        **played.figures(trajectory, embodiment, options.speed),
        "task": task,
        "seed": seed,
        "randomize": level,
        "seconds": result.seconds,
        "control_hz": embodiment.control_hz,
        "achieved_hz": ticks / max(time.monotonic() - began, 1e-9),
        "late_share": None,  # nothing is late where time waits
        "interventions": sum(result.interventions.values()),
        "interventions_by_reason": result.interventions,
        **judging.to_json(),
        "success": result.success,
    }
    output.result(outcome)
    output.text.print(f"scene        {task}, seed {seed}, {level} randomisation")
    _tell(outcome, output)


def _world(options: ReplayOptions, embodiment: Embodiment, trajectory: Trajectory) -> EpisodeWorld:
    """The recorded world, or the one that was asked for; in it the recording's instruction is judged."""
    from ideomotor.launch.environments import checked_tasks
    from ideomotor.sim.open_world import open_world

    task, seed, level = scene_of(options, trajectory)
    checked_tasks(embodiment, [task])
    world = open_world(embodiment, task, seed, level)
    if world.instruction == trajectory.instruction:
        return world
    world.close()
    return open_world(embodiment, task, seed, level, instruction=trajectory.instruction)


def _tell(outcome: dict[str, Any], output: Output) -> None:
    """How well the recording was followed, for people."""
    say = output.text.print
    say(f"played       {outcome['played_seconds']:.1f} of {outcome['recorded_seconds']:.1f} s")
    for name, words in (
        ("command_error_rad", "sent, off what was recorded"),
        ("state_error_rad", "measured, off what was measured then"),
        ("tracking_error_rad", "measured, off what was sent"),
    ):
        if error := outcome[name]:
            say(f"{words:<37} p50 {error['p50']:.4f}, p99 {error['p99']:.4f} rad")
    if outcome["success"] is not None:
        before = {True: ", as it was then", False: ", which it was not then"}
        again = before.get(outcome["recorded_success"], "") if outcome["success"] else ""
        say(f"task         {'solved' if outcome['success'] else 'NOT solved'}{again}")
