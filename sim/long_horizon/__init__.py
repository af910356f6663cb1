"""Tasks of several skills, and skills that only they need. Adding one is adding one file and one line."""

from ideomotor.sim.long_horizon import count, fetch, kit, put_down, stow, tidy, tower
from ideomotor.sim.task import Task
from ideomotor.sim.tasks import TASKS

GOAL_TASKS: dict[str, Task] = {
    "tidy": tidy.TASK,
    "tower": tower.TASK,
    "fetch": fetch.TASK,
    "kit": kit.TASK,
    "count": count.TASK,
}
MORE_SKILLS: dict[str, Task] = {  # not among the built-in tasks, nor in their suites
    "stow": stow.TASK,
    "put_down": put_down.TASK,
}


def all_tasks() -> dict[str, Task]:
    """Whatever can be run and recorded."""
    return {**TASKS, **MORE_SKILLS, **GOAL_TASKS}
