"""`ideomotor run --web`: the same episode by the wall clock, in processes, with a page beside it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ideomotor.control.errors import UserError
from ideomotor.control.interrupts import as_interrupts
from ideomotor.launch.console import Output
from ideomotor.launch.dashboard.alarms import limits_of
from ideomotor.launch.dashboard.options import web_options
from ideomotor.launch.needed_options import NeededArguments

if TYPE_CHECKING:
    from ideomotor.launch.dashboard.options import WebArguments
    from ideomotor.launch.serving.lerobot_options import LeRobotOptions
    from ideomotor.launch.serving.remote_options import RemoteOptions


class WatchedOptions(Protocol):
    """What it needs of the options of `run`."""

    @property
    def task(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def randomize(self) -> str: ...
    @property
    def instruction(self) -> str | None: ...
    @property
    def robot(self) -> str: ...
    @property
    def policy(self) -> str | None: ...
    @property
    def lerobot(self) -> LeRobotOptions: ...
    @property
    def remote(self) -> RemoteOptions: ...
    @property
    def needed(self) -> NeededArguments: ...
    @property
    def page(self) -> WebArguments: ...
    @property
    def confidence(self) -> bool: ...
    @property
    def expert(self) -> bool: ...
    @property
    def env(self) -> str: ...
    @property
    def delay(self) -> float: ...
    @property
    def record(self) -> Path | None: ...


def check_watched(options: WatchedOptions) -> None:
    """UserError for what the page is wrong about, or what a run by the wall clock does not have."""
    web_options(options.page)
    if options.page.web is None:
        return
    for name, given in (
        ("expert", options.expert),
        ("env", options.env),
        ("delay", options.delay),
        ("record", options.record),
    ):
        if given:
            raise UserError(f"{name}: --web shows a policy that drives by the wall clock, so not with it")


def run_watched(options: WatchedOptions, output: Output) -> int:
    """Runs the episode until it is solved or its time is over; 0 unless something broke."""
    from ideomotor.control.embodiment import load_embodiment
    from ideomotor.control.runtime.report import ControlConfig
    from ideomotor.launch.checkpoints import chosen_policy, facts_of, policy_name
    from ideomotor.launch.environments import checked_tasks
    from ideomotor.launch.runtime.policy_processes import policy_maker
    from ideomotor.launch.runtime.simulated_session import drive
    from ideomotor.launch.serving.remote_source import stop_config
    from ideomotor.sim.sim_state_channel import SceneSpec

    embodiment = load_embodiment(options.robot)
    checked_tasks(embodiment, [options.task])
    policy = chosen_policy(options.policy, embodiment, options.lerobot, options.remote)
    timing, _ = facts_of(policy, embodiment)
    scene = SceneSpec(options.task, options.seed, options.randomize, options.instruction, options.robot)
    world = scene.world()
    judging, max_ticks = world.judging, world.max_ticks
    world.close()
    say = functools.partial(output.text.print, markup=False)
    with as_interrupts():
        run = drive(
            scene,
            policy_maker(policy, options.robot, options.confidence, options.needed.of(policy)),
            ControlConfig(max_ticks=max_ticks, stop=stop_config(policy)),
            timing=timing,
            web=web_options(options.page),
            limits=limits_of(policy),
            say=say,
        )
    report = run.outcome.report
    seconds = report.ticks / embodiment.control_hz if report else 0.0
    output.result(
        {
            "task": options.task,
            "instruction": run.instruction,
            "seed": options.seed,
            "policy": policy_name(options.policy),
            "control_hz": embodiment.control_hz,
            **judging.to_json(),
            "success": run.success if judging.judged else None,
            "seconds": seconds,
            "plan_text": run.plan_text,
            "achieved_hz": report.achieved_hz if report else None,
            "faults": run.outcome.faults,
        }
    )
    solved = "solved" if run.success else "NOT solved"
    say(f"result       {solved if judging.judged else 'not judged'} in {seconds:.2f} s, by the wall clock")
    return 1 if run.outcome.faults else 0
