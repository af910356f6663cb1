"""Scripted experts for LIBERO's 40 tasks of four suites: what is to be done follows from the goal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ideomotor.sim.environments.libero.env import CAMERAS, LiberoEnv
from ideomotor.sim.environments.libero.hand import Motion
from ideomotor.sim.environments.libero.shapes import shape_of
from ideomotor.sim.environments.libero.skills import Skills
from ideomotor.sim.projection import project

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
    order = {"turnon": 0, "open": 1, "on": 2, "in": 2, "close": 3}
    for _ in range(AGAIN):
        for predicate in sorted(env.scene.goal, key=lambda predicate: order[predicate[0]]):
            if not env.goal.holds(predicate):
                yield from _achieve(env, skills, predicate)


def _achieve(env: LiberoEnv, skills: Skills, predicate: list[str]) -> Motion:
    name, thing, *base = predicate
    if name in ("on", "in"):
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
    return np.array([*site[:2], site[2] + below + 0.01])


def points(env: LiberoEnv) -> dict[str, tuple[float, float]]:
    """Where the picture `image` shows the thing to handle ("target") and where it belongs ("place")."""
    predicate = next((item for item in env.scene.goal if not env.goal.holds(item)), env.scene.goal[0])
    names = {"target": predicate[1]} | ({"place": predicate[2]} if len(predicate) > 2 else {})
    seen = {
        role: project(env.model, env.data, CAMERAS["image"], env.goal.position(name))
        for role, name in names.items()
    }
    return {role: (1.0 - u, v) for role, (u, v) in seen.items()}  # pictures are mirrored
