"""Every state of a run x every way out of it x what the motors do then: a table.

Control runs in this process, by a clock of its own, with a robot that makes the way out happen when the
state is reached. What other processes add (one that is killed, a closed terminal) is in
tests/launch/test_runtime.py and test_endings.py.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import MotorsOnError, UserError
from ideomotor.control.interrupts import STOPPING, name_of
from ideomotor.control.runtime import process, shared_state
from ideomotor.control.runtime.loop import run_loop
from ideomotor.control.runtime.report import ControlConfig, Refusal
from ideomotor.control.runtime.safe_stop import StopConfig
from ideomotor.control.types import ActionChunk, Command, RobotState

ROBOT = load_embodiment("so101")
HZ = float(ROBOT.control_hz)
CONFIG = ControlConfig(
    priority=0,
    peers=(),
    stop=StopConfig(park_after_s=0.1, park_speed=2.0, off_after_s=0.1, end_after_s=0.1),
)
START = ROBOT.home_position + 0.1 * np.eye(6)[0]

# What is requested first, and the state of the safe stop at which the way out is taken.
STATES = {
    "connecting": ("", ""),
    "being measured": ("", "first"),
    "running": ("", "run"),
    "holding": ("finish", "hold"),
    "parking": ("finish", "park"),
    "waiting at home": ("again", "home"),
}
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGTSTP", "SIGUSR1")
# Where the safe stop ends, and whether the motors are on then, once they had come on.
WAYS = {
    **dict.fromkeys(SIGNALS, ("hold", True)),  # with the request to finish, as the supervisor gives it
    "emergency stop": ("hold", True),
    "finish": ("off", False),
    "not written to": ("off", False),  # once; the last command is given again at the next tick
    "defect": ("off", False),  # an exception that nobody foresaw, once
    "lasting defect": ("died", True),  # the guardian's business
    "motors that stay on": ("off", True),
}
# The same while the robot is being connected: nothing has come on, or all of it is off again, or it says so.
CONNECTING = {
    **dict.fromkeys((*SIGNALS, "emergency stop"), ("hold", True)),  # it comes on and holds where it is
    "refusal": ("refused", False),
    "refusal with motors on": ("refused", True),
    "defect": ("died", False),  # a driver switches off what it has switched on
}


class Puppet:
    """A robot that does as commanded, but for one thing when a state is reached."""

    def __init__(self, state: str, way: str, shared: shared_state.SharedState, clock: Any) -> None:
        self.first, self.at = STATES[state]
        self.way, self.shared, self.clock = way, shared, clock
        self.position, self.on, self.held = START.copy(), False, 0
        self.ticks = self.reads = self.parked = 0
        self.done = self.breaks = False
        self._state = shared.state.new()

    def connect(self) -> None:
        if self.at == "":
            self.leave()
        self.on = True

    def read(self) -> RobotState:
        self.reads += 1
        stage = shared_state.text_of(self._state["stage"]) if self.shared.state.read(self._state) else ""
        self.parked = self.parked + 1 if stage == "park" else 0
        reached = {"first": self.reads == 1, "home": self.parked > 200}.get(self.at, stage == self.at)
        if stage and self.at != "first" and self.ticks == 30 and self.first:
            self.shared.request(self.first)
        if reached and (self.at != "run" or self.ticks > 30):
            self.leave()
        if self.breaks and self.way == "lasting defect":
            raise ZeroDivisionError("a defect")
        self.feed()
        return RobotState(self.clock.monotonic(), self.position.copy(), np.zeros(6), np.zeros(6))

    def write(self, command: Command) -> None:
        self.ticks += 1
        if self.breaks and self.way == "not written to":
            self.breaks = False
            raise TimeoutError("no answer")
        self.position = command.position.copy()

    def hold(self) -> None:
        self.held += 1

    def goal(self) -> np.ndarray:
        return self.position

    def torque_off(self) -> bool:
        self.on = self.way == "motors that stay on"
        return not self.on

    def disconnect(self) -> None:
        pass

    def leave(self) -> None:
        """Takes the way out, once."""
        if self.done:
            return
        self.done = self.breaks = True
        if self.way in SIGNALS:
            os.kill(os.getpid(), getattr(signal, self.way))
            self.shared.request("finish")
        elif self.way == "emergency stop":
            self.shared.request("estop", "a test")
            self.shared.request("finish")
        elif self.way in ("finish", "motors that stay on"):
            self.shared.request("finish")
        elif self.way == "defect":
            raise ZeroDivisionError("a defect")
        elif self.way.startswith("refusal"):
            self.on = "on" in self.way
            raise (MotorsOnError if self.on else UserError)("servo: id 3 does not answer")

    def feed(self) -> None:
        """A chunk that swings joint 0, as a decoder would give it."""
        if self.ticks % 16:
            return
        ticks = np.arange(self.ticks, self.ticks + 96)
        actions = START + 0.2 * np.sin(np.pi * ticks / HZ)[:, None] * np.eye(6)[0]
        now, record = self.clock.monotonic(), self.shared.chunk.new()
        chunk = ActionChunk(actions, HZ, self.ticks, now, now)
        shared_state.pack_chunk(record, chunk, int(self._state["epoch"]) or 1)
        self.shared.chunk.write(record)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch, clock: Any) -> Iterator[shared_state.SharedState]:
    by_clock = functools.partial(run_loop, now_ns=clock.monotonic_ns, sleep_until_ns=clock.sleep_until_ns)
    monkeypatch.setattr(process, "run_loop", by_clock)
    shared = shared_state.create(ROBOT)
    yield shared
    shared.close()


def ended(shared: shared_state.SharedState, puppet: Puppet) -> tuple[str, bool]:
    """(where, whether the motors are said to be on); what is said is true, and what is on is held."""
    try:
        said = process.control(shared, ROBOT, lambda shared: puppet, replace(CONFIG))
    except ZeroDivisionError:
        assert puppet.held or not puppet.on
        return "died", puppet.on
    assert puppet.done and said.motors_on == puppet.on
    assert puppet.held or not puppet.on or isinstance(said, Refusal)
    return ("refused", said.motors_on) if isinstance(said, Refusal) else (said.stop_state, said.motors_on)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("state", [state for state in STATES if state != "connecting"])
def test_once_motors_are_on_every_way_out_is_the_ladders(
    shared: shared_state.SharedState, clock: Any, state: str, way: str
) -> None:
    puppet = Puppet(state, way, shared, clock)
    assert ended(shared, puppet) == WAYS[way]
    if WAYS[way][0] == "off":
        np.testing.assert_allclose(puppet.position, ROBOT.home_position, atol=1e-6)


@pytest.mark.parametrize("way", CONNECTING)
def test_while_they_come_on_as_well(shared: shared_state.SharedState, clock: Any, way: str) -> None:
    puppet = Puppet("connecting", way, shared, clock)
    assert ended(shared, puppet) == CONNECTING[way]
    np.testing.assert_array_equal(puppet.position, START)


@pytest.mark.parametrize("way", [*SIGNALS, "emergency stop"])
def test_what_comes_before_that_switches_nothing_on(
    shared: shared_state.SharedState, clock: Any, way: str
) -> None:
    puppet = Puppet("connecting", way, shared, clock)

    def made(shared: shared_state.SharedState) -> Puppet:
        puppet.leave()
        return puppet

    said = process.control(shared, ROBOT, made, CONFIG)
    assert said == Refusal("stopped before the motors were on", motors_on=False) and not puppet.on


def test_the_table_has_every_signal_that_a_terminal_sends_and_all_others_are_treated_alike() -> None:
    names = {name_of(number) for number in STOPPING}
    assert set(SIGNALS) <= names
    assert not names & {"SIGKILL", "SIGSTOP", "SIGSEGV", "SIGCHLD", "SIGWINCH", "SIGPIPE"}
