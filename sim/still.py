"""Still scenes with perfect labels: what the interpreter learns to see from, before any demonstration.

A still scene needs no physics: a task's layout, an arm in some posture over it, sometimes with an object
in the hand, one picture a camera. Everything that can be asked for in it is a sample of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import mujoco
import numpy as np

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.sim import layout
from ideomotor.sim.episode import draw_episode, phrase, plan_text, refer
from ideomotor.sim.motion import OPEN, SHUT, Arm, Unreachable
from ideomotor.sim.render import make_renderer
from ideomotor.sim.scene import GRASPABLE, build_model
from ideomotor.sim.task import Goal, Task
from ideomotor.sim.tasks import TASKS
from ideomotor.sim.world import project

CAMERAS = ("front", "wrist")
AT_HOME, IN_HAND = 0.25, 0.25  # shares of scenes with the arm at home, and with an object in its hand


@dataclass(frozen=True)
class Grounding:
    """One instruction for a scene and its answers."""

    instruction: str
    text: str  # readable plan
    keypoints: Mapping[str, tuple[float, float]]  # {"target" and maybe "place": (u, v)} in the front camera


@dataclass(frozen=True)
class StillScene:
    """Pictures of one scene and everything that can be asked for in it."""

    images: Mapping[str, np.ndarray]  # {camera: (H, W, 3) uint8 RGB}
    state: np.ndarray  # (D,) float32 [rad]
    items: tuple[Grounding, ...]


def still_scenes(
    seed: int, count: int, level: str = "light", most: int = 6, split: str = "train"
) -> Iterator[StillScene]:
    """Yields `count` random scenes over all tasks; scene number i depends on (seed, i, level, split) alone.

    Args:
        seed: of the stream.
        count: scenes to yield.
        level: of randomisation: none, light or full.
        most: groundings a scene at the most.
        split: of phrasings: train or heldout.
    """
    embodiment = load_embodiment("so101")
    tasks = list(TASKS.values())
    for index in range(count):
        generator = np.random.default_rng([seed, index, 0x57111])
        task = tasks[generator.integers(len(tasks))]
        yield _draw_scene(task, int(generator.integers(2**31)), generator, level, embodiment, most, split)


def _draw_scene(
    task: Task,
    seed: int,
    generator: np.random.Generator,
    level: str,
    embodiment: Embodiment,
    most: int,
    split: str,
) -> StillScene:
    scene, _, _, home_noise = draw_episode(task, seed, level, split)
    model = build_model(scene, embodiment)
    data = mujoco.MjData(model)
    for thing in scene.things:
        if thing.kind == "drawer":
            data.joint(thing.name).qpos[0] = thing.opening
    goals = list(task.goals(scene))
    generator.shuffle(goals)
    held = goals[0].target if generator.random() < IN_HAND else ""
    if not held or scene.thing(held).kind not in GRASPABLE:
        held = ""
    data.qpos[: len(embodiment.joints)] = _draw_posture(generator, embodiment, home_noise, bool(held))
    mujoco.mj_kinematics(model, data)
    if held:
        _put_in_hand(model, data, held, scene.thing(held).half)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_camlight(model, data)
    renderer = make_renderer(model, embodiment.cameras[0].height, embodiment.cameras[0].width)
    images = {camera: renderer.render(data, camera) for camera in CAMERAS}
    renderer.close()
    phrasings = task.phrasings(split)
    items = []
    for goal in goals[:most]:
        steps = task.subtasks(scene, goal)
        now = 1 if held == goal.target and len(steps) > 1 else 0
        following = steps[now + 1].text if now + 1 < len(steps) else "hold still"
        items.append(
            Grounding(
                instruction=phrase(goal, phrasings[generator.integers(len(phrasings))]),
                text=plan_text(scene, steps[now].text, following),
                keypoints=_keypoints(model, data, steps[now].goal),
            )
        )
    state = data.qpos[: len(embodiment.joints)].astype(np.float32)
    return StillScene(images, state, tuple(items))


def _draw_posture(
    generator: np.random.Generator, embodiment: Embodiment, home_noise: np.ndarray, holding: bool
) -> np.ndarray:
    """(A,) [rad]: at home, or with the fingertips anywhere over the reachable part of the table."""
    home = np.clip(embodiment.home_position + home_noise, embodiment.lower, embodiment.upper)
    if not holding and generator.random() < AT_HOME:
        return home
    arm = Arm(embodiment, home)
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


def _put_in_hand(model: mujoco.MjModel, data: mujoco.MjData, name: str, half: float) -> None:
    """Moves a thing's body between the fingertips, aligned with them."""
    site = data.site("gripper")
    rotation = site.xmat.reshape(3, 3)
    joint = data.joint(name)
    joint.qpos[:3] = site.xpos + rotation @ (half - 0.0125, 0.0, 0.006)
    quaternion = np.empty(4)
    mujoco.mju_mat2Quat(quaternion, site.xmat)
    joint.qpos[3:] = quaternion


def _keypoints(model: mujoco.MjModel, data: mujoco.MjData, goal: Goal) -> dict[str, tuple[float, float]]:
    positions = {name: data.body(name).xpos.copy() for name in (goal.target, goal.place) if name}
    return {name: project(model, data, "front", spot) for name, spot in refer(goal, positions).items()}
