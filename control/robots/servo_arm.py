"""Arms on a line of servos (SO-101, Koch, ViperX): a `control.types.Robot` over the vendor's SDK.

Every tick all positions are read at once, and one servo, in turn, tells everything else about itself
(voltage, temperature, current, whether its motor is on). What the arm is made of comes from the section
`bus` of its embodiment file and its calibration, what its servos are like from their `Family`; counts become
radians in `joint_scale.py`, and which servos answer is `line_watch.py`'s.

What this driver promises:
- A position is new or it has an old `RobotState.time`: that is when the oldest of its joints was measured.
  A joint that was not measured for `STALE_AFTER` is NaN, which makes the controller hold.
- A late reply never passes for a new one (measured: with Feetech's SDK alone it does so for ever after).
  The protocols have no sequence numbers, but a request says how many bytes it wants: that number changes
  from tick to tick and repeats after `SIZES` ticks only. A servo that missed a reply is also left alone for
  a while.
- Nothing in `read`, `write` and `hold` raises or takes longer than a few ms: faults have names
  (`control/robots/faults.py`) and are in `faults()`.
- No motor is switched on before every servo answered and was found healthy (`connect`), and after a
  failed bring-up those that were off are off again, or `MotorsOnError` says that they may not be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

import numpy as np

from ideomotor.control.calibration import Calibration, default_calibration
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.bring_up import (
    bring_up,
    check,
    open_line,
    open_to_drive,
    stand_alone,
    survey,
    switch_off,
    whole_turns,
)
from ideomotor.control.robots.families import family_of
from ideomotor.control.robots.faults import Fault, FaultLog
from ideomotor.control.robots.joint_scale import joint_scale
from ideomotor.control.robots.line_watch import LineWatch
from ideomotor.control.robots.measured_joints import MeasuredJoints
from ideomotor.control.robots.pace import check_pace
from ideomotor.control.robots.servo_health import JUDGED, judge
from ideomotor.control.robots.servo_line import Replies, ServoLine
from ideomotor.control.types import Command, RobotState

TIMEOUT = 0.005  # for the replies to one request, besides their time on the wire [s]
SIZES = 10
STALE_AFTER = 0.1  # [s]


class ServoArm:
    """One arm on one serial port. Call `connect`; then `read` and `write` every tick; then `disconnect`.

    Attributes:
        voltage: (A,) [V], temperature: (A,) [°C], current: (A,) [A]; NaN before the first measurement.
            Each servo's are measured once in A ticks.
    """

    def __init__(
        self,
        embodiment: Embodiment,
        port: str,
        calibration: Calibration | None = None,
        timeout: float = TIMEOUT,
        stale_after: float = STALE_AFTER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
            embodiment: with a section `bus`.
            port: path of the serial device, e.g. /dev/ttyACM0.
            calibration: of this very arm; None takes the arm as assembled by the book.
            timeout: how long the replies to one request may take [s].
            stale_after: a joint that was not measured for so long is NaN [s].
            clock: seconds, monotonic.

        Raises:
            UserError: the robot has no such bus, or the SDK is not installed.
        """
        self.embodiment = embodiment
        self.family, self.layout = family_of(embodiment)
        self.calibration = calibration or default_calibration(embodiment)
        self.bus = ServoLine(port, self.layout.baud, timeout, self.family.packets())
        self._clock, self._log = clock, FaultLog()
        servos, self._motors = self.layout.servos, self.layout.motors  # motors: then shadows
        self._index = {motor.id: i for i, motor in enumerate(self._motors)}
        self._names = [m.joint if m.follows is None else f"{m.joint}, shadow" for m in self._motors]
        self._joints = joint_scale(self.layout, self.calibration)
        count = len(servos)
        self.voltage, self.temperature, self.current = np.full((3, count), np.nan)
        self._measured = MeasuredJoints(self._joints, stale_after)
        # [counts] of whole turns that a servo measures besides; NaN: not known yet, so it gets no goal
        self._turns = np.full(count, np.nan if self.family.many_turns else 0.0)
        self._goals: dict[int, int] = {}  # {id: counts}, the last ones sent, turns included
        self._watch = LineWatch(self.bus, self._motors, self._names, self._log, stale_after)
        self._size = 0  # of this tick's requests
        self._on = False  # motors are meant to be on

    def connect(self) -> None:
        """Opens the port, checks every servo, then switches the motors on where the arm is.

        Raises:
            UserError: the port or a servo is missing, or a servo is not as the embodiment and the
                calibration say, too hot, or badly supplied. What was off before is off then.
            MotorsOnError: the same, but motors are on: they were before, or cannot be switched off again.
        """
        open_to_drive(self.bus, self.embodiment)
        try:
            self._bring_up()
        except BaseException:
            self.bus.close()
            raise
        self._start()

    def take_over(self) -> None:
        """Goes on driving an arm whose motors are on, after the process that did so has died.

        It opens the port and asks nothing, so that the first command can follow within a few ms: `connect`
        takes many times as long. What is wrong with a servo shows in `faults` as it is read.

        Raises:
            UserError: the port is missing.
        """
        open_to_drive(self.bus, self.embodiment)
        self._start()

    def watch(self) -> None:
        """Opens the port and checks every servo, to read the arm only: no motor is switched, nothing written.

        Raises:
            UserError: as `connect`.
        """
        open_line(self.bus)
        try:
            check(survey(self.bus, self.family, self.layout), self.family, self.layout, self.calibration)
            check_pace(self.bus, self.family, self.layout, self.embodiment.control_hz)
        except BaseException:
            self.bus.close()
            raise
        self._start()
        self._on = False

    def read(self) -> RobotState:
        """Returns what was measured last; `time` and NaN say how far it can be trusted."""
        reading = self.reading()
        while True:
            try:
                next(reading)
            except StopIteration as end:
                return end.value

    def reading(self, least_s: float = 0.0) -> Generator[float, None, RobotState]:
        """`read` in pieces, for who reads several arms at once: it yields while replies are on their way.

        Args:
            least_s: that replies are looked for, even after their deadline [s].

        Yields:
            the deadline of the replies [s], monotonic: until `bus.descriptor` can be read, or until then.
        """
        now = self._clock()
        if not self.bus.is_open and not self._reopened(now):
            return self._measured.state(now)
        asked = self._watch.asked(now)
        self._size = (self._size + 1) % SIZES
        address, size = self.family.motion
        replies, story = Replies(), Replies()
        if asked:
            request = self.bus.ask_all(asked, address, size + self._size)
            yield request.deadline
            replies = self.bus.answers(request, least_s)
        self._watch.took(len(replies.data), self._clock() - now)
        who, start = self._watch.next_to_tell(now), self.family.health - self._size
        if who is not None and (replies.data or not asked):  # after silence the tick is long enough already
            request = self.bus.ask(who, start, self.family.table_size - start)
            yield request.deadline
            story = self.bus.answers(request, least_s)
        self._watch.note(replies, now)
        self._watch.note(story, now)
        for servo, data in replies.data.items():
            if servo not in story.late():  # else it answered twice, and which reply is the new one?
                self._measure(servo, data, now)
        for servo, data in story.data.items():
            self._hear(servo, data, start, now)
        self._watch.note_silence(now)
        return self._measured.state(now)

    def write(self, command: Command) -> None:
        """Sends one command: targets in counts, never outside the calibrated range."""
        if not np.isfinite(command.position).all():
            self._log.report("not_finite", "", self._clock())
            return
        counts = self._joints.goals(command.position) + self._turns
        for servo, goal in zip(self.layout.servos, counts, strict=True):
            if np.isfinite(goal):
                self._goals[servo.id] = int(goal)
        self._send_goals()

    def hold(self) -> None:
        """Sends the last command once more: the arm stays where it was commanded to be."""
        self._send_goals()

    def goal(self) -> np.ndarray:
        """Returns where the motors were commanded to be last, (A,) [rad or m]: at first where the arm was."""
        counts = np.array([self._goals[servo.id] for servo in self.layout.servos])
        return self._joints.position(counts - np.nan_to_num(self._turns))

    def disconnect(self, torque_off: bool = True) -> None:
        """Switches the motors off, which lets the arm sink, and closes the port. Park it before."""
        if torque_off and self._on:
            if not switch_off(self.bus, self.family, self.layout):
                self._log.report("torque_left_on", "", self._clock())
        elif self._on:
            stand_alone(self.bus, self.family, self.layout)
        self._on = False
        self.bus.close()

    def faults(self) -> tuple[Fault, ...]:
        """Returns what is wrong now, what stops the arm first."""
        return self._log.active(self._clock())

    @property
    def fault_counts(self) -> dict[str, int]:
        """{name: how often it happened} since the robot was made."""
        return dict(self._log.counts)

    def rearm(self) -> None:
        """Checks every servo and switches the motors on again where the arm is now, as `connect` does.

        Raises:
            UserError: why not; the motors that are on stay on.
        """
        if not self.bus.is_open and not self._reopened(self._clock(), at_once=True):
            raise UserError(f"port: {self.bus.path!r} is gone, expected a servo adapter")
        self._bring_up()
        self._start()

    def _bring_up(self) -> None:
        self._goals = bring_up(self.bus, self.family, self.embodiment, self.layout, self.calibration)
        for i, goal in enumerate(self._goals.values()):
            self._turns[i] = self._turns_in(i, goal)

    def _turns_in(self, i: int, counts: int) -> int:
        return whole_turns(counts, self.family, self.layout.servos[i], self.calibration.joints[i])

    def _start(self) -> None:
        """The motors are on and the servos were all well a moment ago; nothing is measured yet."""
        self._on = True
        self._log.release()
        for joint in self._names:
            for name in JUDGED:
                self._log.settle(name, joint)
        self._watch.start(self._clock())
        self._measured.forget()

    def _measure(self, servo: int, data: bytes, now: float) -> None:
        """Takes over position, speed and load, if the position can be true."""
        i = self._index[servo]
        motion = self.family.read_motion(data, self.layout.servos[i])
        turns = self._turns_in(i, motion.counts)
        if detail := self._measured.take(i, motion, turns, now):
            self._log.report("implausible_position", self._names[i], now, detail)
            return
        self._turns[i] = turns
        self._watch.answered_at[i] = now

    def _hear(self, servo: int, data: bytes, start: int, now: float) -> None:
        """Judges what one servo tells about itself."""
        i = self._index[servo]
        joint, motor = self._names[i], self._motors[i]
        health = self.family.read_health(data, start, motor)
        if motor.follows is None:
            self.voltage[i], self.temperature[i] = health.voltage, health.temperature
            self.current[i] = health.current
        else:
            self._watch.answered_at[i] = now
        wrong = judge(health, motor, was_hot=self._log.has("over_temperature", joint))
        for name in JUDGED:
            self._log.state(name, joint, name in wrong, now, wrong.get(name, ""))
        if self._on and not health.motor_on:
            self._log.report("torque_lost", joint, now)

    def _send_goals(self) -> None:
        """Goals go to the motors that are meant to run; one that lost power must not start by itself."""
        goal = self.family.goal
        lost = {servo.id for servo in self.layout.servos if self._log.has("torque_lost", servo.joint)}
        goals = {servo: goal.encode(counts) for servo, counts in self._goals.items() if servo not in lost}
        if goals and self._on and self.bus.is_open:
            self._watch.note(self.bus.sync_write(goals, goal.address), self._clock())

    def _reopened(self, now: float, at_once: bool = False) -> bool:
        """Looks for the adapter again; the arm may have been moved without it: measurements start anew."""
        if not self._watch.reopened(now, at_once):
            return False
        self._measured.forget()
        return True
