"""What becomes of each observation of an HDF5 file: a camera, a column, or nothing and why.

It is decided by all demonstrations, since a dataset has the same columns and cameras in every episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.datasets.importing.demonstrations import LeftOut
from ideomotor.datasets.importing.hdf5_pictures import Pictures, pictures
from ideomotor.datasets.lerobot import layout

IMAGE_SUFFIXES = ("_image", "_rgb")
ENVIRONMENT = "observation.environment_state"
USED = ("actions", "obs", "rewards", "dones")
# What a robot measures, in the order of `observation.state`: robomimic's default, then LIBERO's.
STATES = (("eef_pos", "eef_quat", "gripper_qpos"), ("joint_states", "gripper_states"))


@dataclass(frozen=True)
class Plan:
    """What is made of the observations."""

    state: list[str]  # those that are the state, in order
    labels: list[str]  # names of the state's components
    vectors: dict[str, str]  # {observation: feature}
    cameras: dict[str, str]  # {observation: camera}
    left_out: list[LeftOut]


def plan_of(path: Path, data: Any, demos: list[str], wanted: Sequence[str]) -> Plan:
    """Returns what becomes of the observations.

    Args:
        data: the group of the demonstrations.
        demos: names of those with rows.
        wanted: observations that make the state; [] for those that usually do.

    Raises:
        UserError: no observations, none for the state, or pictures of which no camera is left.
    """
    usable = [data[name] for name in demos if "obs" in data[name]]
    if not usable:
        observations_of(data[demos[0]], path)  # says so
    items = usable[0]["obs"]
    why_not = _missing(usable)
    found = {name: items[name] for name in items if name not in why_not}
    cameras, narrowed = _cameras(path, found, why_not)
    for name, item in found.items():
        if name not in cameras and name not in why_not and not _is_vector(item):
            why_not[name] = f"{item.dtype} of shape {item.shape[1:]}" if hasattr(item, "dtype") else "a group"
    plain = {name: item for name, item in found.items() if name not in cameras and name not in why_not}
    vectors: dict[str, str] = {}
    known = {name: item for name, item in items.items() if name not in cameras and _is_vector(item)}
    state = _state_keys(path, known, plain, wanted)
    for name in state:  # a demonstration without it is none, rather than that its name means another thing
        why_not.pop(name, None)
    for name in dict.fromkeys([*plain, *state]):
        feature = ENVIRONMENT if name == "object" else f"observation.{name}"
        if feature == layout.STATE or feature in vectors.values():
            why_not[name] = f"the name {feature} is taken"
        elif name not in state and (bad := _not_finite(usable, name)):
            why_not[name] = bad
        else:
            vectors[name] = feature
    others = {name: "not an observation" for name in usable[0] if name not in USED}
    said = [{"what": name, "why": why} for name, why in (why_not | others).items()]
    return Plan(state, _labels(items, state), vectors, cameras, [*said, *narrowed])


def _missing(usable: list[Any]) -> dict[str, str]:
    """Returns {observation: why} of those that some demonstrations lack."""
    found = {}
    for name in dict.fromkeys(name for demo in usable for name in demo["obs"]):
        without = [demo.name.rpartition("/")[2] for demo in usable if name not in demo["obs"]]
        if without:
            more = f" and {len(without) - 1} more" if len(without) > 1 else ""
            found[name] = f"missing in {without[0]}{more}"
    return found


def _cameras(
    path: Path, found: dict[str, Any], why_not: dict[str, str]
) -> tuple[dict[str, str], list[LeftOut]]:
    """Returns {observation: camera}, and what is lost of its pictures; adds to `why_not`."""
    looks = [name for name in why_not if name.endswith(IMAGE_SUFFIXES)]
    cameras: dict[str, str] = {}
    narrowed: list[LeftOut] = []
    for name, item in found.items():
        seen: Pictures | None = pictures(name, item) if hasattr(item, "dtype") else None
        if seen is None:
            continue
        looks.append(name)
        if seen.why_not:
            why_not[name] = seen.why_not
            continue
        short = _camera(name)
        cameras[name] = name if short in cameras.values() else short
        if seen.narrowed:
            narrowed.append({"what": name, "why": f"narrowed: {seen.narrowed}"})
    if looks and not cameras:
        reasons = "; ".join(f"{name}: {why_not[name]}" for name in looks)
        raise UserError(f"{path}: no camera is left ({reasons})")
    return cameras, narrowed


def observations_of(demo: Any, path: Path) -> Any:
    """Returns the group of the observations."""
    if "obs" not in demo:
        raise UserError(
            f"{path}: {demo.name}: no 'obs'; extract observations first (dataset_states_to_obs.py)"
        )
    return demo["obs"]


def _is_vector(item: Any) -> bool:
    return hasattr(item, "dtype") and item.dtype.kind in "fiub" and item.ndim <= 2


def _not_finite(demos: list[Any], name: str) -> str:
    for demo in demos:
        values = demo["obs"][name]
        if values.dtype.kind == "f" and not np.isfinite(values[()]).all():
            return f"not finite in {demo.name.rpartition('/')[2]}"
    return ""


def _camera(name: str) -> str:
    for suffix in IMAGE_SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _labels(observations: Any, keys: list[str]) -> list[str]:
    widths = {key: int(np.prod(observations[key].shape[1:])) for key in keys}
    return [f"{key}.{i}" if widths[key] > 1 else key for key in keys for i in range(widths[key])]


def _state_keys(
    path: Path, vectors: dict[str, Any], everywhere: dict[str, Any], wanted: Sequence[str]
) -> list[str]:
    """Returns the observations that make the state, in order.

    Args:
        vectors: those of the first demonstration.
        everywhere: those of them that all demonstrations have.
    """
    for name in wanted:
        if name not in vectors:
            raise unknown_name(f"{path}: state", name, vectors)
    if wanted:
        return list(wanted)
    for endings in STATES:
        robots = sorted(name.removesuffix(endings[0]) for name in vectors if name.endswith(endings[0]))
        keys = [robot + ending for robot in robots for ending in endings]
        if keys and all(key in vectors for key in keys):
            return keys
    keys = [name for name in everywhere if "object" not in name]
    if not keys:
        raise UserError(
            f"{path}: no observation for the state; say which (of {', '.join(vectors) or 'none'})"
        )
    return keys
