"""Whether a goal of LIBERO is reached, as LIBERO decides it: contacts, distances and joints of the present
state.

Rules: libero/envs/predicates and object_states (MIT), in words in docs/libero.md. A goal is a list of
predicates, all of which must hold: ["on", A, B], ["in", A, B], ["open", A], ["close", A], ["turnon", A].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ideomotor.sim.rendering.mujoco_gl import mujoco

ON_DISTANCE = 0.03  # of two things' middles, seen from above [m]
ON_SITE_HEIGHT = 0.10  # above a region, of a thing on it [m]
ON_SITE_MARGIN, IN_MARGIN = 0.005, 0.01  # below [m]


class Goal:
    """The goal of a scene in one simulation of it."""

    def __init__(self, facts: dict[str, Any], model: mujoco.MjModel, data: mujoco.MjData):
        self._facts, self._model, self._data = facts, model, data
        self._geoms = {
            name: frozenset(model.geom(geom).id for geom in thing["geoms"])
            for name, thing in facts["things"].items()
        }

    def reached(self) -> bool:
        """Whether every predicate of the goal holds."""
        return all(self.holds(predicate) for predicate in self._facts["goal"])

    def holds(self, predicate: list[str]) -> bool:
        """Whether one predicate holds; the first word is its name."""
        name, first, *second = predicate
        if name == "on":
            return self._on(first, second[0])
        if name == "in":
            return self._in(first, second[0])
        return self._joint_is(name, first)

    def position(self, name: str) -> np.ndarray:
        """(3,) of the body of a thing, or of a site [m]."""
        things = self._facts["things"]
        if name in things:
            return self._data.body(things[name]["body"]).xpos
        return self._data.site(name).xpos

    def _on(self, thing: str, base: str) -> bool:
        place, at = self.position(base), self.position(thing)
        if base in self._facts["things"]:
            near = float(np.linalg.norm(at[:2] - place[:2])) < ON_DISTANCE
            return bool(place[2] <= at[2]) and near and self.touching(base, thing)
        site = self._facts["sites"][base]
        size = np.array(site["size"])
        there = self._data.site(base).xmat.reshape(3, 3) @ (at - place)
        above = size[2] - ON_SITE_MARGIN < there[2] < size[2] + ON_SITE_HEIGHT
        inside = bool(np.all(np.abs(there[:2]) < size[:2]))
        return bool(above) and inside and (not site["parent"] or self.touching(site["parent"], thing))

    def _in(self, thing: str, base: str) -> bool:
        place, at = self.position(base), self.position(thing)
        size = np.abs(self._data.site(base).xmat.reshape(3, 3) @ np.array(self._facts["sites"][base]["size"]))
        low = place - size
        low[2] -= IN_MARGIN
        return bool(np.all(at > low) and np.all(at < place + size))

    def _joint_is(self, state: str, name: str) -> bool:
        """Open or turned on is any of the joints; closed or turned off are all of them."""
        things = self._facts["things"]
        owner = things[name] if name in things else things[self._facts["sites"][name]["parent"]]
        joints = owner["joints"] if name in things else self._facts["sites"][name]["joints"]
        relation, limit = owner["limits"][state]
        values = [float(self._data.joint(joint).qpos[0]) for joint in joints]
        there = [_compare(value, relation, limit) for value in values]
        return any(there) if state in ("open", "turnon") else all(there)

    def touching(self, one: str, other: str) -> bool:
        """Whether two things touch."""
        first, second = self._geoms[one], self._geoms[other]
        pairs = self._data.contact.geom[: self._data.ncon].tolist()
        return any((a in first and b in second) or (b in first and a in second) for a, b in pairs)


def _compare(value: float, relation: str, limit: float) -> bool:
    if relation == "<":
        return value < limit
    if relation == "<=":
        return value <= limit
    return value >= limit if relation == ">=" else value > limit
