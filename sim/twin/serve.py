"""Runs a twin behind a pseudo-terminal until its standard input ends: `python -m ideomotor.sim.twin.serve`.

The port is a link in a folder of its own that leads to the terminal of the moment: unplugging closes that
one, plugging in again makes another, as a USB adapter does. Lines on standard input are faults
(`faults.py`), `where` (the joints' true positions), `hand MOVE [PACE]` (`hand.py`), `guide MOVE` (a leader's,
`guiding_hand.py`) or `tidy N` (everything but the arm goes back, in arrangement N); each is answered by
one line on standard output.

In a task's world (`scene`) the arm is held until its motors are on, and where everything is can be read from
a file beside the port (`sim/wallclock.py` draws it).
"""

from __future__ import annotations

import dataclasses
import json
import os
import select
import sys
import tempfile
import termios
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.dynamixel import registers as dynamixel
from ideomotor.control.robots.feetech import registers as feetech
from ideomotor.control.runtime.realtime import realtime
from ideomotor.sim.sim_state_channel import SceneSpec, SceneWriter, scene_file
from ideomotor.sim.twin.guiding_hand import GuidingHand
from ideomotor.sim.twin.line import TwinLine
from ideomotor.sim.twin.lines import LINES
from ideomotor.sim.twin.plant import make_plant
from ideomotor.sim.twin.process import SCENE

IDLE_S = 0.05  # [s], how often the arm moves on when nobody asks
SPEEDS = {
    getattr(termios, f"B{baud}"): baud
    for baud in sorted({*feetech.BAUDS, *dynamixel.BAUDS})
    if hasattr(termios, f"B{baud}")
}
SHOWN_S = 0.01  # [s], the same where its world is shown to cameras


class TwinPort:
    """The pseudo-terminal of a line of servos, under a path that stays."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ends: tuple[int, int] | None = None  # (ours, theirs): theirs stays open, else ours reads errors
        self.plug_in()

    @property
    def fd(self) -> int | None:
        return self._ends[0] if self._ends else None

    @property
    def baud(self) -> int | None:
        """[bit/s] that the master has set; None for one that has no name here."""
        return SPEEDS.get(termios.tcgetattr(self._ends[1])[5]) if self._ends else None

    def plug_in(self) -> None:
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        self._ends = (ours, theirs)
        temporary = self.path.with_name(f".{self.path.name}.tmp")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(os.ttyname(theirs))
        os.replace(temporary, self.path)

    def unplug(self) -> None:
        self.path.unlink(missing_ok=True)
        for fd in self._ends or ():
            os.close(fd)
        self._ends = None

    def read(self) -> bytes:
        try:
            return os.read(self._ends[0], 4096) if self._ends else b""
        except (BlockingIOError, OSError):
            return b""

    def write(self, data: bytes) -> None:
        if data and self._ends:
            try:
                os.write(self._ends[0], data)
            except BlockingIOError:
                termios.tcflush(self._ends[1], termios.TCIFLUSH)  # nobody reads: an adapter would lose it too


def serve(
    line: TwinLine,
    port: TwinPort,
    control: int | None,
    show: Callable[[], None] | None = None,
    tidy: Callable[[int], None] | None = None,
    guide: GuidingHand | None = None,
) -> None:
    """Serves until `control`, a file descriptor of command lines, ends; None serves for ever.

    Args:
        show: called whenever the arm may have moved.
        tidy: puts things back, in an arrangement, where there are things.
        guide: the hand that has the arm, where it is a leader.
    """
    pending, idle_s = b"", SHOWN_S if show else IDLE_S
    while True:
        now = time.monotonic()
        plugged_out = line.faults.now("unplug", 0, now) is not None
        if plugged_out and port.fd is not None:
            port.unplug()
            line.forget_output()
        elif not plugged_out and port.fd is None:
            port.plug_in()
        wake = min(line.next_output(), line.faults.changes_after(now), now + idle_s)
        watched = [fd for fd in (port.fd, control) if fd is not None]
        ready = select.select(watched, [], [], max(0.0, wake - time.monotonic()))[0]
        now = time.monotonic()
        line.baud = port.baud
        line.receive(port.read() if port.fd in ready else b"", now)
        port.write(line.output(now))
        if show:
            show()
        if control in ready:
            data = os.read(control, 4096)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for command in lines:
                print(answer(line, command.decode(errors="replace"), now, tidy, guide), flush=True)


def answer(
    line: TwinLine,
    command: str,
    now: float,
    tidy: Callable[[int], None] | None = None,
    guide: GuidingHand | None = None,
) -> str:
    """Carries out one command line and returns the answer to it, one line."""
    words = command.split()
    if words[:1] == ["where"]:
        return json.dumps({"position": line.position.tolist()})
    try:
        if words[:1] == ["tidy"] and tidy and len(words) == 2:
            tidy(round(_number("tidy", words[1])))
            return "ok"
        if words[:1] == ["guide"] and guide and len(words) == 2:
            guide.move(words[1])
        elif words[:1] == ["hand"] and len(words) in (2, 3):
            line.hand(words[1], now, _number("hand: pace", *words[2:]))
        else:
            line.faults.add(command, now)
    except UserError as error:
        return f"error: {error}"
    return "ok"


def _number(what: str, text: str = "1") -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{what}: got {text!r}, expected a number") from None


def _guide(options: dict[str, Any], leader: Embodiment) -> GuidingHand | None:
    """The hand that has this arm, if it is a leader's twin; `UserError` if it cannot lead."""
    if not options["guide"]:
        return None
    scene, file = SceneSpec(**options["guide"]["scene"]), Path(options["guide"]["file"])
    return GuidingHand(leader, scene, file, time.monotonic())


def main() -> int:
    """One argument: the fields of `process.Twin` as JSON."""
    options = json.loads(sys.argv[1])
    embodiment, scene = load_embodiment(options["robot"]), options["scene"]
    try:
        world = SceneSpec(**scene).world() if scene else None
        guide = _guide(options, embodiment)
    except UserError as error:
        print(f"error: {error}", flush=True)
        return 2
    now = time.monotonic()
    assert embodiment.bus is not None  # `process.Twin` has looked
    plant = make_plant(embodiment, world)
    line = LINES[embodiment.bus.protocol](embodiment, now, tuple(options["assembly"]), plant)
    with (
        tempfile.TemporaryDirectory(prefix="ideomotor-twin-") as folder,
        realtime(options["priority"]),  # an arm does not wait for a computer's other programs
    ):
        port = TwinPort(Path(folder) / "port")
        try:
            said, show, tidy = str(port.path), None, None
            if world is not None:
                line.hand("still", now)
                show = SceneWriter(world, scene_file(port.path.with_name(SCENE), create=True)).show
                tidy = world.put_back
                said += f"\n{json.dumps(world.instruction)}\n{json.dumps(dataclasses.asdict(world.judging))}"
            if guide is not None:
                line.held_by(guide)
            print(said, flush=True)
            serve(line, port, sys.stdin.fileno(), show, tidy, guide)
        finally:
            port.unplug()
    return 0


if __name__ == "__main__":
    sys.exit(main())
