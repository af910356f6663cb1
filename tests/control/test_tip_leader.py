"""A leader of other joints: its tip leads the follower's, from where both are, without a jump."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ideomotor.control.calibration import default_calibration
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.geometry import Link
from ideomotor.control.teleop.teleoperator import DriverName, FollowerState
from ideomotor.control.teleop.tip_leader import BEHIND_S, TipFollowing, TipLeader
from ideomotor.control.teleop.tip_pose import TipPose, difference
from ideomotor.control.types import RobotState
from ideomotor.launch.runtime.teleoperation.leaders import leads_by_tip, split_scale

LEADER, SO101 = load_embodiment("so101_leader"), load_embodiment("so101")
HZ = 120
START = np.array([0.2, -0.6, 0.6, 0.9, 0.1, 0.47])  # of the leader [rad]


def other_arm():
    """An arm with a longer upper arm and one joint more, which turns its forearm."""
    assert SO101.geometry
    turn = replace(SO101.joints[4], name="forearm_roll")
    links: list[Link] = []
    for link in SO101.geometry.links:
        if link.name == "lower_arm":
            link = replace(link, position=tuple(1.3 * x for x in link.position))
        if link.name == "wrist":
            between = Link(
                "forearm", "lower_arm", (-0.06, 0, 0), (1, 0, 0, 0), turn.name, (1, 0, 0), (), None
            )
            links.append(between)
            x, y, z = link.position
            link = replace(link, parent="forearm", position=(x + 0.06, y, z))
        links.append(link)
    joints = (*SO101.joints[:4], turn, *SO101.joints[4:])
    home = (*SO101.home[:4], 0.0, *SO101.home[4:])
    geometry = replace(SO101.geometry, links=tuple(links), apart=())
    return replace(SO101, name="long_arm", joints=joints, home=home, geometry=geometry, bus=None)


FOLLOWER = other_arm()
LEADERS_TIP, FOLLOWERS_TIP = TipPose(LEADER), TipPose(FOLLOWER)
AT = np.array([-0.3, -0.7, 0.5, 0.8, 0.0, 0.4, 0.2])  # of the follower, when it begins


class Hands:
    """A person with the leader, and a follower that goes where it is commanded unless it is `held`."""

    def __init__(self, scale: float = 1.0) -> None:
        self.following = TipFollowing(LEADER, FOLLOWER, scale)
        self.time, self.leader, self.command = 10.0, START.copy(), AT.copy()
        self.held, self.steps, self.driver = False, [], DriverName.PERSON

    def move(self, by: np.ndarray, seconds: float) -> None:
        """The hand moves the leader's joints by so much, smoothly."""
        start, ticks = self.leader.copy(), round(seconds * HZ)
        for tick in range(1, ticks + 1):
            x = tick / ticks
            self.leader = start + x**3 * (10 - 15 * x + 6 * x**2) * by
            self.time += 1 / HZ
            zeros = np.zeros(6)
            state = FollowerState(self.time, *[self.command] * 4, driver=self.driver)
            action = self.following.action(RobotState(self.time, self.leader, zeros, zeros), state)
            if not self.held:
                self.steps.append(np.abs(action.position - self.command).max())
                self.command = action.position


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_tip_goes_as_the_leaders_does_whatever_the_joints(scale: float) -> None:
    hands = Hands(scale)
    hands.move(np.zeros(6), 0.1)
    leader, follower = LEADERS_TIP.pose(hands.leader), FOLLOWERS_TIP.pose(hands.command)
    np.testing.assert_allclose(hands.command[:6], AT[:6], atol=1e-6)  # the gripper goes to the handle
    hands.move(np.array([0.25, 0.2, -0.3, 0.15, 0.4, 0.7]), 2.0)
    hands.move(np.zeros(6), 0.5)
    wanted = np.array([scale] * 3 + [1.0] * 2) * difference(LEADERS_TIP.pose(hands.leader), leader)
    assert np.linalg.norm(wanted[:3]) > 0.05 * scale and np.abs(wanted[3:]).max() > 0.1
    moved = difference(FOLLOWERS_TIP.pose(hands.command), follower)
    np.testing.assert_allclose(moved[:3], wanted[:3], atol=0.002)
    np.testing.assert_allclose(moved[3:], wanted[3:], atol=0.02)
    share = (hands.command[6] - FOLLOWER.lower[6]) / (FOLLOWER.upper[6] - FOLLOWER.lower[6])
    assert share == pytest.approx((START[5] + 0.7) / LEADER.upper[5], abs=0.01)
    assert max(hands.steps) < 0.04, "radians a tick, the gripper's way to the handle included"


def test_an_arm_that_was_held_goes_on_from_where_it_is() -> None:
    hands = Hands()
    hands.move(np.array([0.1, 0, 0, 0, 0, 0]), 0.5)
    hands.held = True
    hands.move(np.array([0.5, 0, 0, 0, 0, 0]), 1.0)
    hands.held, before = False, FOLLOWERS_TIP.pose(hands.command)
    hands.move(np.zeros(6), BEHIND_S + 0.2)
    moved = difference(FOLLOWERS_TIP.pose(hands.command), before)
    assert np.linalg.norm(moved[:3]) < 0.03, "it does not go where the hand went meanwhile"
    leader, before = LEADERS_TIP.pose(hands.leader), FOLLOWERS_TIP.pose(hands.command)
    hands.move(np.array([-0.2, 0, 0, 0, 0, 0]), 1.0)
    hands.move(np.zeros(6), 0.3)
    wanted = difference(LEADERS_TIP.pose(hands.leader), leader)
    np.testing.assert_allclose(
        difference(FOLLOWERS_TIP.pose(hands.command), before)[:3], wanted[:3], atol=0.003
    )


def test_nobody_is_led_while_a_policy_drives_and_the_clutch_closes_at_the_takeover() -> None:
    hands = Hands()
    hands.driver = DriverName.POLICY
    hands.move(np.array([0.6, 0, 0, 0, 0, 0]), 1.0)
    np.testing.assert_array_equal(hands.command, AT)
    hands.driver = DriverName.PERSON
    hands.move(np.zeros(6), 0.2)
    np.testing.assert_allclose(hands.command[:6], AT[:6], atol=0.01)


def test_before_control_has_begun_nobody_is_engaged() -> None:
    hands = Hands()
    hands.command = np.full(7, np.nan)
    hands.held = True
    hands.move(np.zeros(6), 0.1)
    hands.command, hands.held = AT.copy(), False
    hands.move(np.zeros(6), 0.1)
    np.testing.assert_allclose(hands.command[:6], AT[:6], atol=1e-6)


def test_turning_about_the_base_keeps_pitch_and_roll() -> None:
    for tip, at in ((LEADERS_TIP, START), (FOLLOWERS_TIP, AT)):
        turned = at.copy()
        turned[0] += 0.7
        away = difference(tip.pose(turned), tip.pose(at))
        np.testing.assert_allclose(away[2:], 0.0, atol=0.08)  # its base turns 4 cm ahead of the origin
        assert np.linalg.norm(away[:2]) > 0.1
        for joint, part in (
            (-2, 4),
            (3 if len(at) == 6 else 3, 3),
        ):  # wrist roll is roll, wrist flex is pitch
            turned = at.copy()
            turned[joint] += 0.2
            assert abs(difference(tip.pose(turned), tip.pose(at))[part]) == pytest.approx(0.2, abs=0.02)


def test_what_can_lead_by_its_tip_and_what_is_missing_otherwise() -> None:
    assert leads_by_tip(LEADER, FOLLOWER) and not leads_by_tip(LEADER, SO101)
    koch = load_embodiment("koch")
    with pytest.raises(
        UserError, match=r"leads so101, expected a leader of koch, or the section geometry .* that of koch:"
    ):
        leads_by_tip(LEADER, koch)
    with pytest.raises(UserError, match="koch_leader leads koch, expected a leader of so101, or the section"):
        leads_by_tip(load_embodiment("koch_leader"), SO101)
    with pytest.raises(UserError, match="is no leader arm"):
        leads_by_tip(SO101, FOLLOWER)
    pytest.importorskip("scservo_sdk")
    made = TipLeader(LEADER, "/dev/null", default_calibration(LEADER), FOLLOWER, 0.5)
    made.disconnect()


def test_the_scale_is_part_of_the_leaders_device() -> None:
    assert split_scale("/dev/ttyACM1,scale=0.5") == ("/dev/ttyACM1", 0.5)
    assert split_scale("/dev/ttyACM1") == ("/dev/ttyACM1", None)
    for wrong in ("x", "0", "6", "nan"):
        with pytest.raises(UserError, match=r"leader: scale: got .*, expected 0\.1 to 5"):
            split_scale(f"/dev/ttyACM1,scale={wrong}")
