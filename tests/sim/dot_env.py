"""A Gymnasium environment of a few lines: a dot that is pushed to a ring, in pictures that cost nothing.

One of its kinds ignores the seed, one starts always the same, one has no success in its info.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

SIDE = 8  # of the picture [pixels]


class DotEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """The dot's place and speed are on a line; an action is the speed's change in a step."""

    def __init__(self, kind: str = "good", actions: int = 1):
        self.kind = kind
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (actions,), np.float32)
        self.observation_space = gymnasium.spaces.Dict()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        super().reset(seed=None if self.kind == "deaf" else seed)
        self.place, self.speed = 0.0, 0.0
        self.goal = 0.5 if self.kind == "same" else float(self.np_random.uniform(0.4, 1.0))
        self.options = options
        return self._seen(), {"instruction": "shove the dot to the ring"} if options else {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.speed += 0.1 * float(action[0])
        self.place += 0.1 * self.speed
        found = {} if self.kind == "silent" else {"task": {"done": abs(self.place - self.goal) < 0.1}}
        return self._seen(), 0.0, False, False, found

    def _seen(self) -> dict[str, Any]:
        picture = np.zeros((SIDE, SIDE, 3), np.uint8)
        picture[:, int(self.goal * (SIDE - 1))] = 255
        body = np.array([self.place, self.speed, self.goal])
        return {"pixels": {"top": picture}, "body": body}


def expert(env: DotEnv) -> Any:
    """Pushes towards the ring and brakes; it needs to see where the dot is at every step."""

    def act(seen: dict[str, Any]) -> np.ndarray:
        place, speed, goal = seen["body"]
        return np.clip([5 * (goal - place) - 3 * speed], -1.0, 1.0)

    return act


def points(env: DotEnv) -> dict[str, tuple[float, float]]:
    """Where the picture shows the ring."""
    return {"target": (env.goal, 0.5)}


class TableEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """As PushT: an action is where on a table of 512 by 512 the agent is to go, as on a spring."""

    def __init__(self) -> None:
        self.action_space = gymnasium.spaces.Box(0.0, 512.0, (2,), np.float32)
        self.observation_space = gymnasium.spaces.Dict()
        self.commands: list[np.ndarray] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        super().reset(seed=seed)
        self.place, self.goal = self.np_random.uniform(50, 450, (2, 2))
        return self._seen(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.commands.append(np.array(action))
        self.place = self.place + 0.6 * (action - self.place)
        return self._seen(), 0.0, False, False, {"done": np.abs(self.place - self.goal).max() < 5}

    def _seen(self) -> dict[str, Any]:
        return {"pixels": np.zeros((SIDE, SIDE, 3), np.uint8), "agent": np.append(self.place, self.goal)}


def table_expert(env: TableEnv) -> Any:
    """Goes to the corners first, from one step to the next, and then to the goal."""
    corners = iter([(0.0, 512.0), (512.0, 512.0), (512.0, 0.0), (0.0, 0.0)])
    return lambda seen: np.array(next(corners, seen["agent"][2:]))


gymnasium.register(id="tests/Dot-v0", entry_point=DotEnv)
gymnasium.register(id="tests/Table-v0", entry_point=TableEnv)
