"""Jogging with the keys of a terminal, over ssh too: every key is one step of the tip.

A terminal tells that a key was pressed, never that it was let go; a key that is held comes again and again,
the second time after a pause. So each one adds a step to what is still to be done, and that is done at the
rates of a jog (`jog.py`) and no faster. No more than `AHEAD` steps are kept: the arm stands when the keys
stop.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.teleop.jog import AXES, JogLimits, TipJog
from ideomotor.control.teleop.teleoperator import DriverName, FollowerState, TeleopAction

GRIP = "grip"
KEYS = {  # {key: (axis, sign)}; none of them means anything else in launch/runtime/monitor.py
    "w": ("forward", 1),
    "s": ("forward", -1),
    "a": ("left", 1),
    "d": ("left", -1),
    "e": ("up", 1),
    "c": ("up", -1),
    "i": ("pitch", -1),
    "k": ("pitch", 1),
    "j": ("roll", 1),
    "l": ("roll", -1),
    "o": (GRIP, 1),
    "u": (GRIP, -1),
}
FASTER, SLOWER = ("+", "="), ("-", "_")
HELP = (
    "w/s forward, back; a/d left, right; e/c up, down; i/k pitch; j/l roll; o/u open, close; +/- larger or "
    "smaller steps"
)
STEP = np.array([0.005, 0.005, 0.005, 0.03, 0.03, 0.05])  # [m], [rad] and the share of a gripper's range
SIZES = (0.2, 0.5, 1.0, 2.0, 4.0)  # of a step
USUAL = 2
AHEAD = 3.0  # [steps] that are kept
SETTLE_S = 0.06  # [s] in which a step is done, at most at the highest rate
STAND_S = 0.5  # [s] after the last motion, that the target still stands before the arm is let be


class Keyboard:
    """A `Teleoperator`. Keys come from a terminal, or a pipe that another process puts them into."""

    def __init__(
        self, embodiment: Embodiment, path: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Args:
            embodiment: of the robot that is driven.
            path: of a terminal, such as /dev/pts/3, or of a named pipe.
            clock: [s].

        Raises:
            UserError: nobody knows where the robot's tip is.
        """
        self._path, self._clock = path, clock
        self._jog = TipJog(embodiment, JogLimits())
        self._fd: int | None = None
        self._size = USUAL
        self._left = np.zeros(len(AXES) + 1)  # [steps] still to be done, of `AXES` and the gripper
        self._until = self._read_at = -np.inf  # [s]
        self._driver, self._engaged = DriverName.POLICY, False

    def connect(self) -> None:
        """Opens it; UserError if it cannot be."""
        self.disconnect()
        try:  # reading and writing: a pipe then does not end when nobody writes into it
            self._fd = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            raise UserError(
                f"leader: keyboard: cannot open {self._path!r} ({error.strerror}), expected a terminal"
            ) from error

    def read(self, state: FollowerState) -> TeleopAction:
        """The target after the keys that came; OSError if the terminal is gone."""
        now, keys = self._clock(), self._typed()
        if self._driver is DriverName.PERSON and state.driver is DriverName.POLICY:
            self._left[:], self._until = 0.0, -np.inf  # handed back: what was typed before is void
        self._driver = state.driver
        for key in keys:
            self._take(key)
        if self._left.any():
            self._until = now + STAND_S
        seconds, self._read_at = now - self._read_at, now
        if now >= self._until or not np.isfinite(state.command).all():
            self._engaged = False
            return TeleopAction(now, self._jog.stand(state.command), engaged=False)
        if not self._engaged:
            self._jog.stand(state.command)  # whoever moved it before: it goes on from there
            self._engaged = True
        return TeleopAction(now, self._step(state, seconds), engaged=True)

    def disconnect(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None

    def _typed(self) -> str:
        if self._fd is None:
            raise OSError("keyboard: not connected")
        try:
            data = os.read(self._fd, 64)
        except BlockingIOError:
            return ""
        except OSError as error:
            raise OSError("keyboard: the terminal is gone") from error
        if not data:
            raise OSError("keyboard: the terminal is gone")
        return data.decode(errors="ignore")

    def _take(self, key: str) -> None:
        if key in FASTER or key in SLOWER:
            self._size = min(max(self._size + (1 if key in FASTER else -1), 0), len(SIZES) - 1)
        elif key in KEYS:
            axis, sign = KEYS[key]
            i = len(AXES) if axis == GRIP else AXES.index(axis)
            if self._left[i] * sign < 0:
                self._left[i] = 0.0  # the other way is meant now
            size = SIZES[self._size]
            self._left[i] = np.clip(self._left[i] + sign * size, -AHEAD * size, AHEAD * size)

    def _step(self, state: FollowerState, seconds: float) -> np.ndarray:
        """The target, moved on by what the rates allow of the steps that are left."""
        fastest = np.append(self._jog.limits.axes, self._jog.limits.grip)
        rate = np.clip(self._left * STEP / SETTLE_S, -fastest, fastest)
        position = self._jog.step(rate[:-1], float(rate[-1]), state, seconds)
        done = np.append(self._jog.velocity, self._jog.grip) * self._jog.seconds / STEP
        left = self._left - done
        # What is less than a hundredth of a step, or went beyond it while slowing down, is done.
        self._left = np.where((np.abs(left) < 0.01) | (left * self._left <= 0), 0.0, left)
        return position
