"""The process of a teleoperator: reads it at the controller's rate and publishes each action.

It waits for nobody. A device that is lost is looked for again, and its absence published with its name:
control then holds until it is back. A person who begins to move it while the policy drives takes over.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.runtime.loop import sleeper
from ideomotor.control.runtime.person import ROLE
from ideomotor.control.runtime.realtime import schedule
from ideomotor.control.runtime.shared_state import HEARTBEATS, SharedState, SharedStateSpec, attach, text_of
from ideomotor.control.runtime.supervisor import live_with_parent, start_heartbeat
from ideomotor.control.teleop.teleoperator import DriverName, FollowerState, TeleopAction, Teleoperator

IDLE_S = 0.05  # between readings before control has begun
AGAIN_S = 0.5  # between attempts to connect a device that was lost
LOST_AFTER = 60  # readings in a row that failed, after which it is connected anew
TEXT = 500  # [bytes] of a fault's text


def teleoperator_process(
    spec: SharedStateSpec,
    embodiment: Embodiment,
    make_teleoperator: Callable[[], Teleoperator],
    priority: int = 0,
) -> None:
    """Publishes actions for ever.

    A device that cannot be connected at first ends the process with a line that says why; one that is started
    in the place of a process that died waits for it.

    Args:
        make_teleoperator: picklable.
        priority: of SCHED_FIFO where that is permitted, below control's; 0 for none.
    """
    live_with_parent()
    shared = attach(spec)
    again = bool(shared.heartbeats[HEARTBEATS.index(ROLE), 0])
    try:
        teleoperator = make_teleoperator()
        _connect(teleoperator, wait=again, shared=shared)
    except UserError as error:
        sys.exit(str(error))
    start_heartbeat(shared, ROLE)
    publisher = ActionPublisher(shared)
    while not shared.heartbeats[
        HEARTBEATS.index("control"), 0
    ]:  # others are still loading, and need the time
        publisher.step(teleoperator)
        time.sleep(IDLE_S)
    if priority:
        schedule(priority)
    sleep, period_ns, due = sleeper(), round(1e9 / embodiment.control_hz), time.monotonic_ns()
    while True:
        due = max(due + period_ns, time.monotonic_ns())
        publisher.step(teleoperator)
        if publisher.failures >= LOST_AFTER:
            _reconnect(teleoperator, publisher)
        sleep(due)


class ActionPublisher:
    """Reads a teleoperator and publishes what it says.

    Attributes:
        failures: readings in a row that gave nothing.
    """

    def __init__(self, shared: SharedState) -> None:
        self.failures = 0
        self._shared = shared
        self._state, self._record = shared.state.new(), shared.teleop.new()

    def step(self, teleoperator: Teleoperator) -> None:
        """One reading."""
        state = self.follower()
        try:
            action = teleoperator.read(state)
        except OSError as error:
            self.failed(str(error))
            return
        self.failures = 0
        self._publish(action)
        if action.engaged and state.driver is DriverName.POLICY and self._number and self._runs():
            self._shared.request("take_over", "the person's motion")

    def failed(self, why: str) -> None:
        """Publishes that there is nothing new, and why; the last action grows old."""
        self.failures += 1
        self._record["fault"] = why.encode()[:TEXT]
        if self._record["time"]:
            self._shared.teleop.write(self._record)

    def follower(self) -> FollowerState:
        """The follower's newest state; NaN before the first."""
        self._number = self._shared.state.read(self._state)
        record = self._state if self._number else None
        joints = self._shared.spec.joints
        unknown = np.full(joints, np.nan)
        if record is None:
            return FollowerState(0.0, unknown, unknown, unknown, unknown, DriverName.PERSON)
        parts = (record[name].copy() for name in ("position", "velocity", "effort", "command"))
        driver = text_of(record["driver"]) or DriverName.POLICY
        return FollowerState(float(record["time"]), *parts, driver=DriverName(driver))

    def _publish(self, action: TeleopAction) -> None:
        record = self._record
        record["time"], record["position"], record["engaged"] = action.time, action.position, action.engaged
        record["fault"] = b""
        self._shared.teleop.write(record)

    def _runs(self) -> bool:
        return text_of(self._state["stage"]) == "run"


def _connect(teleoperator: Teleoperator, wait: bool, shared: SharedState) -> None:
    """Connects; with `wait` it says that it lives meanwhile and tries until it can."""
    while True:
        try:
            teleoperator.connect()
            return
        except UserError:
            if not wait:
                raise
            shared.heartbeat(ROLE)
            time.sleep(AGAIN_S)


def _reconnect(teleoperator: Teleoperator, publisher: ActionPublisher) -> None:
    """One attempt to connect a device that was lost."""
    teleoperator.disconnect()
    time.sleep(AGAIN_S)
    try:
        teleoperator.connect()
    except UserError as error:
        publisher.failed(str(error))
    else:
        publisher.failures = 0
