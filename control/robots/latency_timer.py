"""The latency timer of a USB adapter: how long an FTDI chip (U2D2 and others) holds replies back.

It sends on what a servo answered when 62 bytes have come or its timer ends: 16 ms by default,
twice the length of a tick. Linux shows it as `latency_timer`, which root may write; a driver that is asked
for low latency (TIOCSSERIAL, which every user of the port may do) sets it to 1 ms too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

SYSFS = Path("/sys/bus/usb-serial/devices")
SHORTEST_MS = 1
RULE = 'ACTION=="add", SUBSYSTEM=="usb-serial", DRIVER=="ftdi_sio", ATTR{latency_timer}="1"'


def timer_of(path: str) -> Path | None:
    """Returns the file of a port's timer; None if its adapter has none."""
    file = SYSFS / Path(os.path.realpath(path)).name / "latency_timer"
    return file if file.is_file() else None


def latency_ms(path: str) -> int | None:
    """Returns a port's timer [ms]; None if it has none, or nobody may know."""
    file = timer_of(path)
    try:
        return None if file is None else int(file.read_text())
    except (OSError, ValueError):
        return None


def shorten(path: str, serial: Any) -> None:
    """Sets a port's timer to 1 ms, as far as this user may.

    Args:
        path: of the port.
        serial: it, open, pyserial's.
    """
    file, now = timer_of(path), latency_ms(path)
    if file is None or now is None or now <= SHORTEST_MS:
        return
    try:
        file.write_text(str(SHORTEST_MS))
    except OSError:
        pass  # only root may, without a rule for udev
    if latency_ms(path) == now:
        try:
            serial.set_low_latency_mode(True)
        except (OSError, ValueError, NotImplementedError, AttributeError):
            pass  # the driver does not know it


def remedy(path: str) -> str:
    """Says what is to be done about a timer that is too long; empty if there is none."""
    now, file = latency_ms(path), timer_of(path)
    if now is None or now <= SHORTEST_MS:
        return ""
    return f"its adapter's latency timer is {now} ms and not this user's to change: echo 1 | sudo tee {file}"
