"""LeRobot's calibration files: those that real arms have, and those that are not one."""

import json
from pathlib import Path

import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.lerobot_calibration import from_lerobot, read_lerobot_calibration

ROBOT = load_embodiment("so101")
PUBLISHED = json.loads(Path(__file__).with_name("so101_calibrations.json").read_text())
# Of the published files these two cannot be used, and the reason is a joint each time.
UNUSABLE = {
    "imeun/SO101-MuJoCo-Depth-ACT": ("shoulder_lift: its range was 4095", "elbow_flex: its range was 4095"),
    "komination/sandbox-so101-win": ("wrist_flex: its range was 1985 counts, expected 2242 to 2460",),
}


def written(folder: Path, name: str) -> Path:
    """One published file as LeRobot wrote it."""
    entries = {
        joint: {"id": i, "drive_mode": 0, "homing_offset": offset, "range_min": low, "range_max": high}
        for i, (joint, (offset, low, high)) in enumerate(PUBLISHED[name].items(), start=1)
    }
    path = folder / "my_awesome_follower_arm.json"
    path.write_text(json.dumps(entries, indent=4))
    return path


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_calibrations_of_followers_can_be_used(tmp_path: Path, name: str) -> None:
    entries = read_lerobot_calibration(written(tmp_path, name), ROBOT)
    made, problems, _ = from_lerobot(entries, ROBOT, "main", "today")
    expected = UNUSABLE.get(name, ())
    assert len(problems) == len(expected)
    assert all(problem.startswith(start) for problem, start in zip(problems, expected, strict=True))
    if problems:
        return
    assert ROBOT.bus is not None
    for joint, servo, limits in zip(made.joints, ROBOT.bus.servos, ROBOT.joints, strict=True):
        offset, low, high = PUBLISHED[name][joint.joint]
        assert joint.offset == offset
        if servo.end_stops:
            assert low <= joint.lower < joint.upper <= high
        ends = [(c - joint.zero) / servo.counts_per_unit for c in (joint.lower, joint.upper)]
        assert limits.lower - 0.001 <= ends[0] < ends[1] <= limits.upper + 0.001
    gripper = made.joints[5]  # closed is its lower end in the file, and its lower limit here
    assert gripper.lower == PUBLISHED[name]["gripper"][1] == round(gripper.zero - 0.17453 * 4096 / 6.283185)


@pytest.mark.parametrize(
    ("joint", "field", "value", "message"),
    [
        ("elbow_flex", "id", 4, r"elbow_flex.id: got 4, expected 3, the id of elbow_flex's servo"),
        ("gripper", "drive_mode", 1, r"gripper.drive_mode: got 1, expected 0: a servo that turns the other"),
        ("gripper", "homing_offset", 2100, r"gripper.homing_offset: got 2100, expected a whole number in"),
        (
            "wrist_roll",
            "range_max",
            5000,
            r"wrist_roll.range_max: got 5000, .* across the seam",
        ),
        (
            "wrist_roll",
            "range_min",
            -300,
            r"wrist_roll.range_min: got -300, expected 0 to 4095: it",
        ),
        ("wrist_roll", "range_min", None, r"wrist_roll.range_min: got None"),
    ],
)
def test_a_wrong_number_is_named(tmp_path: Path, joint: str, field: str, value: object, message: str) -> None:
    path = written(tmp_path, "MarkRedeman/robot-control-server-rs")
    data = json.loads(path.read_text())
    data[joint][field] = value
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=rf"^my_awesome_follower_arm\.json: {message}"):
        read_lerobot_calibration(path, ROBOT)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{not json", "is not JSON"),
        ("[1, 2]", "expected a mapping with shoulder_pan"),
        ('{"shoulder_pan": {}}', "shoulder_lift: missing"),
        ('{"motor_names": ["shoulder_pan"], "homing_offset": [1]}', "format of before June 2025"),
        ('{"base": {}}', "unknown name 'base'"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "arm.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as refused:
        read_lerobot_calibration(path, ROBOT)
    assert len(str(refused.value).splitlines()) == 1
    with pytest.raises(UserError, match="cannot read"):
        read_lerobot_calibration(tmp_path / "none.json", ROBOT)


def test_dynamixel_servos_add_what_the_others_subtract(tmp_path: Path) -> None:
    koch = load_embodiment("koch")
    entries = {
        joint: {"id": i, "drive_mode": 0, "homing_offset": 100 * i, "range_min": 300, "range_max": 3000}
        for i, joint in enumerate(koch.joint_names, start=1)
    }
    path = tmp_path / "koch.json"
    path.write_text(json.dumps(entries))
    assert [joint.offset for joint in read_lerobot_calibration(path, koch)] == [-100 * i for i in range(1, 7)]


@pytest.mark.parametrize("joint", ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "gripper"])
@pytest.mark.parametrize(("pose", "step"), [(2500, 1), (2500, 31), (-1700, 7), (2040, 37)])
def test_a_sweep_across_the_seam_is_refused_with_how_to_mend_it(
    tmp_path: Path, joint: str, pose: int, step: int
) -> None:
    """As lerobot-calibrate records it: counts modulo a turn, `step` apart, the pose `pose` off the middle."""
    name = "MarkRedeman/robot-control-server-rs"
    path = written(tmp_path, name)
    data = json.loads(path.read_text())
    half = (PUBLISHED[name][joint][2] - PUBLISHED[name][joint][1]) // 2
    seen = [(2047 - pose + move) % 4096 for move in range(-half, half + 1, step)]
    assert max(seen) - min(seen) > 2 * half + 100, "it does cross the seam"
    data[joint] |= {"range_min": min(seen), "range_max": max(seen)}
    path.write_text(json.dumps(data))
    _, problems, _ = from_lerobot(read_lerobot_calibration(path, ROBOT), ROBOT, "main", "today")
    assert len(problems) == 1 and problems[0].startswith(f"{joint}: its range was ")
    assert "across the seam of its counts (0/4095)" in problems[0] and "ideomotor calibrate" in problems[0]
