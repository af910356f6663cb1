"""Control table of Dynamixel X servos (XL330, XL430, XM430, XM540; Protocol 2.0), as far as it is used here.

Addresses and units are the manufacturer's (e-manual.robotis.com, "Control Table" of each model); the models
differ in the unit of EFFORT only (`control/servo_bus.py`). Values are little endian, signed ones two's
complement. Registers below 64 are kept without power and can only be written while the motor is off; those
above are reset at power-on and by a reboot.
"""

from __future__ import annotations

from ideomotor.control.robots.registers import Register

MODEL = Register(0, 2)
FIRMWARE = Register(6)
ID = Register(7)
BAUD = Register(8)  # 3: 1 Mbit/s
RETURN_DELAY = Register(9)  # [2 µs]
DRIVE_MODE = Register(10)  # bit 0: counts the other way round; bit 3: every goal switches the motor on
MODE = Register(11)  # 3: position within one turn, 4: position over many turns
SHADOW_ID = Register(12)  # obeys this id too, without answering; 253 and more: none
OFFSET = Register(20, 4, signed=True)  # [counts], added to what the encoder reads
MAX_TEMPERATURE = Register(31)  # [°C]
MAX_VOLTAGE = Register(32, 2)  # [0.1 V]
MIN_VOLTAGE = Register(34, 2)  # [0.1 V]
MAX_PWM = Register(36, 2)  # [0.113 %]
MAX_POSITION = Register(48, 4, signed=True)  # [counts], in mode 3
MIN_POSITION = Register(52, 4, signed=True)  # [counts], in mode 3
STARTUP = Register(60)  # bit 0: motor on when power comes; bit 1: RAM is restored
SHUTDOWN = Register(63)  # error bits that switch the motor off

TORQUE_ENABLE = Register(64)
RESPONSE_LEVEL = Register(68)  # 2: every instruction is answered
ERROR = Register(70)  # the error bits below, until a reboot
POSITION_D_GAIN = Register(80, 2)
POSITION_I_GAIN = Register(82, 2)
POSITION_P_GAIN = Register(84, 2)
FEEDFORWARD_2 = Register(88, 2)  # of acceleration
FEEDFORWARD_1 = Register(90, 2)  # of speed
WATCHDOG = Register(98)  # [20 ms] of silence on the line that make a motor stop; 255: it did; 0: off
GOAL_PWM = Register(100, 2, signed=True)  # [0.113 %], in position modes the limit of the motor's voltage
PROFILE_ACCELERATION = Register(108, 4)  # 0: as fast as possible
PROFILE_VELOCITY = Register(112, 4)  # 0: as fast as possible
GOAL_POSITION = Register(116, 4, signed=True)  # [counts]
MOVING = Register(122)
EFFORT = Register(126, 2, signed=True)  # current, on XL430 load
SPEED = Register(128, 4, signed=True)  # [0.229 rev/min]
POSITION = Register(132, 4, signed=True)  # [counts]
VOLTAGE = Register(144, 2)  # [0.1 V]
TEMPERATURE = Register(146)  # [°C]
TABLE_SIZE = 147  # [bytes]; what lies behind is not used

# {baud rate [bit/s]: value of BAUD}, the usual ones first; they come with 57600.
BAUDS = {1_000_000: 3, 57_600: 1, 115_200: 2, 2_000_000: 4, 3_000_000: 5, 4_000_000: 6, 9_600: 0}
MAX_ID = 252  # 253 is reserved, 254 is everybody
FULL_PWM = 885  # of GOAL_PWM, 100 %
MANY_TURNS = 4  # of MODE
TORQUE_ON_BY_GOAL = 8  # of DRIVE_MODE
GAINS = {  # P, I, D after power-on
    "xl330-m077": (400, 0, 0),
    "xl330-m288": (400, 0, 0),
    "xl430-w250": (640, 0, 4000),
    "xm430-w350": (800, 0, 0),
    "xm540-w270": (800, 0, 0),
}
MAX_OFFSET_ONE_TURN = 1024  # in mode 3 a larger OFFSET is ignored
NO_SHADOW = 253
VOLTAGE_UNIT = 0.1  # [V]
WATCHDOG_UNIT = 0.02  # [s]
WATCHDOG_STOPPED = 255
SPEED_UNIT = 0.229 / 60  # [turns/s]

# Bits of ERROR and SHUTDOWN.
ERROR_VOLTAGE, ERROR_TEMPERATURE, ERROR_ENCODER, ERROR_SHOCK, ERROR_OVERLOAD = 1, 4, 8, 16, 32
# Error byte of a reply: this bit says that ERROR is not 0, those below it what was wrong with the request.
ALERT = 128
FAILED, BAD_INSTRUCTION, BAD_CRC, BAD_RANGE, BAD_LENGTH, BAD_LIMIT, NO_ACCESS = range(1, 8)
