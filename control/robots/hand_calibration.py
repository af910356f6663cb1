"""Calibrating an arm of servos by hand: reading it while people move it, and writing offsets at the end.

Everything before `write_offsets` only reads, so that a calibration can be given up at any time. Offsets move
the seam of a servo's counts (between 4095 and 0) out of its joint's way; they are kept in the servo.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from ideomotor.control.calibration import Calibration, default_calibration
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.bring_up import left_otherwise, open_line, reset, survey, switch_off
from ideomotor.control.robots.families import family_of
from ideomotor.control.robots.family import Family, ServoReport
from ideomotor.control.robots.register_retry import REPLY_S
from ideomotor.control.robots.servo_line import ServoLine
from ideomotor.control.robots.settings import Difference
from ideomotor.control.servo_bus import Servo
from ideomotor.control.sweep import Sweep, from_sweep

STILL = 12  # [counts] (1°) that a joint may move while the pose is read
READINGS = 10
GAP_S = 0.3  # without a reading during the sweep; a joint that went far in it may have gone round


class SweptArm:
    """An arm whose motors are off, for a calibration."""

    def __init__(self, embodiment: Embodiment, port: str) -> None:
        """Opens the port and looks at every servo; motors stay as they are.

        Raises:
            UserError: the robot has no such bus, or the port or a servo is missing.
        """
        self.embodiment = embodiment
        self._family, self.layout = family_of(embodiment)
        self.bus = ServoLine(port, self.layout.baud, REPLY_S, self._family.packets())
        open_line(self.bus)
        self._turn = np.array([servo.model.counts_per_turn for servo in self.layout.servos])
        try:
            self.reports: list[ServoReport] = survey(self.bus, self._family, self.layout)
            self._check_models()
        except BaseException:
            self.bus.close()
            raise
        self._old = np.array([report.offset for report in self.reports[: len(self.layout.servos)]])
        self._new = self._old.copy()
        self._last: np.ndarray | None = None  # (A,) unwrapped counts with the new offsets
        self._read_at = 0.0  # [s]
        self._lost: set[str] = set()  # joints that moved too far between two readings
        self.lowest = self.highest = np.zeros(len(self._turn))  # of the sweep, likewise
        self._at_stop: np.ndarray | None = None  # (A,) likewise, when grippers were put to their stop

    @property
    def motors_on(self) -> bool:
        """Whether some motor was on when the arm was looked at."""
        return any(report.torque for report in self.reports)

    def release(self) -> None:
        """Switches all motors off; UserError if one does not listen."""
        if not switch_off(self.bus, self._family, self.layout):
            raise UserError(
                f"bus: not all motors at {self.bus.path} could be switched off, expected them off"
            )

    def left_otherwise(self, calibration: Calibration) -> list[Difference]:
        """Returns what another program left in the servos that does not fit this calibration."""
        return left_otherwise(self.reports, self._family, self.embodiment, self.layout, calibration)

    def counted_otherwise(self) -> list[Difference]:
        """Returns those of them that change what positions mean: they have to be reset before the sweep."""
        found = self.left_otherwise(default_calibration(self.embodiment))
        return [difference for difference in found if difference.setting.counts]

    def reset(self, found: list[Difference]) -> None:
        """Puts settings back, once the motors are off; UserError if a servo did not take something."""
        reset(self.bus, self._family, found)
        self.reports = survey(self.bus, self._family, self.layout)

    def close(self) -> None:
        self.bus.close()

    def take_middle(self) -> None:
        """Takes the pose of now as about the middle of all ranges: for now, it is half a turn.

        Raises:
            UserError: the arm moves, or does not answer.
        """
        middle = self._pose()
        offsets = _wrapped(np.rint(middle) - self._turn // 2, self._turn)
        self._new = np.clip(offsets, 1 - self._turn // 2, self._turn // 2 - 1).astype(int)
        self._middle = (np.rint(middle) - self._new) % self._turn
        self._last = self.lowest = self.highest = self._middle.copy()
        self._read_at = time.monotonic()

    @property
    def with_zero_stops(self) -> list[str]:
        """Joints whose zero is counted from one stop, which `take_zero_stops` must see."""
        return [servo.joint for servo in self.layout.servos if servo.zero_stop != "middle"]

    def take_zero_stops(self) -> None:
        """Takes the pose of now as that in which each of `with_zero_stops` is at its stop; after the sweep.

        Raises:
            UserError: the arm moves, or does not answer.
        """
        assert self._last is not None
        self._at_stop = self._last + _wrapped(self._pose() - self._new - self._last, self._turn)
        self.lowest = np.minimum(self.lowest, self._at_stop)
        self.highest = np.maximum(self.highest, self._at_stop)

    def watch(self) -> np.ndarray | None:
        """Reads all joints once during the sweep: (A,) counts with the new offsets; None if it failed."""
        raw = self._raw()
        if raw is None or self._last is None:
            return None
        moved, now = _wrapped(raw - self._new - self._last, self._turn), time.monotonic()
        if now - self._read_at > GAP_S:
            far = np.abs(moved) > self._turn / 4
            self._lost |= {servo.joint for servo, lost in zip(self.layout.servos, far, strict=True) if lost}
        self._last, self._read_at = self._last + moved, now
        self.lowest, self.highest = np.minimum(self.lowest, self._last), np.maximum(self.highest, self._last)
        return self._last

    def result(self, arm: str, made_at: str) -> tuple[Calibration, list[str], list[str]]:
        """Returns the calibration that the sweep gives, what is implausible about it, and what to know."""
        joints, notes = [], []
        problems = [
            f"{joint}: it went too far while the servos could not be read" for joint in sorted(self._lost)
        ]
        for i, (servo, joint) in enumerate(zip(self.layout.servos, self.embodiment.joints, strict=True)):
            found = from_sweep(servo, joint.lower, joint.upper, self._centered(i))
            joints.append(replace(found.joint, offset=int(self._new[i])))
            problems += found.problems
            notes += found.notes
        return Calibration(self.embodiment.name, arm, made_at, tuple(joints)), problems, notes

    def write_offsets(self) -> None:
        """Writes the new offsets into the servos; all of them or, if anything comes between, none.

        Raises:
            UserError: a servo did not take it.
        """
        write_offsets(self.bus, self._family, self.layout.servos, self._new, self._old)

    def _centered(self, i: int) -> Sweep:
        """One joint's sweep, with an offset that puts its middle at half a turn if the joint has stops."""
        half, servo = self._turn[i] // 2, self.layout.servos[i]
        middle, lowest, highest = self._middle[i], self.lowest[i], self.highest[i]
        stop = None if self._at_stop is None or servo.zero_stop == "middle" else self._at_stop[i]
        moved = 0.0
        if servo.end_stops or (servo.span is not None and highest - lowest >= servo.span[0]):
            old = self._new[i]
            aim = _wrapped(old + np.rint((lowest + highest) / 2) - half, self._turn[i])
            self._new[i] = np.clip(aim, 1 - half, half - 1)
            moved = self._new[i] - old
            moved += self._turn[i] * np.rint(((lowest + highest) / 2 - moved - half) / self._turn[i])
        stop = None if stop is None else int(stop - moved)
        return Sweep(int(middle - moved), int(lowest - moved), int(highest - moved), stop)

    def _pose(self) -> np.ndarray:
        """(A,) counts of the encoders of an arm that is held still."""
        readings = []
        for _ in range(READINGS):
            raw = self._raw()
            if raw is not None:
                readings.append(raw)
            time.sleep(0.02)
        if len(readings) < READINGS // 2:
            raise UserError(f"bus: {len(readings)} of {READINGS} readings at {self.bus.path}, expected all")
        first = readings[0]
        moves = np.array([_wrapped(raw - first, self._turn) for raw in readings])
        restless = [
            s.joint for s, m in zip(self.layout.servos, np.ptp(moves, axis=0), strict=True) if m > STILL
        ]
        if restless:
            raise UserError(f"pose: {', '.join(restless)} moved, expected the arm to be held still")
        return first + moves.mean(0)

    def _raw(self) -> np.ndarray | None:
        """(A,) counts of the encoders, without offsets."""
        ids = [servo.id for servo in self.layout.servos]
        register = self._family.position
        replies = self.bus.sync_read(ids, register.address, register.size)
        if not self.bus.is_open:
            raise UserError(f"port: the adapter at {self.bus.path} is gone, expected it to stay plugged in")
        if len(replies.data) < len(ids) or replies.late():
            return None
        counts = np.array([register.decode(replies.data[servo]) for servo in ids])
        return (counts + self._old) % self._turn

    def _check_models(self) -> None:
        for report in self.reports:
            servo = report.servo
            if report.model != servo.model.number:
                expected = f"{servo.model.number} ({servo.model.name})"
                raise UserError(f"{servo.joint}: model: got {report.model}, expected {expected}")
            self._family.check(report)


def write_offsets(
    line: ServoLine, family: Family, servos: Sequence[Servo], new: Iterable[int], old: Iterable[int]
) -> None:
    """Writes offsets into servos whose motors are off; all of them or, if anything comes between, none.

    Raises:
        UserError: a servo did not take it.
    """
    done = []
    try:
        for servo, offset in zip(servos, new, strict=True):
            done.append(servo)
            family.write_offset(line, servo, int(offset))
    except BaseException:
        for servo, offset in zip(done, old, strict=False):
            family.write_offset(line, servo, int(offset))
        raise


def _wrapped(counts: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Counts brought into half a turn to both sides of 0."""
    return (counts + turn // 2) % turn - turn // 2
