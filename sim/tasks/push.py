"""push: slide the named object to its left, to its right, or onto a coloured zone.

Left and right are the robot's own: left is +y.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ideomotor.sim import layout, skills
from ideomotor.sim.motion import Arm
from ideomotor.sim.scene import ZONE_RADIUS, Scene, Thing
from ideomotor.sim.task import Goal, SceneState, Subtask, Task

KINDS = ("cube", "cylinder")
SIDES = {"left": 1.0, "right": -1.0}
DISTANCE = 0.065  # of a push to a side [m]
FAR_ENOUGH = 0.040  # displacement to the side that counts [m]
ASIDE = 0.035  # displacement across it that is forgiven [m]
ATTEMPTS = 3  # an object that slipped off the fingers is pushed again
STILL = 0.02  # [m/s]
RUN_UP = 0.062  # free room behind the object [m]


def draw_layout(generator: np.random.Generator) -> tuple[Thing, ...] | None:
    objects = layout.draw_objects(generator, 3, kinds=KINDS)
    zone = ("zone", layout.draw_colours(generator, 1)[0], "large")
    return layout.scatter(generator, [*objects, zone], gap=0.025)


def goals(scene: Scene) -> tuple[Goal, ...]:
    """Every push whose run-up and path are within reach and free of other objects."""
    found = []
    for thing in scene.things:
        if thing.kind not in KINDS:
            continue
        start = np.array(thing.position)
        words = {"target": scene.describe(thing.name)}
        for side, sign in SIDES.items():
            end = start + (0.0, sign * DISTANCE)
            if _path_is_free(scene, thing, start, end):
                spot = (float(end[0]), float(end[1]))
                found.append(Goal(thing.name, words={**words, "where": f"to the {side}"}, spot=spot))
        for zone in scene.things:
            if zone.kind == "zone" and _path_is_free(scene, thing, start, np.array(zone.position)):
                where = {**words, "where": f"onto the {scene.describe(zone.name)}"}
                found.append(Goal(thing.name, place=zone.name, words=where))
    return tuple(found)


def subtasks(scene: Scene, goal: Goal) -> tuple[Subtask, ...]:
    name, where = goal.words["target"], goal.words["where"]
    return (
        Subtask(f"touch the {name}", goal, lambda world: world.touching(goal.target)),
        Subtask(f"push the {name} {where}", goal, lambda world: success(world, goal)),
    )


def success(world: SceneState, goal: Goal) -> bool:
    position = world.position(goal.target)[:2]
    if world.speed(goal.target) > STILL:
        return False
    if goal.place:
        return float(np.linalg.norm(position - world.position(goal.place)[:2])) < ZONE_RADIUS - 0.01
    assert goal.spot is not None
    start = world.start_positions[goal.target][:2]
    sign = np.sign(goal.spot[1] - start[1])
    moved = position - start
    return bool(sign * moved[1] > FAR_ENOUGH and abs(moved[0]) < ASIDE)


def expert(world: SceneState, arm: Arm, goal: Goal) -> Iterator[np.ndarray]:
    end = world.position(goal.place)[:2] if goal.place else np.array(goal.spot)
    for _ in range(ATTEMPTS):
        if success(world, goal) and not world.touching(goal.target):
            break
        yield from skills.sweep(world, arm, goal.target, end)
        yield from arm.wait(0.1)


def _path_is_free(scene: Scene, thing: Thing, start: np.ndarray, end: np.ndarray) -> bool:
    length = float(np.linalg.norm(end - start))
    if not 0.05 < length < 0.16:
        return False
    direction = (end - start) / length
    behind = start - RUN_UP * direction
    if not all(layout.within_reach(spot) for spot in (behind, start, end)):
        return False
    for other in scene.things:
        if other.name == thing.name or other.kind == "zone":
            continue
        offset = np.array(other.position) - behind
        along = float(np.clip(offset @ direction, 0.0, length + RUN_UP + thing.radius))
        if np.linalg.norm(offset - along * direction) < other.radius + thing.radius + 0.012:
            return False
    return True


TASK = Task(
    name="push",
    summary="slide the named object to its left, to its right, or onto a coloured zone",
    instructions=(
        "push the {target} {where}",
        "slide the {target} {where}",
        "move the {target} {where}",
        "shove the {target} {where}",
        "nudge the {target} {where}",
        "push {where} the {target}",
        "use the gripper to push the {target} {where}",
        "shift the {target} {where}",
        "please push the {target} {where}",
        "can you slide the {target} {where}",
        "get the {target} to go {where}",
        "push the {target} so that it ends up {where}",
        "i want the {target} moved {where}",
        "{where}: push the {target}",
        "with closed fingers push the {target} {where}",
        "the {target} has to move {where}",
        "go and nudge the {target} {where} please",
        "take care to shift only the {target} {where}",
        "make the {target} slide {where}",
        "give the {target} a push {where}",
    ),
    harder_instructions=(
        (
            "i need you to push the {target} {where}",
            "the {target} should end up {where}: push it",
        ),
        (
            "drive the {target} {where}",
            "relocate the {target} {where} without grasping it",
        ),
    ),
    objects=(*KINDS, "zone"),
    actions=("push", "put"),
    max_seconds=8.0,
    hold_seconds=0.25,
    layout=draw_layout,
    goals=goals,
    subtasks=subtasks,
    success=success,
    expert=expert,
    impossible_axes={"shapes": (2, 3)},  # what rolls cannot be pushed
)
