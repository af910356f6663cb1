"""How fast a line of servos answers, measured before any motor is on: one that is merely slow gets a warning.

One round that is fast enough is enough: a busy machine makes many of them slow, a slow line all of them.
"""

from __future__ import annotations

import time

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.control.robots.family import Family
from ideomotor.control.robots.latency_timer import remedy
from ideomotor.control.robots.register_retry import REPLY_S
from ideomotor.control.robots.servo_line import ServoLine
from ideomotor.control.servo_bus import ServoBus

ROUNDS = 40  # at most
SHARE = 0.8  # of a tick, that its readings may take


def rounds(line: ServoLine, family: Family, layout: ServoBus, enough: float = 0.0) -> np.ndarray:
    """Returns how long the readings of one tick take, (n,) [s], as often as all servos answered.

    Args:
        enough: no further ones after one that took no longer [s].
    """
    address, size = family.motion
    ids, usual, took = [servo.id for servo in layout.servos], line.timeout, []
    line.timeout = REPLY_S
    try:
        for turn in range(ROUNDS):
            began, teller = time.monotonic(), ids[turn % len(ids)]
            motions = line.sync_read(ids, address, size + turn % 2)
            health = line.read(teller, family.health, family.table_size - family.health)
            ended = time.monotonic()
            if len(motions.data) == len(ids) and teller in health.data and not motions.late():
                took.append(ended - began)
                if took[-1] <= enough:
                    break
    finally:
        line.timeout = usual
    return np.array(took)


def check_pace(line: ServoLine, family: Family, layout: ServoBus, hz: float) -> None:
    """Refuses a line that cannot be read once a tick.

    Raises:
        UserError: with the rate that it could keep, and what makes it slow if that is known.
    """
    took = rounds(line, family, layout, SHARE / hz)
    if not len(took) or took.min() <= SHARE / hz:
        return  # servos that do not answer at all are named elsewhere
    usual = float(np.median(took))
    why = remedy(line.path) or "other programs on the line, a long return delay, or a slow adapter?"
    raise UserError(
        f"bus: {line.path} is slow: the readings of a tick take {1000 * usual:.1f} ms, expected at most "
        f"{1000 * SHARE / hz:.1f} ms for {hz:g} Hz; it could keep {kept_hz(usual)} Hz ({why})"
    )


def kept_hz(seconds: float) -> int:
    """Returns the rate that a line could keep whose readings take so long [s]."""
    return max(1, int(SHARE / seconds))
