"""What of a Dynamixel X servo's control table another program may have left so that it moves otherwise.

Usual values: e-manual.robotis.com, dxl/x. Mode, return delay, gains, profile and PWM are set at each
connection (`bus.py`), direction and secondary id are the builder's and refused. Position limits do not hold
in the mode it is driven in (4, many turns), current limits neither.
"""

from __future__ import annotations

from ideomotor.control.robots.dynamixel import registers as reg
from ideomotor.control.robots.settings import Setting, exactly, with_bits

SHUTS_DOWN = reg.ERROR_TEMPERATURE | reg.ERROR_SHOCK | reg.ERROR_OVERLOAD

SETTINGS = (
    Setting(
        "drive mode, torque on by goal",
        reg.DRIVE_MODE,
        0,
        *exactly(0),
        "every goal switches its motor on",
        mask=reg.TORQUE_ON_BY_GOAL,
    ),
    Setting(
        "PWM limit",
        reg.MAX_PWM,
        reg.FULL_PWM,
        lambda got, need: got >= round(reg.FULL_PWM * need.effort_share),
        lambda need: f"at least {reg.FULL_PWM * need.effort_share:.0f}",
        "it is too weak for its joint",
    ),
    Setting(
        "startup configuration",
        reg.STARTUP,
        0,
        *exactly(0),
        "it switches its motor on by itself, or brings back old settings, when power comes",
        mask=3,
    ),
    Setting("shutdown", reg.SHUTDOWN, SHUTS_DOWN, *with_bits(SHUTS_DOWN), "it does not protect itself"),
)
