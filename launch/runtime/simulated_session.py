"""A policy drives a simulated robot by the wall clock: the process topology, put together.

    cameras ──► interpreter ──► decoder ──► control ──► physics of the world
                         supervisor: this process

Servos instead of a simulation need another `make_robot` and other cameras, no physics, and nothing else.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.report import ControlConfig
from ideomotor.control.runtime.supervisor import Job, Outcome, supervise
from ideomotor.control.timing import Timing, usual_timing
from ideomotor.control.types import Policy
from ideomotor.launch.dashboard.alarms import AlarmLimits
from ideomotor.launch.dashboard.beside import dashboard_beside
from ideomotor.launch.dashboard.options import WebOptions
from ideomotor.launch.runtime.policy_processes import (
    PolicyProcessConfig,
    decoder_process,
    interpreter_process,
)
from ideomotor.sim.robot import SimulatedRobot, waker
from ideomotor.sim.sim_state_channel import SceneSpec, succeeded
from ideomotor.sim.wallclock import cameras_process, physics_process


@dataclass(frozen=True)
class WallClockRun:
    """How a run by the wall clock went."""

    outcome: Outcome
    success: bool  # the task was solved
    instruction: str
    plan_text: str  # the newest readable plan


def drive(
    scene: SceneSpec,
    make_policy: Callable[[str], Policy],
    config: ControlConfig,
    *,
    timing: Timing | None = None,
    finish_when_solved: bool = True,
    on_poll: Callable[[shared_state.SharedState], None] | None = None,
    web: WebOptions | None = None,
    limits: AlarmLimits | None = None,
    say: Callable[[str], None] = print,
) -> WallClockRun:
    """Runs a task until it is solved, the configured ticks are over, or something stops it.

    Args:
        scene: the world.
        make_policy: picklable; called once in each of the two policy processes, with "interpreter" or
            "decoder", the network that it runs.
        config: of the control process, the hand-over method included.
        timing: of the policy; by default what is usual for the robot.
        finish_when_solved: otherwise the run lasts for `config.max_ticks`.
        on_poll: called many times a second with the shared state, for a display.
        web: a page beside it (launch/dashboard/beside.py).
        limits: of its alarms.
        say: shows a line: where the page is, and what happens there.

    Raises:
        UserError: unknown names in the scene, or a process that did not start.
    """
    embodiment = load_embodiment(scene.robot)
    world = scene.world()  # a mistake is found here, before any process starts
    instruction = world.instruction
    world.close()
    policy = PolicyProcessConfig(
        make_policy, instruction, timing or usual_timing(embodiment), config.handover, scene.seed
    )
    shared, wake = shared_state.create(embodiment), waker()
    physics = (shared.spec, scene, finish_when_solved, wake, max(config.priority - 1, 0))
    try:
        jobs = [
            Job("body", physics_process, physics),
            Job("cameras", cameras_process, (shared.spec, scene)),
            Job("interpreter", interpreter_process, (shared.spec, policy)),
            Job("decoder", decoder_process, (shared.spec, policy)),
        ]
        seen = shared, embodiment, instruction, config.drivers
        page = dashboard_beside(*seen, web, limits) if web else contextlib.nullcontext()
        with page as dashboard:
            if dashboard:
                say(f"web: {dashboard.address}")

            def poll() -> None:
                for event in dashboard.poll() if dashboard else ():
                    say(event.sentence())
                if on_poll:
                    on_poll(shared)

            outcome = supervise(
                shared, embodiment, functools.partial(SimulatedRobot, wake), jobs, config, on_poll=poll
            )
        plan = shared.plan.new()
        text = shared_state.text_of(plan["text"]) if shared.plan.read(plan) else ""
        return WallClockRun(outcome, succeeded(shared.scene), instruction, text)
    finally:
        wake.close()
        shared.close()
