"""What a Gymnasium environment that nobody has described is like: tried as a newcomer would try it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.sim.rendering.render import backend

RENDER = "render"
STEPS = 30  # that are tried
SUCCESS = ("is_success", "success", "task_success", "solved", "goal_reached", "done")
STATES = ("agent_pos", "agent_qpos", "state", "proprio", "qpos", "robot_state", "observation")
PRIVILEGED = ("goal", "environment", "object", "target", "block")
USUAL_HZ, USUAL_STEPS = 20, 300
NEARER = 0.5  # share of a distance that is left when commands are places


@dataclass(frozen=True)
class Findings:
    """What was found; `guesses` says of each field that had to be guessed why it is so."""

    make: str
    options: dict[str, Any]
    low: np.ndarray  # (A,) of the commands
    high: np.ndarray
    pictures: dict[str, tuple[int, int]]  # {path in the observation, or "render": (height, width)}
    state: str  # path in the observation
    state_size: int
    commands: str  # deltas or absolute
    control_hz: int
    max_steps: int
    success: str  # path in info; empty: nothing there tells it
    steps_per_s: float  # without pictures that are drawn for `render`
    picture_ms: float  # of one `render`; NaN where there is none
    guesses: dict[str, str]


def probe(make: str, options: Mapping[str, Any]) -> Findings:
    """Makes the environment, and tries it.

    Args:
        make: as `gymnasium.make` takes it.
        options: further keywords; render_mode is rgb_array where they do not say.

    Raises:
        UserError: it cannot be made, or its actions are no box of finite ranges.
    """
    env, options = _made(make, dict(options))
    try:
        space = env.action_space
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise UserError(f"env: {make}: actions are {space}, expected a box of one row of numbers")
        if not np.isfinite([space.low, space.high]).all():
            raise UserError(f"env: {make}: actions are {space}, expected finite ranges")
        guesses: dict[str, str] = {}
        seen, _ = env.reset(seed=0)
        parts = dict(_parts(seen))
        began, infos = time.perf_counter(), []
        for _ in range(STEPS):
            seen, _, ended, _, info = env.step(space.sample())
            infos.append(info)
            if ended:
                env.reset()
        steps_per_s = STEPS / (time.perf_counter() - began)
        pictures = {path: part.shape[:2] for path, part in parts.items() if _is_picture(part)}
        picture_ms = float("nan")
        if not pictures and options.get("render_mode") == "rgb_array":
            began = time.perf_counter()
            drawn: Any = env.render()
            picture_ms = 1000 * (time.perf_counter() - began)
            if _is_picture(drawn):
                pictures = {RENDER: drawn.shape[:2]}
        vectors = {path: len(np.ravel(part)) for path, part in parts.items() if _is_vector(part)}
        state = _state(vectors, guesses)
        return Findings(
            make=make,
            options=options,
            low=space.low.astype(float),
            high=space.high.astype(float),
            pictures=pictures,
            state=state,
            state_size=vectors[state],
            commands=_commands(env, space, state, guesses),
            control_hz=_rate(env, guesses),
            max_steps=_limit(env, guesses),
            success=_success(infos, guesses),
            steps_per_s=steps_per_s,
            picture_ms=picture_ms,
            guesses=guesses,
        )
    finally:
        env.close()


def _made(make: str, options: dict[str, Any]) -> tuple[gymnasium.Env[Any, Any], dict[str, Any]]:
    backend()
    try:
        env = gymnasium.make(make, disable_env_checker=True, **options)
        if "render_mode" in options or "rgb_array" not in (env.metadata.get("render_modes") or []):
            return env, options
        env.close()
        options = {"render_mode": "rgb_array", **options}
        return gymnasium.make(make, disable_env_checker=True, **options), options
    except ModuleNotFoundError as error:
        raise UserError(f"env: {make} needs the module {error.name!r}; install it") from None
    except (gymnasium.error.Error, TypeError, ValueError) as error:
        raise UserError(f"env: {make!r} with {options}: {error}") from None


def _parts(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path of keys with dots between, value) of everything in an observation."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _parts(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _is_picture(value: Any) -> bool:
    shape = getattr(value, "shape", ())
    return len(shape) == 3 and shape[2] == 3 and value.dtype == np.uint8


def _is_vector(value: Any) -> bool:
    array = np.asarray(value)
    return array.ndim <= 1 and array.dtype.kind == "f" and array.size > 0


def _state(vectors: Mapping[str, int], guesses: dict[str, str]) -> str:
    if not vectors:
        raise UserError("env: the observation has no vector, expected a state in it (an option may add one)")
    if len(vectors) == 1:
        (path,) = vectors
        guesses["state"] = "all that it tells; leave out by `columns` what only a camera should see"
        return path

    def rank(path: str) -> tuple[bool, int, int]:
        last = path.rpartition(".")[2].lower()
        known = next((i for i, name in enumerate(STATES) if name == last), len(STATES))
        return any(word in last for word in PRIVILEGED), known, vectors[path]

    path = min(vectors, key=rank)
    guesses["state"] = f"of {', '.join(vectors)}"
    return path


def _commands(
    env: gymnasium.Env[Any, Any], space: gymnasium.spaces.Box, state: str, guesses: dict[str, str]
) -> str:
    """Whether a command held for a while is where the state goes."""
    seen, _ = env.reset(seed=0)
    first = dict(_parts(seen))[state].ravel()[: space.shape[0]]
    target = (space.low + 0.6 * (space.high - space.low)).astype(space.dtype)
    if len(first) == len(target):
        for _ in range(STEPS):
            seen, _, ended, _, _ = env.step(target)
            if ended:
                break
        last = dict(_parts(seen))[state].ravel()[: space.shape[0]]
        before, after = np.abs(first - target).sum(), np.abs(last - target).sum()
        if after < NEARER * before:
            guesses["commands"] = "a command that was held is where the state went"
            return "absolute"
    if np.all(space.low <= 0) and np.all(space.high >= 0):
        guesses["commands"] = "a command that was held is not where the state went, and 0 is among them"
        return "deltas"
    guesses["commands"] = "0 is not among them"
    return "absolute"


def _rate(env: gymnasium.Env[Any, Any], guesses: dict[str, str]) -> int:
    dt = getattr(env.unwrapped, "dt", None)
    fps = env.metadata.get("render_fps") or getattr(env.unwrapped, "metadata", {}).get("render_fps")
    if fps:
        guesses["control_hz"] = "its render_fps"
        return round(float(fps))
    if isinstance(dt, float) and 0 < dt <= 1:
        guesses["control_hz"] = "its dt"
        return round(1 / dt)
    guesses["control_hz"] = "nothing tells it"
    return USUAL_HZ


def _limit(env: gymnasium.Env[Any, Any], guesses: dict[str, str]) -> int:
    limit = env.spec.max_episode_steps if env.spec else None
    guesses["max_steps"] = "its max_episode_steps" if limit else "nothing tells it"
    return limit or USUAL_STEPS


def _success(infos: list[dict[str, Any]], guesses: dict[str, str]) -> str:
    numbers = {
        path: float(np.asarray(value).ravel()[0])
        for info in infos
        for path, value in _parts(info)
        if np.ndim(value) == 0 and np.asarray(value).dtype.kind in "bif"
    }
    for name in SUCCESS:
        for path in numbers:
            if path.rpartition(".")[2].lower() == name:
                return path
    if numbers:
        path = next(iter(numbers))
        guesses["success"] = f"nothing in info is called success; of {', '.join(numbers)}: set at_least too"
        return path
    return ""
