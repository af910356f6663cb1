"""Memory table of Feetech STS servos (STS3215, firmware 3.x), as far as it is used here.

Addresses and units are the manufacturer's ("STS3215 memory table", feetechrc.com). Values are little
endian; signed ones carry their sign in one bit and their size in the bits below it. Registers below 40
are kept without power and can only be written with LOCK at 0; those above are reset at power-on.
"""

from __future__ import annotations

from ideomotor.control.robots.registers import Register

FIRMWARE_MAJOR = Register(0)
FIRMWARE_MINOR = Register(1)
MODEL = Register(3, 2)
ID = Register(5)
BAUD = Register(6)  # 0: 1 Mbit/s
RETURN_DELAY = Register(7)  # [2 µs]
RESPONSE_LEVEL = Register(8)  # 1: every instruction is answered
MIN_POSITION = Register(9, 2)  # [counts]
MAX_POSITION = Register(11, 2)  # [counts]
MAX_TEMPERATURE = Register(13)  # [°C]
MAX_VOLTAGE = Register(14)  # [0.1 V]
MIN_VOLTAGE = Register(15)  # [0.1 V]
MAX_TORQUE = Register(16, 2)  # [0.1 %]
PHASE = Register(18)  # bit 0: the motor turns, 7: the encoder counts the other way; 4: counts do not wrap
SHUTDOWN = Register(19)  # error bits that switch the motor off
P_GAIN = Register(21)
D_GAIN = Register(22)
I_GAIN = Register(23)
STARTUP_FORCE = Register(24, 2)  # [0.1 %]
DEAD_ZONE_CW = Register(26)  # [counts]
DEAD_ZONE_CCW = Register(27)  # [counts]
PROTECTION_CURRENT = Register(28, 2)  # [6.5 mA]
RESOLUTION = Register(30)  # counts are divided by it
OFFSET = Register(31, 2, sign_bit=11)  # [counts], subtracted from what the encoder reads
MODE = Register(33)  # 0: position
PROTECTIVE_TORQUE = Register(34)  # [%] of a motor that was overloaded
PROTECTION_TIME = Register(35)  # [10 ms] of overload until then
OVERLOAD_TORQUE = Register(36)  # [%] from which on it is overloaded

TORQUE_ENABLE = Register(40)
ACCELERATION = Register(41)  # [100 counts/s²], 0 and 254: as fast as possible
GOAL_POSITION = Register(42, 2, sign_bit=15)  # [counts]
GOAL_TIME = Register(44, 2)
GOAL_SPEED = Register(46, 2, sign_bit=15)  # [counts/s], 0: as fast as possible
TORQUE_LIMIT = Register(48, 2)  # [0.1 %]
LOCK = Register(55)  # 0: registers below 40 can be written
POSITION = Register(56, 2, sign_bit=15)  # [counts]
SPEED = Register(58, 2, sign_bit=15)  # [counts/s]
LOAD = Register(60, 2, sign_bit=10)  # [0.1 %] of the highest motor voltage
VOLTAGE = Register(62)  # [0.1 V]
TEMPERATURE = Register(63)  # [°C]
STATUS = Register(65)  # the error bits below
MOVING = Register(66)
CURRENT = Register(69, 2, sign_bit=15)  # [6.5 mA]
TABLE_SIZE = 71  # [bytes]

# {baud rate [bit/s]: value of BAUD}, the usual one first.
BAUDS = {1_000_000: 0, 500_000: 1, 250_000: 2, 128_000: 3, 115_200: 4, 76_800: 5, 57_600: 6, 38_400: 7}
CURRENT_UNIT = 0.0065  # [A]
VOLTAGE_UNIT = 0.1  # [V]

# Bits of the error byte in every reply.
ERROR_VOLTAGE, ERROR_SENSOR, ERROR_TEMPERATURE, ERROR_CURRENT, ERROR_OVERLOAD = 1, 2, 4, 8, 32
