"""`ideomotor release`: switches an arm's motors off when there is a hand under it.

For an arm that a launch has left standing: a closed terminal, Ctrl-C, a computer that went down.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ideomotor.control.errors import UserError
from ideomotor.launch.console import Output
from ideomotor.launch.runtime.left_on import remove_note


@dataclass(frozen=True)
class ReleaseOptions:
    """Switches the motors of an arm off."""

    robot: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ROBOT")]
    """name of the robot, or the path of its embodiment file"""

    port: Annotated[str | None, tyro.conf.arg(metavar="DEV")] = None
    """serial device of the servo adapter, e.g. /dev/ttyACM0; of two arms left=DEV right=DEV; none for a robot
    whose own driver needs none"""

    yes: bool = False
    """do not ask: somebody holds the arm"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the outcome as JSON; - is standard output"""


def release(options: ReleaseOptions) -> int:
    """The command; 1 if a motor did not say that it is off, or nobody held the arm."""
    from ideomotor.control.embodiment import load_embodiment
    from ideomotor.control.pair import join_ports, split_ports
    from ideomotor.control.robots.drivers import driver_of

    output = Output(options.json)
    embodiment = load_embodiment(options.robot)
    driver = driver_of(embodiment)
    if options.port is None and embodiment.driver is None:
        raise UserError("port: missing, expected the servo adapter's device, e.g. --port /dev/ttyACM0")
    port = options.port or ""
    if embodiment.arms:
        port = join_ports(split_ports(port))
    if not options.yes and not (sys.stdin and sys.stdin.isatty()):
        raise UserError("release: nobody can be asked here, expected --yes once somebody holds the arm")
    off = bool(options.yes) and driver.let_go(embodiment, port)
    if not options.yes:
        off = let_go(output.text.print, lambda: driver.let_go(embodiment, port))
    if off:
        remove_note(options.robot, port)
    output.result({"robot": embodiment.name, "port": port, "motors_on": not off})
    return 0 if off else 1


def let_go(say: Callable[[str], None], switch_off: Callable[[], bool]) -> bool:
    """Switches motors off when a person at the terminal holds the arm; whether they all are."""
    say("The motors are on and hold the arm.")
    say("Hold it by hand and press Enter to switch them off (Ctrl-C: leave them on).")
    try:
        if not sys.stdin.readline():
            return False
    except (KeyboardInterrupt, OSError):  # or the terminal is gone
        return False
    try:
        off = switch_off()
    except UserError as error:
        say(str(error))
        off = False
    say("The motors are off." if off else "Not all motors are off: cut the supply.")
    return off
