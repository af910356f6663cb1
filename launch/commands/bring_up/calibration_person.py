"""Who moves an arm that is calibrated, and answers: somebody at a terminal, or the twin's simulated hand."""

from __future__ import annotations

import dataclasses
import select
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ideomotor.control.errors import UserError
from ideomotor.launch.console import Output

if TYPE_CHECKING:
    from ideomotor.control.calibration import Calibration
    from ideomotor.sim.twin.process import Twin

REHEARSED_SWEEP_S = 9.0  # a little more than one round of `sim/twin/hand.py`


class Person(Protocol):
    """Who moves the arm and answers."""

    def ready(self, request: str, pose: str = "middle") -> None:
        """Returns when the person has done what was asked.

        Args:
            pose: the arm's then, one of `sim/twin/hand.py`.
        """
        ...

    def moving(self, request: str) -> Callable[[], bool]:
        """Asks for the sweep; returns a function that says whether it still goes on."""
        ...

    def agrees(self, question: str) -> bool: ...


class TerminalPerson:
    """Somebody at a terminal."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def ready(self, request: str, pose: str = "middle") -> None:
        self._output.text.print(f"\n{request} Then press Enter (Ctrl-C: give up, nothing is changed).")
        _typed_line()

    def moving(self, request: str) -> Callable[[], bool]:
        self._output.text.print(f"\n{request} Press Enter when all have been there.")
        return lambda: not (select.select([sys.stdin], [], [], 0)[0] and _typed_line())

    def agrees(self, question: str) -> bool:
        self._output.text.print(f"\n{question} [y/N]")
        return _typed_line().strip().lower() in ("y", "yes")


class SimulatedPerson:
    """The hand of the twin, who agrees to everything that is plausible."""

    def __init__(self, twin: Twin, output: Output) -> None:
        self._twin, self._output = twin, output

    def ready(self, request: str, pose: str = "middle") -> None:
        self._output.text.print(f"\n{request} (a simulated hand does it)")
        self._twin.inject(f"hand {pose}")
        time.sleep(1.5)

    def moving(self, request: str) -> Callable[[], bool]:
        self._output.text.print(f"\n{request} (a simulated hand does it)")
        self._twin.inject("hand sweep")
        ends = time.monotonic() + REHEARSED_SWEEP_S
        return lambda: time.monotonic() < ends

    def agrees(self, question: str) -> bool:
        self._output.text.print(f"\n{question} (yes)")
        return True


def joints_as_json(result: Calibration) -> list[dict[str, Any]]:
    """A calibration as the command's JSON has it."""
    return [dataclasses.asdict(joint) for joint in result.joints]


def _typed_line() -> str:
    line = sys.stdin.readline()
    if not line:
        raise UserError("standard input: ended, expected an answer; nothing was written")
    return line
