"""The built-in tasks. Adding one is adding one file here and one line to the dict."""

from ideomotor.sim.task import Task
from ideomotor.sim.tasks import lift, push, reach

TASKS: dict[str, Task] = {task.name: task for task in (reach.TASK, push.TASK, lift.TASK)}
