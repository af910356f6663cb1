"""What scripted experts can do: grasp, release, push. Each is a motion that reads the world as it goes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ideomotor.sim.generalization.held_out_objects import HELD_OUT_SHAPES
from ideomotor.sim.layout import bearing_of
from ideomotor.sim.motion import OPEN, SHUT, Arm
from ideomotor.sim.task import SceneState

CARRY = 0.075  # height of the fingertips while carrying [m]
RETREAT = 0.015  # above carrying height, after a release [m]
TIP_BELOW_CENTRE = 0.006  # of a grasped object [m]
LOWEST_TIP = 0.008  # fingertips never go lower [m]
SWEEP_HEIGHT = 0.016  # of the fingertips while pushing [m]
LET_GO = OPEN * 0.8  # gripper joint, wide enough to let go of anything [rad]
JAW_SWEEP = 0.062  # from a grasped object's centre to the open moving jaw [m]
CLEARANCE = 0.014  # between a finger and a neighbour [m]


def grasp(world: SceneState, arm: Arm, name: str) -> Iterator[np.ndarray]:
    """Opens, goes above a thing, descends, closes, and rises to carrying height.

    It goes on from wherever the arm is: above the thing, if only roughly, it descends and corrects on the
    way, so that being a little off is never a reason to hesitate; around it, it closes.
    """
    half = world.scene.thing(name).half
    offset, roll = half + 0.003, grasp_roll(world, name)
    if not world.holding(name):
        place = _grasp_point(world, name)
        if not _closes_on(arm, place, roll, offset):
            above = np.array([place[0], place[1], CARRY])
            yield from arm.detour(place, above, roll, grip=OPEN, offset=offset)
            place = _grasp_point(world, name)
            if not is_over(arm, place, roll, offset):
                yield from arm.rise(CARRY)
                yield from arm.move_to(np.array([*place[:2], CARRY]), roll, grip=OPEN, offset=offset)
                place = _grasp_point(world, name)
            if not _arrived(arm, place, offset):
                yield from arm.line_to(place, roll, grip=OPEN, offset=offset)
    if arm.target[-1] > SHUT + 0.1:
        yield from arm.grip(SHUT, seconds=0.05)
    tip, _ = arm.pose(offset)
    yield from arm.line_to(np.array([*tip[:2], CARRY]), arm.roll(), offset=offset, speed=0.15)


def put(
    world: SceneState, arm: Arm, name: str, spot: np.ndarray, drop: float, lies: bool
) -> Iterator[np.ndarray]:
    """Grasps a thing, carries it above `spot` (3,) and lets go with its bottom `drop` [m] above.

    Args:
        lies: whether it is where it should be already: then the hand only leaves it.
    """
    held = world.holding(name)
    half = world.scene.thing(name).half
    retreat = max(CARRY, spot[2] + drop + 2 * half) + RETREAT
    if lies and not held:
        yield from leave(world, arm, name, half, retreat)
        return
    lowering = held and _above_spot(arm, spot, spot[2] + drop + half, half)
    carrying = held and arm.pose(half)[0][2] > CARRY - 0.012
    if not (lowering or carrying):
        yield from grasp(world, arm, name)
    yield from release(world, arm, name, spot, drop, lowering)


def release(
    world: SceneState, arm: Arm, name: str, spot: np.ndarray, drop: float, lowering: bool = False,
    roll: float | None = None, opening: float = LET_GO,
) -> Iterator[np.ndarray]:  # fmt: skip
    """Carries a grasped thing above `spot` (3,), lets go with its bottom `drop` [m] above, and retreats.

    Args:
        lowering: it is above the spot already.
        roll: of the fingers' opening direction from the radial one [rad]; by default as it was grasped.
        opening: of the gripper that lets it go [rad].
    """
    half = world.scene.thing(name).half
    # Where the object really sits in the hand, seen from the fingertips.
    held = world.position(name) - world.fingertips()
    if roll is None:
        roll = arm.roll()  # a held thing may end at any yaw, so the wrist need not turn at all
    height = min(spot[2] + drop + half - held[2], CARRY + 0.01)
    above = np.array([spot[0], spot[1], max(CARRY, height)])
    if not lowering:
        yield from arm.detour(np.array([*spot[:2], height]), above, roll, offset=half)
        yield from arm.move_to(above, roll, offset=half)
    lower = np.array([spot[0], spot[1], height])
    if not _arrived(arm, lower, half):
        yield from arm.line_to(lower, roll, offset=half, speed=0.10)
    yield from arm.grip(opening, seconds=0.05)
    yield from arm.line_to(above + (0, 0, RETREAT), roll, offset=half, speed=0.15)


def leave(world: SceneState, arm: Arm, name: str, half: float, height: float) -> Iterator[np.ndarray]:
    """Opens the fingers around a thing that lies where it should, if they are there, and rises."""
    tip, _ = arm.pose(half)
    beside = float(np.linalg.norm(tip[:2] - world.position(name)[:2])) < 0.03
    if beside and tip[2] < height - 0.005:
        if arm.target[-1] < LET_GO - 0.05:
            yield from arm.grip(LET_GO, seconds=0.05)
        yield from arm.line_to(np.array([*tip[:2], height]), arm.roll(), offset=half, speed=0.15)


def sweep(world: SceneState, arm: Arm, name: str, goal: np.ndarray) -> Iterator[np.ndarray]:
    """Pushes a thing along the table until its centre is at `goal` (2,), with the fingers closed.

    It goes on from behind the thing, where the arm is there already.
    """
    start = world.position(name)[:2]
    reach = world.scene.thing(name).half + 0.008  # from the object's centre to the fingertips [m]
    direction = _push_direction(arm, start, goal, reach)
    heading = float(np.arctan2(direction[1], direction[0]))
    height = SWEEP_HEIGHT
    behind = np.array([*(start - (reach + 0.022) * direction), height])
    end = np.array([*(goal - reach * direction), height])
    back = end - (*(0.02 * direction), 0.0)
    # The flat of a finger faces the push, and keeps facing it while the arm swings along.
    first = _wrap(heading + np.pi - bearing_of(behind), np.pi)
    pushing = _behind(arm, start, direction, reach)
    if pushing:  # whichever flat of the finger it is
        first = arm.roll() + _wrap(first - arm.roll(), np.pi)
    rolls = [first + bearing_of(behind) - bearing_of(spot) for spot in (behind, end, back)]
    yield from arm.detour(behind, behind + (0, 0, CARRY - height), rolls[0], grip=SHUT)
    if not (pushing or _behind(arm, start, direction, reach)):
        if not is_over(arm, behind, rolls[0]):
            yield from arm.rise(CARRY)
            yield from arm.move_to(behind + (0, 0, CARRY - height), rolls[0], grip=SHUT)
        yield from arm.line_to(behind, rolls[0], grip=SHUT)
    yield from arm.line_to(end, rolls[1], grip=SHUT, speed=0.09)
    yield from arm.line_to(back, rolls[2], grip=SHUT, speed=0.10)


def _push_direction(arm: Arm, start: np.ndarray, goal: np.ndarray, reach: float) -> np.ndarray:
    """(2,) unit vector from a thing at `start` to `goal`; near the goal, that of the push under way."""
    to_goal, from_tip = goal - start, start - arm.pose()[0][:2]
    near = float(np.linalg.norm(to_goal)) < 0.025 and float(np.linalg.norm(from_tip)) < reach + 0.02
    along = from_tip if near and arm.pose()[0][2] < SWEEP_HEIGHT + 0.008 else to_goal
    return along / max(float(np.linalg.norm(along)), 1e-6)


def is_over(arm: Arm, place: np.ndarray, roll: float = 0.0, offset: float | None = None) -> bool:
    """Whether the fingertips are in the funnel above `place` from which a straight line leads there."""
    tip, _ = arm.pose(offset)
    across = float(np.linalg.norm(tip[:2] - place[:2]))
    turn = abs(_wrap(arm.roll() - roll, 2 * np.pi))
    fingers_fit = offset is None or arm.target[-1] > OPEN - 0.15
    rise = tip[2] - place[2]
    return fingers_fit and turn < 0.5 and -0.006 < rise < CARRY and across < 0.008 + 0.4 * max(rise, 0.0)


def _arrived(arm: Arm, place: np.ndarray, offset: float) -> bool:
    """Whether the fingertips are so near to `place` that it is time for the fingers to move."""
    return float(np.linalg.norm(arm.pose(offset)[0] - place)) < 0.003


def _closes_on(arm: Arm, place: np.ndarray, roll: float, offset: float) -> bool:
    """Whether the fingers are around `place` and on their way together."""
    tip, _ = arm.pose(offset)
    turn = abs(_wrap(arm.roll() - roll, 2 * np.pi))
    near = float(np.linalg.norm(tip[:2] - place[:2])) < 0.008 and abs(tip[2] - place[2]) < 0.008
    return near and turn < 0.4 and SHUT + 0.05 < arm.target[-1] < OPEN - 0.02


def _above_spot(arm: Arm, spot: np.ndarray, height: float, offset: float) -> bool:
    """Whether the fingertips are in the funnel above `spot` in which a held thing is lowered to `height`."""
    tip, _ = arm.pose(offset)
    across = float(np.linalg.norm(tip[:2] - spot[:2]))
    rise = tip[2] - height
    return -0.02 < rise < CARRY and across < 0.006 + 0.2 * max(rise, 0.0)


def _behind(arm: Arm, start: np.ndarray, direction: np.ndarray, reach: float) -> bool:
    """Whether the fingertips are low and behind a thing at `start` (2,), so that it can be pushed."""
    tip, _ = arm.pose()
    offset = tip[:2] - start
    along = float(offset @ direction)
    across = float(np.linalg.norm(offset - along * direction))
    return tip[2] < SWEEP_HEIGHT + 0.008 and -reach - 0.03 < along < 0.008 - reach and across < 0.012


def grasp_roll(world: SceneState, name: str) -> float:
    """The roll from the radial direction that suits a thing's faces and its neighbours [rad]."""
    thing, position = world.scene.thing(name), world.position(name)
    bearing = bearing_of(position)
    if thing.kind == "cube":
        face = _wrap(world.yaw(name) - bearing, np.pi / 2)
        options = [face, face - np.pi / 2, face + np.pi / 2]
    elif shape := HELD_OUT_SHAPES.get(thing.kind):
        face = _wrap(world.yaw(name) + shape.grasp - bearing, shape.symmetry)
        options = [face, face - shape.symmetry, face + shape.symmetry]
    else:
        options = [0.0, -0.5, 0.5, -1.0, 1.0, -1.5, 1.5]

    def cost(roll: float) -> float:
        opening = np.array([np.cos(bearing + roll), np.sin(bearing + roll)])
        fingers = (position[:2] + JAW_SWEEP * opening, position[:2] - (thing.half + 0.010) * opening)
        crowd = 0.0
        for other in world.scene.things:
            if other.name == name or other.height < 0.004:
                continue
            spot = world.position(other.name)[:2] if other.graspable else np.array(other.position)
            gaps = [float(np.linalg.norm(spot - finger)) - other.radius - CLEARANCE for finger in fingers]
            crowd += max(0.0, -min(gaps))
        return abs(roll) + 200.0 * crowd

    return min(options, key=cost)


def _grasp_point(world: SceneState, name: str) -> np.ndarray:
    position = world.position(name)
    position[2] = max(LOWEST_TIP, position[2] - TIP_BELOW_CENTRE)
    return position


def _wrap(angle: float, period: float) -> float:
    """`angle` moved by whole periods to [-period / 2, period / 2)."""
    return float((angle + period / 2) % period - period / 2)
