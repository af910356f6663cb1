"""An arm of emulated STS3215 servos for a test, in a process of its own: see `sts_emulator.py`.

    arm = EmulatedArm()                                  # or the fixture `emulated_arm` of tests/conftest.py
    ideomotor("launch", "so101", "--port", arm.port, ...)
    arm.set(3, silent=True); arm.set(latency_s=(0.002, 0.003)); arm.unplug()
    assert not any(arm.torque().values()); assert arm.history("torque_enable")

Positions are counts of the encoders, 4096 a turn, unwrapped; with OFFSET 0 and within one turn they are what
a servo reports. With the calibration of `default_calibration` an SO-101's joints are at `counts_of(radians)`.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

IDS = (1, 2, 3, 4, 5, 6)
HOME = (0.0, -1.3, 0.7, 1.45, 0.05, 0.3)  # [rad], the home pose of so101.yaml


def counts_of(radians: float) -> float:
    """Where the encoder of a joint is whose zero is at 2048 and which counts the way its joint turns."""
    return 2048 + radians * 4096 / (2 * math.pi)


class EmulatedArm:
    """Its process ends with `close`, with the `with` block, or with this process.

    Attributes:
        port: path to open instead of the serial adapter's; the same after `plug_in`.
    """

    def __init__(self, ids: Sequence[int] = IDS, angles: Sequence[float] | None = None) -> None:
        """Servos as they come out of the box, but for their ids.

        Args:
            ids: of the servos.
            angles: where each encoder is [counts]; None: an SO-101 at home.
        """
        at = [counts_of(radians) for radians in HOME] if angles is None else list(angles)
        options = json.dumps({"ids": list(ids), "angles": at[: len(ids)]})
        program = Path(__file__).with_name("sts_emulator.py")
        self._process = subprocess.Popen(
            [sys.executable, "-E", "-S", str(program), options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the program under test
        )
        self.port = self._line()

    def __enter__(self) -> EmulatedArm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def get(self, number: int, register: str) -> int:
        """Returns a register (names: `sts_servo.REGISTERS`) of servo `number`."""
        return self._ask("get", number, register)

    def put(self, number: int, register: str, value: int) -> None:
        """Sets a register as another program would have, for good if it is one that is kept without power."""
        self._ask("put", number, register, value)

    def table(self, number: int) -> dict[str, int]:
        return self._ask("table", number)

    def set(self, *numbers: int, **circumstances: Any) -> None:
        """Changes what is done to servos, all of them without `numbers`: `sts_servo.Circumstances`."""
        self._ask("circumstances", numbers, circumstances)

    def adapter(self, timer_s: float) -> None:
        """Gives the USB adapter a latency timer [s], 0.016 as an FTDI chip has on Linux; 0: none."""
        self._ask("adapter", timer_s)

    def place(self, angles: Mapping[int, float]) -> None:
        """Puts joints somewhere at once."""
        self._ask("place", angles)

    def hand(self, paths: Mapping[int, Sequence[tuple[float, float]]]) -> None:
        """Moves joints whose motors are off by hand: {id: [(seconds from now, counts)]}; stops hold them."""
        self._ask("hand", paths)

    def unplug(self) -> None:
        self._ask("unplug")

    def plug_in(self) -> None:
        self._ask("plug_in")

    def power_cycle(self, *numbers: int) -> None:
        self._ask("power_cycle", numbers)

    def torque(self) -> dict[int, bool]:
        """{id: whether its motor is on}."""
        return {number: row["torque"] == 1 for number, row in self.state().items()}

    def state(self) -> dict[int, dict[str, float]]:
        """{id: torque, position (reported), angle, and `lowest` and `highest` angle since the last call}."""
        return {int(number): row for number, row in self._ask("state").items()}

    def history(self, register: str | None = None) -> list[tuple[float, int, str, int]]:
        """(monotonic time [s], id, register, value) of all writes that servos took, oldest first."""
        return [(row[0], row[1], row[2], row[3]) for row in self._ask("history", register)]

    def close(self) -> None:
        self._process.communicate()

    def _ask(self, method: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([method, arguments]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._line())
        if "error" in answer:
            raise ValueError(f"{method}: {answer['error']}")
        return answer["value"]

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise RuntimeError("the emulator's process has ended")
        return line
