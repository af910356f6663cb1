"""The built-in tasks. Adding one is adding one file here and one line to the dict."""

from ideomotor.sim.task import Task
from ideomotor.sim.tasks import drawer, lift, place, press, push, reach, sort, stack

TASKS: dict[str, Task] = {
    "reach": reach.TASK,
    "push": push.TASK,
    "lift": lift.TASK,
    "place": place.TASK,
    "stack": stack.TASK,
    "drawer": drawer.TASK,
    "press": press.TASK,
    "sort": sort.TASK,
}
