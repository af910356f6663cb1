"""What a Dynamixel X servo of a new arm gets besides its id and rate: no return delay, its whole range, and
which way it counts and whom it follows, as the robot's file says for joints with two motors.
"""

from __future__ import annotations

from collections.abc import Callable

from ideomotor.control.robots.dynamixel import registers as reg
from ideomotor.control.robots.dynamixel.packets import DxlPackets
from ideomotor.control.robots.registers import Register
from ideomotor.control.robots.setup_registers import SetupRegisters
from ideomotor.control.servo_bus import Servo

NOBODY = 255  # of SHADOW_ID


def _kept(servo: Servo, now: Callable[[Register], int]) -> dict[Register, int]:
    follows = NOBODY if servo.follows is None else servo.follows
    if now(reg.SHADOW_ID) >= reg.NO_SHADOW and servo.follows is None:
        follows = now(reg.SHADOW_ID)  # any of these means nobody
    return {
        reg.RETURN_DELAY: 0,
        reg.DRIVE_MODE: now(reg.DRIVE_MODE) & ~1 | int(servo.mirrored),
        reg.SHADOW_ID: follows,
        reg.MAX_POSITION: servo.model.counts_per_turn - 1,
        reg.MIN_POSITION: 0,
    }


SETUP = SetupRegisters(
    packets=DxlPackets,
    bauds=reg.BAUDS,
    new_baud=57_600,
    turns=True,
    model=reg.MODEL,
    id=reg.ID,
    baud=reg.BAUD,
    torque=reg.TORQUE_ENABLE,
    before={reg.RESPONSE_LEVEL: 2},
    kept=_kept,
    after={},
)
