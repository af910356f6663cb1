"""press: push the named button down."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ideomotor.sim import layout, skills
from ideomotor.sim.motion import SHUT, Arm
from ideomotor.sim.scene import BUTTON_HEIGHT, BUTTON_TRAVEL, Scene, Thing
from ideomotor.sim.task import Goal, SceneState, Subtask, Task, goals_for

PRESSED = 0.6 * BUTTON_TRAVEL  # [m]
NEAR = 0.035  # [m]


def draw_layout(generator: np.random.Generator) -> tuple[Thing, ...] | None:
    buttons = [("button", colour, "large") for colour in layout.draw_colours(generator, 3)]
    return layout.scatter(generator, buttons, gap=0.035)


def goals(scene: Scene) -> tuple[Goal, ...]:
    return goals_for(scene, lambda thing: thing.kind == "button")


def subtasks(scene: Scene, goal: Goal) -> tuple[Subtask, ...]:
    name = goal.words["target"]

    def near(world: SceneState) -> bool:
        offset = world.fingertips() - world.position(goal.target)
        return bool(np.hypot(*offset[:2]) < NEAR and offset[2] < 0.06)

    return (
        Subtask(f"go above the {name}", goal, near),
        Subtask(f"press the {name}", goal, lambda world: success(world, goal)),
    )


def success(world: SceneState, goal: Goal) -> bool:
    return world.slide(goal.target) > PRESSED


def expert(world: SceneState, arm: Arm, goal: Goal) -> Iterator[np.ndarray]:
    x, y, _ = world.position(goal.target)
    above = np.array([x, y, BUTTON_HEIGHT + 0.025])
    down = np.array([x, y, BUTTON_HEIGHT - 0.9 * BUTTON_TRAVEL])
    yield from arm.detour(above, above, grip=SHUT)
    if not skills.is_over(arm, down):
        yield from arm.rise(above[2])
        yield from arm.move_to(above, grip=SHUT)
    yield from arm.line_to(down, grip=SHUT)
    yield from arm.wait(0.25)
    yield from arm.line_to(above, grip=SHUT)


TASK = Task(
    name="press",
    summary="push the named button down",
    instructions=(
        "press the {target}",
        "push the {target} down",
        "hit the {target}",
        "press down on the {target}",
        "activate the {target}",
        "push down the {target}",
        "click the {target}",
        "tap the {target}",
        "please press the {target}",
        "can you push the {target}",
        "go and press the {target}",
        "the {target} has to be pressed",
        "with closed fingers press the {target}",
        "press the {target} once",
        "give the {target} a press",
        "use the {target}",
    ),
    harder_instructions=(
        (
            "i need you to go and press down on the {target}",
            "bring the hand down on the {target} please",
        ),
        (
            "depress the {target}",
            "trigger the {target} by poking it",
        ),
    ),
    objects=("button",),
    actions=("press",),
    max_seconds=5.0,
    hold_seconds=0.15,
    layout=draw_layout,
    goals=goals,
    subtasks=subtasks,
    success=success,
    expert=expert,
)
