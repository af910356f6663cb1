"""A recording as a policy: the way to it, its commands tick for tick, and on from where it was stopped."""

import numpy as np
import pytest

from ideomotor.control.chunk_handover import HANDOVERS
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.safety.start_pose import too_far
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.launch.runtime.replaying.replay_policy import AT_ONCE, HORIZON, ReplayPolicy

ROBOT = load_embodiment("so101")
HOME = ROBOT.home_position
NO_PLAN = LatentPlan(np.empty((0, 0), np.float32), 0.0)
NOTHING = np.empty((0, len(HOME)))
TICKS = 600


@pytest.fixture
def commands():
    """(TICKS, A): all joints swing, and the first of them begins half a radian from home."""
    time = np.arange(TICKS)[:, None] / ROBOT.control_hz
    first = HOME + np.eye(len(HOME))[0] * 0.5
    return first + 0.1 * np.sin(time) * np.ones(len(HOME))


def seen(tick, stands):
    return Observation(tick / 120, tick, {}, stands.astype(np.float32), "lift it", np.stack([stands]))


def played(policy, tick, stands, until):
    """Targets from `tick` on, of chunks made every 16 ticks, each given 12 commands of the one before."""
    targets, prefix = [], NOTHING
    for at in range(tick, until, 16):
        chunk = policy.act(seen(at, stands), NO_PLAN, prefix)
        assert (chunk.starts_at, chunk.hz, len(chunk.actions)) == (at, 120, HORIZON)
        np.testing.assert_array_equal(chunk.actions[: len(prefix)], prefix.astype(np.float32))
        targets.extend(chunk.actions[:16])
        prefix = chunk.actions[16:28].astype(np.float64)
    return np.array(targets)


def test_it_goes_to_the_first_command_and_then_plays_every_one(commands):
    policy = ReplayPolicy(commands, ROBOT)
    targets = played(policy, 0, HOME, 1600)
    way = int(-policy.offset)
    assert way > 60  # half a radian takes its time
    assert not too_far(ROBOT, HOME, targets[0])
    np.testing.assert_array_equal(targets[way : way + TICKS], commands.astype(np.float32))
    assert (targets[way + TICKS :] == commands[-1].astype(np.float32)).all()  # and holds the last one
    assert np.abs(np.diff(targets[:way], axis=0)).max() * 120 < 1.01


def test_an_arm_that_is_there_begins_at_once(commands):
    policy = ReplayPolicy(commands, ROBOT)
    targets = played(policy, 0, commands[0] + AT_ONCE / 2, 64)
    assert policy.offset == 0
    np.testing.assert_array_equal(targets, commands[:64].astype(np.float32))


def test_its_plan_says_how_far_it_is(commands):
    policy = ReplayPolicy(commands, ROBOT, "replaying episode 3")
    assert policy.plan(seen(0, commands[0])).progress == 0.0
    played(policy, 0, commands[0], 304)
    plan = policy.plan(seen(300, commands[300]))
    assert plan.progress == pytest.approx(0.5) and plan.text == "replaying episode 3, 2.5 of 5.0 s"
    assert policy.plan(seen(TICKS - 1, HOME)).progress < 1.0
    assert policy.plan(seen(TICKS, HOME)).progress == 1.0


def test_after_a_stop_it_goes_on_where_it_was_stopped(commands):
    policy = ReplayPolicy(commands, ROBOT)
    played(policy, 0, commands[0], 208)
    policy.reset(0)  # at tick 200 of the policy's time, which stands still meanwhile
    fallen = commands[200] + 0.3
    targets = played(policy, 200, fallen, 1400)
    way = int(200 - policy.offset) - 200
    assert way > 30 and np.abs(targets[0] - fallen).max() < 1e-3
    np.testing.assert_array_equal(targets[way : way + TICKS - 200], commands[200:].astype(np.float32))
    assert policy.played == TICKS


def test_it_is_asked_as_any_policy_is(commands):
    assert HANDOVERS["rtc"].uses_prefix
    policy = ReplayPolicy(commands, ROBOT)
    prefix = np.repeat(HOME[None], 12, axis=0)  # before the first chunk it already has to stand still
    chunk = policy.act(seen(0, HOME), NO_PLAN, prefix)
    np.testing.assert_array_equal(chunk.actions[:12], prefix.astype(np.float32))
    assert np.abs(chunk.actions[12] - HOME).max() < 1e-4
