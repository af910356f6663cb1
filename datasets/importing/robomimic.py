"""robomimic and LIBERO demonstrations: one HDF5 file with data/demo_N/{actions, obs/…, rewards, dones}.

Images become cameras, named without `_image` or `_rgb`; numbers become `observation.NAME`. The robot's
own measurements together are `observation.state`, what the simulator knows of the objects is
`observation.environment_state`. What a dataset cannot hold is left out and listed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.datasets.importing.demonstrations import Demonstration, LeftOut, Source
from ideomotor.datasets.importing.hdf5_pictures import Pictures, colour, pictures
from ideomotor.datasets.importing.hdf5_plan import Plan, observations_of, plan_of
from ideomotor.datasets.lerobot import layout

SUFFIXES = (".hdf5", ".h5")


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
            whole, left_out = _with_rows(data, demos, path)
            plan = plan_of(path, data, whole, state)

        def read(name: str) -> Demonstration:
            with _hdf5_errors(path):
                instruction = task or _instruction(data[name], problem, environment)
                return _demonstration(data[name], plan, instruction, path)

        robots = environment.get("env_kwargs", {}).get("robots") if environment else None
        robot = "+".join(map(str, robots)) if isinstance(robots, list) else robots
        size = path.stat().st_size
        yield Source(
            name=f"robomimic {path.name}, {size} bytes",
            fps=rate,
            episodes=whole,
            read=read,
            names={layout.STATE: plan.labels},
            robot=robot,
            left_out=[*plan.left_out, *left_out],
            label=lambda name: f"{path}: {name}",
        )


def _with_rows(data: Any, demos: list[str], path: Path) -> tuple[list[str], list[LeftOut]]:
    """Returns the demonstrations that have rows, and the others."""
    empty = [name for name in demos if "actions" in data[name] and not len(data[name]["actions"])]
    if len(empty) == len(demos):
        raise UserError(f"{path}: {demos[0]}: no rows in it, nor in any other demonstration")
    said = [{"what": f"{path}: {name}", "why": "no rows in it"} for name in empty]
    return [name for name in demos if name not in empty], said


def _demonstration(demo: Any, plan: Plan, task: str, path: Path) -> Demonstration:
    where = f"{path}: {demo.name}"
    observations = observations_of(demo, path)
    if "actions" not in demo:
        raise UserError(f"{where}: no 'actions'")
    length = len(demo["actions"])
    for name in dict.fromkeys([*plan.state, *plan.vectors, *plan.cameras]):
        if name not in observations:
            raise UserError(f"{where}: no obs/{name}")
        if len(observations[name]) != length:
            got = len(observations[name])
            raise UserError(f"{where}/obs/{name}: {got} rows, expected {length} as of the actions")
    images = {}
    for name, camera in plan.cameras.items():
        found = pictures(name, observations[name])
        if found is None or found.why_not:
            raise UserError(f"{where}/obs/{name}: other pictures than in the first demonstration")
        images[camera] = _read(observations[name], found, f"{where}/obs/{name}", path)
    columns = {layout.STATE: np.concatenate([_vector(observations[key]) for key in plan.state], axis=1)}
    columns[layout.ACTION] = _vector(demo["actions"])
    columns |= {feature: _vector(observations[name]) for name, feature in plan.vectors.items()}
    if "rewards" in demo:
        columns["next.reward"] = _vector(demo["rewards"])[:, 0]
    if "dones" in demo:
        columns["next.done"] = demo["dones"][()].astype(bool).reshape(length)
    return Demonstration(columns, images, task)


def _read(item: Any, found: Pictures, where: str, path: Path) -> Iterator[np.ndarray]:
    with _hdf5_errors(path):
        yield from colour(item, found, where)


def _vector(dataset: Any) -> np.ndarray:
    values = dataset[()].astype(np.float32)
    return values.reshape(len(values), -1)


def _rate(environment: dict[str, Any], fps: float | None, path: Path) -> float:
    options = environment.get("env_kwargs")
    rate = fps or (options.get("control_freq") if isinstance(options, dict) else None)
    if not isinstance(rate, (int, float)) or not 0 < rate < 10_000:
        raise UserError(f"{path}: control_freq: got {rate!r} in env_args; say the rows per second with --fps")
    return rate


def _instruction(demo: Any, problem: dict[str, Any], environment: dict[str, Any]) -> str:
    """Returns what the robot was asked for: of the episode (robocasa), of the file (LIBERO), or a name."""
    episode = _json(demo.attrs.get("ep_meta"), f"{demo.name}: ep_meta").get("lang")
    text = episode or problem.get("language_instruction") or environment.get("env_name")
    if isinstance(text, list):
        text = " ".join(map(str, text))
    return str(text or "do the task").strip().strip('"')


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
