"""`ideomotor find-port`: which serial port the arm is on, by USB ids or by unplugging it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import tyro

from ideomotor.control.ctrl_c import loading
from ideomotor.control.errors import UserError
from ideomotor.launch.console import Output

if TYPE_CHECKING:
    from ideomotor.control.robots.serial_ports import SerialPort

Found = TypeVar("Found")
LOOK_EVERY_S, GIVE_UP_S = 0.2, 60.0


@dataclass(frozen=True)
class FindPortOptions:
    """Lists serial ports, servo adapters first; with --unplug finds the one of the arm you mean."""

    unplug: bool = False
    """ask to unplug the arm's USB cable and to plug it in again: tells equal adapters apart"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write what was found as JSON; - is standard output"""


def find_port(options: FindPortOptions) -> int:
    """Shows the ports; 1 where no servo adapter is among them."""
    output = Output(options.json)

    with loading():
        from ideomotor.control.robots.serial_ports import serial_ports

    if options.unplug:
        if not sys.stdin.isatty():
            raise UserError("unplug: a dialogue needs a terminal; without --unplug ports are only listed")
        port = _by_unplugging(serial_ports, lambda text: output.text.print(text, markup=False))
        output.result({"port": port.path, "ports": [asdict(port)]})
        output.text.print(f"the arm is at {port.path}", markup=False)
        return 0
    ports = serial_ports()
    adapters = [port for port in ports if port.adapter]
    output.result(
        {"port": adapters[0].path if len(adapters) == 1 else None, "ports": list(map(asdict, ports))}
    )
    for port in ports:
        parts = (port.path, f"({port.device})" if port.path != port.device else "", port.usb_id)
        output.text.print(" ".join([*filter(None, parts), port.adapter or port.description]), markup=False)
    if not adapters:
        output.text.print("no servo adapter among them: is it plugged in, and has it power?", markup=False)
        return 1
    if len(adapters) == 1:
        output.text.print(f"use --port {adapters[0].path}", markup=False)
    else:
        output.text.print(f"{len(adapters)} servo adapters: --unplug tells which is which", markup=False)
    return 0


def _by_unplugging(ports: Callable[[], Sequence[SerialPort]], say: Callable[[str], None]) -> SerialPort:
    """The port that goes when the person unplugs it, once it is back.

    Raises:
        UserError: nothing changed within a minute, or more than one port went.
    """
    before = {port.device: port for port in ports()}
    if not before:
        raise UserError("unplug: there is no serial port at all; plug the arm's USB cable in first")
    say("unplug the USB cable of the arm you mean")
    gone = _waited(lambda: before.keys() - {port.device for port in ports()}, "no port went away")
    if len(gone) > 1:
        raise UserError(f"unplug: {', '.join(sorted(gone))} went together, expected one; one arm at a time")
    say("plug it in again")
    known = before[next(iter(gone))]

    def back() -> list[SerialPort]:
        there = [port for port in ports() if port.device not in before or port.device in gone]
        same = [
            port for port in there if (port.usb_id, port.serial_number) == (known.usb_id, known.serial_number)
        ]
        return same or there

    return _waited(back, "it did not come back")[0]


def _waited(look: Callable[[], Found], why: str) -> Found:
    """What `look` finds once that is something."""
    until = time.monotonic() + GIVE_UP_S
    while not (found := look()):
        if time.monotonic() > until:
            raise UserError(f"unplug: {why} within {GIVE_UP_S:.0f} s")
        time.sleep(LOOK_EVERY_S)
    return found
