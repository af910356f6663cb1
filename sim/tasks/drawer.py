"""drawer: open or close the named one of two drawers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ideomotor.sim import layout, skills
from ideomotor.sim.motion import SHUT, Arm
from ideomotor.sim.scene import DRAWER_HALF, DRAWER_TRAVEL, HANDLE_REACH, Scene, Thing
from ideomotor.sim.task import Goal, SceneState, Subtask, Task

OPENED, CLOSED = 0.055, 0.012  # displacement from closed [m]
START_OPEN = 0.070  # [m]
HOOK_HEIGHT = 0.024  # of the fingertips behind the handle [m]
PUSH_HEIGHT = 0.030  # of the fingertips against the handle [m]
HAND_FRONT = 0.016  # from the gripper site to the hand's outer face [m]


def draw_layout(generator: np.random.Generator) -> tuple[Thing, ...] | None:
    x, y = generator.uniform(0.330, 0.345), generator.uniform(-0.03, 0.03)
    spread = DRAWER_HALF[1] + generator.uniform(0.004, 0.02)
    colours = layout.draw_colours(generator, 2)
    return tuple(
        Thing(
            name=f"thing{index}", kind="drawer", colour=colour, position=(x, y + side * spread),
            opening=START_OPEN * int(generator.integers(0, 2)),
        )
        for index, (colour, side) in enumerate(zip(colours, (1, -1), strict=True))
    )  # fmt: skip


def goals(scene: Scene) -> tuple[Goal, ...]:
    return tuple(
        Goal(
            thing.name,
            words={"verb": "close" if thing.opening else "open", "target": scene.describe(thing.name)},
        )
        for thing in scene.things
        if thing.kind == "drawer"
    )


def subtasks(scene: Scene, goal: Goal) -> tuple[Subtask, ...]:
    name = goal.words["target"]
    act = ("pull" if goal.words["verb"] == "open" else "push") + f" the {name}"

    def at_handle(world: SceneState) -> bool:
        offset = world.fingertips() - world.position(goal.target)
        return bool(np.hypot(*offset[:2]) < 0.06 and offset[2] < 0.012)

    return (
        Subtask(f"reach the handle of the {name}", goal, at_handle),
        Subtask(act, goal, lambda world: success(world, goal)),
    )


def success(world: SceneState, goal: Goal) -> bool:
    slide = world.slide(goal.target)
    return slide > OPENED if goal.words["verb"] == "open" else slide < CLOSED


def expert(world: SceneState, arm: Arm, goal: Goal) -> Iterator[np.ndarray]:
    handle, slide = world.position(goal.target), world.slide(goal.target)
    if goal.words["verb"] == "open":
        hook = np.array([handle[0] + HANDLE_REACH / 2, handle[1], HOOK_HEIGHT])
        end = hook - (DRAWER_TRAVEL - slide + 0.004, 0, 0)
    else:
        hook = np.array([handle[0] - HAND_FRONT - 0.012, handle[1], PUSH_HEIGHT])
        end = hook + (0.012 + slide + 0.002, 0, 0)
    above = hook + (0, 0, 0.04)
    if not _is_at(arm, hook):
        yield from arm.detour(above, above, grip=SHUT)
        if not skills.is_over(arm, hook):
            yield from arm.rise(above[2])
            yield from arm.move_to(above, grip=SHUT)
        yield from arm.line_to(hook, grip=SHUT)
    # The hand keeps facing ahead while the arm pulls along the drawer, not along its own radius.
    yield from arm.line_to(end, roll=0.0, grip=SHUT, speed=0.10)
    yield from arm.wait(0.2)


def _is_at(arm: Arm, hook: np.ndarray) -> bool:
    """Whether the fingertips are low enough at the handle to pull or push it."""
    along, across, rise = arm.pose()[0] - hook
    return abs(along) < 0.014 and abs(across) < 0.015 and rise < 0.008


TASK = Task(
    name="drawer",
    summary="open or close the named one of two drawers",
    instructions=(
        "{verb} the {target}",
        "please {verb} the {target}",
        "{verb} the {target} on the table",
        "can you {verb} the {target}",
        "go and {verb} the {target}",
        "{verb} the {target} all the way",
        "use the handle to {verb} the {target}",
        "{verb} the {target} now",
        "please go and {verb} the {target}",
        "the {target}: {verb} it",
        "can you {verb} the {target} by its handle",
        "it is time to {verb} the {target}",
        "i need you to {verb} the {target}",
        "would you {verb} the {target} for me",
    ),
    harder_instructions=(
        (
            "go to the {target} and {verb} it please",
            "the {target} has to {verb} now",
        ),
        (
            "kindly {verb} the {target} fully",
            "make sure to {verb} the {target} completely",
        ),
    ),
    objects=("drawer",),
    actions=("open", "close"),
    max_seconds=8.0,
    hold_seconds=0.2,
    layout=draw_layout,
    goals=goals,
    subtasks=subtasks,
    success=success,
    expert=expert,
)
