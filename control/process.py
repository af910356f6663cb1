"""The control process: owns the robot and sends it one safe command a tick.

It never waits for another process and imports neither torch nor a simulator.
What it does in a tick is in control/tick.py. If this process itself is killed, its supervisor takes over the
robot (control/supervisor.py).
"""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.connection import Connection

from ideomotor.control.board import Board, BoardSpec, attach
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.estop import EStop
from ideomotor.control.loop import run_loop
from ideomotor.control.realtime import realtime
from ideomotor.control.report import ControlConfig
from ideomotor.control.tick import ControlTick
from ideomotor.control.types import Robot


def control_process(
    spec: BoardSpec,
    embodiment: Embodiment,
    make_robot: Callable[[Board], Robot],
    config: ControlConfig,
    report: Connection,
) -> None:
    """The process's main function: connects, runs until the ladder has ended, holds, disconnects.

    It sends a `ControlReport`, or the text of a `UserError` that the robot was opened with.
    """
    board = attach(spec)
    try:
        _control(board, embodiment, make_robot, config, report)
    except UserError as error:
        report.send(str(error))
    finally:
        board.close()


def _control(
    board: Board,
    embodiment: Embodiment,
    make_robot: Callable[[Board], Robot],
    config: ControlConfig,
    report: Connection,
) -> None:
    robot = make_robot(board)
    estop = EStop()
    for connection, name in config.estop_on:
        estop.watch(connection.fileno(), name)
    with estop.on_signals():
        robot.connect()
        try:
            tick = ControlTick(board, embodiment, robot, config, estop)
            with realtime(config.priority) as granted:
                run_loop(tick.step, tick.record)
            report.send(tick.report(granted.warning, granted.fifo))
            tick.close()
        finally:
            robot.hold()
    robot.disconnect()
