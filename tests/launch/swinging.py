"""Policies small enough to reason about, and a person: each swings joint 0 of an SO-101, for ever."""

from __future__ import annotations

import sys
import time

import numpy as np

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.teleop.teleoperator import DriverName, FollowerState, TeleopAction
from ideomotor.control.types import ActionChunk, LatentPlan, Observation

ROBOT = load_embodiment("so101")
HZ = ROBOT.control_hz
HORIZON = 480  # [ticks], four seconds: without a watchdog the arm would go on for so long
SWING, SWING_HZ = 1.2, 0.5  # [rad], [Hz]: up to 1.9 rad/s
LATE_S = 0.5  # a first chunk of `LateSwinger`, which then is more than half a radian on its way


def motion(ticks: np.ndarray) -> np.ndarray:
    """(n, A): joint 0 swings, for ever."""
    swing = np.zeros((len(ticks), len(ROBOT.joints)))
    swing[:, 0] = SWING * np.sin(2 * np.pi * SWING_HZ * ticks / HZ) / 2
    return ROBOT.home_position + swing


class Waver:
    """A person who swings joint 0 as `Swinger` does."""

    def connect(self) -> None:
        self.began = time.monotonic()

    def disconnect(self) -> None: ...

    def read(self, state: FollowerState) -> TeleopAction:
        now = time.monotonic()
        assert not {"torch", "mujoco", "transformers"} & set(sys.modules)
        position = motion(np.array([HZ * (now - self.began)]))[0]
        return TeleopAction(now, position, engaged=state.driver is DriverName.PERSON)


class Swinger:
    """A policy that swings joint 0.

    Args:
        part: the network that its process runs.
    """

    def __init__(self, part: str) -> None:
        self.part = part

    def reset(self, seed: int) -> None:
        pass

    def plan(self, observation: Observation) -> LatentPlan:
        assert observation.instruction == "swing" and set(observation.images) == {"front", "wrist"}
        return LatentPlan(np.ones((2, 3), np.float32), observation.time, "now: swing")

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        tick = observation.tick
        assert plan.tokens.shape in ((2, 3), (0, 0)) and plan.observed_at <= observation.time + 0.1
        actions = motion(np.arange(tick, tick + HORIZON)).astype(np.float32)
        actions[: len(committed_prefix)] = committed_prefix
        return ActionChunk(actions, float(HZ), tick, observation.time, plan.observed_at)


class LateSwinger(Swinger):
    """Takes its time over the first chunk after each reset."""

    _first = True

    def reset(self, seed: int) -> None:
        self._first = True

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        chunk = super().act(observation, plan, committed_prefix)
        if self._first:
            self._first = False
            time.sleep(LATE_S)
        return chunk


class Looker(Swinger):
    """Says in its plan how bright the front camera's picture is, and stays where it is."""

    def plan(self, observation: Observation) -> LatentPlan:
        brightness = float(observation.images["front"].mean())
        return LatentPlan(np.ones((2, 3), np.float32), observation.time, f"{brightness:.3f}")

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        tick = observation.tick
        stay = committed_prefix[-1:] if len(committed_prefix) else observation.state[None]
        actions = np.repeat(stay, 96, axis=0).astype(np.float32)
        actions[: len(committed_prefix)] = committed_prefix
        return ActionChunk(actions, float(HZ), tick, observation.time, plan.observed_at)
