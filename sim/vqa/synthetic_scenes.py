"""Synthetic scenes with perfect labels: what the interpreter learns to see from, before any demonstration.

More than half of them are moments of the experts at work, physics and all: only there is something
really grasped, carried, pushed or done. The others need no physics but for a grip that closes: an arm
in some posture over a task's layout. What can be asked for and what can be asked about a scene are
samples of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ideomotor.control.errors import unknown_name
from ideomotor.control.types import Command
from ideomotor.sim import layout
from ideomotor.sim.episode import phrase, plan_text, refer
from ideomotor.sim.motion import OPEN, SHUT, Arm, Unreachable
from ideomotor.sim.open_world import task_world
from ideomotor.sim.projection import project
from ideomotor.sim.randomization import LEVELS
from ideomotor.sim.rendering.mujoco_gl import mujoco
from ideomotor.sim.scene import GRASPABLE
from ideomotor.sim.task import Goal
from ideomotor.sim.tasks import TASKS
from ideomotor.sim.vqa.questions import Grounding, Truth, plan_question, questions, yes_or_no
from ideomotor.sim.world import World

CAMERAS = ("front", "wrist")
MIXED = "mixed"  # level of randomisation: another one in every layout
PER_LAYOUT = 4  # scenes made from one layout: moments of one episode, or postures
AT_WORK = 0.6  # share of layouts in which the expert is at work
AT_HOME, IN_HAND = 0.25, 0.25  # shares of the other scenes: arm at home, an object put in its hand
AT_THE_END = 0.2  # share of an episode's moments that are its last one: what has been done is rare else
RARELY = 0.2  # share of scenes in which nothing is done where it is asked whether something is
DETOURS = 0.3  # share of episodes in which the expert first goes wrong
SETTLE_EVERY = 6  # ticks between moments that may be chosen
GRIP_STEPS = 60  # physics steps in which fingers close on what was put between them


@dataclass(frozen=True)
class SyntheticScene:
    """Pictures of one scene and everything that can be asked in it."""

    images: Mapping[str, np.ndarray]  # {camera: (H, W, 3) uint8 RGB}
    state: np.ndarray  # (D,) float32 [rad]
    items: tuple[Grounding, ...]  # instructions first, then questions


def synthetic_scenes(
    seed: int, count: int, level: str = "light", most: int = 6, split: str = "train"
) -> Iterator[SyntheticScene]:
    """Yields `count` random scenes over all tasks; scene number i depends on (seed, i, level, split) alone.

    Args:
        seed: of the stream.
        count: scenes to yield.
        level: of randomisation: none, light, full or mixed.
        most: instructions a scene at the most.
        split: of phrasings: train or heldout.

    Raises:
        UserError: no such level.
    """
    if level not in (*LEVELS, MIXED):
        raise unknown_name("level", level, (*LEVELS, MIXED))
    return islice(_scenes(seed, -(-count // PER_LAYOUT), level, most, split), count)


def _scenes(seed: int, layouts: int, level: str, most: int, split: str) -> Iterator[SyntheticScene]:
    names = list(TASKS)
    for index in range(layouts):
        generator = np.random.default_rng([seed, index, 0x57112])
        task = names[generator.integers(len(names))]
        drawn = LEVELS[generator.integers(len(LEVELS))]
        world = task_world(
            task, int(generator.integers(2**31)), drawn if level == MIXED else level, split=split
        )
        chosen = _moments if generator.random() < AT_WORK else _postures
        try:
            for subtask_index in chosen(world, generator):
                yield _seen(world, subtask_index, generator, most, split)
        finally:
            world.close()


def _moments(world: World, generator: np.random.Generator) -> Iterator[int]:
    """Puts the world into random moments of the expert's work; yields how many subtasks are done in each."""
    states = [(world.data.qpos.copy(), world.data.qvel.copy(), world.done)]
    for target in world.expert(DETOURS):
        world.step(Command(world.tick, target))
        if world.tick % SETTLE_EVERY == 0:
            states.append((world.data.qpos.copy(), world.data.qvel.copy(), world.done))
        if world.tick >= world.max_ticks:
            break
    for chosen in generator.integers(len(states), size=PER_LAYOUT):
        if generator.random() < AT_THE_END:
            chosen = -1
        world.data.qpos[:], world.data.qvel[:], done = states[chosen]
        mujoco.mj_forward(world.model, world.data)
        yield done


def _postures(world: World, generator: np.random.Generator) -> Iterator[int]:
    """Puts the arm into random postures, sometimes with something in the hand; yields 0, nothing is done."""
    data, joints = world.data, len(world.embodiment.joints)
    start = data.qpos.copy()
    graspable = [thing for thing in world.scene.things if thing.kind in GRASPABLE]
    for _ in range(PER_LAYOUT):
        data.qpos[:], data.qvel[:] = start, 0.0
        if graspable and generator.random() < IN_HAND:
            thing = graspable[generator.integers(len(graspable))]
            data.qpos[:joints] = _draw_posture(generator, world, holding=True)
            data.ctrl[:joints] = data.qpos[:joints]
            data.ctrl[joints - 1] = SHUT
            mujoco.mj_kinematics(world.model, data)
            _put_in_hand(data, thing.name, thing.half)
            mujoco.mj_step(world.model, data, GRIP_STEPS)
        elif generator.random() >= AT_HOME:
            data.qpos[:joints] = _draw_posture(generator, world, holding=False)
        mujoco.mj_forward(world.model, data)
        yield 0


def _seen(world: World, done: int, generator: np.random.Generator, most: int, split: str) -> SyntheticScene:
    """The pictures of a moment and what can be asked; `done` subtasks of the world's own goal are done."""
    scene, task, data = world.scene, world.task, world.data
    camera = world.embodiment.cameras[0]
    mujoco.mj_camlight(world.model, data)
    images = {name: world.render(name, camera.height, camera.width) for name in CAMERAS}
    positions = {thing.name: world.position(thing.name) for thing in scene.things}
    points = {name: project(world.model, data, "front", spot) for name, spot in positions.items()}
    goals = list(task.goals(scene))
    generator.shuffle(goals)
    if generator.random() < 0.7:
        goals.sort(key=lambda goal: goal != world.goal)  # what the robot is really up to first
    phrasings = task.phrasings(split)
    items, own = list[Grounding](), list[Grounding]()
    for goal in goals[:most]:
        instruction = phrase(goal, phrasings[generator.integers(len(phrasings))])
        subtask_index = _subtask_index(world, goal, done if goal == world.goal else 0)
        steps = task.subtasks(scene, goal)
        now, following = ([*(step.text for step in steps), "hold still", "hold still"])[
            subtask_index : subtask_index + 2
        ]
        where = refer(steps[min(subtask_index, len(steps) - 1)].goal, positions)
        pointed = {name: project(world.model, data, "front", spot) for name, spot in where.items()}
        items.append(Grounding(instruction, plan_text(scene, now, following), pointed))
        if not own:
            about = (generator, split, instruction)
            finished = subtask_index == len(steps)
            step = min(
                max(subtask_index - int(generator.integers(2)), 0), len(steps) - 1
            )  # the last one or the next
            own.append(plan_question("subtask/now", *about, now, pointed))
            if finished or generator.random() < RARELY:
                own.append(plan_question("done/all", *about, yes_or_no(finished), pointed))
            if subtask_index or generator.random() < RARELY:
                answer = yes_or_no(step < subtask_index)
                own.append(plan_question("done/step", *about, answer, pointed, steps[step].text))
    held = next((t.name for t in scene.things if t.kind in GRASPABLE and world.holding(t.name)), "")
    truth = Truth(scene, {name: spot[:2] for name, spot in positions.items()}, points, held)
    items += own + questions(truth, generator, split)
    state = data.qpos[: len(world.embodiment.joints)].astype(np.float32)
    return SyntheticScene(images, state, tuple(items))


def _subtask_index(world: World, goal: Goal, least: int) -> int:
    """How many of a goal's subtasks are done now, at least those done before."""
    steps, done = world.task.subtasks(world.scene, goal), least
    while done < len(steps) and steps[done].done(world):
        done += 1
    return done


def _draw_posture(generator: np.random.Generator, world: World, holding: bool) -> np.ndarray:
    """(A,) [rad]: with the fingertips anywhere over the reachable part of the table."""
    home = world.data.qpos[: len(world.embodiment.joints)].copy()
    arm = Arm(world.embodiment, home)
    for _ in range(20):
        spot = layout.draw_spot(generator, radii=(0.12, 0.27), bearings=(-0.95, 0.95))
        height = generator.uniform(0.03 if holding else 0.008, 0.12)
        grip = 0.25 if holding else generator.uniform(SHUT, OPEN)
        tilt = 0.2 + 4.0 * max(0.0, height - 0.07)
        try:
            return arm.solve(np.array([*spot, height]), generator.normal(0.0, 0.6), tilt, grip)
        except Unreachable:
            continue
    return home


def _put_in_hand(data: mujoco.MjData, name: str, half: float) -> None:
    """Moves a thing's body between the fingertips, aligned with them."""
    site = data.site("gripper")
    rotation = site.xmat.reshape(3, 3)
    joint = data.joint(name)
    joint.qpos[:3] = site.xpos + rotation @ (half - 0.0125, 0.0, 0.006)
    quaternion = np.empty(4)
    mujoco.mju_mat2Quat(quaternion, site.xmat)
    joint.qpos[3:] = quaternion
