"""A hand's pose at the moment of a command, from readings with steps that come at their own times."""

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.safety.filter import SafetyFilter
from ideomotor.control.teleop.tracker import GAP_S, LONGEST_S, Tracker

HZ, STEP = 120.0, 2 * np.pi / 4096  # [1/s], of an encoder [rad]
ROBOT = load_embodiment("so101")


def readings(motion, seconds: float, seed: int = 0):
    """(time, position (1,)) of a hand that is read at about 120 Hz by an encoder."""
    rng = np.random.default_rng(seed)
    for tick in range(round(seconds * HZ)):
        time = (tick + rng.uniform(-0.2, 0.2)) / HZ
        yield time, np.round(np.array([motion(time)]) / STEP) * STEP


def test_a_steady_motion_is_known_at_the_moment_of_the_command() -> None:
    tracker, away = Tracker(), []
    for time, position in readings(lambda t: 1.5 * t, 2.0):
        tracker.see(time, position)
        away.append(tracker.at(time + 0.006)[0] - 1.5 * (time + 0.006))
    assert np.abs(away[60:]).max() < 1.5 * STEP  # 6 ms late would be 5.9 steps


def test_a_hand_at_rest_is_not_where_its_encoders_steps_jump_to() -> None:
    tracker = Tracker()
    rng = np.random.default_rng(1)
    seen = []
    for tick in range(240):
        flickers = STEP * rng.integers(0, 2, 1)
        tracker.see(tick / HZ, flickers.astype(float))
        seen.append(tracker.at((tick + 0.5) / HZ)[0])
    assert np.std(seen[60:]) < 0.5 * STEP and np.mean(seen[60:]) == pytest.approx(STEP / 2, abs=0.2 * STEP)


def test_the_safety_filter_has_less_to_do_and_the_arm_is_no_tick_behind() -> None:
    def motion(time: float) -> float:
        return 0.4 * np.sin(2 * np.pi * 0.5 * time)

    changed, away = {}, {}
    for how in ("as measured", "tracked"):
        safety, tracker = SafetyFilter(ROBOT), Tracker()
        safety.reset(np.zeros(6))
        changes, behind = 0, []
        for tick, (time, position) in enumerate(readings(motion, 4.0)):
            tracker.see(time, position)
            now = max((tick + 1) / HZ, time)
            target = np.zeros(6)
            target[0] = (tracker.at(now) if how == "tracked" else position)[0]
            command, reasons = safety.filter(tick, target)
            changes += bool(reasons)
            behind.append(command[0] - motion(now))
        changed[how], away[how] = changes / 480, np.sqrt(np.mean(np.square(behind[60:])))
    assert changed["tracked"] < 0.7 * changed["as measured"]
    assert away["tracked"] < 0.5 * away["as measured"]


def test_readings_that_are_old_or_come_after_a_gap_do_no_harm() -> None:
    tracker, time, position = Tracker(), 0.0, np.zeros(1)
    for time, position in readings(lambda t: t, 0.5):  # noqa: B007
        tracker.see(time, position)
    newest, before = time, tracker.at(time)
    tracker.see(time, position + 1.0)
    tracker.see(time - 0.01, position + 1.0)
    np.testing.assert_array_equal(tracker.at(newest), before)
    np.testing.assert_allclose(tracker.at(newest + 5.0), before + LONGEST_S, atol=0.3 * LONGEST_S)
    tracker.see(newest + 2 * GAP_S, np.array([3.0]))
    assert tracker.at(newest + 2 * GAP_S + 0.01) == 3.0
