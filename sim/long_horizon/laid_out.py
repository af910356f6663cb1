"""A world whose things are laid out as somebody says, to try something out in; nobody judges it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.types import Command
from ideomotor.sim.episode import Episode
from ideomotor.sim.long_horizon.put_down import TASK
from ideomotor.sim.motion import SHUT
from ideomotor.sim.rendering.mujoco_gl import mujoco
from ideomotor.sim.scene import DRAWER_HALF, HANDLE_REACH, Scene, Thing
from ideomotor.sim.task import Goal
from ideomotor.sim.world import World

AROUND = 0.25  # gripper joint, open around a thing in the hand before it closes [rad]
DRAWER_WALL = 0.003  # between a drawer's cabinet and its front [m]
SETTLE_S = 0.2  # until what is in the hand is gripped [s]


def laid_out_world(things: Sequence[Thing], embodiment: Embodiment, held: str = "") -> World:
    """A world with these things, the arm at home.

    Args:
        things: where they are; at least one.
        embodiment: the robot's.
        held: name of one that the hand holds.

    Raises:
        UserError: it cannot be held.
    """
    task = replace(TASK, subtasks=lambda scene, goal: (), success=lambda world, goal: False)
    goal = Goal(things[0].name, words={"target": things[0].kind})
    still = np.zeros(len(embodiment.joints))
    world = World(Episode(task, 0, Scene(tuple(things)), goal, "{target}", still), embodiment=embodiment)
    if held:
        _hold(world, held)
    return world


def drawer_at(name: str, colour: str, handle: tuple[float, float], opening: float) -> Thing:
    """A drawer into which things can be put, by where its handle is now.

    Args:
        handle: x, y [m].
        opening: how far it is open [m].
    """
    x = handle[0] + HANDLE_REACH + DRAWER_WALL + DRAWER_HALF[0] + opening
    return Thing(name, "drawer", colour, (x, handle[1]), opening=opening, hollow=True)


def put_into_hand(model: mujoco.MjModel, data: mujoco.MjData, thing: Thing, along: float) -> None:
    """Puts a thing between the open fingers, which are commanded to close.

    Args:
        along: from the fingertips towards the palm [m].
    """
    joints = model.nu
    data.ctrl[joints - 1] = SHUT
    mujoco.mj_kinematics(model, data)
    site = data.site("gripper")
    joint, rotation = data.joint(thing.name), site.xmat.reshape(3, 3)
    joint.qpos[:3] = site.xpos + rotation @ (thing.half - 0.0125, 0.0, along)
    quaternion = np.empty(4)
    mujoco.mju_mat2Quat(quaternion, site.xmat)
    joint.qpos[3:], joint.qvel[:] = quaternion, 0.0


def _hold(world: World, name: str) -> None:
    joints, hz = len(world.embodiment.joints), world.embodiment.control_hz
    closed = world.embodiment.home_position.copy()
    world.data.qpos[joints - 1], closed[-1] = AROUND, SHUT
    put_into_hand(world.model, world.data, world.scene.thing(name), 0.005)
    for _ in range(round(SETTLE_S * hz)):
        world.step(Command(world.tick, closed))
    if not world.holding(name):
        raise UserError(f"held: {world.scene.describe(name)} does not stay in the hand")
