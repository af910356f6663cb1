"""Jogging with a gamepad: rates by its sticks, as long as a button is held.

Events are those of Linux' input devices (evdev): type, code and value. They come from a device, or from a
recording of one, which is a text file and is played at its own pace:

    abs 1 -32768 32767        # code, least and largest value of a stick
    0.50 3 1 -32767           # [s] since it was connected, type, code, value
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.teleop.jog import AXES, JogLimits, TipJog
from ideomotor.control.teleop.teleoperator import DriverName, FollowerState, TeleopAction

EV_KEY, EV_ABS = 1, 3  # linux/input-event-codes.h, and so all numbers here
BTN_SOUTH, BTN_NORTH, BTN_LEFT_SHOULDER = 304, 307, 310
ABS_X, ABS_Y, CLOSE, ABS_RX, ABS_RY, OPEN, HAT_X, HAT_Y = 0, 1, 2, 3, 4, 5, 16, 17
STICKS = {ABS_X: ("left", -1), ABS_Y: ("forward", -1), ABS_RX: ("roll", -1), ABS_RY: ("up", -1)}
HATS = {HAT_Y: ("pitch", 1), HAT_X: ("roll", -1)}  # each is -1, 0 or 1
TRIGGERS = {CLOSE: -1, OPEN: 1}
USUAL_RANGES: dict[int, tuple[int, int]] = {
    **dict.fromkeys(STICKS, (-32768, 32767)),
    **dict.fromkeys(HATS, (-1, 1)),
    **dict.fromkeys(TRIGGERS, (0, 255)),
}
DEAD_ZONE = 0.12  # share of a stick's way around its middle that is nothing
SPEEDS = (0.1, 0.25, 0.5, 1.0)  # of the highest rates
USUAL = 2
HELP = (
    "hold the left shoulder button; left stick forward, back, left, right; right stick up, down, roll; "
    "cross pitch, roll; triggers close, open; north and south buttons faster, slower"
)

Event = tuple[int, int, int]  # type, code, value


class EventSource(Protocol):
    """Where the events of one gamepad come from."""

    ranges: dict[int, tuple[int, int]]  # {code: least and largest value} of what has one

    def read(self) -> list[Event]:
        """What has come since the last call; OSError if it is gone."""
        ...

    def close(self) -> None: ...


class Gamepad:
    """A `Teleoperator`."""

    def __init__(
        self, embodiment: Embodiment, path: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Args:
            embodiment: of the robot that is driven.
            path: of the device, such as /dev/input/event5, or of a recording; None: the one that there is.
            clock: [s].

        Raises:
            UserError: nobody knows where the robot's tip is.
        """
        self._path, self._clock = path, clock
        self._jog = TipJog(embodiment, JogLimits())
        self._source: EventSource | None = None
        self._speed = USUAL
        self._release()
        self._read_at = -np.inf  # [s]
        self._driver, self._engaged = DriverName.POLICY, False

    def connect(self) -> None:
        """Opens it.

        Raises:
            UserError: there is none, or several, or it cannot be opened.
        """
        self.disconnect()
        recorded = self._path is not None and Path(self._path).is_file()
        self._source = Recording(str(self._path), self._clock) if recorded else Device(self._path)
        self._release()

    def read(self, state: FollowerState) -> TeleopAction:
        """The target after what the sticks say; OSError if the gamepad is gone."""
        if self._source is None:
            raise OSError("gamepad: not connected")
        try:
            events = self._source.read()
        except OSError as error:
            self._release()
            raise OSError("gamepad: it is gone; looking for it") from error
        for event in events:
            self._take(*event)
        if self._driver is DriverName.PERSON and state.driver is DriverName.POLICY:
            self._armed = False  # handed back: the button has to be pressed anew
        self._driver = state.driver
        now = self._clock()
        seconds, self._read_at = now - self._read_at, now
        engaged = self._held and self._armed
        if not engaged or not np.isfinite(state.command).all():
            self._engaged = False
            return TeleopAction(now, self._jog.stand(state.command), engaged=False)
        if not self._engaged:
            self._jog.stand(state.command)  # whoever moved it before: it goes on from there
            self._engaged = True
        rates, grip = self._rates()
        return TeleopAction(now, self._jog.step(rates, grip, state, seconds), engaged=True)

    def disconnect(self) -> None:
        if self._source is not None:
            self._source.close()
        self._source = None

    def _release(self) -> None:
        """Nothing is held, as far as anybody knows."""
        self._held, self._armed = False, True
        self._values: dict[int, float] = {}  # {code: -1 to 1, triggers 0 to 1}

    def _take(self, kind: int, code: int, value: int) -> None:
        if kind == EV_KEY and code == BTN_LEFT_SHOULDER:
            self._held = bool(value)
            self._armed |= not value
        elif kind == EV_KEY and value == 1 and code in (BTN_NORTH, BTN_SOUTH):
            change = 1 if code == BTN_NORTH else -1
            self._speed = min(max(self._speed + change, 0), len(SPEEDS) - 1)
        elif kind == EV_ABS and code in USUAL_RANGES:
            assert self._source is not None
            lower, upper = self._source.ranges.get(code, USUAL_RANGES[code])
            share = (value - lower) / max(upper - lower, 1)
            self._values[code] = share if code in TRIGGERS else 2 * share - 1

    def _rates(self) -> tuple[np.ndarray, float]:
        """(5,) of `AXES` [m/s and rad/s], and how fast the gripper opens [shares of its range a second]."""
        wanted = np.zeros(len(AXES))
        for code, (axis, sign) in (*STICKS.items(), *HATS.items()):
            wanted[AXES.index(axis)] += sign * _shaped(self._values.get(code, 0.0))
        grip = sum(sign * self._values.get(code, 0.0) for code, sign in TRIGGERS.items())
        speed = SPEEDS[self._speed]
        return speed * np.clip(wanted, -1, 1) * self._jog.limits.axes, speed * grip * self._jog.limits.grip


class Recording:
    """An `EventSource`: a file of events, see the module."""

    def __init__(self, path: str, clock: Callable[[], float]) -> None:
        """Raises UserError for a file that is none."""
        self.ranges, self._events = read_recording(path)
        self._clock, self._began, self._next = clock, clock(), 0

    def read(self) -> list[Event]:
        elapsed, first = self._clock() - self._began, self._next
        while self._next < len(self._events) and self._events[self._next][0] <= elapsed:
            self._next += 1
        return [event for _, event in self._events[first : self._next]]

    def close(self) -> None:
        """There is nothing to close."""


class Device:
    """An `EventSource`: an input device of Linux."""

    def __init__(self, path: str | None) -> None:
        """Raises UserError: there is none, or several, or it cannot be opened."""
        evdev = _evdev()
        path = path or _only_gamepad(evdev)
        try:
            self._device: Any = evdev.InputDevice(path)
            capabilities = self._device.capabilities(absinfo=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(
                f"leader: gamepad: cannot open {path!r} ({reason}), expected an input device (may you read "
                "it? group input)"
            ) from error
        self.ranges = {code: (info.min, info.max) for code, info in capabilities.get(EV_ABS, [])}

    def read(self) -> list[Event]:
        try:
            return [(event.type, event.code, event.value) for event in self._device.read()]
        except BlockingIOError:
            return []

    def close(self) -> None:
        self._device.close()


def read_recording(path: str) -> tuple[dict[int, tuple[int, int]], list[tuple[float, Event]]]:
    """Returns the ranges and the events, each with its time [s], of a recording.

    Raises:
        UserError: names the line that is wrong.
    """
    ranges: dict[int, tuple[int, int]] = {}
    events: list[tuple[float, Event]] = []
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"leader: gamepad: cannot read {path!r} ({error})") from error
    for number, line in enumerate(lines, start=1):
        words = line.split("#")[0].split()
        try:
            if words[:1] == ["abs"]:
                code, lower, upper = map(int, words[1:])
                ranges[code] = lower, upper
            elif words:
                kind, code, value = map(int, words[1:])
                events.append((float(words[0]), (kind, code, value)))
        except ValueError:
            raise UserError(
                f"leader: gamepad: {path}: line {number}: got {line!r}, expected SECONDS TYPE CODE VALUE"
            ) from None
    return ranges, sorted(events, key=lambda event: event[0])


def _shaped(value: float) -> float:
    """A stick's way, -1 to 1, as a rate: nothing around the middle, fine near it."""
    beyond = max(abs(value) - DEAD_ZONE, 0.0) / (1 - DEAD_ZONE)
    return float(np.sign(value)) * beyond**2


def _only_gamepad(evdev: Any) -> str:
    found = []
    for path in evdev.list_devices():
        device = evdev.InputDevice(path)
        if BTN_SOUTH in device.capabilities().get(EV_KEY, []):
            found.append((path, device.name))
        device.close()
    if len(found) == 1:
        return str(found[0][0])
    if not found:
        raise UserError("leader: gamepad: none is there, or may be read (group input), expected one")
    listed = ", ".join(f"{path} ({name})" for path, name in found)
    raise UserError(f"leader: gamepad: several are there: {listed}; choose with gamepad@DEV")


def _evdev() -> Any:
    try:
        import evdev
    except ImportError as error:
        raise UserError(
            "leader: a gamepad needs the package evdev; pip install 'ideomotor[teleop]'"
        ) from error
    return evdev
