"""One Dynamixel X servo of the twin: its control table, and what its registers do to its motor and encoder.

The table is the manufacturer's (`control/robots/dynamixel/registers.py`), and so is what is refused with
which error (e-manual, "Protocol 2.0", section Error). Registers below 64 survive a restart and are locked
while the motor is on. What the manual leaves open is as awkward as it can be: after a restart counts begin
within one turn, goals are kept while the motor is off, and an error that switched it off stays until a
restart.
"""

from __future__ import annotations

from ideomotor.control.robots.dynamixel import registers as reg
from ideomotor.control.robots.registers import Register
from ideomotor.control.servo_bus import Servo

FIRST_VOLATILE = 64
BAUD_OF = {code: baud for baud, code in reg.BAUDS.items()}
TABLE_BYTES = 256
AMBIENT = 30.0  # [°C] of a servo at rest
FULL_LOAD_HEAT = 45.0  # [°C] above that under full load, in the end
HEAT_S = 240.0  # [s], time constant of warming up
SMALL = ("xl330-m077", "xl330-m288")  # those for 5 V; all others are for 12 V
LIMITS = {  # temperature [°C], highest and lowest voltage [0.1 V]
    **dict.fromkeys(SMALL, (70, 70, 35)),
    "xl430-w250": (72, 140, 60),
    "xm430-w350": (80, 160, 95),
    "xm540-w270": (80, 160, 95),
}
WRITABLE = (
    (reg.ID, reg.BAUD, reg.RETURN_DELAY, reg.DRIVE_MODE, reg.MODE, reg.SHADOW_ID, reg.OFFSET)
    + (reg.MAX_TEMPERATURE, reg.MAX_VOLTAGE, reg.MIN_VOLTAGE, reg.MAX_PWM, reg.MAX_POSITION, reg.MIN_POSITION)
    + (reg.STARTUP, reg.SHUTDOWN, reg.TORQUE_ENABLE, reg.RESPONSE_LEVEL, reg.WATCHDOG, reg.GOAL_PWM)
    + (reg.POSITION_D_GAIN, reg.POSITION_I_GAIN, reg.POSITION_P_GAIN, reg.FEEDFORWARD_1, reg.FEEDFORWARD_2)
    + (reg.PROFILE_ACCELERATION, reg.PROFILE_VELOCITY, reg.GOAL_POSITION)
)


class DxlServo:
    """The electronics of one servo; its encoder sees the joint `assembly` counts from where it should be."""

    def __init__(self, servo: Servo, assembly: int) -> None:
        self.servo, self._assembly = servo, assembly
        self.table = bytearray(TABLE_BYTES)
        self.volts = self.usual_volts = 5.0 if servo.model.name in SMALL else 12.0
        self.awake_at = 0.0  # [s]
        self.warmth = AMBIENT  # [°C]
        self.heated: float | None = None  # [°C], by a fault
        self.jump = 0  # [counts], a broken encoder
        self._position = 0.0  # [rad or m] of the joint
        self._turns = 0  # whole turns of the encoder since the last restart
        self._failed = 0  # error bits, until a restart
        self._registered: tuple[int, bytes] | None = None  # a write that waits for ACTION
        hottest, highest, lowest = LIMITS[servo.model.name]
        for register, value in (
            (reg.MODEL, servo.model.number),
            (reg.FIRMWARE, 46),
            (reg.ID, servo.id),
            (reg.BAUD, 3),
            (reg.RETURN_DELAY, 250),
            (reg.DRIVE_MODE, int(servo.mirrored)),
            (reg.MODE, 3),
            (reg.SHADOW_ID, 255 if servo.follows is None else servo.follows),
            (reg.MAX_TEMPERATURE, hottest),
            (reg.MAX_VOLTAGE, highest),
            (reg.MIN_VOLTAGE, lowest),
            (reg.MAX_PWM, reg.FULL_PWM),
            (reg.MAX_POSITION, servo.model.counts_per_turn - 1),
            (reg.SHUTDOWN, 53 if servo.model.name in SMALL else 52),
        ):
            self.put(register, value)
        self.restart()

    def get(self, register: Register) -> int:
        return register.decode(self.table[register.address : register.address + register.size])

    def put(self, register: Register, value: int) -> None:
        self.table[register.address : register.address + register.size] = register.encode(value)

    def restart(self) -> None:
        """As after REBOOT too: registers that are not kept have their usual values, the motor is off."""
        self.table[FIRST_VOLATILE:] = bytes(TABLE_BYTES - FIRST_VOLATILE)
        self.put(reg.RESPONSE_LEVEL, 2)
        gains = (reg.POSITION_P_GAIN, reg.POSITION_I_GAIN, reg.POSITION_D_GAIN)
        for register, value in zip(gains, reg.GAINS[self.servo.model.name], strict=True):
            self.put(register, value)
        self.put(reg.GOAL_PWM, self.get(reg.MAX_PWM))
        self._failed, self._registered = 0, None
        self.forget_turns()

    def forget_turns(self) -> None:
        """Counts begin within one turn again."""
        self._turns = int(self._actual // self.servo.model.counts_per_turn)

    def shut_down(self, bits: int) -> None:
        """Its motor is off until a restart, and ERROR says why."""
        self.put(reg.TORQUE_ENABLE, 0)
        self._failed |= bits & 0xFF

    def write(self, address: int, data: bytes, kept_too: bool = True) -> int:
        """What the master's WRITE does; returns the error number (0: done).

        Args:
            address: of the first byte.
            data: one whole register, or several that follow each other.
            kept_too: registers below 64 may be written.
        """
        writes, at = [], address
        while at < address + len(data):
            register = next((r for r in WRITABLE if r.address == at), None)
            if register is None:
                return reg.NO_ACCESS
            if at + register.size > address + len(data):
                return reg.BAD_LENGTH
            writes.append((register, register.decode(data, address)))
            at += register.size
        for register, value in writes:
            if register.address < FIRST_VOLATILE and (self.on or not kept_too):
                return reg.NO_ACCESS
            if error := self._refusal(register, value):
                return error
            self.put(register, value)
            if register is reg.MODE:
                self.forget_turns()
        return 0

    def _refusal(self, register: Register, value: int) -> int:
        stopped = self.get(reg.WATCHDOG) == reg.WATCHDOG_STOPPED
        if stopped and register in (reg.GOAL_POSITION, reg.GOAL_PWM):
            return reg.BAD_RANGE
        if stopped and register is reg.WATCHDOG and value:
            return reg.BAD_RANGE
        if register is reg.ID and value > reg.MAX_ID or register is reg.BAUD and value not in BAUD_OF:
            return reg.BAD_RANGE
        if register is reg.TORQUE_ENABLE and value and self._failed:
            return reg.FAILED
        if register is reg.GOAL_PWM and abs(value) > self.get(reg.MAX_PWM):
            return reg.BAD_LIMIT
        within = self.get(reg.MIN_POSITION) <= value <= self.get(reg.MAX_POSITION)
        if register is reg.GOAL_POSITION and not self._many_turns and not within:
            return reg.BAD_LIMIT
        return 0

    def register(self, address: int, data: bytes) -> None:
        """REG WRITE: to be carried out by ACTION."""
        self._registered = (address, data)

    def action(self) -> int:
        """Carries out what was registered; returns the error number (0: done)."""
        if self._registered is None:
            return reg.BAD_INSTRUCTION
        registered, self._registered = self._registered, None
        return self.write(*registered)

    @property
    def address(self) -> int:
        return self.get(reg.ID)

    @property
    def baud(self) -> int:
        return BAUD_OF.get(self.get(reg.BAUD), 0)

    @property
    def celsius(self) -> float:
        return self.warmth if self.heated is None else self.heated

    @property
    def on(self) -> bool:
        return self.get(reg.TORQUE_ENABLE) == 1

    @property
    def torque_limit(self) -> float:
        """[N m] of the servo's shaft."""
        return abs(self.get(reg.GOAL_PWM)) / reg.FULL_PWM * self.servo.model.stall_torque

    @property
    def target(self) -> float:
        """Where the joint is to go [rad or m]."""
        return self._position + (self.get(reg.GOAL_POSITION) - self._reported) / self.servo.counts_per_unit

    @property
    def _many_turns(self) -> bool:
        return self.get(reg.MODE) == reg.MANY_TURNS

    @property
    def _actual(self) -> float:
        """[counts] of the encoder, going on over turns."""
        return self.servo.zero + self.servo.counts_per_unit * self._position + self._assembly + self.jump

    @property
    def _reported(self) -> float:
        turn, offset = self.servo.model.counts_per_turn, self.get(reg.OFFSET)
        if self._many_turns:
            return self._actual - turn * self._turns + offset
        return self._actual % turn + (offset if abs(offset) <= reg.MAX_OFFSET_ONE_TURN else 0)

    def sense(self, position: float, velocity: float, effort: float, dt: float, silence: float) -> None:
        """Puts what the joint does into the table, and switches the motor off if it must be."""
        model, first = self.servo.model, not self.get(reg.VOLTAGE)
        self._position = position
        if first:
            self.forget_turns()
        counts_per_unit = self.servo.counts_per_unit
        self.put(reg.POSITION, round(self._reported))
        self.put(reg.SPEED, round(counts_per_unit * velocity / model.counts_per_turn / reg.SPEED_UNIT))
        share = effort / (model.stall_torque * self.servo.gear_ratio) * self.servo.direction
        self.put(reg.EFFORT, max(-32767, min(32767, round(share / model.effort_unit))))
        aim = AMBIENT + FULL_LOAD_HEAT * abs(share)
        self.warmth += (aim - self.warmth) * min(1.0, dt / HEAT_S)
        self.put(reg.VOLTAGE, round(self.volts / reg.VOLTAGE_UNIT))
        self.put(reg.TEMPERATURE, min(255, round(self.celsius)))
        self.put(reg.MOVING, int(abs(velocity) > 0.02))
        self._protect(silence)

    def _protect(self, silence: float) -> None:
        hot = self.celsius >= self.get(reg.MAX_TEMPERATURE)
        low, high = self.get(reg.MIN_VOLTAGE), self.get(reg.MAX_VOLTAGE)
        strange = not low <= self.get(reg.VOLTAGE) <= high
        now = reg.ERROR_TEMPERATURE * hot | reg.ERROR_VOLTAGE * strange
        if now & self.get(reg.SHUTDOWN):
            self.shut_down(now & self.get(reg.SHUTDOWN))
        self.put(reg.ERROR, self._failed | now)
        allowed = self.get(reg.WATCHDOG)
        if self.on and 0 < allowed < 128 and silence > allowed * reg.WATCHDOG_UNIT:
            self.put(reg.WATCHDOG, reg.WATCHDOG_STOPPED)
            self.put(reg.GOAL_POSITION, self.get(reg.POSITION))  # it stops where it is
