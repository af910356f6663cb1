"""robomimic and LIBERO demonstrations: one HDF5 file with data/demo_N/{actions, obs/…, rewards, dones}.

Images become cameras, named without `_image` or `_rgb`; numbers become `observation.NAME`. The robot's
own measurements together are `observation.state`, what the simulator knows of the objects is
`observation.environment_state`. Simulator states and depth are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError, unknown_name
from ideomotor.datasets import layout
from ideomotor.datasets.demonstrations import Demonstration, Source

SUFFIXES = (".hdf5", ".h5")
IMAGE_SUFFIXES = ("_image", "_rgb")
ENVIRONMENT = "observation.environment_state"
CHUNK = 32  # images read at a time
# What a robot measures, in the order of `observation.state`: robomimic's default, then LIBERO's.
STATES = (("eef_pos", "eef_quat", "gripper_qpos"), ("joint_states", "gripper_states"))


@contextmanager
def open_robomimic(
    path: Path, *, fps: float | None = None, task: str | None = None, state: Sequence[str] = ()
) -> Iterator[Source]:
    """Opens a file as a source of demonstrations, which can be read until the context ends.

    Args:
        fps: rows per second; by default `control_freq` of the environment.
        task: the instruction; by default that of the file, or the environment's name.
        state: observations that make `observation.state`.

    Raises:
        UserError: not such a file, damaged, or lacking what was asked for.
    """
    try:
        import h5py
    except ImportError:
        raise UserError(f"{path}: HDF5 needs the extra: pip install 'ideomotor[hdf5]'") from None

    with _hdf5_errors(path):
        file = h5py.File(path, "r")
    with file:
        with _hdf5_errors(path):
            if not isinstance(file.get("data"), h5py.Group):
                raise UserError(f"{path}: no group 'data', expected a robomimic file")
            data: Any = file["data"]
            demos = sorted((name for name in data if isinstance(data[name], h5py.Group)), key=_number)
            if not demos:
                raise UserError(f"{path}: no demonstrations in 'data'")
            environment = _json(data.attrs.get("env_args"), f"{path}: env_args")
            rate = _rate(environment, fps, path)
            problem = _json(data.attrs.get("problem_info"), f"{path}: problem_info")
            first = data[demos[0]]
            keys = _state_keys(path, _observations(first, path), state)
            names = {layout.STATE: _labels(first["obs"], keys)}

        def read(name: str) -> Demonstration:
            with _hdf5_errors(path):
                told = task or _instruction(data[name], problem, environment)
                return _demonstration(data[name], keys, told, path)

        robots = environment.get("env_kwargs", {}).get("robots") if environment else None
        robot = "+".join(map(str, robots)) if isinstance(robots, list) else robots
        size = path.stat().st_size
        yield Source(f"robomimic {path.name}, {size} bytes", rate, demos, read, names, robot)


def _demonstration(demo: Any, keys: list[str], task: str, path: Path) -> Demonstration:
    where = f"{path}: {demo.name}"
    observations = _observations(demo, path)
    if "actions" not in demo:
        raise UserError(f"{where}: no 'actions'")
    length = len(demo["actions"])
    for name, dataset in observations.items():
        if len(dataset) != length:
            raise UserError(f"{where}/obs/{name}: {len(dataset)} rows, expected {length} as of the actions")
    images = {
        _camera(name): _images(dataset, path) for name, dataset in observations.items() if _is_image(dataset)
    }
    columns = {layout.STATE: np.concatenate([_vector(observations[key]) for key in keys], axis=1)}
    columns[layout.ACTION] = _vector(demo["actions"])
    for name, dataset in observations.items():
        if not _is_image(dataset) and dataset.ndim <= 2:
            columns[ENVIRONMENT if name == "object" else f"observation.{name}"] = _vector(dataset)
    if "rewards" in demo:
        columns["next.reward"] = _vector(demo["rewards"])[:, 0]
    if "dones" in demo:
        columns["next.done"] = demo["dones"][()].astype(bool).reshape(length)
    return Demonstration(columns, images, task)


def _observations(demo: Any, path: Path) -> dict[str, Any]:
    """Returns {name: HDF5 dataset} of the observations that are numbers."""
    if "obs" not in demo:
        raise UserError(
            f"{path}: {demo.name}: no 'obs'; extract observations first (dataset_states_to_obs.py)"
        )
    found = {name: demo["obs"][name] for name in demo["obs"]}
    return {
        name: item for name, item in found.items() if hasattr(item, "dtype") and item.dtype.kind in "fiub"
    }


def _images(dataset: Any, path: Path) -> Iterator[np.ndarray]:
    for start in range(0, len(dataset), CHUNK):
        with _hdf5_errors(path):
            chunk = dataset[start : start + CHUNK]
        yield from chunk


def _is_image(dataset: Any) -> bool:
    return dataset.dtype == np.uint8 and dataset.ndim == 4 and dataset.shape[-1] == 3


def _camera(name: str) -> str:
    for suffix in IMAGE_SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _vector(dataset: Any) -> np.ndarray:
    values = dataset[()].astype(np.float32)
    return values.reshape(len(values), -1)


def _labels(observations: Any, keys: list[str]) -> list[str]:
    widths = {key: int(np.prod(observations[key].shape[1:])) for key in keys}
    return [f"{key}.{i}" if widths[key] > 1 else key for key in keys for i in range(widths[key])]


def _state_keys(path: Path, observations: dict[str, Any], wanted: Sequence[str]) -> list[str]:
    """Returns the observations that make the state, in order."""
    vectors = [name for name, dataset in observations.items() if dataset.ndim <= 2]
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
    keys = [name for name in vectors if "object" not in name]
    if not keys:
        raise UserError(
            f"{path}: no observation for the state; say which (of {', '.join(vectors) or 'none'})"
        )
    return keys


def _rate(environment: dict[str, Any], fps: float | None, path: Path) -> float:
    options = environment.get("env_kwargs")
    rate = fps or (options.get("control_freq") if isinstance(options, dict) else None)
    if not isinstance(rate, (int, float)) or not 0 < rate < 10_000:
        raise UserError(f"{path}: control_freq: got {rate!r} in env_args; say the rows per second with --fps")
    return rate


def _instruction(demo: Any, problem: dict[str, Any], environment: dict[str, Any]) -> str:
    """Returns what the robot was asked for: of the episode (robocasa), of the file (LIBERO), or a name."""
    episode = _json(demo.attrs.get("ep_meta"), f"{demo.name}: ep_meta").get("lang")
    told = episode or problem.get("language_instruction") or environment.get("env_name")
    if isinstance(told, list):
        told = " ".join(map(str, told))
    return str(told or "do the task").strip().strip('"')


def _number(name: str) -> tuple[int, str]:
    """Sorts demo_10 after demo_9."""
    digits = name.rpartition("_")[2]
    return (int(digits) if digits.isdecimal() else -1, name)


def _json(value: Any, where: str) -> dict[str, Any]:
    """Returns a JSON object of an attribute; {} where there is none."""
    if value is None:
        return {}
    try:
        found = json.loads(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{where}: not readable as JSON ({error})") from None
    if not isinstance(found, dict):
        raise UserError(f"{where}: got {type(found).__name__}, expected a JSON object")
    return found


@contextmanager
def _hdf5_errors(path: Path) -> Iterator[None]:
    """Turns what h5py raises on a missing or damaged file into a UserError that names it."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UserError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: not readable as HDF5 ({reason})") from None
