"""`ideomotor tasks` and `ideomotor robots`: what can be run, and on what."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.table import Table

from ideomotor.launch.console import Output


@dataclass(frozen=True)
class TasksOptions:
    """Lists the tasks, the objects they use and the instructions they come with."""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the list as JSON; - is standard output"""


@dataclass(frozen=True)
class RobotsOptions:
    """Lists the robots with their joints and limits, or checks one embodiment file."""

    robot: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FILE")] = None
    """show only this one: a name, or the path of an embodiment file"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the list as JSON; - is standard output"""


def tasks(options: TasksOptions) -> int:
    """Prints the tasks."""
    from ideomotor.sim.tasks import TASKS

    output = Output(options.json)
    table = Table("task", "objects", "seconds", "instructions", box=None, pad_edge=False)
    for task in TASKS.values():
        examples = "\n".join(task.instructions[:2])
        table.add_row(task.name, ", ".join(task.objects), f"{task.max_seconds:g}", examples)
    output.text.print(table)
    output.result(
        {
            "tasks": [
                {
                    "name": task.name,
                    "instructions": list(task.instructions),
                    "objects": list(task.objects),
                    "max_seconds": task.max_seconds,
                }
                for task in TASKS.values()
            ]
        }
    )
    return 0


def robots(options: RobotsOptions) -> int:
    """Prints the robots, each joint with its limits."""
    from ideomotor.control.embodiment import Embodiment, embodiment_names, load_embodiment

    def described(robot: Embodiment) -> dict[str, Any]:
        return {
            "name": robot.name,
            "description": robot.description,
            "control_hz": robot.control_hz,
            "joints": [dataclasses.asdict(joint) for joint in robot.joints],
            "grippers": list(robot.grippers),
            "cameras": [
                {"name": c.name, "height": c.height, "width": c.width, "hz": c.hz} for c in robot.cameras
            ],
        }

    output = Output(options.json)
    names = [options.robot] if options.robot else embodiment_names()
    found = [load_embodiment(name) for name in names]
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
    output.result({"robots": [described(robot) for robot in found]})
    return 0
