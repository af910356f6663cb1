"""A checkpoint as an object that answers the observations of whoever loaded it (docs/api.md)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError, unknown_name
from ideomotor.control.types import Observation
from ideomotor.vla.needed import EVERYTHING, Needed


class LoadedPolicy:
    """A checkpoint that answers your own observations.

    Attributes:
        folder: the checkpoint.
        embodiment: the robot it drives: joints with their order, units and limits; cameras.
        policy: what implements `control.types.Policy`, for whoever wants plans and chunks apart.
    """

    def __init__(self, folder: Path, robot: str, needed: Needed = EVERYTHING) -> None:
        from ideomotor.eval.policy_spec import load_policy

        self.folder, self.embodiment = folder, load_embodiment(robot)
        self.policy = load_policy(folder, robot, needed=needed)
        self.reset()

    def reset(self, seed: int = 0) -> None:
        """Begins an episode: forgets what was commanded; all randomness follows from the seed."""
        self._next_s = 0.0
        self.policy.reset(seed)

    def __call__(self, observation: Mapping[str, Any]) -> np.ndarray:
        """The commands that follow an observation.

        Args:
            observation: cameras by name (`front` or `observation.images.front`: RGB (H, W, 3), uint8 or
                floats in [0, 1]; one may be missing), `state` or `observation.state` ((A,) [rad or m], in the
                order of `embodiment.joint_names`), `instruction` or `task` (text), and if you like `time`
                ([s] since `reset`; by default the last commands have all been executed) and `past_commands`
                ((P, A), what was sent in the ticks before).

        Returns:
            (H, A) float32 [rad or m], a row for each tick of 1 / `embodiment.control_hz` seconds.

        Raises:
            UserError: a key, shape or value that the policy cannot have been trained on.
        """
        seen = _observation(observation, self.embodiment, self._next_s)
        chunk = self.policy.act(seen, self.policy.plan(seen), np.empty((0, len(self.embodiment.joints))))
        self._next_s = seen.time + len(chunk.actions) / self.embodiment.control_hz
        return chunk.actions


def _observation(given: Mapping[str, Any], embodiment: Embodiment, now: float) -> Observation:
    """The border type from a user's dict."""
    cameras = [camera.name for camera in embodiment.cameras]
    short = {key.removeprefix("observation.").removeprefix("images."): value for key, value in given.items()}
    known = [*cameras, "state", "instruction", "task", "time", "past_commands"]
    if strange := [key for key in short if key not in known]:
        raise unknown_name("observation", strange[0], known)
    text = short.get("instruction", short.get("task"))
    for name, value in (("state", short.get("state")), ("instruction", text)):
        if value is None:
            raise UserError(f"observation: has no {name!r} (it has {', '.join(short) or 'nothing'})")
    past, time = short.get("past_commands"), float(short.get("time", now))
    return Observation(
        time=time,
        tick=round(time * embodiment.control_hz),
        images={name: short[name] for name in cameras if name in short},
        state=np.asarray(short["state"]),
        instruction=str(text),
        past_commands=None if past is None else np.asarray(past, dtype=float),
    )
