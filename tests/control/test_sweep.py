"""What a sweep by hand tells about a joint: of published arms, and for any way of mounting a servo."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.sweep import AGREEMENT, Sweep, from_sweep

ROBOT = load_embodiment("so101")
assert ROBOT.bus is not None
JOINTS = list(zip(ROBOT.bus.servos, ROBOT.joints, strict=True))
GRIPPER = JOINTS[5]
PUBLISHED = json.loads(Path(__file__).with_name("so101_calibrations.json").read_text())
TWO_STOPS = [
    name for name, servo in zip(ROBOT.joint_names, ROBOT.bus.servos, strict=True) if servo.end_stops
][:4]


def swept(joint: str, middle: int, lowest: int, highest: int, at_stop: int | None = None):
    servo, limits = JOINTS[ROBOT.joint_names.index(joint)]
    return from_sweep(servo, limits.lower, limits.upper, Sweep(middle, lowest, highest, at_stop))


@given(
    joint=st.sampled_from(JOINTS[:4]),
    pose=st.floats(-0.5, 0.5),
    share=st.floats(0, 1),
    direction=st.sampled_from([1, -1]),
)
def test_the_zero_follows_from_the_stops_whatever_the_starting_pose(
    joint, pose: float, share: float, direction: int
) -> None:
    """`pose` [rad] is how far the starting pose was from the middle; the span is one that arms have."""
    servo, limits = dataclasses.replace(joint[0], direction=direction), joint[1]
    span = servo.span[0] + share * (servo.span[1] - servo.span[0])
    middle_of_stops = 2048 - servo.counts_per_unit * pose  # the offset puts the pose at 2048
    ends = [round(middle_of_stops - span / 2), round(middle_of_stops + span / 2)]
    found = from_sweep(servo, limits.lower, limits.upper, Sweep(2048, *ends))
    zero = middle_of_stops - servo.counts_per_unit * (limits.lower + limits.upper) / 2
    if min(ends) > 0 and max(ends) < 4096:
        assert found.problems == found.notes == ()
        assert found.joint.zero == pytest.approx(zero, abs=1.5)
        assert ends[0] <= found.joint.lower < found.joint.upper <= ends[1]


@given(stop=st.integers(200, 2300), span=st.integers(1419, 1590), direction=st.sampled_from([1, -1]))
def test_the_grippers_zero_is_counted_from_its_closed_stop_however_far_it_opens(
    stop: int, span: int, direction: int
) -> None:
    servo = dataclasses.replace(GRIPPER[0], direction=direction)
    lower, upper = GRIPPER[1].lower, GRIPPER[1].upper
    lowest = stop if direction > 0 else stop + 100
    closed = lowest if direction > 0 else lowest + span
    found = from_sweep(servo, lower, upper, Sweep(2048, lowest, lowest + span, closed + 3))
    assert found.problems == found.notes == ()
    ends = [(counts - found.joint.zero) / servo.counts_per_unit for counts in (found.joint.lower, closed)]
    assert ends[1] == pytest.approx(lower, abs=0.001)  # closed is where the robot's file says it is closed
    assert min(ends) == pytest.approx(lower, abs=0.001)  # and it may be closed
    widest = abs(found.joint.upper - found.joint.lower) / abs(servo.counts_per_unit)
    assert widest == pytest.approx(upper - lower, abs=0.002)


def test_a_gripper_mounted_the_other_way_round_or_left_open_is_refused() -> None:
    (problem,) = swept("gripper", 2048, 1000, 2500, 2490).problems  # closed where its counts are highest
    assert problem.startswith("gripper: its servo turns the other way round") and "direction: -1" in problem
    (problem,) = swept("gripper", 2048, 1000, 2500, 1700).problems
    assert problem == "gripper: it was 700 counts from its stop when closed, expected less than 60"


def test_a_gripper_not_opened_all_the_way_is_usable_as_far_as_it_was() -> None:
    found = swept("gripper", 2047, 2017, 2823)  # morigakuto/kibun-arm
    assert found.problems == () and "it moved 806 counts, others 1405 to 1606" in found.notes[0]
    assert found.joint.upper == 2823 and found.joint.lower == 2017
    assert "at least 773" in swept("gripper", 2047, 2017, 2600).problems[0]
    assert "assembled otherwise?" in swept("gripper", 2047, 1000, 2700).problems[0]


@pytest.mark.parametrize(
    ("lowest", "highest", "problem", "note"),
    [
        (2040, 2060, "moved 20 counts only, expected 2624 to 2794", ""),
        (1400, 2700, "its range was 1300 counts, expected 2624 to 2794: not moved to both stops", ""),
        (0, 4095, "across the seam of its counts?", ""),
        (400, 3500, "assembled otherwise?", ""),
        (1047, 3050, "", "its zero is the middle of what it moved"),
        (1047, 3050 + 2 * AGREEMENT + 10, "and the starting pose was +166 counts away", ""),
        (600, 3300, "", ""),
    ],
)
def test_a_sweep_is_judged_by_what_real_shoulders_do(
    lowest: int, highest: int, problem: str, note: str
) -> None:
    found = swept("shoulder_pan", 2048, lowest, highest)
    for lines, expected in ((found.problems, problem), (found.notes, note)):
        assert len(lines) == bool(expected)
        if expected:
            assert lines[0].startswith("shoulder_pan: ") and expected in lines[0]
    if note:
        assert (found.joint.lower, found.joint.upper) == (lowest, highest)


def test_the_spans_in_the_robots_file_are_those_of_published_arms() -> None:
    """Its numbers and the tolerances of `control/sweep.py` follow from the published files."""
    away, whole = [], 0
    for (servo, _), name in zip(JOINTS, ROBOT.joint_names, strict=True):
        assert servo.span is not None
        sweeps = [arm[name][1:] for arm in PUBLISHED.values()]
        inside = sorted(b - a for a, b in sweeps if servo.span[0] <= b - a <= servo.span[1])
        assert (inside[0], inside[-1]) == servo.span, name
        if name in TWO_STOPS:
            whole += len(inside)
            away += [abs((a + b) / 2 - 2047) for a, b in sweeps if b - a in inside]
    assert (len(PUBLISHED), whole) == (25, 83)
    assert sorted(away)[int(0.9 * len(away))] <= AGREEMENT


def test_other_robots_are_judged_by_the_range_in_their_file() -> None:
    servo = dataclasses.replace(JOINTS[0][0], span=None)
    limits = JOINTS[0][1]  # 2503 counts
    assert from_sweep(servo, limits.lower, limits.upper, Sweep(2048, 800, 3300)).problems == ()
    assert "both stops" in from_sweep(servo, limits.lower, limits.upper, Sweep(2048, 1000, 3000)).problems[0]
    pose = from_sweep(servo, limits.lower, limits.upper, Sweep(2048, 1250, 3750)).problems
    assert "the starting pose was +452 counts away from the middle, expected less than 400" in pose[0]


def test_a_joint_without_stops_gets_its_zero_from_the_pose_or_from_where_printed_parts_meet() -> None:
    whole_turn = swept("wrist_roll", 2047, 0, 4095)
    assert whole_turn.problems == () and whole_turn.joint.zero == 2047
    met = swept("wrist_roll", 2047, 139, 3970)  # 3831 counts, as in lerobot#4583
    assert met.problems == () and met.joint.zero == 2054
    assert "expected at least 3577" in swept("wrist_roll", 2047, 1000, 3000).problems[0]
