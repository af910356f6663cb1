"""A twin in a process of its own, for programs: `launch --twin`, rehearsals and tests.

In the same process it would share Python's lock with the control loop and answer late.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.sim.instructions.judging import Judging
from ideomotor.sim.sim_state_channel import SceneSpec

SCENE = "scene"  # name of the file, beside the port, that shows the world


class Twin:
    """A running twin. Its process ends with `stop`, with the `with` block, or with this process.

    Attributes:
        port: path to open instead of the serial adapter's.
        scene: the file that shows where everything in its world is, see `sim/wallclock.py`.
        instruction: what is to be done in its world.
        judging: what success in its world is judged by, if it is; None without a world.
        shown: the fields of its `SceneSpec`; None without a world.
    """

    def __init__(
        self,
        robot: str,
        assembly: Sequence[int] = (),
        scene: SceneSpec | None = None,
        priority: int = 0,
        leads: Twin | None = None,
    ) -> None:
        """Starts it.

        Args:
            robot: name of the embodiment, or path of its file.
            assembly: by how many counts each servo is mounted off; () is none.
            scene: a task's world around the arm, which is then held until its motors are on.
            priority: of SCHED_FIFO where that is permitted, so that the arm does not wait for other programs.
            leads: of a leader arm: the twin in a world that a hand drives with it, see `guiding_hand.py`.

        Raises:
            UserError: the robot has no servos of a protocol that the twin speaks, or there is no such scene.
        """
        embodiment = load_embodiment(robot)
        bus = embodiment.bus
        if embodiment.arms:
            names = " and ".join(arm.robot for arm in embodiment.arms)
            raise UserError(f"robot: {robot!r} is made of two arms, expected one: a twin of {names} each")
        if bus is None:
            raise UserError(f"robot: the twin of {robot!r} needs a section bus in its file, to have servos")
        if len(assembly) not in (0, len(bus.servos)) or not all(abs(counts) < 4096 for counts in assembly):
            raise UserError(f"assembly: got {list(assembly)}, expected {len(bus.servos)} counts of one turn")
        options = {
            "robot": robot,
            "assembly": list(assembly),
            "scene": scene and dataclasses.asdict(scene),
            "priority": priority,
            "guide": leads and leads.shown and {"scene": leads.shown, "file": str(leads.scene)},
        }
        self.shown = scene and dataclasses.asdict(scene)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ideomotor.sim.twin.serve", json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C in a terminal is for the program, which then ends the twin
        )
        said = self._line()
        if said.startswith("error: "):
            self.stop()
            raise UserError(said.removeprefix("error: "))
        self.port = said
        self.scene = Path(said).with_name(SCENE)
        self.instruction = json.loads(self._line()) if scene else ""
        self.judging = Judging(**json.loads(self._line())) if scene else None

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

    def guide(self, move: str) -> None:
        """Tells the hand of a leader's twin what to do: one of `guiding_hand.MOVES`."""
        self.inject(f"guide {move}")

    def where(self) -> np.ndarray:
        """Returns where the joints really are, (A,) [rad or m]."""
        return np.array(json.loads(self._tell("where"))["position"])

    def tidy(self, arrangement: int = 0) -> None:
        """Puts everything in its world but the arm back for another attempt, see `World.put_back`."""
        self._tell(f"tidy {arrangement}")

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
