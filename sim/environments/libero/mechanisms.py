"""Skills for what moves on joints in LIBERO's scenes: drawers, a microwave's door, a stove's knob."""

from __future__ import annotations

import numpy as np

from ideomotor.sim.environments.libero.hand import CLOSED, DOWN, OPEN, Motion, Pose, facing, turn_about
from ideomotor.sim.environments.libero.shapes import grips, joint_points, shape_of
from ideomotor.sim.environments.libero.skills import Skills

UP = np.array([0.0, 0.0, 1.0])
PULL_TILT, PUSH_TILT = 0.35, 0.8  # of the hand, down from level, at a drawer's handle [rad]
HANDLE_DEPTH = 0.02  # of what sticks out farthest of a drawer's front [m]
TRAVEL, AHEAD = 0.16, 0.05  # of a drawer, and how far ahead of the hand its goal is [m]
DOOR_ARMS = (0.15, 0.19, 0.12)  # from the hinge, where a door is pushed, one after the other [m]
DOOR_ROOM, DOOR_DEPTH, DOOR_AHEAD = 0.09, 0.016, 0.25  # from its face, below its upper edge [m]; ahead [rad]
INSIDE_TILT, INSIDE_LIFT, INSIDE_WAY = 0.6, 0.075, 0.18  # [rad, m, m]
SLIDES, SLIPPED = 4, 0.03  # grips of what is slid; that it may lag behind the hand [m]
KNOB_TURN = 0.95  # [rad]


def pull_open(skills: Skills, site: str) -> Motion:
    """Opens a drawer by its handle, with the hand nearly level and the fingers above and below."""
    hand, joint = skills.hand, drawer_joint(skills, site)
    outward = opening_direction(skills, site)
    tilted = turn_about(np.cross(outward, UP), PULL_TILT)
    ahead = tilted @ -outward
    rotation = hand.nearest(facing(ahead, UP))
    grip = Pose(handle(skills, joint, outward) - 0.004 * ahead, rotation)
    hand.grip = OPEN
    away = grip.moved(-0.12 * ahead)
    yield from skills.over(away)
    yield from hand.reach(away, near=0.01, turned=0.06, steps=60)
    yield from hand.reach(grip, near=0.005, turned=0.06, steps=40)
    yield from hand.close(9)
    for _ in range(60):
        if skills.env.goal.holds(["open", site]):
            break
        yield hand.toward(Pose(hand.pose.position + AHEAD * outward, rotation))
    yield from hand.hold(hand.pose, 2)
    yield from hand.open()
    yield from hand.reach(hand.pose.moved(-0.08 * ahead), near=0.02, turned=9.0, steps=25)
    yield from hand.reach(hand.pose.raised(0.12), near=0.03, turned=9.0, steps=25)


def push_shut(skills: Skills, site: str) -> Motion:
    """Closes a drawer with the tips of closed fingers against its handle."""
    hand, joint = skills.hand, drawer_joint(skills, site)
    outward = opening_direction(skills, site)
    ahead = turn_about(np.cross(outward, UP), PUSH_TILT) @ -outward
    rotation = hand.nearest(facing(ahead, np.cross(outward, UP)))
    face = handle(skills, joint, outward)
    hand.grip = CLOSED
    yield from skills.over(Pose(face + 0.10 * outward + [0, 0, 0.10], rotation))
    yield from hand.reach(Pose(face + 0.06 * outward, rotation), near=0.01, turned=0.1, steps=40)
    for _ in range(70):
        if skills.env.goal.holds(["close", site]):
            break
        face = handle(skills, joint, outward)
        yield hand.toward(Pose(face - 0.03 * outward, rotation))
    yield from hand.reach(hand.pose.moved(0.08 * outward + [0, 0, 0.05]), near=0.02, turned=9.0, steps=25)


def close_door(skills: Skills, name: str) -> Motion:
    """Closes a door that turns about an upright hinge: closed fingers push its upper edge along the arc."""
    hand, env = skills.hand, skills.env
    joint = env.scene.facts["things"][name]["joints"][0]
    hinge = env.data.joint(joint).xanchor.copy()
    height = joint_points(env, joint)[:, 2].max() - DOOR_DEPTH
    hand.grip = CLOSED

    def pushing(angle: float, arm: float, away: float) -> Pose:
        along = np.array([np.cos(angle), np.sin(angle), 0.0])
        spot = hinge + arm * along + away * np.array([along[1], -along[0], 0.0])
        return Pose(np.array([*spot[:2], height]), hand.nearest(facing(DOWN, along)))

    for arm in DOOR_ARMS:
        at = float(env.data.joint(joint).qpos[0])  # negative while open
        start = pushing(at, arm, DOOR_ROOM)
        yield from skills.over(start.raised(0.06))
        yield from hand.reach(start, near=0.01, turned=0.1, steps=40)
        best, since = at, 0
        while since < 25 and not env.goal.holds(["close", name]):
            at = float(env.data.joint(joint).qpos[0])
            best, since = (at, 0) if at > best + 0.01 else (best, since + 1)
            yield hand.toward(pushing(at + DOOR_AHEAD, arm, 0.0))
        yield from hand.reach(hand.pose.raised(0.1), near=0.02, turned=9.0, steps=25)
        if env.goal.holds(["close", name]):
            return


def turn_on(skills: Skills, name: str) -> Motion:
    """Turns a stove's knob: grips its ridge from above and turns."""
    hand, env = skills.hand, skills.env
    joint = env.scene.facts["things"][name]["joints"][0]
    axis = env.data.joint(joint).xanchor.copy()
    points = joint_points(env, joint)
    high = points[points[:, 2] > points[:, 2].max() - 0.015]
    spread = high[:, :2] - high[:, :2].mean(axis=0)
    ridge = np.linalg.svd(spread, full_matrices=False)[2][0]
    rotation = hand.nearest(facing(DOWN, np.array([-ridge[1], ridge[0], 0.0])))
    grip = hand.leaned(Pose(np.array([*axis[:2], points[:, 2].max() - 0.012]), rotation))
    hand.grip = OPEN
    yield from skills.over(grip.raised(0.08))
    yield from hand.reach(grip, near=0.006, turned=0.06, steps=40)
    yield from hand.close()
    turned = Pose(grip.position, turn_about(UP, KNOB_TURN) @ grip.rotation)
    for _ in range(50):
        if env.goal.holds(["turnon", name]):
            break
        yield hand.toward(turned)
    yield from hand.hold(turned, 3)
    yield from hand.open()
    yield from hand.reach(hand.pose.raised(0.1), near=0.02, turned=9.0, steps=25)


def drawer_joint(skills: Skills, site: str) -> str:
    return skills.env.scene.facts["sites"][site]["joints"][0]


def opening_direction(skills: Skills, site: str) -> np.ndarray:
    """(3,) in which a drawer comes out."""
    facts = skills.env.scene.facts
    relation, _ = facts["things"][facts["sites"][site]["parent"]]["limits"]["open"]
    axis = skills.env.data.joint(drawer_joint(skills, site)).xaxis
    return -axis if relation.startswith("<") else axis.copy()


def handle(skills: Skills, joint: str, outward: np.ndarray) -> np.ndarray:
    """(3,) the middle of what sticks out farthest of a drawer [m]."""
    points = joint_points(skills.env, joint)
    along = points @ outward
    return points[along > along.max() - HANDLE_DEPTH].mean(axis=0)


def slide(skills: Skills, name: str, place: np.ndarray) -> Motion:
    """Slides a plate over what it lies on to `place` (3,), held at its rim; grips again when it slips."""
    hand, env = skills.hand, skills.env
    height, far = 0.08, np.inf
    for _ in range(SLIDES):
        grip = grips(env, name)[0]
        grip = hand.leaned(Pose(grip.position, hand.nearest(grip.rotation)))
        hand.grip = OPEN
        yield from skills.over(grip.raised(height))
        yield from hand.reach(grip, near=0.004, steps=30)
        yield from hand.close(9)
        height, low = 0.03, hand.pose.position[2]
        held = hand.pose.position - shape_of(env, name).position
        for _ in range(60):
            at = shape_of(env, name).position
            left = np.append((place - at)[:2], 0.0)
            far = float(np.linalg.norm(left))
            if far < 0.015:
                break
            if np.linalg.norm((hand.pose.position - at - held)[:2]) > SLIPPED:
                break
            target = hand.pose.position + left * min(1.0, AHEAD / far)
            yield hand.toward(Pose(np.array([*target[:2], low]), grip.rotation))
        yield from hand.open(5)
        if far < 0.015:
            break
    yield from hand.reach(hand.pose.raised(0.1), near=0.02, turned=9.0, steps=25)


def put_inside(skills: Skills, name: str, place: np.ndarray, inward: np.ndarray) -> Motion:
    """Takes a mug by its handle, the hand leaning back, and puts it through an opening with a low ceiling.

    Args:
        place: (3,) where the body's origin belongs [m].
        inward: (3,) into the opening; the handle is on the other side.
    """
    hand, env = skills.hand, skills.env
    centers = np.array([env.data.geom(geom).xpos for geom in env.scene.facts["things"][name]["geoms"]])
    spot = centers[(centers @ inward).argmin()]
    ahead = turn_about(np.cross(DOWN, inward), INSIDE_TILT) @ DOWN
    rotation = hand.nearest(facing(ahead, np.cross(UP, inward)))
    grip = Pose(spot + [0.0, 0.0, 0.008], rotation)
    yield from skills.grip(name, grip, lift=INSIDE_LIFT)
    if not skills.holding(name):
        return
    there = rotation.T @ (shape_of(env, name).position - hand.pose.position)
    goal = Pose(place - rotation @ there, rotation)
    before = goal.moved(-INSIDE_WAY * inward).raised(0.015)
    yield from hand.reach(before, near=0.01, turned=0.1, steps=60)
    yield from hand.reach(goal.raised(0.015), near=0.01, turned=0.1, steps=60)
    yield from hand.reach(goal, near=0.006, turned=0.1, steps=20)
    yield from hand.open()
    yield from hand.reach(hand.pose.moved(-0.1 * inward), near=0.02, turned=9.0, steps=25)
    yield from hand.reach(hand.pose.raised(0.2), near=0.03, turned=9.0, steps=30)
