"""What the ends of a joint's sweep by hand tell about it: where its zero is and how far it may go.

All tolerances come from 25 published LeRobot calibrations of SO-101 followers
(`tests/control/so101_calibrations.json`, with their sources). Of their joints with two stops

- 83 of 100 were swept to both: each within the `span` of `so101.yaml`. Their zero is the middle of both,
  wrong by half of what the span leaves open at most (110 counts, 9.6°, for the elbow);
- nearly all others, the shoulder pan of eleven arms first, ended short of a stop, down to 57 % of the span: a
  table or a cable was in the way. There the middle of the sweep counts only if it agrees with the pose that
  the arm was held in at first. How well? For nine in ten of the 83 that pose was within 154 counts of the
  middle;
- two were 4095: swept across the seam of their counts without its being noticed (lerobot#3586).

The grippers have their closed stop in common and open 1419 to 1590 counts, less if nobody opened them wide.
"""

from __future__ import annotations

from dataclasses import dataclass

from ideomotor.control.calibration import JointCalibration, counts_range
from ideomotor.control.servo_bus import Servo

SPAN_MARGIN = 0.01  # share of a known span that an arm may lie outside of all known ones
GUESSED_SPAN = 0.15  # likewise, where only the range in the robot's file is known
LEAST_SHARE = 0.55  # of the span, that a sweep between obstacles covers
AGREEMENT = 160  # [counts] (14°) between the middle of such a sweep and the starting pose
GUESSED_AGREEMENT = 400  # [counts] (35°) likewise, for any sweep where no span is known
AT_STOP = 60  # [counts] (5°) from a stop that still count as being there


@dataclass(frozen=True)
class Sweep:
    """One joint's, in counts, unwrapped."""

    middle: int  # in the starting pose, about the middle of its range
    lowest: int
    highest: int
    at_zero_stop: int | None = None  # when it was put to the stop that its zero is counted from


@dataclass(frozen=True)
class Swept:
    """What follows from it.

    Attributes:
        problems: why it cannot be used, one line each.
        notes: what the owner should know.
    """

    joint: JointCalibration
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def from_sweep(servo: Servo, joint_lower: float, joint_upper: float, sweep: Sweep) -> Swept:
    """Returns one joint's calibration.

    Args:
        servo: the joint's.
        joint_lower: of the joint's range in the robot's file [rad or m].
        joint_upper: likewise.
        sweep: with the offset that the servo will have.
    """
    ranged = abs(servo.counts_per_unit) * (joint_upper - joint_lower)
    zero, problem, note = _judge(servo, joint_lower, joint_upper, sweep, ranged)
    lower, upper = counts_range(servo, zero, joint_lower, joint_upper)
    if servo.end_stops:
        lower, upper = max(lower, sweep.lowest), min(upper, sweep.highest)
    if not problem and (lower < 0 or upper > servo.model.counts_per_turn - 1 or lower >= upper):
        problem = f"its range would be {lower} to {upper} counts, outside one turn"
    name = f"{servo.joint}: "
    return Swept(
        JointCalibration(servo.joint, servo.id, zero, lower, upper, None),
        (name + problem,) if problem else (),
        (name + note,) if note else (),
    )


def _judge(
    servo: Servo, joint_lower: float, joint_upper: float, sweep: Sweep, ranged: float
) -> tuple[int, str, str]:
    """(zero, what is wrong, what is to be known); `ranged` [counts] is the range in the robot's file."""
    scale, span = servo.counts_per_unit, sweep.highest - sweep.lowest
    center = scale * (joint_lower + joint_upper) / 2
    by_pose, by_stops = sweep.middle - center, (sweep.lowest + sweep.highest) / 2 - center
    least, most = _allowed(servo, ranged)
    range_of_arms = f"expected {least:.0f} to {most:.0f}"
    if span < 0.1 * ranged:
        return round(by_pose), f"it moved {span} counts only, {range_of_arms}", ""
    if servo.zero_stop != "middle":
        return _from_one_stop(servo, joint_lower, joint_upper, sweep, (least, most))
    if not servo.end_stops:
        if servo.span is not None and least <= span <= most:
            return round(by_stops), "", ""
        short = span < (1 - GUESSED_SPAN) * ranged
        problem = f"its range was {span} counts, expected at least {ranged:.0f}" if short else ""
        return round(by_pose), problem, ""
    zero, away = round(by_stops), by_stops - by_pose
    if span > most:
        seam = ": across the seam of its counts?" if span >= servo.model.counts_per_turn - 1 else ""
        return zero, f"its range was {span} counts, {range_of_arms}{seam or ': assembled otherwise?'}", ""
    if span >= least:
        if servo.span is None and abs(away) > GUESSED_AGREEMENT:
            return zero, _pose(away, GUESSED_AGREEMENT), ""
        return zero, "", ""
    short = f"its range was {span} counts, {range_of_arms}: not moved to both stops"
    if servo.span is None or span < LEAST_SHARE * least:
        return zero, short, ""
    if abs(away) > AGREEMENT:
        return zero, f"{short}, and {_pose(away, AGREEMENT)}", ""
    return zero, "", f"{short}; its zero is the middle of what it moved, and it will not go further"


def _from_one_stop(
    servo: Servo, joint_lower: float, joint_upper: float, sweep: Sweep, span: tuple[float, float]
) -> tuple[int, str, str]:
    """As `_judge`, for a joint whose zero is counted from the stop at one of its ends."""
    at_lower = servo.zero_stop == "lower"
    first, second = (sweep.lowest, sweep.highest) if servo.direction > 0 else (sweep.highest, sweep.lowest)
    stop, other = (first, second) if at_lower else (second, first)
    zero = round(stop - servo.counts_per_unit * (joint_lower if at_lower else joint_upper))
    moved, end = sweep.highest - sweep.lowest, "closed" if at_lower else "open"
    if sweep.at_zero_stop is not None and abs(sweep.at_zero_stop - stop) > AT_STOP:
        if abs(sweep.at_zero_stop - other) <= AT_STOP:
            wrong = f"direction: {-servo.direction}"
            return zero, f"its servo turns the other way round: put '{wrong}' into a copy of its file", ""
        away = abs(sweep.at_zero_stop - stop)
        return zero, f"it was {away} counts from its stop when {end}, expected less than {AT_STOP}", ""
    if moved > span[1]:
        return zero, f"its range was {moved} counts, expected at most {span[1]:.0f}: assembled otherwise?", ""
    if moved < LEAST_SHARE * span[0]:
        return zero, f"its range was {moved} counts, expected at least {LEAST_SHARE * span[0]:.0f}", ""
    if moved < span[0]:
        usual = f"{span[0]:.0f} to {span[1]:.0f}"
        return zero, "", f"it moved {moved} counts, others {usual}: not to its other end, or another arm's?"
    return zero, "", ""


def _allowed(servo: Servo, ranged: float) -> tuple[float, float]:
    """[counts], the shortest and the longest sweep from stop to stop."""
    if servo.span is None:
        return (1 - GUESSED_SPAN) * ranged, (1 + GUESSED_SPAN) * ranged
    return (1 - SPAN_MARGIN) * servo.span[0], (1 + SPAN_MARGIN) * servo.span[1]


def _pose(away: float, allowed: int) -> str:
    return f"the starting pose was {away:+.0f} counts away from the middle, expected less than {allowed}"
