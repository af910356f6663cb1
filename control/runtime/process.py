"""The control process: owns the robot and sends it one safe command a tick.

It never waits for another process and imports neither torch nor a simulator. What it does in a tick is in
control/runtime/tick.py. If this process itself is killed, the guardian takes over the robot
(control/runtime/guardian.py).

Once the motors are on, nothing but the end of the safe stop leaves them: a robot that cannot be measured
goes down it from the first tick on, and so does one whose tick fails in a way that nobody has foreseen.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import MotorsOnError, UserError
from ideomotor.control.runtime.estop import EStop
from ideomotor.control.runtime.loop import run_loop
from ideomotor.control.runtime.realtime import realtime
from ideomotor.control.runtime.report import ControlConfig, ControlReport, Refusal
from ideomotor.control.runtime.shared_state import REQUESTS, SharedState, SharedStateSpec, attach
from ideomotor.control.runtime.tick import ControlTick
from ideomotor.control.types import Robot


def control_process(
    spec: SharedStateSpec,
    embodiment: Embodiment,
    make_robot: Callable[[SharedState], Robot],
    config: ControlConfig,
    report: Connection,
) -> None:
    """The process's main function: connects, runs until the safe stop has ended, holds, disconnects.

    It sends a `ControlReport`, or the `Refusal` of a robot that could not be connected.
    """
    shared = attach(spec)
    try:
        said = control(shared, embodiment, make_robot, config)
        shared.ended[0] = 1
        with contextlib.suppress(OSError):  # whoever wants to know is gone
            report.send(said)
    finally:
        shared.close()


def control(
    shared: SharedState,
    embodiment: Embodiment,
    make_robot: Callable[[SharedState], Robot],
    config: ControlConfig,
) -> ControlReport | Refusal:
    """Runs a robot in this process. Main thread only."""
    estop = EStop()
    for connection, name in config.estop_on:
        estop.watch(connection.fileno(), name)
    with estop.on_signals():
        try:
            robot = make_robot(shared)
            if estop.check() or shared.requests[REQUESTS.index("estop")]:
                return Refusal("stopped before the motors were on", motors_on=False)
            robot.connect()
        except UserError as error:
            return Refusal(str(error), isinstance(error, MotorsOnError))
        try:
            try:
                tick = ControlTick(shared, embodiment, robot, config, estop)
            except UserError as error:
                return Refusal(str(error), motors_on=True)
            try:
                return _run(tick, config)
            finally:
                tick.close()
        finally:
            robot.hold()
            robot.disconnect()


def _run(tick: ControlTick, config: ControlConfig) -> ControlReport:
    with realtime(config.priority) as granted:
        try:
            run_loop(tick.step, tick.record)
        except Exception as error:
            tick.fail(f"control: {where(error)}")
            run_loop(tick.step_down, tick.record)
    return tick.report(granted.warning, granted.fifo)


def where(error: Exception) -> str:
    """An exception in one line, with the place in the code that it comes from."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({frame.name}, line {frame.lineno} of {frame.filename})"
