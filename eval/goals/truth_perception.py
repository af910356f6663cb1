"""A scene as it is, for whoever is given it instead of what a camera sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ideomotor.control.types import Observation
from ideomotor.sim.long_horizon.truth import Truth
from ideomotor.vla.planner.interface import PerceivedScene

if TYPE_CHECKING:
    from ideomotor.sim.world import World


class TruthPerception:
    """Implements `Perception` with the truth: what verification would be without mistakes.

    Args:
        world: that is seen.
        places: whether it tells where things are, too, and how large: to imagine with.
    """

    def __init__(self, world: World, places: bool = False):
        self._world, self._truth, self._things, self._places = world, Truth(world), _names(world), places

    def reset(self, goal: str = "") -> None:
        """It remembers what lasts since the episode began."""

    def notice(self, state: np.ndarray) -> None:
        """A look at the truth, so that it remembers what lasts only a moment."""
        self._truth.look()

    def perceive(self, observation: Observation | None, plan: object) -> PerceivedScene:
        """What is so now; it needs no picture."""
        now = self._truth.look()
        if not self._places:
            return PerceivedScene(self._things, now)
        world, at = self._world, dict[str, tuple[float, float]]()
        pairs = list(zip(self._things, world.scene.things, strict=True))
        for name, thing in pairs:
            x, y, _ = world.position(thing.name)
            at[name] = (float(x), float(y))
        sizes = {name: thing.size for name, thing in pairs if thing.graspable}
        openings = {name: world.slide(thing.name) for name, thing in pairs if thing.kind == "drawer"}
        return PerceivedScene(self._things, now, at, sizes=sizes, openings=openings)


def _names(world: World) -> tuple[str, ...]:
    return tuple(world.scene.describe(thing.name) for thing in world.scene.things)
