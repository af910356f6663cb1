"""Alarms of the page: raised once when a condition has lasted, and gone when it has been gone."""

from dataclasses import replace

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.eval.seen_range import features_of, seen_range
from ideomotor.launch.dashboard.alarms import AlarmLimits, AlarmWatch, Snapshot, limits_of, limits_of_range

ROBOT = load_embodiment("so101")
HOME = ROBOT.home_position
PICTURE = np.random.default_rng(0).integers(60, 200, (96, 96, 3), dtype=np.uint8)
WELL = Snapshot(0.0, HOME, HOME, np.full(6, 35.0), 0.1, 200.0, True, {"front": PICTURE})
PICTURES = [np.clip(PICTURE.astype(int) + shift, 0, 255) for shift in (-6, -3, 0, 3, 6)]
LIMITS = limits_of_range(
    seen_range(
        [
            {"following_rad": 0.05, "jerk": 400.0, "confidence": 0.6,
             "pictures": {"front": [features_of(one) for one in PICTURES]}},
        ],
        ((), ()),
    )
)  # fmt: skip


class Room:
    def __init__(self) -> None:
        self.watch, self.now = AlarmWatch(ROBOT.joint_names, tuple(ROBOT.grippers), LIMITS), 0.0

    def see(self, seen: Snapshot, seconds: float, frozen: bool = False) -> list[str]:
        """What is raised within some seconds of the same, but for a camera's noise if it is not frozen."""
        raised = []
        for step in range(round(seconds / 0.05)):
            self.now += 0.05
            noise = 0 if frozen else step % 2
            pictures = {name: picture + np.uint8(noise) for name, picture in seen.pictures.items()}
            raised += self.watch.see(replace(seen, time=self.now, pictures=pictures))
        return raised


@pytest.fixture
def room() -> Room:
    return Room()


def moved(joint: int, by: float) -> np.ndarray:
    return HOME + by * (np.arange(6) == joint)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"position": moved(1, 0.3)}, "shoulder_lift is 0.30 rad from its command"),
        ({"changed_share": 0.8}, "the safety filter changes 80% of the commands"),
        ({"late_us": 6000.0}, "control is late: p99 6.0 ms"),
        ({"temperature": np.array([30, 30, 66, np.nan, 30, 30])}, "elbow_flex is 66 °C warm"),
        ({"jerk": 600.0}, "commands jerk by 600 rad/s³, more than in any evaluated episode"),
        ({"confidence": 0.4}, "the policy is less sure (40%) than in any solved episode (60%)"),
        ({"pictures": {"front": PICTURE[::-1] // 2}}, "camera front sees what no evaluation showed"),
    ],
)
def test_what_is_wrong_for_a_while_is_said_once_and_forgotten_when_it_is_over(
    room: Room, wrong, words
) -> None:
    assert room.see(WELL, 2.0) == []
    assert room.see(replace(WELL, **wrong), 0.4) == []
    assert room.see(WELL, 0.2) == []  # it was over at once
    assert room.see(replace(WELL, **wrong), 5.0) == [words]
    assert list(room.watch.active.values()) == [words]
    room.see(WELL, 0.5)
    assert room.watch.active
    room.see(WELL, 1.0)
    assert not room.watch.active
    assert room.see(replace(WELL, **wrong), 1.0) == [words]
    assert list(room.watch.raised.values()) == [2]


def test_a_gripper_that_holds_something_and_an_arm_that_is_stopped_are_no_alarm(room: Room) -> None:
    assert room.see(replace(WELL, position=moved(5, 0.6)), 3.0) == []
    assert room.see(replace(WELL, position=moved(0, 0.6), running=False, late_us=9e9), 3.0) == []
    assert room.see(replace(WELL, position=moved(0, np.nan)), 3.0) == []  # control stops it for that


def test_a_picture_that_stays_while_the_arm_moves_is_frozen_and_one_that_stays_with_it_is_not(
    room: Room,
) -> None:
    assert room.see(WELL, 10.0, frozen=True) == []  # nothing moves, and a simulated camera has no noise
    elsewhere = replace(WELL, position=moved(0, 0.1), command=moved(0, 0.1))
    assert room.see(elsewhere, 3.0, frozen=True) == [
        "camera front shows the same picture while the arm moves"
    ]
    assert room.see(elsewhere, 3.0) == []
    assert not room.watch.active


def test_a_dark_camera_is_said_and_within_what_was_seen_nothing_is(room: Room) -> None:
    assert (
        room.see(
            replace(WELL, jerk=450.0, confidence=0.61, pictures={"front": PICTURES[0].astype(np.uint8)}), 2.0
        )
        == []
    )
    said = room.see(replace(WELL, pictures={"front": PICTURE // 20}), 2.0)
    assert "camera front sees nothing: it is dark" in said


def test_without_an_evaluation_only_the_usual_limits_hold(tmp_path) -> None:
    assert limits_of(tmp_path) == limits_of(None) == AlarmLimits()
