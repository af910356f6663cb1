"""A twin in a process of its own, for programs: `launch --twin`, rehearsals and tests.

In the same process it would share Python's lock with the control loop and answer late.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType

import numpy as np

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError


class Twin:
    """A running twin. Its process ends with `stop`, with the `with` block, or with this process.

    Attributes:
        port: path to open instead of the serial adapter's.
    """

    def __init__(self, robot: str, assembly: Sequence[int] = ()) -> None:
        """Starts it.

        Args:
            robot: name of the embodiment, or path of its file.
            assembly: by how many counts each servo is mounted off; () is none.

        Raises:
            UserError: the robot has no servos of a protocol that the twin speaks.
        """
        bus = load_embodiment(robot).bus
        if bus is None:
            raise UserError(f"robot: the twin of {robot!r} needs a section bus in its file, to have servos")
        if len(assembly) not in (0, len(bus.servos)) or not all(abs(counts) < 4096 for counts in assembly):
            raise UserError(f"assembly: got {list(assembly)}, expected {len(bus.servos)} counts of one turn")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ideomotor.sim.twin.serve", robot, *map(str, assembly)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C in a terminal is for the program, which then ends the twin
        )
        self.port = self._line()

    def __enter__(self) -> Twin:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def inject(self, fault: str) -> None:
        """Makes a fault happen, or a hand move the arm: one line of `faults.py`, or "hand MOVE [PACE]".

        Raises:
            UserError: it is neither.
        """
        said = self._tell(fault)
        if said != "ok":
            raise UserError(said.removeprefix("error: "))

    def where(self) -> np.ndarray:
        """Returns where the joints really are, (A,) [rad or m]."""
        return np.array(json.loads(self._tell("where"))["position"])

    def stop(self) -> None:
        """Ends the twin."""
        self._process.communicate()
        self._process.wait()

    def _tell(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise RuntimeError("the twin's process has ended")
        return line
