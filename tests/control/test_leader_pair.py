"""Two leaders as one: both hands are read, and one that is lost has its name."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ideomotor.control.calibration import default_calibration
from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.teleop.leader_arm import LeaderArm
from ideomotor.control.teleop.leader_pair import LeaderPair
from ideomotor.control.teleop.teleoperator import DriverName, FollowerState, TeleopAction

PAIR, LEADER = load_embodiment("so101_pair"), load_embodiment("so101_leader")
TURNED = {"left": 0.2, "right": -0.3}  # [rad] of the first joint


@pytest.fixture
def arms(emulated_arm: Callable[..., Any]) -> dict[str, Any]:
    """{side: the servos of its leader}."""
    pytest.importorskip("scservo_sdk")
    made = {side: emulated_arm() for side in TURNED}
    for side, arm in made.items():
        arm.place({1: 2048 + TURNED[side] * 4096 / (2 * np.pi)})
    return made


def leaders_of(arms: dict[str, Any]) -> LeaderPair:
    own = default_calibration(LEADER)
    return LeaderPair(
        PAIR,
        {arm.name: LeaderArm(LEADER, arms[arm.name].port, own, arm.embodiment) for arm in PAIR.arms},
    )


def until(
    read: Callable[[], TeleopAction], wanted: Callable[[TeleopAction | str], bool]
) -> TeleopAction | str:
    """The first action, or what is said instead, that is wanted, on whatever machine."""
    for _ in range(3000):
        try:
            found: TeleopAction | str = read()
        except OSError as error:
            found = str(error)
        if wanted(found):
            return found
        time.sleep(0.005)
    raise AssertionError("it never came")


def test_both_hands_lead_and_one_that_is_lost_has_its_name(arms: dict[str, Any]) -> None:
    pair = leaders_of(arms)
    pair.connect()
    unknown = np.full(12, np.nan)
    state = FollowerState(0.0, unknown, unknown, unknown, unknown, DriverName.PERSON)
    action = until(lambda: pair.read(state), lambda found: isinstance(found, TeleopAction))
    assert isinstance(action, TeleopAction) and action.engaged
    assert action.position[[0, 6]] == pytest.approx(list(TURNED.values()), abs=0.003)
    arms["right"].unplug()
    lost = until(lambda: pair.read(state), lambda found: isinstance(found, str) and "unplugged" in found)
    assert (
        isinstance(lost, str) and "right leader: unplugged" in lost and "left leader: unplugged" not in lost
    )
    assert not any(arm.history() for side, arm in arms.items() if side == "left"), "nothing is written to it"
    pair.disconnect()


def test_a_leader_that_is_missing_is_refused_with_its_side_and_neither_stays_open(
    arms: dict[str, Any],
) -> None:
    arms["right"].set(4, silent=True)
    pair = leaders_of(arms)
    with pytest.raises(UserError, match=r"^right arm: bus: no answer .* from wrist_flex \(id 4\)"):
        pair.connect()
    arms["right"].set(4, silent=False)
    again = leaders_of(arms)
    again.connect()  # the ports are exclusive
    again.disconnect()
