"""What is true of a thing in an arranged scene: how it lies to the others, and what the camera sees of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ideomotor.sim.projection import project
from ideomotor.sim.rendering.mujoco_gl import mujoco
from ideomotor.sim.scene import GRASPABLE, HANDLE_REACH, Scene, Thing

CONTAINERS = ("bowl", "plate", "zone")


@dataclass(frozen=True)
class SeenThing:
    """One thing in a picture."""

    kind: str
    colour: str
    size: str
    pixel: tuple[float, float]  # u, v in [0, 1] of its body's frame
    relation: str  # of RELATIONS
    opening: float  # of a drawer [m]
    visible: float  # share of the points on it that the camera sees


def confirmed(data: mujoco.MjData, scene: Scene, name: str, relation: str) -> str:
    """The relation, if it still holds after everything has settled: "free" otherwise."""
    thing, position = scene.thing(name), data.body(name).xpos
    if relation in ("free", "in_drawer"):
        for other in scene.things if thing.kind in GRASPABLE and relation == "free" else ():
            if other.kind in CONTAINERS and _over(data, position, other, 0.033) and position[2] < 0.05:
                return {"bowl": "inside", "plate": "on_plate", "zone": "on_zone"}[other.kind]
        return relation
    if relation == "held":
        return relation
    if relation == "on_thing":
        below = [t for t in scene.things if t.kind in GRASPABLE and t.name != name]
        stands = any(
            abs(position[2] - data.body(t.name).xpos[2] - t.half - thing.half) < 0.006
            and _over(data, position, t, t.half)
            for t in below
        )
        return "on_thing" if stands else "free"
    kinds = {"inside": "bowl", "on_plate": "plate", "on_zone": "zone"}
    lies = any(
        _over(data, position, t, 0.035) and position[2] < 0.05
        for t in scene.things
        if t.kind == kinds[relation]
    )
    return relation if lies else "free"


def _over(data: mujoco.MjData, position: np.ndarray, other: Thing, radius: float) -> bool:
    return float(np.hypot(*(position[:2] - data.body(other.name).xpos[:2]))) < radius


def seen_thing(model: mujoco.MjModel, data: mujoco.MjData, thing: Thing, relation: str) -> SeenThing:
    """A thing as the front camera sees it."""
    position = data.body(thing.name).xpos.copy()
    opening = float(data.joint(thing.name).qpos[0]) if thing.kind == "drawer" else 0.0
    reach = thing.half if thing.graspable else 0.6 * thing.radius if thing.kind != "drawer" else 0.02
    view, hit = data.camera("front").xpos, np.zeros(1, np.int32)
    own, seen, tried = model.body(thing.name).id, 0, 0
    for offset in ((0, 0, 0), (0, 0.7, 0), (0, -0.7, 0), (0.6, 0, 0.6), (-0.6, 0, 0.6), (0.6, 0, -0.4)):
        point = position + reach * np.array(offset)
        if thing.kind == "drawer":
            point = position + (HANDLE_REACH - 0.004, 0.03 * offset[1], 0.012 * offset[2])
        direction = point - view
        distance = mujoco.mj_ray(model, data, view, direction, None, 1, -1, hit)
        body = model.geom_bodyid[hit[0]] if hit[0] >= 0 else -1
        tried += 1
        seen += bool(body == own or (distance > 0 and distance > 0.995))
    pixel = project(model, data, "front", position)
    inside = 0.0 <= pixel[0] <= 1.0 and 0.0 <= pixel[1] <= 1.0
    return SeenThing(
        thing.kind, thing.colour, thing.size, pixel, relation, opening, seen / tried if inside else 0.0
    )
