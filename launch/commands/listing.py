"""`ideomotor tasks` and `ideomotor robots`: what can be run, and on what."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.table import Table

from ideomotor.control.ctrl_c import loading
from ideomotor.control.embodiment import Embodiment, embodiment_names, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.plugins import ROBOTS, plugin_names
from ideomotor.launch.console import Output
from ideomotor.launch.environments import ROBOT, robot_of

if TYPE_CHECKING:
    from ideomotor.sim.task import Task


@dataclass(frozen=True)
class TasksOptions:
    """Lists the tasks, the objects they use and the instructions they come with."""

    env: Annotated[str, tyro.conf.arg(metavar="NAME|FILE|MODULE:ID")] = ""
    """those of a Gymnasium environment that an embodiment file maps, such as metaworld"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the list as JSON; - is standard output"""


@dataclass(frozen=True)
class RobotsOptions:
    """Lists the robots with their joints and limits, or checks one embodiment file.

    `ideomotor robots check ROBOT` looks at an arm's servos.
    """

    robot: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FILE")] = None
    """show only this one: a name, or the path of an embodiment file"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the list as JSON; - is standard output"""


def tasks(options: TasksOptions) -> int:
    """Prints the tasks."""
    output = Output(options.json)
    with loading():
        found = _tasks_of(options.env) if options.env else _own_tasks()
        longer = [] if options.env else _longer_tasks()
    output.result({"tasks": found, **({"longer_tasks": longer} if longer else {})})
    table = Table("task", "objects", "seconds", "instructions", box=None, pad_edge=False)
    for task in (*found, *longer):
        examples = "\n".join(task["instructions"][:2])
        table.add_row(task["name"], ", ".join(task["objects"]), f"{task['max_seconds']:g}", examples)
    output.text.print(table)
    return 0


def _own_tasks() -> list[dict[str, Any]]:
    from ideomotor.sim.tasks import TASKS

    return _described(TASKS.values())


def _longer_tasks() -> list[dict[str, Any]]:
    """Those of several skills, and the skills that only they need, which no suite of one skill has."""
    from ideomotor.sim.long_horizon import GOAL_TASKS, MORE_SKILLS

    return _described((*GOAL_TASKS.values(), *MORE_SKILLS.values()))


def _described(tasks: Iterable[Task]) -> list[dict[str, Any]]:
    return [
        {
            "name": task.name,
            "instructions": list(task.instructions),
            "objects": list(task.objects),
            "max_seconds": task.max_seconds,
        }
        for task in tasks
    ]


def _tasks_of(env: str) -> list[dict[str, Any]]:
    """Nobody tells what objects an environment's tasks are about; but some are of a level of difficulty."""
    embodiment = load_embodiment(robot_of(env, ROBOT))
    where = embodiment.environment
    assert where is not None  # `robot_of` saw to it
    return [
        {
            "name": task.name,
            "instructions": [task.instruction],
            "objects": [],
            "max_seconds": where.steps_of(task.name) / embodiment.control_hz,
        }
        | ({"level": task.level} if task.level else {})
        for task in where.tasks
    ]


def robots(options: RobotsOptions) -> int:
    """Prints the robots, each joint with its limits."""

    def described(robot: Embodiment) -> dict[str, Any]:
        return {
            "name": robot.name,
            "description": robot.description,
            "control_hz": robot.control_hz,
            "joints": [
                {name: value for name, value in dataclasses.asdict(joint).items() if value != math.inf}
                for joint in robot.joints
            ],
            "grippers": list(robot.grippers),
            "cameras": [
                {"name": c.name, "height": c.height, "width": c.width, "hz": c.hz} for c in robot.cameras
            ],
        }

    output = Output(options.json)
    names = [options.robot] if options.robot else embodiment_names()
    found = [load_embodiment(name) for name in names]
    for name in () if options.robot else plugin_names(ROBOTS):
        try:
            found.append(load_embodiment(name))
        except UserError as error:  # another package's defect hides nothing of ours
            output.text.print(f"note: {error}", markup=False)
    output.result({"robots": [described(robot) for robot in found]})
    for robot in found:
        output.text.print(
            f"[bold]{robot.name}[/bold]: {robot.description}, commanded at {robot.control_hz} Hz"
        )
        table = Table(
            "joint", "unit", "lower", "upper", "velocity", "acceleration", "jerk", "effort", box=None
        )
        for joint in robot.joints:
            limits = (joint.max_velocity, joint.max_acceleration, joint.max_jerk, joint.max_effort)
            table.add_row(
                joint.name,
                joint.unit,
                f"{joint.lower:.3f}",
                f"{joint.upper:.3f}",
                *(f"{x:g}" for x in limits),
            )
        output.text.print(table)
    return 0
