"""The twins of a robot of two arms, or of its two leaders: each a process and a line of its own.

They do not see each other: two arms that touch each other in the air pass through. What keeps real ones apart
is the safety filter, which does not depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.control.pair import join_ports
from ideomotor.sim.twin.process import Twin


class PairTwin:
    """Two running twins; they end with `stop`, with the `with` block, or with this process.

    Attributes:
        port: "left=…,right=…", to open instead of the serial adapters'.
        arms: {arm: its twin}.
    """

    def __init__(self, robots: Mapping[str, str], hand: str, priority: int = 0) -> None:
        """Args:
            robots: {arm: name of its robot, or path of its file}.
            hand: what a hand does with each of them from the beginning: one of `hand.MOVES`.
            priority: of SCHED_FIFO where that is permitted.

        Raises:
            UserError: as `Twin`.
        """
        self._stack = ExitStack()
        try:
            self.arms: dict[str, Twin] = {}
            for name, robot in robots.items():
                self.arms[name] = self._stack.enter_context(Twin(robot, priority=priority))
                self.arms[name].inject(f"hand {hand}")
        except BaseException:
            self._stack.close()
            raise
        self.port = join_ports({name: twin.port for name, twin in self.arms.items()})

    def __enter__(self) -> PairTwin:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def inject(self, fault: str) -> None:
        """Makes a fault of one arm happen: its name, and then a line as `Twin.inject` has them.

        Raises:
            UserError: it begins with no arm's name, or is no fault.
        """
        name, line = arm_of_fault(fault, self.arms)
        self.arms[name].inject(line)

    def where(self) -> np.ndarray:
        """Returns where the joints really are, (A,) [rad or m], the left arm's first."""
        return np.concatenate([twin.where() for twin in self.arms.values()])

    def stop(self) -> None:
        """Ends the twins."""
        self._stack.close()


def arm_of_fault(fault: str, arms: Mapping[str, object]) -> tuple[str, str]:
    """(arm, the line without it) of "left dead id=3".

    Raises:
        UserError: it does not begin with the name of an arm.
    """
    name, _, line = fault.strip().partition(" ")
    if name not in arms:
        raise UserError(
            f"fault: got {fault!r}, expected the arm first ({' or '.join(arms)}), e.g. 'left dead id=3 at=5'"
        )
    return name, line
