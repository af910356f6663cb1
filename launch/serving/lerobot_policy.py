"""A policy of LeRobot's behind `control.types.Policy`: frames and commands are translated, there and back.

Its commands, 10 to 50 a second, become one for each of our ticks: joint targets by the curve that
demonstrations are resampled by, anything else by holding each until the next. It knows nothing of what was
committed, so that a chunk which comes late is entered in its middle, as `naive` in control/chunk_handover.py,
whatever the method.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.control.timing import Timing
from ideomotor.control.types import ActionChunk, LatentPlan, Observation
from ideomotor.launch.serving.commands_at_ticks import at_ticks

if TYPE_CHECKING:
    from ideomotor.launch.serving.lerobot_mapping import LeRobotMapping
    from ideomotor.launch.serving.lerobot_process import LeRobotProcess

STATE = "observation.state"


class LeRobotPolicy:
    """Implements `control.types.Policy`, and `Watcher` (it may look back).

    Args:
        mapping: what it is on the robot.
        process: with the checkpoint; None where only plans are asked for, which say nothing.
    """

    def __init__(self, mapping: LeRobotMapping, process: LeRobotProcess | None) -> None:
        self._mapping, self._process = mapping, process
        self._frames: deque[tuple[int, dict[str, np.ndarray]]] = deque(maxlen=mapping.config.looks_back)
        self.reset(0)

    @property
    def timing(self) -> Timing:
        return self._mapping.timing

    @property
    def watch_every_ticks(self) -> int:
        """Ticks between the frames that it looks back at; 0: it looks at the present alone."""
        return self._mapping.frame_ticks if self._mapping.config.looks_back > 1 else 0

    def watch(self, observation: Observation) -> None:
        """Remembers a frame between chunks."""
        if not self._frames or observation.tick - self._frames[-1][0] >= self._mapping.frame_ticks:
            self._frames.append((observation.tick, self._arrays(observation)))

    def run_without(self, senses: Iterable[str]) -> None:
        if senses := list(senses):
            raise UserError(f"without: {', '.join(senses)}: LeRobot's policies have no missing senses")

    def reset(self, seed: int) -> None:
        self._frames.clear()
        if self._process is not None:
            self._process.ask({"do": "reset", "seed": seed})

    def close(self) -> None:
        """Ends its process."""
        if self._process is not None:
            self._process.close()

    def plan(self, observation: Observation) -> LatentPlan:
        """Nothing: it has no plan that could be read."""
        return LatentPlan(np.zeros((1, 1), np.float32), observation.time)

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        assert self._process is not None  # the interpreter's process only plans
        if self._frames and self._frames[-1][0] == observation.tick:
            self._frames.pop()
        now = self._arrays(observation)
        looks_back = self._mapping.config.looks_back
        before = [arrays for _, arrays in self._frames][-(looks_back - 1) :] if looks_back > 1 else []
        frames = [*before, now]
        frames = [frames[0]] * (looks_back - len(frames)) + frames
        self._frames.append((observation.tick, now))
        request = {f"{i}/{key}": array for i, frame in enumerate(frames) for key, array in frame.items()}
        head = {"do": "chunk", "task": observation.instruction, "frames": len(frames)}
        made = self._process.ask(head, request)["action"]
        width = self._mapping.config.action
        if made.ndim != 2 or made.shape[1] != width or not np.isfinite(made).all():
            raise UserError(f"policy: lerobot gave {made.shape}, expected finite commands (N, {width})")
        actions = at_ticks(
            np.stack([made[:, item.index] * item.scale + item.offset for item in self._mapping.action], 1),
            self._mapping.hz,
            self._mapping.embodiment,
        )
        actions[: len(committed_prefix)] = committed_prefix
        return ActionChunk(
            actions, float(self.timing.control_hz), observation.tick, observation.time, plan.observed_at
        )

    def _arrays(self, observation: Observation) -> dict[str, np.ndarray]:
        """What it is given of an observation, under its names, in its units and sizes."""
        mapping, found = self._mapping, {}
        for feature, (height, width) in mapping.config.cameras.items():
            picture = observation.images.get(mapping.cameras[feature])
            if picture is None:  # a camera that gives nothing is black, as LeRobot pads
                picture = np.zeros((height, width, 3), np.uint8)
            if picture.shape[:2] != (height, width):
                smaller = height * width < picture.shape[0] * picture.shape[1]
                picture = cv2.resize(
                    picture, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
                )
            found[feature] = np.ascontiguousarray(picture)
        if mapping.config.state is not None:
            state = np.zeros(mapping.config.state, np.float32)
            for value, item in zip(observation.state, mapping.state, strict=True):
                if item.column == STATE:
                    state[item.index] = (value - item.offset) / item.scale
            found[STATE] = state
        return found
