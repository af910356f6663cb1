"""Leader arms: servos that a hand moves, joint to joint to their follower; nothing is written to them."""

import time

import numpy as np
import pytest

from ideomotor.control.calibration import default_calibration
from ideomotor.control.embodiment import embodiment_names, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.servo_arm import ServoArm
from ideomotor.control.teleop.leader_arm import STILL_S, HandWatch, LeaderArm, check_leads
from ideomotor.control.teleop.mirror import mirror
from ideomotor.control.teleop.teleoperator import DriverName, FollowerState, TeleopAction

SO101, LEADER = load_embodiment("so101"), load_embodiment("so101_leader")
LEADERS = [name for name in embodiment_names() if load_embodiment(name).leads]
NAN = np.full(6, np.nan)


def follower_state(driver: DriverName) -> FollowerState:
    return FollowerState(0.0, NAN, NAN, NAN, NAN, driver)


def read(arm: LeaderArm) -> TeleopAction:
    """The next action that there is, on whatever machine."""
    while True:
        try:
            return arm.read(follower_state(DriverName.PERSON))
        except OSError:
            time.sleep(0.01)


@pytest.mark.parametrize("name", LEADERS)
def test_every_leader_has_its_followers_joints_and_their_whole_range(name: str) -> None:
    leader = load_embodiment(name)
    follower = load_embodiment(leader.leads)
    how = mirror(leader, follower)
    for end in ("lower", "upper"):
        np.testing.assert_allclose(how.follower(getattr(leader, end)), getattr(follower, end))
        np.testing.assert_allclose(how.leader(getattr(follower, end)), getattr(leader, end))
    check_leads(leader, follower)


def test_angles_are_the_same_and_the_handles_share_is_the_grippers() -> None:
    how = mirror(LEADER, SO101)
    pose = np.array([0.1, -0.2, 0.3, -0.4, 0.5, 0.25 * LEADER.upper[5]])
    expected = [*pose[:5], SO101.lower[5] + 0.25 * (SO101.upper[5] - SO101.lower[5])]
    np.testing.assert_allclose(how.follower(pose), expected)
    np.testing.assert_allclose(how.leader(how.follower(pose)), pose)
    pressed = np.append(pose[:5], -0.1)  # a handle beyond its stop is a closed gripper
    assert how.follower(pressed)[5] == SO101.lower[5]


def test_what_cannot_lead_is_refused() -> None:
    with pytest.raises(UserError, match=r"^leader: so101 is no leader arm, expected one whose file says"):
        check_leads(SO101, SO101)
    with pytest.raises(UserError, match=r"^leader: koch_leader leads koch, expected a leader of so101$"):
        check_leads(load_embodiment("koch_leader"), SO101)
    with pytest.raises(
        UserError, match=r"^leader: vx300s has the joints waist.*, expected so101's: shoulder_pan"
    ):
        mirror(load_embodiment("vx300s"), SO101)


def test_a_leaders_motors_cannot_be_switched_on(emulated_arm) -> None:
    servos = emulated_arm()
    arm = ServoArm(LEADER, servos.port)
    for comes_on in (arm.connect, arm.take_over):
        with pytest.raises(UserError, match="so101_leader is moved by a person's hand and read only"):
            comes_on()
    assert not any(servos.torque().values())


def test_a_leader_is_read_and_nothing_is_written_to_it(emulated_arm) -> None:
    servos = emulated_arm()  # an SO-101 at home: the handle's zero is where the gripper's is
    before = {number: servos.table(number) for number in range(1, 7)}
    arm = LeaderArm(LEADER, servos.port, default_calibration(LEADER), SO101)
    arm.connect()
    try:
        action = read(arm)
        assert action.engaged and action.position[:5] == pytest.approx(SO101.home_position[:5], abs=2e-3)
        share = SO101.home_position[5] / LEADER.upper[5]
        assert action.position[5] == pytest.approx(SO101.lower[5] + share * 1.91986, abs=5e-3)
        servos.set(4, silent=True)
        said = ""
        while not said:
            time.sleep(0.02)
            try:
                arm.read(follower_state(DriverName.PERSON))
            except OSError as error:
                said = str(error)
        assert said.startswith("leader: ") and "wrist_flex" in said
        servos.set(4, silent=False)
        assert read(arm).time > action.time
    finally:
        arm.disconnect()
    after = {number: servos.table(number) for number in range(1, 7)}
    for number, table in before.items():
        changed = {name for name, value in table.items() if after[number][name] != value}
        assert all(name.startswith("present_") for name in changed), changed


def test_a_leader_that_is_moved_while_the_policy_drives_is_taken_up() -> None:
    watch, lay = HandWatch(np.array([True, True, False])), np.zeros(3)
    assert not watch.engaged(0.0, lay + 0.5, DriverName.POLICY)  # still being put down
    assert not watch.engaged(0.5, lay, DriverName.POLICY)
    assert not watch.engaged(1.0, lay + [0.0, 0.2, 0.0], DriverName.POLICY)  # not left alone for long enough
    for now in np.arange(1.1, 1.2 + 2 * STILL_S, 0.1):
        assert not watch.engaged(now, lay + [0.0, 0.0, 1.0], DriverName.POLICY)
    now = 2 + 2 * STILL_S
    assert not watch.engaged(now, lay + [0.1, 0.0, 0.0], DriverName.POLICY)  # the table was shaken
    assert watch.engaged(now + 0.1, lay + [0.2, 0.0, 0.0], DriverName.POLICY)
    assert watch.engaged(now + 0.2, lay, DriverName.PERSON)
    assert not watch.engaged(now + 0.3, lay + 0.5, DriverName.POLICY)  # handed back, and on its way down


def test_a_koch_leader_is_read_through_its_own_protocol_too() -> None:
    pytest.importorskip("dynamixel_sdk")
    from ideomotor.sim.twin.process import Twin

    leader, koch = load_embodiment("koch_leader"), load_embodiment("koch")
    with Twin("koch_leader") as twin:
        twin.inject("hand still")
        arm = LeaderArm(leader, twin.port, default_calibration(leader), koch)
        arm.connect()
        position = read(arm).position
        arm.disconnect()
        assert position == pytest.approx(mirror(leader, koch).follower(twin.where()), abs=3e-3)
