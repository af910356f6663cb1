"""Scenes with things in every relation to each other, as the scene detector learns to see them.

Things stand on the table, lie in bowls, on plates and zones, on each other and in drawers, or are in the
hand; the arm is at home, at work low above the table, or rises above what it has just put down. One picture
of the front camera each, with what is true of every thing and how much of it can be seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.sim import layout
from ideomotor.sim.layout import draw_colours, draw_objects, scatter
from ideomotor.sim.long_horizon.laid_out import put_into_hand
from ideomotor.sim.motion import OPEN, SHUT, Arm, Unreachable
from ideomotor.sim.randomization import draw_appearance
from ideomotor.sim.rendering.mujoco_gl import mujoco
from ideomotor.sim.rendering.render import make_renderer
from ideomotor.sim.scene import (
    DRAWER_HALF,
    DRAWER_TRAVEL,
    GRASPABLE,
    HANDLE_REACH,
    TRAY_FLOOR,
    Scene,
    Thing,
    with_appearance,
)
from ideomotor.sim.scene_model import build_model, fingers_of, reset, shapes_touching
from ideomotor.train.scenes.seen_things import CONTAINERS, SeenThing, confirmed, seen_thing

RELATIONS = ("free", "inside", "on_plate", "on_zone", "on_thing", "in_drawer", "held")
PER_LAYOUT = 5  # arrangements of one layout
SETTLE = 90  # physics steps
LEVELS = ("none", "light", "light", "light", "full")
FALL = {
    "bowl": 0.010,
    "plate": 0.010,
    "zone": 0.001,
}  # of a bottom over a container's frame, before it settles


@dataclass(frozen=True)
class ArrangedScene:
    """A picture with its truth."""

    image: np.ndarray  # (H, W, 3) uint8 RGB, of the front camera
    state: np.ndarray  # (A,) float32 [rad]
    things: tuple[SeenThing, ...]


def arranged_scenes(seed: int, layouts: int) -> Iterator[ArrangedScene]:
    """Yields PER_LAYOUT scenes of each layout; those of layout i depend on (seed, i) alone."""
    embodiment = load_embodiment("so101")
    for index in range(layouts):
        generator = np.random.default_rng([seed, index, 0xFAC75])
        things = None
        while things is None:
            things = _draw_things(generator)
        level = LEVELS[generator.integers(len(LEVELS))]
        scene = with_appearance(Scene(things), draw_appearance(generator, level))
        yield from _arrangements(scene, embodiment, generator)


def _draw_things(generator: np.random.Generator) -> tuple[Thing, ...] | None:
    """Drawers or none, buttons or none, containers, and two to five things that can be grasped."""
    placed: tuple[Thing, ...] | None = ()
    roll = generator.random()
    if roll < 0.4:
        placed = _drawers(generator)
    elif roll < 0.55:
        placed = scatter(generator, [("button", c, "large") for c in draw_colours(generator, 2)], gap=0.03)
    if placed is None:
        return None
    count = int(generator.integers(0, 3 if roll < 0.55 else 4))
    kinds = [CONTAINERS[index] for index in generator.integers(0, 3, size=count)]
    bowls = [(kind, c, "large") for kind, c in zip(kinds, draw_colours(generator, count), strict=True)]
    placed = scatter(generator, bowls, placed, gap=0.012, bearings=(-1.0, 1.0))
    if placed is None:
        return None
    weights = GRASPABLE if generator.random() < 0.6 else ("cube",)
    objects = draw_objects(generator, int(generator.integers(2, 6)), weights, twin=0.3)
    return scatter(generator, objects, placed, gap=0.012, bearings=(-1.05, 1.05))


def _drawers(generator: np.random.Generator) -> tuple[Thing, ...]:
    x, aside = generator.uniform(0.328, 0.347), generator.random() < 0.4
    spread = DRAWER_HALF[1] + generator.uniform(0.004, 0.02)
    sides = [generator.choice((-1.0, 1.0)) * generator.uniform(0.0, 0.09)] if aside else [spread, -spread]
    shift = 0.0 if aside else generator.uniform(-0.03, 0.03)
    return tuple(
        Thing(
            name=f"thing{index}", kind="drawer", colour=colour, position=(x, side + shift),
            hollow=bool(generator.random() < 0.7),
        )
        for index, (colour, side) in enumerate(zip(draw_colours(generator, 2), sides, strict=False))
    )  # fmt: skip


def _arrangements(
    scene: Scene, embodiment: Embodiment, generator: np.random.Generator
) -> Iterator[ArrangedScene]:
    model = build_model(scene, embodiment)
    data = mujoco.MjData(model)
    camera = embodiment.cameras[0]
    renderer = make_renderer(model, camera.height, camera.width)
    joints = len(embodiment.joints)
    try:
        for _ in range(PER_LAYOUT):
            offset = np.array(scene.appearance.home_offset or (0.0,) * joints)
            home = np.clip(
                embodiment.home_position + offset, embodiment.lower + 0.01, embodiment.upper - 0.01
            )
            reset(model, data, scene, home)
            relations = _arrange(model, data, scene, embodiment, generator)
            mujoco.mj_camlight(model, data)
            image = renderer.render(data, "front")
            things = tuple(seen_thing(model, data, thing, relations[thing.name]) for thing in scene.things)
            yield ArrangedScene(image, data.qpos[:joints].astype(np.float32), things)
    finally:
        renderer.close()


def _arrange(
    model: mujoco.MjModel, data: mujoco.MjData, scene: Scene, embodiment: Embodiment,
    generator: np.random.Generator,
) -> dict[str, str]:  # fmt: skip
    """Puts the arm and everything that can move somewhere; returns the relation of each thing."""
    joints = len(embodiment.joints)
    for thing in scene.things:
        if thing.kind == "drawer":
            middle = generator.uniform(0, DRAWER_TRAVEL)
            choice = (0.0, generator.uniform(0, 0.012), middle, generator.uniform(0.056, DRAWER_TRAVEL), 0.07)
            data.joint(thing.name).qpos[0] = choice[generator.integers(len(choice))]
    mujoco.mj_kinematics(model, data)
    relations = {thing.name: "free" for thing in scene.things}
    movable = [thing for thing in scene.things if thing.kind in GRASPABLE]
    last: list[tuple[Thing, np.ndarray]] = []  # what lies in drawers is put there after everything settled
    above: np.ndarray | None = None
    based: set[str] = set()
    for thing in movable:
        if generator.random() < 0.45 or thing.name in based:
            continue
        spot, relation, base = _spot(data, scene, thing, relations, generator)
        if spot is None:
            continue
        relations[thing.name], above = relation, spot
        based |= {base}
        if relation == "in_drawer":
            last.append((thing, spot))
        else:
            _put(data, thing, spot, generator)
    held = _posture(model, data, embodiment, scene, relations, based, above, generator)
    mujoco.mj_step(model, data, SETTLE)
    data.qvel[joints:] = 0.0
    for thing, spot in last:
        _put(data, thing, spot, generator)
    mujoco.mj_forward(model, data)
    if held:
        gripped = len(shapes_touching(model, data, held, fingers_of(model))) == 2
        relations[held] = "held" if gripped else "free"
    return {name: confirmed(data, scene, name, relation) for name, relation in relations.items()}


def _spot(
    data: mujoco.MjData, scene: Scene, thing: Thing, relations: dict[str, str], generator: np.random.Generator
) -> tuple[np.ndarray | None, str, str]:
    """Where a thing may be put, (3,) [m]; the relation; the thing below."""
    bases = [t for t in scene.things if t.name != thing.name and t.kind != "button"]
    base = bases[generator.integers(len(bases))] if bases else None
    if base is None:
        return None, "", ""
    position = data.body(base.name).xpos.copy()
    if base.kind in CONTAINERS:
        angle, radius = generator.uniform(0, 2 * np.pi), 0.024 * np.sqrt(generator.random())
        offset = np.array([radius * np.cos(angle), radius * np.sin(angle), FALL[base.kind] + thing.half])
        relation = {"bowl": "inside", "plate": "on_plate", "zone": "on_zone"}[base.kind]
        return position + offset, relation, ""
    if base.kind == "drawer":
        if thing.size != "small":
            return None, "", ""
        length, width = DRAWER_HALF[0] - 0.012 - thing.half, DRAWER_HALF[1] - 0.012 - thing.half
        inside = (generator.uniform(-length, length), generator.uniform(-width, width))
        front = np.array([position[0] + HANDLE_REACH + DRAWER_HALF[0], position[1], TRAY_FLOOR + thing.half])
        return front + (*inside, 0.0), "in_drawer", ""
    flat = base.kind in ("cube", "cylinder") and relations[base.name] in ("free", "on_thing", "on_plate")
    if not flat or thing.kind == "ball":
        return None, "", ""
    shift = generator.uniform(-0.4, 0.4, size=2) * base.half
    return position + (*shift, base.half + thing.half + 0.001), "on_thing", base.name


def _put(data: mujoco.MjData, thing: Thing, spot: np.ndarray, generator: np.random.Generator) -> None:
    joint, angle = data.joint(thing.name), generator.uniform(0, np.pi)
    joint.qpos[:3], joint.qpos[3:], joint.qvel[:] = spot, (np.cos(angle), 0, 0, np.sin(angle)), 0.0
    data.body(thing.name).xpos[:] = spot


def _posture(
    model: mujoco.MjModel, data: mujoco.MjData, embodiment: Embodiment, scene: Scene,
    relations: dict[str, str], based: set[str], above: np.ndarray | None, generator: np.random.Generator,
) -> str:  # fmt: skip
    """Moves the arm; returns the thing that was put into the hand, if one was."""
    joints, roll = len(embodiment.joints), generator.random()
    free = [
        thing
        for thing in scene.things
        if thing.kind in GRASPABLE and relations[thing.name] == "free" and thing.name not in based
    ]
    holding = bool(free) and roll < 0.25
    if roll > 0.6:
        return ""
    spot = np.array([*layout.draw_spot(generator, (0.12, 0.27), (-0.95, 0.95)), 0.0])
    if above is not None and roll > 0.25 and generator.random() < 0.6:
        spot = above + (*generator.normal(0, 0.008, size=2), 0.0)
    height = spot[2] + generator.uniform(0.03, 0.12)
    grip = 0.25 if holding else generator.uniform(SHUT, OPEN) if generator.random() < 0.5 else 0.8 * OPEN
    arm = Arm(embodiment, data.qpos[:joints])
    try:
        tilt = 0.2 + 4.0 * max(0.0, height - 0.07)
        target = arm.solve(np.array([*spot[:2], height]), generator.normal(0.0, 0.6), tilt, grip)
    except Unreachable:
        return ""
    data.qpos[:joints] = data.ctrl[:joints] = target
    if not holding:
        return ""
    thing = free[generator.integers(len(free))]
    put_into_hand(model, data, thing, generator.uniform(0.0, 0.010))
    return thing.name
