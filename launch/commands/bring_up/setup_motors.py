"""`ideomotor setup-motors`: new servos get the ids of their joints, one servo at a time."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from ideomotor.control.ctrl_c import loading
from ideomotor.control.errors import UserError, unknown_name
from ideomotor.launch.console import Output


@dataclass(frozen=True)
class SetupMotorsOptions:
    """Gives each servo of a new arm its id, baud rate, return delay and whole range. Nothing moves.

    Connect one servo at a time. It can be ended after any of them and begun again: what is right is left.
    """

    robot: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ROBOT")]
    """name of the robot, or the path of its embodiment file"""

    port: Annotated[str, tyro.conf.arg(metavar="DEV")]
    """serial device of the servo adapter, e.g. /dev/ttyACM0"""

    joint: Annotated[str, tyro.conf.arg(metavar="NAME")] = ""
    """only the servo of this joint, which is connected alone; asks nothing"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write what was changed as JSON; - is standard output"""


def setup_motors(options: SetupMotorsOptions) -> int:
    """Goes through the joints, the last of the chain first; Ctrl-C ends it after any of them."""
    output = Output(options.json)

    with loading():
        from ideomotor.control.embodiment import load_embodiment
        from ideomotor.control.robots.families import family_of
        from ideomotor.control.robots.motor_setup import FoundMotor, find_motor, set_up

    embodiment = load_embodiment(options.robot)
    _, layout = family_of(embodiment)
    if layout.protocol != "feetech":
        raise UserError(
            f"robot: {embodiment.name}: its servos are {layout.protocol}'s, expected feetech; set their ids "
            "with the maker's program"
        )
    servos = {servo.joint: servo for servo in layout.motors}
    if options.joint and options.joint not in servos:
        raise unknown_name("joint", options.joint, servos)
    if not options.joint and not sys.stdin.isatty():
        raise UserError("setup-motors: a dialogue needs a terminal; --joint NAME sets one servo up without")
    say = output.text.print
    done: list[dict[str, Any]] = []
    for servo in [servos[options.joint]] if options.joint else reversed(list(servos.values())):
        while True:
            if not options.joint:
                say(
                    f"connect the servo of {servo.joint} alone (id {servo.id}), then Enter; s skips it",
                    markup=False,
                )
                if sys.stdin.readline().strip().lower() == "s":
                    break
            try:
                found: FoundMotor = find_motor(
                    options.port,
                    [servo.id, *(other.id for other in layout.motors)],
                    lambda baud: say(f"looking at {baud} baud", markup=False),
                )
                changed = set_up(options.port, servo, found, layout.baud)
            except UserError as error:
                if options.joint:
                    raise
                say(f"{error}", markup=False)
                continue
            say(f"{servo.joint}: id {servo.id}: {'; '.join(changed) or 'as it should be'}", markup=False)
            done.append({"joint": servo.joint, "id": servo.id, "changed": changed})
            break
    output.result({"robot": embodiment.name, "port": options.port, "servos": done})
    return 0
