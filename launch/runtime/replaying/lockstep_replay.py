"""A recorded episode played in a simulated world, tick by tick: its outcome depends on nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ideomotor.control.controller import Controller
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.datasets.loading.trajectory import Trajectory
from ideomotor.launch.runtime.replaying.replay_figures import PlayedTicks
from ideomotor.launch.runtime.replaying.replay_policy import ReplayPolicy
from ideomotor.launch.runtime.session import slowed
from ideomotor.sim.protocol import EpisodeWorld

EVERY_TICKS = 16  # of the policy's time, between chunks
LINGER_S = 1.0  # that the last command is held for, at most, where the task is not solved yet


@dataclass(frozen=True)
class LockstepReplay:
    """How it went."""

    success: bool | None  # the task was solved; None: nobody can judge it
    seconds: float  # simulated, the way to the first command included
    interventions: dict[str, int]  # {reason: ticks in which the safety filter changed a command}


def replay_in_world(
    world: EpisodeWorld, trajectory: Trajectory, embodiment: Embodiment, speed: float, played: PlayedTicks
) -> LockstepReplay:
    """Plays all of it, and holds the last command for a moment if the task is not solved by then.

    Args:
        speed: of the recording's time, as a share of the world's.
        played: is given each tick.

    Raises:
        UserError: no way leads from where the arm stands to the first command.
    """
    hz, at, due = float(embodiment.control_hz), 0.0, 0
    policy = ReplayPolicy(trajectory.commands, embodiment)
    controller = Controller(slowed(embodiment, speed))
    controller.reset(state := world.state())
    nothing = np.empty((0, len(embodiment.joints)))
    before, ticks = controller.past_commands[-1].copy(), 0
    solved, end = world.success, trajectory.ticks
    while True:
        tick = int(at)
        if tick >= due:
            due = tick + EVERY_TICKS
            seen = Observation(
                ticks / hz, tick, {}, state.position.astype(np.float32), trajectory.instruction, before[None]
            )
            no_plan = LatentPlan(np.empty((0, 0), np.float32), seen.time)
            controller.submit(policy.act(seen, no_plan, nothing))
        command = controller.step(ticks, state, at)
        index = at + policy.offset
        if index >= end and (solved in (True, None) or index >= end + LINGER_S * hz * speed):
            return LockstepReplay(solved, ticks / hz, dict(controller.interventions))
        if index < end:
            played.add(index, ticks / hz, state.position, before, command.position)
        world.step(command)
        before, state = command.position, world.state()
        solved = solved or world.success
        at, ticks = at + speed, ticks + 1
