"""`ideomotor setup-motors`: new servos get the ids of their joints, one servo at a time."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ideomotor.control.ctrl_c import loading
from ideomotor.control.errors import UserError, unknown_name
from ideomotor.launch.console import Output

if TYPE_CHECKING:
    from ideomotor.control.robots.setup_registers import SetupRegisters
    from ideomotor.control.servo_bus import Servo, ServoBus
    from ideomotor.sim.twin.process import Twin


@dataclass(frozen=True)
class SetupMotorsOptions:
    """Gives each servo of a new arm its id, baud rate, return delay and whole range. Nothing moves.

    Connect one servo at a time. It can be ended after any of them and begun again: what is right is left.
    """

    robot: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ROBOT")]
    """name of the robot, or the path of its embodiment file"""

    port: Annotated[str | None, tyro.conf.arg(metavar="DEV")] = None
    """serial device of the servo adapter, e.g. /dev/ttyACM0"""

    twin: bool = False
    """rehearse it with new simulated servos, which a simulated hand connects one after the other"""

    joint: Annotated[str, tyro.conf.arg(metavar="NAME")] = ""
    """only the servo of this joint, connected alone (NAME-shadow: the second of two); asks nothing"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write what was changed as JSON; - is standard output"""


Connect = Callable[[str, "Servo"], bool]  # (joint, its servo): whether it is connected now, and not skipped


def setup_motors(options: SetupMotorsOptions) -> int:
    """Goes through the joints, the last of the chain first; Ctrl-C ends it after any of them."""
    output = Output(options.json)
    if options.twin == (options.port is not None):
        raise UserError("port: expected one of --port DEV (e.g. /dev/ttyACM0) and --twin")

    with loading():
        from ideomotor.control.embodiment import load_embodiment
        from ideomotor.control.robots.families import family_of
        from ideomotor.control.robots.motor_setup import SETUPS, find_motor, set_up

    embodiment = load_embodiment(options.robot)
    _, layout = family_of(embodiment)
    setup = SETUPS[layout.protocol]
    servos = {servo.joint + "-shadow" * (servo.follows is not None): servo for servo in layout.motors}
    if options.joint and options.joint not in servos:
        raise unknown_name("joint", options.joint, servos)
    if not options.joint and not options.twin and not sys.stdin.isatty():
        raise UserError("setup-motors: a dialogue needs a terminal; --joint NAME sets one servo up without")
    say = output.text.print
    done: list[dict[str, Any]] = []
    with _line(options, output, setup, layout) as (port, connect):
        for name in [options.joint] if options.joint else reversed(servos):
            servo = servos[name]
            while connect(name, servo):
                try:
                    found = find_motor(
                        port,
                        setup,
                        [servo.id, *(other.id for other in layout.motors)],
                        lambda baud: say(f"looking at {baud} baud", markup=False),
                    )
                    changed = set_up(port, setup, servo, found, layout.baud)
                except UserError as error:
                    if options.joint or options.twin:
                        raise
                    say(f"{error}", markup=False)
                    continue
                say(f"{name}: id {servo.id}: {'; '.join(changed) or 'as it should be'}", markup=False)
                done.append({"joint": name, "id": servo.id, "changed": changed})
                break
    output.result({"robot": embodiment.name, "port": port, "servos": done})
    return 0


@contextlib.contextmanager
def _line(
    options: SetupMotorsOptions, output: Output, setup: SetupRegisters, layout: ServoBus
) -> Iterator[tuple[str, Connect]]:
    """The port, and who connects servos to it."""
    if options.port is not None:
        yield options.port, (lambda name, servo: True) if options.joint else _asking(output)
        return
    from ideomotor.sim.twin.process import Twin

    with Twin(options.robot) as twin:
        for servo in layout.motors:
            _alone(twin, servo, layout)
            _make_new(twin.port, setup, servo, layout.baud)

        def connect(name: str, servo: Servo) -> bool:
            output.text.print(f"the servo of {name} is connected alone (id {servo.id})", markup=False)
            _alone(twin, servo, layout)
            return True

        yield twin.port, connect


def _asking(output: Output) -> Connect:
    def connect(name: str, servo: Servo) -> bool:
        output.text.print(
            f"connect the servo of {name} alone (id {servo.id}), then Enter; s skips it", markup=False
        )
        return sys.stdin.readline().strip().lower() != "s"

    return connect


def _alone(twin: Twin, servo: Servo, layout: ServoBus) -> None:
    """Leaves one servo on the twin's line."""
    twin.inject("clear")
    for other in layout.motors:
        if other.id != servo.id:
            twin.inject(f"dead id={other.id}")


def _make_new(port: str, setup: SetupRegisters, servo: Servo, baud: int) -> None:
    """Gives the twin's servo, alone on its line, the id and rate that servos come with."""
    from ideomotor.control.robots.motor_setup import one_line
    from ideomotor.control.robots.register_retry import REPLY_S, write

    with one_line(port, setup, baud) as line:
        for register, value in setup.before.items():
            write(line, servo, register, value)
        line.write(servo.id, setup.id.address, setup.id.encode(1), REPLY_S)
        new = replace(servo, id=1)
        line.write(new.id, setup.baud.address, setup.baud.encode(setup.bauds[setup.new_baud]), REPLY_S)
