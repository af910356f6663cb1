"""A robot of two arms: made of the arms' own files, kept from hitting itself, calibrated by both files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from ideomotor.control.calibration import (
    calibration_path,
    default_calibration,
    load_calibration,
    save_calibration,
    split_calibration,
)
from ideomotor.control.embodiment import EMBODIMENTS, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.pair import join_ports, of_arm, split_ports
from ideomotor.control.robots.drivers import driver_of
from ideomotor.control.safety.clearance import Clearance
from ideomotor.control.safety.filter import SafetyFilter

ARM, PAIR = load_embodiment("so101"), load_embodiment("so101_pair")
HZ = ARM.control_hz
TOWARDS = np.array([1.2, 0.3, -0.3, 0.2, 0.0, 0.3])  # stretched to its left [rad]


def in_the_way(*pans: float) -> np.ndarray:
    """Both arms stretched, turned by so much."""
    return np.concatenate([[pan, *TOWARDS[1:]] for pan in pans])


def write(folder: Path, **changes: object) -> Path:
    """A copy of the pair's file with other fields."""
    value = yaml.safe_load((EMBODIMENTS / "so101_pair.yaml").read_text())
    for where, what in changes.items():
        side, _, field = where.partition("__")
        if field:
            value["arms"][side][field] = what
        else:
            value[where] = what
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(value))
    return path


def test_a_pair_has_the_joints_of_both_arms_with_lerobots_names() -> None:
    assert PAIR.joint_names[:2] == ("left_shoulder_pan", "left_shoulder_lift")
    assert PAIR.joint_names[6:] == tuple(f"right_{name}" for name in ARM.joint_names)
    assert PAIR.grippers == ("left_gripper", "right_gripper")
    for name in ("lower", "upper", "max_velocity", "max_jerk", "max_effort", "home_position"):
        np.testing.assert_array_equal(getattr(PAIR, name), np.tile(getattr(ARM, name), 2))
    np.testing.assert_array_equal(of_arm(PAIR, np.arange(12), "right"), np.arange(6, 12))


@pytest.mark.parametrize("yaw", [0.0, 2.0])
def test_each_arm_is_as_clear_as_alone_wherever_it_stands(tmp_path: Path, yaw: float) -> None:
    pair = load_embodiment(write(tmp_path, right__yaw=yaw))
    assert ARM.geometry and pair.geometry
    alone, both = Clearance(ARM, ARM.geometry), Clearance(pair, pair.geometry)
    poses = np.random.default_rng(0).uniform(pair.lower, pair.upper, (50, 12))
    found = both(poses)
    for side, other in (("left", "right"), ("right", "left")):
        own = [i for i, name in enumerate(both.names) if side in name and other not in name]
        assert [both.names[i].replace(f"{side}_", "") for i in own] == alone.names
        expected = alone(of_arm(pair, poses, side))
        near = expected < 0.05  # further away the quick look is believed, which depends on the frame
        np.testing.assert_allclose(found[:, own][near], expected[near], atol=1e-3)


def test_the_arms_do_not_hit_each_other_whatever_they_are_asked_for() -> None:
    """Both turn towards each other as fast as they can; then they are free to go home."""
    assert PAIR.geometry
    clearance, safety = Clearance(PAIR, PAIR.geometry), SafetyFilter(PAIR)
    goal = in_the_way(1.5, -1.5)
    assert clearance(goal[None]).min() < -0.02, "the goal is one where they overlap"
    emitted, reasons = [], set()
    for tick in range(4 * HZ):
        position, why = safety.filter(tick, goal if tick < 3 * HZ else PAIR.home_position)
        emitted.append(position)
        reasons |= set(why)
    assert "self_collision" in reasons
    assert clearance(np.array(emitted)).min() > -1e-6
    moved = np.abs(emitted[3 * HZ - 1] - PAIR.home_position)
    assert moved[0] > 0.3 and moved[6] > 0.3, "they came as near as they may"
    np.testing.assert_allclose(emitted[-1], emitted[-2], atol=0.03)  # on their way home again
    assert np.abs(emitted[-1] - PAIR.home_position).max() < np.abs(moved).max() + 1e-6


def test_an_arm_that_is_pressed_on_the_table_does_not_slow_the_other_down() -> None:
    """The right arm passes untouched, to the bit, whatever the left one is asked for."""
    assert PAIR.geometry
    clearance, safety = Clearance(PAIR, PAIR.geometry), SafetyFilter(PAIR)
    emitted, wanted, held = [], [], 0
    for tick in range(4 * HZ):
        goal = PAIR.home_position.copy()
        goal[1:3] += np.array([1.6, -0.2]) * min(tick / HZ, 1.0)  # the left arm goes down
        goal[6:] += 0.25 * np.sin(np.pi * tick / HZ) ** 3 * np.array([1, 0.5, 0.5, 0.5, 1, 0.5])
        position, why = safety.filter(tick, goal)
        emitted.append(position)
        wanted.append(goal)
        held += "table" in why
    assert held > HZ and clearance(np.array(emitted)).min() > -1e-6
    np.testing.assert_array_equal(np.array(emitted)[:, 6:], np.array(wanted)[:, 6:])
    assert np.abs(emitted[-1] - wanted[-1])[1] > 0.1, "the left arm stands before the table"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"left__robot": "so101_leader"}, "arms.left.robot: got 'so101_leader', expected a follower arm"),
        ({"left__robot": "reacher"}, "arms.left.robot: got 'reacher', expected a follower arm of servos"),
        ({"left__robot": "so10"}, "unknown name 'so10'; did you mean 'so101'"),
        ({"left__position": [0, 1]}, "arms.left.position: got .*, expected a list of 3"),
        ({"right__position": [0, 0, 0.1]}, "expected arms on one table: theirs are at 0.0, 0.1 m"),
        ({"arms": {"left": {}}}, "arms.right: missing"),
    ],
)
def test_a_file_that_cannot_be_is_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_embodiment(write(tmp_path, **changes))


def test_any_two_servo_arms_can_be_paired(tmp_path: Path) -> None:
    robot = load_embodiment(write(tmp_path, left__robot="koch", name="mixed"))
    assert robot.joint_names[5:7] == ("left_gripper", "right_shoulder_pan")
    assert robot.geometry is None, "one of them has none"
    calibration = default_calibration(robot)
    pair = driver_of(robot).make(robot, "left=/dev/null,right=/dev/zero", calibration)
    assert pair.embodiment is robot


def test_a_pair_is_calibrated_by_its_arms_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"calibration/so101/left.yaml does not exist; .* so101 --arm left"):
        load_calibration(PAIR)
    for side, made, zero in (("left", "today", 2000), ("right", "before", 2100)):
        own = default_calibration(ARM)
        joints = (replace(own.joints[0], zero=zero), *own.joints[1:])
        save_calibration(replace(own, arm=side, made_at=made, joints=joints))
    found = load_calibration(PAIR)
    assert found.made_at == "today and before" and found.joints[6].joint == "right_shoulder_pan"
    parts = split_calibration(PAIR, found)
    assert [part.joints[0].zero for part in parts.values()] == [2000, 2100]
    assert parts["right"].joints == load_calibration(ARM, "right").joints
    with pytest.raises(UserError, match="so101/office_left.yaml does not exist"):
        load_calibration(PAIR, "office")
    assert calibration_path("so101", "left").exists()


def test_each_arm_of_a_pair_has_a_port() -> None:
    ports = split_ports("right=/dev/serial/by-id/usb-a,b,left=/dev/ttyACM0")
    assert ports == {"left": "/dev/ttyACM0", "right": "/dev/serial/by-id/usb-a,b"}
    assert split_ports(join_ports(ports)) == ports
    for wrong in ("/dev/ttyACM0", "left=/dev/ttyACM0", "left=a,left=b", "left=,right=b", "left=a,rigth=b"):
        with pytest.raises(UserError, match="left=/dev/ttyACM0,right=/dev/ttyACM1"):
            split_ports(wrong)
    with pytest.raises(UserError, match=r"the same"):
        split_ports("left=/dev/ttyACM0,right=/dev/ttyACM0")
