"""Plans are tried in simulation before the arm moves: by experts, in a world built from what is perceived.

The world is a guess, never the truth of a scene: things stand where they are perceived, in the relations that
are perceived; how a cube is turned is not perceived, nor what is hidden. Nothing is rendered.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.facts import PREDICATES, Facts
from ideomotor.sim.long_horizon import relations
from ideomotor.sim.long_horizon.asked import skill_expert
from ideomotor.sim.long_horizon.driving import Driving
from ideomotor.sim.long_horizon.laid_out import drawer_at, laid_out_world
from ideomotor.sim.long_horizon.put_down import FLOOR
from ideomotor.sim.long_horizon.truth import Truth, facts
from ideomotor.sim.scene import COLOURS, GRASPABLE, SIZES, TRAY_FLOOR, Thing
from ideomotor.sim.tasks import place
from ideomotor.sim.tasks.drawer import START_OPEN
from ideomotor.sim.world import World
from ideomotor.vla.planner.candidates import Imagined
from ideomotor.vla.planner.interface import PerceivedScene
from ideomotor.vla.planner.plan import Call
from ideomotor.vla.planner.skills import SKILLS, effects, succeeded
from ideomotor.vla.planner.things import FIXED, taken_apart

TRIALS = 2  # of a plan: as it is perceived; where that fails, once more with everything a little elsewhere
BLUR = 0.004  # standard deviation of "a little" [m]
ATTEMPTS = 2  # at a skill
SIMULATED_S = 150.0  # for all plans of one choice; what is left then is not tried [s]
REST_S = 0.3  # after a skill, until what is so is looked at [s]


class Imagination:
    """A `candidates.Imagine`: tries calls in a world of their own.

    Args:
        embodiment: the robot's.
        simulated_s: that the plans of one choice may take together, in simulated time.
    """

    def __init__(self, embodiment: Embodiment, simulated_s: float = SIMULATED_S):
        self._robot, self._allowed = embodiment, simulated_s
        self._scene: PerceivedScene | None = None
        self._left = simulated_s

    def __call__(self, scene: PerceivedScene, calls: Sequence[Call]) -> Imagined | None:
        """How often the calls came about; None where the scene cannot be built, or time is over."""
        if scene is not self._scene:
            self._scene, self._left = scene, self._allowed
        why = ""
        for trial in range(TRIALS):
            if self._left <= 0:
                return None
            world, words = imagined_world(scene, self._robot, trial)
            if world is None:
                return None
            try:
                failed = self._tried(world, calls, words)
            finally:
                world.close()
            if failed is None:
                return None
            if not failed:
                return Imagined((TRIALS - trial) / TRIALS, why)
            why = why or failed
        return Imagined(0.0, why)

    def _tried(self, world: World, calls: Sequence[Call], words: dict[str, str]) -> str | None:
        """Why the calls did not come about; empty: they did; None: there was no time for them."""
        truth = Truth(world)
        for number, call in enumerate(calls, start=1):
            own = Call(call.skill, tuple(words.get(name, name) for name in call.arguments))
            for _ in range(ATTEMPTS):
                if self._left <= 0:
                    return None
                if succeeded(own, self._carried_out(world, own, truth)):
                    break
            else:
                return f"step {number}, {call}, does not come about"
        return ""

    def _carried_out(self, world: World, call: Call, truth: Truth) -> Facts:
        """What is so after one attempt of an expert."""
        robot, driving = self._robot, Driving(world)
        hz, began = float(robot.control_hz), world.tick
        moment = any(PREDICATES[one[0]].lasting for one in effects(call))  # it may be so for a moment only

        def follow(target: np.ndarray) -> None:
            driving.follow(target)
            if moment and world.tick % robot.frame_ticks == 0:
                truth.look()

        try:
            for target in skill_expert(world, call.skill, call.arguments, driving.past_commands):
                if world.tick - began > SKILLS[call.skill].max_seconds * hz:
                    break
                follow(target)
            for _ in range(round(REST_S * hz)):
                follow(driving.past_commands[-1])
        except UserError:  # it speaks of nothing that is there
            return frozenset()
        finally:
            self._left -= (world.tick - began) / hz
        return truth.look() if moment else facts(world)


def imagined_world(
    scene: PerceivedScene, embodiment: Embodiment, trial: int = 0
) -> tuple[World | None, dict[str, str]]:
    """A world as a scene is perceived, and {thing as perceived: as that world describes it}.

    Args:
        trial: 0: as perceived; others: with everything a little elsewhere.

    Returns:
        None for a world where a thing's place is not perceived, or a thing is of no kind that can be built.
    """
    names = {name: f"thing{index}" for index, name in enumerate(scene.things)}
    draw = np.random.default_rng([trial, zlib.crc32(repr(sorted(scene.positions.items())).encode())])
    things: dict[str, Thing] = {}
    for name in scene.things:
        thing = _thing(name, names[name], scene)
        if thing is None:
            return None, {}
        if trial:
            x, y = np.asarray(thing.position) + draw.normal(0, BLUR, 2)
            turned = float(draw.uniform(-np.pi / 4, np.pi / 4)) if thing.graspable else 0.0
            thing = replace(thing, position=(float(x), float(y)), yaw=turned)
        things[name] = thing
    for name in scene.things:
        _support(name, things, scene.facts)
    held = next((one[1] for one in scene.facts if one[0] == "held" and one[1] in names), None)
    try:
        world = laid_out_world(list(things.values()), embodiment, names[held] if held else "")
    except UserError:
        return None, {}
    return world, {name: world.scene.describe(own) for name, own in names.items()}


def _thing(name: str, own: str, scene: PerceivedScene) -> Thing | None:
    apart, at = taken_apart(name), scene.positions.get(name)
    if at is None or apart.colour not in COLOURS or apart.kind not in (*FIXED, *GRASPABLE):
        return None
    if apart.kind == "drawer":
        usual = START_OPEN if ("open", name) in scene.facts else 0.0
        return drawer_at(own, apart.colour, at, scene.openings.get(name, usual))
    size = scene.sizes.get(name) or apart.size or "large"
    return Thing(own, apart.kind, apart.colour, at, size=size, half=SIZES[size])


def _support(name: str, things: dict[str, Thing], so: Facts, depth: int = 0) -> None:
    """Lifts a thing onto what it lies on or in, and moves it there if it seems to lie beside it."""
    if depth > len(things):
        return  # what is perceived goes in a circle
    for predicate, first, *rest in (one for one in so if one[0] in ("inside", "on", "in_drawer")):
        if first != name or rest[0] not in things:
            continue
        thing, below = things[name], things[rest[0]]
        middle, room = np.array(below.position), place.INSIDE.get(below.kind, below.half)
        base = FLOOR.get(below.kind, 0.0)
        if predicate == "in_drawer":
            middle, room = middle - (below.opening + 0.003, 0.0), relations.TRAY[0] - thing.half
            base = TRAY_FLOOR
        elif below.graspable:
            _support(rest[0], things, so, depth + 1)
            base, room = things[rest[0]].base + 2 * below.half, 0.3 * below.half
            middle = np.array(things[rest[0]].position)
        offset = np.asarray(thing.position) - middle
        away = float(np.hypot(*offset))
        if away > room:
            offset = offset * room / away
        x, y = middle + offset
        things[name] = replace(thing, position=(float(x), float(y)), base=base)
