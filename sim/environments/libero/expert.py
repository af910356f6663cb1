"""Scripted experts for LIBERO's 40 tasks of four suites: what is to be done follows from the goal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ideomotor.sim.environments.libero.env import CAMERAS, LiberoEnv
from ideomotor.sim.environments.libero.hand import Motion
from ideomotor.sim.environments.libero.mechanisms import (
    close_door,
    pull_open,
    push_shut,
    put_inside,
    slide,
    turn_on,
)
from ideomotor.sim.environments.libero.shapes import Shape, shape_of
from ideomotor.sim.environments.libero.skills import Skills
from ideomotor.sim.projection import project

ORDER = {"turnon": 0, "open": 1, "on": 2, "in": 2, "close": 3}
ARM_DOFS = 9  # arm and fingers come first
MOVING, PATIENCE = 0.2, 40  # [m/s or rad/s], [steps]
ASIDE = {
    "wine_rack": (0.05, -0.03, 0.01),
    "microwave": (-0.035, -0.055, -0.066),
}  # from a region's middle, where that is not free [m]
AGAIN = 3  # times that what has not worked is tried


def expert(env: LiberoEnv) -> Callable[[Any], np.ndarray]:
    """How to act in the environment: (7,) in [-1, 1] for its present state."""
    skills = Skills(env)
    motion = _all(env, skills)

    def act(observation: Any) -> np.ndarray:
        del observation  # what it has to know is not in it
        command = next(motion, None)
        return skills.hand.toward(skills.hand.pose) if command is None else command

    return act


def _all(env: LiberoEnv, skills: Skills) -> Motion:
    """What is not yet as the goal says, until all is; things that fall at the beginning are waited for."""
    yield from _settled(env, skills)
    for _ in range(AGAIN):
        for predicate in sorted(env.scene.goal, key=lambda predicate: ORDER[predicate[0]]):
            if not env.goal.holds(predicate):
                yield from _achieve(env, skills, predicate)


def _settled(env: LiberoEnv, skills: Skills) -> Motion:
    """Waits until nothing but the arm moves."""
    fixed = skills.hand.pose
    for _ in range(PATIENCE):
        if np.abs(env.data.qvel[ARM_DOFS:]).max() < MOVING:
            return
        yield skills.hand.toward(fixed)


def _achieve(env: LiberoEnv, skills: Skills, predicate: list[str]) -> Motion:
    name, thing, *base = predicate
    if name == "open":
        yield from pull_open(skills, thing)
    elif name == "turnon":
        yield from turn_on(skills, thing)
    elif name == "close":
        yield from (push_shut if thing in env.scene.facts["sites"] else close_door)(skills, thing)
    elif env.scene.facts["language"].startswith("push"):
        yield from slide(skills, thing, place_of(env, thing, base[0]))
    elif base[0] in env.scene.facts["sites"] and _category(env, base[0]) == "microwave":
        yield from put_inside(skills, thing, place_of(env, thing, base[0]), np.array([0.0, 1.0, 0.0]))
    else:
        site = env.scene.facts["sites"].get(base[0])
        if site and site["joints"] and not env.goal.holds(["open", base[0]]):
            yield from pull_open(skills, base[0])
        yield from skills.pick(thing)
        yield from skills.put(thing, place_of(env, thing, base[0]))


def place_of(env: LiberoEnv, thing: str, base: str) -> np.ndarray:
    """(3,) where the body of a thing belongs, to be on or in `base` [m]."""
    shape = shape_of(env, thing)
    below = shape.position[2] - shape.low[2]
    if base in env.scene.facts["things"]:
        on = shape_of(env, base)
        return np.array([*on.position[:2], on.low[2] + 0.015 + below])
    site = env.data.site(base).xpos
    aside = ASIDE.get(_category(env, base), (0.0, 0.0, 0.01))
    return site + [0.0, 0.0, below] + aside + _apart(env, shape, base, thing)


def _category(env: LiberoEnv, site: str) -> str:
    """Of what a region belongs to; "" for regions of the table."""
    parent = env.scene.facts["sites"][site]["parent"]
    return env.scene.facts["things"][parent]["category"] if parent else ""


def _apart(env: LiberoEnv, shape: Shape, base: str, thing: str) -> np.ndarray:
    """(3,) from the middle of a region in which several things belong, beside one another along x [m]."""
    sharing = [predicate[1] for predicate in env.scene.goal if predicate[2:] == [base]]
    if len(sharing) < 2:
        return np.zeros(3)
    room = env.scene.facts["sites"][base]["size"][0] - 0.01
    half = min(room, float(np.ptp(shape.points[:, 0])) / 2 + 0.003)
    return np.array([half if sharing.index(thing) else -half, 0.0, 0.0])


def points(env: LiberoEnv) -> dict[str, tuple[float, float]]:
    """Where the picture `image` shows the thing to handle ("target") and where it belongs ("place")."""
    predicate = next((item for item in env.scene.goal if not env.goal.holds(item)), env.scene.goal[0])
    names = {"target": predicate[1]} | ({"place": predicate[2]} if len(predicate) > 2 else {})
    seen = {
        role: project(env.model, env.data, CAMERAS["image"], env.goal.position(name))
        for role, name in names.items()
    }
    return {role: (1.0 - u, v) for role, (u, v) in seen.items()}  # pictures are mirrored
