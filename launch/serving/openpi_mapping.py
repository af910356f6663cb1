"""What a robot's cameras and joints are to a policy behind openpi's protocol: pairs `THEIRS=OURS[:OPTIONS]`.

observation/image=front:224       a camera; padded to a square of 224 pixels; `:chw` puts channels first
images.cam_high=front:224:chw     a map within a map is written with a dot
observation/state=state           every joint, in the robot's order; `:deg` in degrees
observation/joint_position=shoulder_pan,shoulder_lift:deg      these joints
observation/gripper_position=gripper:range                     0 at its lower limit, 1 at its upper
prompt=instruction                by default
actions=action                    by default: the first columns are the joints, in the robot's order
actions[0-4]=shoulder_pan,…       these columns are these joints; a joint that none is stays where it is
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.types import Observation

ACTIONS = "actions"  # their reply's key
UNITS = ("rad", "deg", "range")
COLUMNS = re.compile(r"actions(?:\[(\d+)(?:-(\d+))?\])?")
MAX_SIZE = 4096  # pixels


@dataclass(frozen=True)
class Picture:
    """A camera of ours under a key of theirs."""

    key: str
    camera: str
    size: int | None = None  # of a square [pixels]; None: as it is
    channels_first: bool = False


@dataclass(frozen=True)
class Joints:
    """Joints of ours under a key of theirs, or as columns of their actions."""

    key: str
    indices: tuple[int, ...]  # of our joints
    scale: tuple[float, ...]  # ours = scale * theirs + offset
    offset: tuple[float, ...]
    columns: tuple[int, ...] = ()  # of their actions; empty for what is sent


@dataclass(frozen=True)
class OpenpiMapping:
    """All of it, for one robot."""

    pictures: tuple[Picture, ...]
    states: tuple[Joints, ...]
    actions: tuple[Joints, ...]
    instruction: str  # their key

    def sent(self, observation: Observation) -> dict[str, Any]:
        """The observation as their server wants it; a missing camera is black."""
        found: dict[str, Any] = {}
        for picture in self.pictures:
            image = observation.images.get(picture.camera)
            if image is None:
                image = np.zeros((picture.size or 224, picture.size or 224, 3), np.uint8)
            image = np.asarray(image) if picture.size is None else padded(np.asarray(image), picture.size)
            if picture.channels_first:
                image = np.ascontiguousarray(image.transpose(2, 0, 1))
            _put(found, picture.key, image)
        state = np.asarray(observation.state, float)
        for joints in self.states:
            theirs = (state[list(joints.indices)] - np.array(joints.offset)) / np.array(joints.scale)
            _put(found, joints.key, theirs.astype(np.float32))
        _put(found, self.instruction, observation.instruction)
        return found

    def targets(self, actions: np.ndarray, state: np.ndarray) -> np.ndarray:
        """(N, A) float64 [rad or m], their actions (N, D) as joint targets.

        Args:
            state: (A,) measured, for joints that they do not command.

        Raises:
            UserError: fewer columns than are mapped.
        """
        most = max(max(joints.columns) for joints in self.actions)
        if actions.ndim != 2 or not len(actions) or actions.shape[1] <= most:
            raise UserError(f"{ACTIONS}: shape {actions.shape}, expected (N, {most + 1} or more) (--map)")
        if actions.dtype.kind not in "fiu" or not np.isfinite(actions).all():
            raise UserError(f"{ACTIONS}: not finite numbers")
        made = np.repeat(np.asarray(state, float)[None], len(actions), axis=0)
        for joints in self.actions:
            theirs = actions[:, list(joints.columns)].astype(float)
            made[:, list(joints.indices)] = theirs * np.array(joints.scale) + np.array(joints.offset)
        return made


def openpi_mapping(texts: Sequence[str], embodiment: Embodiment) -> OpenpiMapping:
    """The pairs; UserError for one that fits nothing of the robot, or where the state is missing."""
    pictures: list[Picture] = []
    states: list[Joints] = []
    actions: list[Joints] = []
    instruction = "prompt"
    cameras = [camera.name for camera in embodiment.cameras]
    for text in texts:
        key, equals, rest = text.partition("=")
        ours, *options = rest.split(":")
        if not equals or not key or not ours:
            raise UserError(f"map: got {text!r}, expected THEIRS=OURS[:OPTIONS] (docs/serving.md)")
        if ours in cameras:
            pictures.append(_picture(text, key, ours, options))
        elif ours == "instruction" and not options:
            instruction = key
        elif COLUMNS.fullmatch(key):
            actions.append(_joints(text, key, ours, options, embodiment))
        else:
            states.append(_joints(text, key, ours, options, embodiment))
    if not states:
        raise UserError("map: the joint state is missing, expected a pair such as observation/state=state")
    if not actions:
        actions.append(_joints("actions=action", ACTIONS, "action", [], embodiment))
    commanded = [index for joints in actions for index in joints.indices]
    if len(set(commanded)) < len(commanded):
        raise UserError("map: a joint is commanded by two columns of actions")
    return OpenpiMapping(tuple(pictures), tuple(states), tuple(actions), instruction)


def padded(image: np.ndarray, size: int) -> np.ndarray:
    """(size, size, 3): the whole picture in the middle, black around it, as openpi's clients send theirs."""
    height, width = image.shape[:2]
    share = size / max(height, width)
    inner = max(1, round(width * share)), max(1, round(height * share))
    if (width, height) != inner:
        how = cv2.INTER_AREA if share < 1 else cv2.INTER_LINEAR
        image = cv2.resize(np.ascontiguousarray(image), inner, interpolation=how)
    made = np.zeros((size, size, 3), np.uint8)
    top, left = (size - inner[1]) // 2, (size - inner[0]) // 2
    made[top : top + inner[1], left : left + inner[0]] = image
    return made


def _picture(text: str, key: str, camera: str, options: list[str]) -> Picture:
    sizes = [option for option in options if option.isdigit()]
    others = [option for option in options if option != "chw" and not option.isdigit()]
    if others or len(sizes) > 1 or any(not 1 <= int(size) <= MAX_SIZE for size in sizes):
        raise UserError(f"map: got {text!r}, expected {key}={camera}[:PIXELS][:chw]")
    return Picture(key, camera, int(sizes[0]) if sizes else None, "chw" in options)


def _joints(text: str, key: str, ours: str, options: list[str], embodiment: Embodiment) -> Joints:
    names = embodiment.joint_names
    wanted = list(names) if ours in ("state", "action") else ours.split(",")
    if unknown := [name for name in wanted if name not in names]:
        valid = ", ".join([*(camera.name for camera in embodiment.cameras), "state", "instruction", *names])
        raise UserError(f"map: got {text!r}: {unknown[0]!r} is nothing of {embodiment.name} (it has {valid})")
    unit = options[0] if options else "rad"
    if len(options) > 1 or unit not in UNITS:
        raise UserError(f"map: got {text!r}, expected one of {', '.join(UNITS)} after the joints")
    indices = tuple(names.index(name) for name in wanted)
    scales = [_scale(unit, embodiment, index) for index in indices]
    columns: tuple[int, ...] = ()
    if found := COLUMNS.fullmatch(key):
        first = int(found[1] or 0)
        last = int(found[2] or found[1] or len(indices) - 1)
        columns = tuple(range(first, last + 1))
        if len(columns) != len(indices):
            raise UserError(f"map: got {text!r}: {len(columns)} columns for {len(indices)} joints")
    return Joints(key, indices, tuple(s for s, _ in scales), tuple(o for _, o in scales), columns)


def _scale(unit: str, embodiment: Embodiment, index: int) -> tuple[float, float]:
    """(scale, offset) of a joint in that unit."""
    if unit == "range":
        low, high = float(embodiment.lower[index]), float(embodiment.upper[index])
        return high - low, low
    return (math.radians(1.0) if unit == "deg" else 1.0), 0.0


def _put(found: dict[str, Any], key: str, value: Any) -> None:
    *outer, last = key.split(".")
    for name in outer:
        found = found.setdefault(name, {})
    found[last] = value
