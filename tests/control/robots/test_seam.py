"""Calibration by hand is right wherever the seam of a servo's counts (0/4095) lies in its joint's way.

The line is a stand-in: encoders that wrap, at positions that the test gives, each time they are read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.robots import hand_calibration
from ideomotor.control.robots.families import family_of
from ideomotor.control.robots.hand_calibration import SweptArm
from ideomotor.control.robots.servo_line import Replies

TURN = 4096


class Encoders:
    """A line whose servos are where `joints` [rad] says, mounted `mounted` counts off, with `offsets`."""

    is_open, path = True, "a stand-in"

    def __init__(self, robot: Embodiment, mounted: Sequence[int], offsets: Sequence[int]) -> None:
        self._family, layout = family_of(robot)
        self._servos = layout.servos
        self._mounted, self.offsets = np.array(mounted), np.array(offsets)
        self._scale = np.array([servo.counts_per_unit for servo in layout.servos])
        self._zero = np.array([servo.zero for servo in layout.servos])
        self.joints = np.zeros(len(layout.servos))

    def counts(self) -> np.ndarray:
        raw = np.rint(self._zero + self._mounted + self._scale * self.joints)
        return ((raw - self.offsets) % TURN).astype(int)

    def sync_read(self, ids: Sequence[int], address: int, size: int) -> Replies:
        encoded = zip(ids, self.counts(), strict=True)
        return Replies({servo: self._family.position.encode(int(counts)) for servo, counts in encoded})

    def reports(self) -> list[Any]:
        rows = zip(self._servos, self.offsets, strict=True)
        return [
            SimpleNamespace(servo=servo, offset=int(offset), model=servo.model.number, table=bytes(256))
            for servo, offset in rows
        ]


@pytest.fixture(scope="module", autouse=True)
def stand_in() -> Any:
    """The arm's line is the one that the test has put here, and nobody waits for a hand."""
    patch, line = pytest.MonkeyPatch(), {}
    patch.setattr(hand_calibration, "ServoLine", lambda *given: line["now"])
    patch.setattr(hand_calibration, "open_line", lambda bus: None)
    patch.setattr(hand_calibration, "survey", lambda bus, family, layout: bus.reports())
    patch.setattr(hand_calibration, "time", SimpleNamespace(sleep=lambda s: None, monotonic=lambda: 0.0))
    patch.setattr("ideomotor.control.robots.dynamixel.bus.DxlFamily.check", lambda self, report: None)
    yield line
    patch.undo()


@settings(max_examples=25)
@given(
    robot=st.sampled_from(["so101", "koch"]),
    mounted=st.integers(0, TURN - 1),
    offset=st.integers(-2000, 2000),
    pose=st.floats(-0.3, 0.3),
    coarse=st.integers(1, 500),
)
def test_the_zero_is_the_joints_wherever_the_seam_lies(
    stand_in: dict[str, Any], robot: str, mounted: int, offset: int, pose: float, coarse: int
) -> None:
    """`pose` [rad]: how far from the middle the arm is held; `coarse` [counts]: between two readings."""
    embodiment = load_embodiment(robot)
    assert embodiment.bus is not None
    count, servos = len(embodiment.joints), embodiment.bus.servos
    line = stand_in["now"] = Encoders(embodiment, [mounted] * count, [offset] * count)
    limits = list(zip(embodiment.lower, embodiment.upper, strict=True))
    stops = np.array([servo.stops(*ends) for servo, ends in zip(servos, limits, strict=True)])
    # Whoever has a turn without stops calibrates it by the pose alone, which is then the middle.
    away = np.array([pose * (servo.end_stops or servo.span is not None) for servo in servos])
    middle = (embodiment.lower + embodiment.upper) / 2
    line.joints = middle + away
    arm = SweptArm(embodiment, "port")
    arm.take_middle()
    step = coarse * 2 * math.pi / TURN
    for goal in (stops[:, 0], stops[:, 1], stops[:, 0], middle):
        moves = int(np.abs(goal - line.joints).max() / step) + 1
        for position in np.linspace(line.joints, goal, moves + 1)[1:]:
            line.joints = position
            arm.watch()
    if arm.with_zero_stops:
        line.joints = np.where([servo.zero_stop == "lower" for servo in servos], stops[:, 0], middle)
        arm.watch()
        arm.take_zero_stops()
    made, problems, _ = arm.result("main", "today")
    assert problems == []
    line.offsets = np.array([joint.offset for joint in made.joints])
    for position in (embodiment.lower, embodiment.home_position, embodiment.upper):
        line.joints = np.clip(position, stops[:, 0], stops[:, 1])
        for i, joint in enumerate(made.joints):
            read = (line.counts()[i] - joint.zero) / servos[i].counts_per_unit
            assert read == pytest.approx(line.joints[i], abs=0.01), "no turn too many, no seam within"
            assert 0 <= joint.lower < joint.upper < TURN


def test_a_joint_that_went_round_unseen_is_refused(stand_in: dict[str, Any]) -> None:
    """Nobody could read the servos for a second, in which a joint may have gone either way round."""
    embodiment = load_embodiment("so101")
    line = stand_in["now"] = Encoders(embodiment, [0] * 6, [0] * 6)
    line.joints = (embodiment.lower + embodiment.upper) / 2
    arm = SweptArm(embodiment, "port")
    arm.take_middle()
    arm._read_at = -10.0
    line.joints = line.joints + np.array([1.8, 0, 0, 0, 0, 0])
    arm.watch()
    _, problems, _ = arm.result("main", "today")
    assert problems[0] == "shoulder_pan: it went too far while the servos could not be read"
