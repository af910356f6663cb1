"""A policy that signs what it makes, for tests of the processes that run policies."""

from __future__ import annotations

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.control.types import ActionChunk, LatentPlan, Observation


class Signed:
    """A policy whose plans and chunks bear its number: 10 times its own, and its plan's."""

    def __init__(self, number: int, folder: str, part: str) -> None:
        with open(f"{folder}/{part}", "a") as file:
            file.write(f"{number}")
        if number == 9:
            raise UserError("config.json: missing in runs/broken")
        self.number = number

    def reset(self, seed: int) -> None: ...

    def plan(self, observation: Observation) -> LatentPlan:
        return LatentPlan(np.full((1, 1), self.number, np.float32), observation.time)

    def act(self, observation: Observation, plan: LatentPlan, committed_prefix: np.ndarray) -> ActionChunk:
        signed = 10 * self.number + float(plan.tokens.sum())
        actions = np.full((96, 6), signed, np.float32)
        return ActionChunk(actions, 120.0, observation.tick, observation.time, plan.observed_at)
