"""What is not as in training, one thing at a time: our axes of generalisation in LIBERO's scenes.

They correspond to what LIBERO-Plus (arXiv 2510.13626) and LIBERO-PRO (arXiv 2510.03827) change: light,
backgrounds, camera, layout, language. Directions and signs follow from seed, task and axis, not from the
strength.
"""

from __future__ import annotations

import re
import zlib
from typing import Protocol

import numpy as np

from ideomotor.control.errors import unknown_name
from ideomotor.sim.environments.libero.scene import Scene
from ideomotor.sim.generalization.axes import AXES
from ideomotor.sim.rendering.mujoco_gl import mujoco

KNOWN = ("lighting", "texture", "camera", "placement", "phrasing")
WRIST_SHARE = 0.2  # of the shift of `agentview` that the wrist's camera makes, as in our own tasks
BACKGROUND = re.compile(r"tex-?(plane|table|wall|floor|light|ceramic|cream|legs)|^(tex|floor|wall)", re.I)
ON_TABLE = 0.03  # things lower than this above the lowest of all stand on the table [m]
TRIES = 200
VERBS = {  # other words for what is done, from strength 2 on
    "pick up": "grab", "place": "drop", "put": "set", "open": "pull open", "close": "shut",
    "turn on": "switch on", "push": "shove",
}  # fmt: skip
NAMES = {  # and for things, at strength 3
    "black bowl": "dark dish", "bowl": "dish", "plate": "saucer", "stove": "cooker", "cabinet": "dresser",
    "drawer": "compartment", "basket": "hamper", "mug": "cup", "book": "volume", "microwave": "oven",
    "wine bottle": "flask", "rack": "stand", "cookie box": "biscuit packet", "moka pot": "coffee maker",
    "ramekin": "small pot", "cream cheese": "soft cheese", "caddy": "organiser",
}  # fmt: skip
ORDERS = (  # sentences of one action, whose place can be said first
    re.compile(r"^pick up (?P<thing>.+) and place it (?P<place>(?:on|in) .+)$"),
    re.compile(r"^put (?P<thing>.+?) (?P<place>(?:on|in) (?:the|top) .+)$"),
)


class Simulated(Protocol):
    """What an environment is changed by."""

    task: str
    scene: Scene
    model: mujoco.MjModel
    data: mujoco.MjData


def perturb(env: Simulated, axis: str, strength: int, seed: int) -> str:
    """Changes an environment that has just been reset along an axis; returns its instruction.

    Raises:
        UserError: no such axis here.
    """
    if axis not in KNOWN:
        raise unknown_name("axis", axis, KNOWN)
    names = (zlib.crc32(env.task.encode()), 3, zlib.crc32(axis.encode()))
    generator = np.random.default_rng([seed, *names])
    values = AXES[axis].values[strength - 1]
    words = env.scene.facts["language"]
    if axis == "phrasing":
        return rephrased(words, *values)
    {"lighting": _lighting, "texture": _texture, "camera": _camera, "placement": _placement}[axis](
        env, generator, *values
    )
    return words


def rephrased(words: str, strength: int) -> str:
    """The instruction in a new order (1), with other verbs (2), and with other names of things too (3)."""
    found = next(filter(None, (order.match(words) for order in ORDERS)), None)
    simple = found is not None and " and " not in found["place"]
    text = f"{found['place']}, put {found['thing']}" if found and simple else f"could you {words}"
    for since, others in ((2, VERBS), (3, NAMES)):
        if strength >= since:
            either = "|".join(sorted(map(re.escape, others), key=len, reverse=True))
            text = re.sub(rf"\b({either})\b", lambda match, others=others: others[match[0]], text)
    return text


def _lighting(env: Simulated, generator: np.random.Generator, turn: float, factor: float) -> None:
    """Turns every lamp about one axis, and makes lamps and ambient light brighter or dimmer."""
    model = env.model
    factor = factor ** float(generator.choice((-1.0, 1.0)))
    rotation = _turn(_direction(generator), np.radians(turn))
    model.light_dir[:] = model.light_dir @ rotation.T
    for light in (model.light_diffuse, model.light_ambient, model.light_specular):
        light[:] = np.clip(light * factor, 0.0, 1.0)
    head = model.vis.headlight
    for name in ("ambient", "diffuse"):
        setattr(head, name, np.clip(np.array(getattr(head, name)) * factor, 0.0, 1.0))


def _texture(env: Simulated, generator: np.random.Generator, contrast: float) -> None:
    """Covers tables, floors and walls with a checker of two colours, each `contrast` from their own."""
    model = env.model
    prefixes = tuple(f"{name}_" for name in env.scene.facts["things"])
    for index in range(model.ntex):
        name = model.tex(index).name
        shift = contrast * 255.0 * _direction(generator)
        squares = int(generator.integers(4, 12))
        if name.startswith((*prefixes, "robot0", "gripper0", "mount0")) or not BACKGROUND.search(name):
            continue
        height, width, channels = model.tex_height[index], model.tex_width[index], model.tex_nchannel[index]
        start = model.tex_adr[index]
        pixels = model.tex_data[start : start + height * width * channels].reshape(height, width, channels)
        side = max(1, min(height, width) // squares)
        rows, columns = np.arange(height)[:, None] // side, np.arange(width)[None] // side
        sign = np.where((rows + columns) % 2, 1.0, -1.0)[..., None]
        pixels[..., :3] = np.clip(pixels[..., :3] + sign * shift, 0, 255).astype(np.uint8)


def _camera(env: Simulated, generator: np.random.Generator, shift: float, turn: float) -> None:
    """Moves and turns both cameras, the wrist's by less."""
    for name, share in (("agentview", 1.0), ("robot0_eye_in_hand", WRIST_SHARE)):
        camera = env.model.camera(name)
        camera.pos = camera.pos + 1e-3 * shift * share * _direction(generator)
        quaternion = np.empty(4)
        turned, own = _turn(_direction(generator), np.radians(turn) * share), np.empty(9)
        mujoco.mju_quat2Mat(own, camera.quat)
        mujoco.mju_mat2Quat(quaternion, (turned @ own.reshape(3, 3)).ravel())
        camera.quat = quaternion


def _placement(env: Simulated, generator: np.random.Generator, shift: float) -> None:
    """Moves every thing that stands on the table by `shift` [mm] in a direction of its own, where it is
    free."""
    facts = env.scene.facts
    names = [name for name in facts["things"] if name not in facts["fixtures"]]
    lowest = {name: _lowest(env, name) for name in names}
    floor = min(lowest.values())
    for name in names:
        angles = generator.uniform(0.0, 2 * np.pi, TRIES)
        if lowest[name] > floor + ON_TABLE:
            continue
        joint = env.data.joint(facts["things"][name]["joints"][-1])
        place, before = joint.qpos.copy(), _touched(env, name)
        for angle in angles:
            joint.qpos[:2] = place[:2] + 1e-3 * shift * np.array([np.cos(angle), np.sin(angle)])
            mujoco.mj_forward(env.model, env.data)
            if _touched(env, name) <= before:
                break
        else:
            joint.qpos[:] = place
            mujoco.mj_forward(env.model, env.data)


def _lowest(env: Simulated, name: str) -> float:
    """Height of the lowest corner of the boxes around a thing's geoms [m]."""
    geoms = [env.model.geom(geom).id for geom in env.scene.facts["things"][name]["geoms"]]
    boxes, rows = env.model.geom_aabb[geoms], env.data.geom_xmat[geoms][:, 6:]
    middles = env.data.geom_xpos[geoms][:, 2] + (rows * boxes[:, :3]).sum(axis=1)
    return float((middles - (np.abs(rows) * boxes[:, 3:]).sum(axis=1)).min())


def _touched(env: Simulated, name: str) -> set[int]:
    """Bodies of other things that a thing touches."""
    own = {env.model.geom(geom).id for geom in env.scene.facts["things"][name]["geoms"]}
    pairs = env.data.contact.geom[: env.data.ncon].tolist()
    met = {b for a, b in pairs if a in own} | {a for a, b in pairs if b in own}
    return {int(env.model.geom_bodyid[geom]) for geom in met - own}


def _direction(generator: np.random.Generator) -> np.ndarray:
    """(3,) of length one."""
    vector = generator.normal(size=3)
    return vector / np.linalg.norm(vector)


def _turn(axis: np.ndarray, angle: float) -> np.ndarray:
    """(3, 3)."""
    quaternion, matrix = np.empty(4), np.empty(9)
    mujoco.mju_axisAngle2Quat(quaternion, axis, angle)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)
