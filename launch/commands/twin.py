"""`ideomotor twin`: a simulated arm behind a pseudo-terminal, to rehearse with any program."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ideomotor.control.errors import UserError
from ideomotor.launch.console import Output

FAULT_HELP = "faults may also be typed while it runs, e.g.: drop id=3 count=5"


@dataclass(frozen=True)
class TwinOptions:
    """Serves a simulated arm that speaks its servos' own protocol, until Ctrl-C."""

    robot: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ROBOT")]
    """name of the robot, or the path of its embodiment file"""

    fault: tuple[str, ...] = ()
    """faults, each one argument, e.g. "dead id=3 at=10 for=2"; see sim/twin/faults.py for all of them"""

    script: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """a file with one fault in each line"""

    assembly: tuple[int, ...] = ()
    """counts by which each servo is mounted away from where it should be, so that it needs calibrating"""

    max_seconds: float = float("inf")
    """end by itself after so long [s]"""


def twin(options: TwinOptions) -> int:
    """Runs a twin and shows its port."""
    from ideomotor.sim.twin.process import Twin

    faults = [*options.fault, *_lines(options.script)]
    output = Output(None)
    with Twin(options.robot, options.assembly) as running:
        for fault in faults:
            running.inject(fault)
        output.text.print(f"{options.robot} is at {running.port}")
        output.text.print(f"{FAULT_HELP}; Ctrl-C ends it")
        ends = time.monotonic() + options.max_seconds
        while (left := ends - time.monotonic()) > 0:
            if (line := _typed(min(left, 3600.0))) is None:
                continue
            try:
                running.inject(line)
            except UserError as error:
                output.text.print(str(error))
    return 0


def _lines(script: Path | None) -> list[str]:
    if script is None:
        return []
    try:
        return script.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"script: cannot read {str(script)!r} ({error})") from error


def _typed(seconds: float) -> str | None:
    """A line from a person within `seconds`; None if there was none, or nobody can type."""
    import select

    if not sys.stdin or sys.stdin.closed or not sys.stdin.isatty():
        time.sleep(min(seconds, 0.2))
        return None
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return sys.stdin.readline() if ready else None
