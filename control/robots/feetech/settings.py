"""What of an STS servo's memory table another program may have left so that it moves otherwise.

Usual values: Feetech's memory table of the STS3215. What LeRobot writes (`so_follower.py`: P gain 16, the
gripper's torque halved and its protection stricter; its calibration: limits and offset) is accepted
wherever the joint can still do what it must. Protections may be stricter than usual, but not off.
"""

from __future__ import annotations

from ideomotor.control.robots.feetech import registers as reg
from ideomotor.control.robots.settings import Setting, between, exactly, with_bits

FULL_TORQUE = 1000  # of MAX_TORQUE and TORQUE_LIMIT
PHASE_BITS = (
    0b1001_1101  # of PHASE: direction of the motor, unit and meaning of speed, feedback, its direction
)
PHASE = 0b0000_1100  # speeds in counts/s, 0 is the highest
SHUTS_DOWN = 0b0010_1100  # of SHUTDOWN: temperature, current, load

SETTINGS = (
    Setting("mode", reg.MODE, 0, *exactly(0), "it does not go to positions", counts=True),
    Setting(
        "phase",
        reg.PHASE,
        PHASE,
        *exactly(PHASE),
        "bit 4: positions do not wrap; 0 and 7: it turns or counts the other way; 2 and 3: its speed",
        mask=PHASE_BITS,
        counts=True,
    ),
    Setting("resolution", reg.RESOLUTION, 1, *exactly(1), "positions are counted otherwise", counts=True),
    Setting(
        "lower position limit",
        reg.MIN_POSITION,
        0,
        lambda got, need: got <= need.lower,
        lambda need: f"at most {need.lower}",
        "goals are clamped to it",
    ),
    Setting(
        "upper position limit",
        reg.MAX_POSITION,
        4095,
        lambda got, need: got >= need.upper,
        lambda need: f"at least {need.upper}",
        "goals are clamped to it",
    ),
    Setting(
        "highest torque",
        reg.MAX_TORQUE,
        FULL_TORQUE,
        lambda got, need: got >= round(FULL_TORQUE * need.effort_share),
        lambda need: f"at least {FULL_TORQUE * need.effort_share:.0f}",
        "it is too weak for its joint",
    ),
    Setting("P gain", reg.P_GAIN, 32, *between(16, 32), "it follows otherwise"),
    Setting("D gain", reg.D_GAIN, 32, *between(16, 64), "it follows otherwise"),
    Setting("I gain", reg.I_GAIN, 0, *exactly(0), "it overshoots"),
    Setting("startup force", reg.STARTUP_FORCE, 16, *between(0, 64), "it moves in jumps"),
    Setting("dead zone, clockwise", reg.DEAD_ZONE_CW, 1, *between(0, 4), "it stops short of its goal"),
    Setting("dead zone, the other way", reg.DEAD_ZONE_CCW, 1, *between(0, 4), "it stops short of its goal"),
    Setting("response level", reg.RESPONSE_LEVEL, 1, *exactly(1), "it acknowledges nothing"),
    Setting("shutdown", reg.SHUTDOWN, SHUTS_DOWN, *with_bits(SHUTS_DOWN), "it does not protect itself"),
    Setting(
        "protection current", reg.PROTECTION_CURRENT, 500, *between(1, 511), "it does not protect itself"
    ),
    Setting("protective torque", reg.PROTECTIVE_TORQUE, 20, *between(0, 50), "it does not protect itself"),
    Setting("protection time", reg.PROTECTION_TIME, 200, *between(1, 254), "it does not protect itself"),
    Setting("overload torque", reg.OVERLOAD_TORQUE, 80, *between(1, 100), "it does not protect itself"),
)
