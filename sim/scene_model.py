"""The MuJoCo model of a scene and the arm before it: the same scene always builds the same model."""

from __future__ import annotations

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.sim.generalization.held_out_objects import HELD_OUT_COLOURS, HELD_OUT_SHAPES
from ideomotor.sim.randomization import Appearance
from ideomotor.sim.rendering.mujoco_gl import mujoco
from ideomotor.sim.scene import (
    BOWL_HEIGHT,
    BOWL_RADIUS,
    BUTTON_RADIUS,
    BUTTON_TRAVEL,
    COLOURS,
    DENSITY,
    DRAWER_HALF,
    DRAWER_TRAVEL,
    HANDLE_REACH,
    PLATE_HEIGHT,
    PLATE_RADIUS,
    TRAY_FLOOR,
    TRAY_SIDE,
    ZONE_RADIUS,
    Scene,
    Thing,
)
from ideomotor.sim.so101 import BOX, CYLINDER, add_so101

SPHERE = mujoco.mjtGeom.mjGEOM_SPHERE
SETTLE_STEPS = 24  # physics steps before an episode starts, so that things rest on the table


def build_model(scene: Scene, embodiment: Embodiment) -> mujoco.MjModel:
    """Compiles the arm and the scene into a model whose first joints are the arm's.

    Physics runs at 480 Hz, four steps to a 120 Hz command (simulation.md: an integer divisor).
    """
    appearance = scene.appearance
    spec = mujoco.MjSpec()
    spec.option.timestep = 1 / 480
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10
    spec.visual.headlight.ambient = (appearance.ambient,) * 3
    spec.visual.headlight.diffuse = (0.1, 0.1, 0.1)
    spec.visual.headlight.specular = (0.0, 0.0, 0.0)
    spec.visual.quality.shadowsize = 1024
    spec.worldbody.add_light(
        name="sun",
        pos=tuple(-1.5 * np.asarray(appearance.light_direction) + (0.2, 0.0, 0.0)),
        dir=appearance.light_direction,
        diffuse=(appearance.light_intensity,) * 3,
        specular=(0.15, 0.15, 0.15),
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
    )
    _add_surface(spec, "table", appearance.table_colours, appearance.table_texture)
    _add_surface(spec, "floor", appearance.floor_colours, appearance.floor_texture)
    spec.worldbody.add_geom(
        name="table", type=BOX, pos=(0.2, 0, -0.02), size=(0.32, 0.40, 0.02), material="table",
        friction=(0.8 * appearance.contact, 0.005, 0.0001),
    )  # fmt: skip
    spec.worldbody.add_geom(
        name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, pos=(0, 0, -0.5), size=(3, 3, 0.1), material="floor",
        contype=0, conaffinity=0,
    )  # fmt: skip
    add_so101(spec, embodiment, gain=appearance.gain, grip=appearance.contact)
    colours = COLOURS | HELD_OUT_COLOURS
    for index, thing in enumerate(scene.things):
        _BUILDERS.get(thing.kind, _add_graspable)(
            spec, thing, appearance.tint(colours[thing.colour], index), appearance
        )
    model = spec.compile()
    for camera, (offset, turn) in appearance.cameras.items():
        index = model.camera(camera).id
        model.cam_pos[index] += offset
        rotated = np.empty(4)
        mujoco.mju_axisAngle2Quat(rotated, np.asarray(turn) / max(np.linalg.norm(turn), 1e-9),
                                  float(np.linalg.norm(turn)))  # fmt: skip
        mujoco.mju_mulQuat(model.cam_quat[index], model.cam_quat[index].copy(), rotated)
    return model


def _add_surface(spec: mujoco.MjSpec, name: str, colours: tuple, pattern: str) -> None:
    """Adds a material called `name`: plain, checkered, striped or a gradient between two colours."""
    material = spec.add_material(name=name, rgba=(*colours[0], 1.0), specular=0.05, reflectance=0.05)
    if pattern == "plain":
        return
    builtins = {
        "checker": mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        "gradient": mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
    }
    texture = spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=64, height=64)
    if pattern == "stripes":
        pixels = np.repeat((255 * np.array(colours)).astype(np.uint8), 32, axis=0)  # (64, 3)
        texture.nchannel, texture.data = 3, np.broadcast_to(pixels, (64, 64, 3)).tobytes()
    else:
        texture.builtin, texture.rgb1, texture.rgb2 = builtins[pattern], *colours
    material.rgba = (1, 1, 1, 1)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    material.texrepeat = (4, 4)


def reset(model: mujoco.MjModel, data: mujoco.MjData, scene: Scene, home: np.ndarray) -> None:
    """The arm at `home`, (A,) [rad], and everything at rest where an episode begins."""
    mujoco.mj_resetData(model, data)
    data.qpos[: len(home)] = home
    data.ctrl[: len(home)] = home
    for thing in scene.things:
        if thing.kind == "drawer":
            data.joint(thing.name).qpos[0] = thing.opening
    mujoco.mj_step(model, data, SETTLE_STEPS)
    # Forces and positions of one and the same moment, for whoever reads the state first.
    mujoco.mj_forward(model, data)


def stand(model: mujoco.MjModel, data: mujoco.MjData, scene: Scene) -> None:
    """Stands everything that moves freely where the scene has it, as high as it is."""
    for thing in scene.things:
        joint = model.body(thing.name).jntadr[0]
        if joint >= 0 and model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
            at = model.jnt_qposadr[joint]
            data.qpos[at : at + 2] = thing.position
            data.qpos[at + 3 : at + 7] = _upright(thing.yaw)


def _upright(yaw: float) -> tuple[float, float, float, float]:
    return (float(np.cos(yaw / 2)), 0.0, 0.0, float(np.sin(yaw / 2)))


def _free_body(spec: mujoco.MjSpec, thing: Thing, height: float) -> mujoco.MjsBody:
    """A body that can move freely, its frame `height` above what it stands on."""
    at = (*thing.position, thing.base + height)
    body = spec.worldbody.add_body(name=thing.name, pos=at, quat=_upright(thing.yaw))
    body.add_freejoint(name=thing.name)
    return body


def _add_graspable(spec: mujoco.MjSpec, thing: Thing, rgb: tuple, appearance: Appearance) -> None:
    half = thing.half
    slides = 0.9 * appearance.friction * appearance.contact
    if shape := HELD_OUT_SHAPES.get(thing.kind):
        body, density = _free_body(spec, thing, half + 0.0002), DENSITY * appearance.mass
        shape.add(body, half, density=density, rgba=(*rgb, 1), friction=(slides, 0.01, 0.0001))
        return
    kind, size, volume = {
        "cube": (BOX, (half, half, half), 8 * half**3),
        "cylinder": (CYLINDER, (half, half, 0), 2 * np.pi * half**3),
        "ball": (SPHERE, (half, 0, 0), 4 / 3 * np.pi * half**3),
    }[thing.kind]
    rolls = thing.kind == "ball"
    _free_body(spec, thing, half + 0.0002).add_geom(
        type=kind, size=size, rgba=(*rgb, 1), mass=float(DENSITY * volume * appearance.mass),
        friction=(slides, 0.01, 0.002 if rolls else 0.0001), condim=6 if rolls else 4,
    )  # fmt: skip


def _add_bowl(spec: mujoco.MjSpec, thing: Thing, rgb: tuple, appearance: Appearance) -> None:
    body = _free_body(spec, thing, 0.0002)
    surface = dict(rgba=(*rgb, 1), friction=(0.9, 0.01, 0.0001), condim=4)
    floor = BOWL_RADIUS * 0.80
    body.add_geom(type=CYLINDER, pos=(0, 0, 0.002), size=(floor, 0.002, 0), mass=0.08, **surface)
    sides = 10
    for angle in 2 * np.pi * np.arange(sides) / sides:
        # A wall segment that leans outwards by 25 degrees.
        yaw = np.array([np.cos(angle / 2), 0, 0, np.sin(angle / 2)])
        lean = np.array([np.cos(0.22), 0, np.sin(0.22), 0])
        quaternion = np.empty(4)
        mujoco.mju_mulQuat(quaternion, yaw, lean)
        radius = 0.5 * (floor + BOWL_RADIUS)
        body.add_geom(
            type=BOX,
            pos=(radius * np.cos(angle), radius * np.sin(angle), BOWL_HEIGHT / 2),
            size=(0.0015, BOWL_RADIUS * np.tan(np.pi / sides), BOWL_HEIGHT / 2),
            quat=quaternion, mass=0.012, **surface,
        )  # fmt: skip


def _add_plate(spec: mujoco.MjSpec, thing: Thing, rgb: tuple, appearance: Appearance) -> None:
    body = _free_body(spec, thing, PLATE_HEIGHT / 2 + 0.0002)
    body.add_geom(
        type=CYLINDER, size=(PLATE_RADIUS, PLATE_HEIGHT / 2, 0), rgba=(*rgb, 1), mass=0.2,
        friction=(0.9, 0.01, 0.0001), condim=4,
    )  # fmt: skip


def _add_zone(spec: mujoco.MjSpec, thing: Thing, rgb: tuple, appearance: Appearance) -> None:
    """A coloured disc painted on the table: seen, never touched."""
    body = spec.worldbody.add_body(name=thing.name, pos=(*thing.position, 0.0))
    body.add_geom(
        type=CYLINDER, size=(ZONE_RADIUS, 0.0006, 0), rgba=(*rgb, 1), contype=0, conaffinity=0, mass=0.0
    )


def _add_button(spec: mujoco.MjSpec, thing: Thing, rgb: tuple, appearance: Appearance) -> None:
    base = spec.worldbody.add_body(name=f"{thing.name}_base", pos=(*thing.position, 0.0))
    base.add_geom(type=BOX, pos=(0, 0, 0.009), size=(0.024, 0.024, 0.009), rgba=(0.25, 0.25, 0.27, 1))
    cap = base.add_body(name=thing.name, pos=(0, 0, 0.018))
    joint = cap.add_joint(
        name=thing.name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=(0, 0, -1), range=(0, BUTTON_TRAVEL),
        frictionloss=0.05, armature=0.01,
    )  # fmt: skip
    _set_first(joint, "stiffness", 120.0)  # [N/m]
    _set_first(joint, "damping", 4.0)  # [N s/m]
    cap.add_geom(  # only the arm (bit 2) may touch it, not its base
        type=CYLINDER, pos=(0, 0, 0.006), size=(BUTTON_RADIUS, 0.006, 0), rgba=(*rgb, 1), mass=0.02,
        contype=4, conaffinity=2,
    )  # fmt: skip


def _add_drawer(spec: mujoco.MjSpec, thing: Thing, rgb: tuple, appearance: Appearance) -> None:
    """A cabinet with one drawer that slides towards the arm (-x); its front and handle are coloured."""
    depth, width, height = DRAWER_HALF
    wall, grey = 0.003, (0.55, 0.55, 0.58, 1)
    case = spec.worldbody.add_body(name=f"{thing.name}_case", pos=(*thing.position, 0.0))
    for position, size in (
        ((0, 0, 2 * height - wall), (depth, width, wall)),
        ((0, width - wall, height), (depth, wall, height)),
        ((0, -width + wall, height), (depth, wall, height)),
        ((depth - wall, 0, height), (wall, width, height)),
    ):
        case.add_geom(type=BOX, pos=position, size=size, rgba=grey)
    # The tray's frame is its handle: that is what a hand, and so an instruction, refers to.
    front, bar = -depth - wall, 1.45 * height
    tray = case.add_body(name=thing.name, pos=(front - HANDLE_REACH, 0, bar))
    joint = tray.add_joint(
        name=thing.name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=(-1, 0, 0), range=(0, DRAWER_TRAVEL),
        frictionloss=0.4 * appearance.friction, armature=0.02,
    )  # fmt: skip
    _set_first(joint, "damping", 4.0)  # [N s/m]
    half_reach = HANDLE_REACH / 2
    shapes = (
        ((HANDLE_REACH, 0, height - bar), (wall, width, height - 0.002), (*rgb, 1)),
        (
            (HANDLE_REACH + depth, 0, 0.006 - bar),
            (depth - 3 * wall, width - 3 * wall, 0.002),
            (0.7, 0.7, 0.7, 1),
        ),
        ((0, 0, 0), (0.003, 0.026, 0.003), (*rgb, 1)),
        ((half_reach, 0.024, 0), (half_reach, 0.0025, 0.003), (*rgb, 1)),
        ((half_reach, -0.024, 0), (half_reach, 0.0025, 0.003), (*rgb, 1)),
    )
    for position, size, rgba in shapes:
        # Only the arm (bit 2) may touch the tray: its own case surrounds it.
        tray.add_geom(type=BOX, pos=position, size=size, rgba=rgba, mass=0.03, contype=4, conaffinity=2)
    if thing.hollow:
        _line_tray(spec, thing, tray)


def _line_tray(spec: mujoco.MjSpec, thing: Thing, tray: mujoco.MjsBody) -> None:
    """Gives a tray low sides and a back, lowers its floor, and lets things (bit 1) lie in it."""
    depth, width, height = DRAWER_HALF
    wall, bar, middle = 0.003, 1.45 * height, HANDLE_REACH + depth
    tray.geoms[1].pos[2] = TRAY_FLOOR - 0.002 - bar
    reach, side = depth - 3 * wall, width - 3 * wall
    low = (TRAY_FLOOR + TRAY_SIDE) / 2 - bar
    half = (TRAY_SIDE - TRAY_FLOOR) / 2
    for position, size in (
        ((middle, side - 0.001, low), (reach, 0.001, half)),
        ((middle, 0.001 - side, low), (reach, 0.001, half)),
        ((middle + reach - 0.001, 0, low), (0.001, side, half)),
    ):
        tray.add_geom(type=BOX, pos=position, size=size, rgba=(0.7, 0.7, 0.7, 1), mass=0.002)
    for shape in tray.geoms:
        shape.contype, shape.conaffinity = 4, 3
    spec.add_exclude(bodyname1=thing.name, bodyname2=f"{thing.name}_case")


def _set_first(joint: mujoco.MjsJoint, field: str, value: float) -> None:
    """Sets a joint coefficient that is a scalar in older MuJoCo and a polynomial's vector in newer ones."""
    setattr(joint, field, np.array([value] + [0.0] * (np.size(getattr(joint, field)) - 1)))


def fingers_of(model: mujoco.MjModel) -> set[int]:
    """Ids of the shapes of the gripper's two fingers."""
    return {model.geom(f"{body}_finger").id for body in ("gripper", "moving_jaw")}


def shapes_touching(model: mujoco.MjModel, data: mujoco.MjData, name: str, shapes: set[int]) -> set[int]:
    """Those of `shapes` that are in contact with the body of a thing."""
    body, pairs = model.body(name).id, data.contact.geom
    found: set[int] = set()
    for one, other in ((pairs[:, 0], pairs[:, 1]), (pairs[:, 1], pairs[:, 0])):
        found.update(int(geom) for geom in one[model.geom_bodyid[other] == body])
    return found & shapes


_BUILDERS = {
    "bowl": _add_bowl,
    "plate": _add_plate,
    "zone": _add_zone,
    "button": _add_button,
    "drawer": _add_drawer,
}
