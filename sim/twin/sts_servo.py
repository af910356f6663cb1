"""One STS3215 of the twin: its memory table, and what its registers do to its motor and encoder.

The table is the manufacturer's (`control/robots/feetech/registers.py`). Registers below 40 survive a restart
and need LOCK at 0 to be written; the others come back with their usual values and the motor off.
"""

from __future__ import annotations

from ideomotor.control.robots.feetech import registers as reg
from ideomotor.control.servo_bus import Servo

FIRST_VOLATILE = 40
BAUD_OF = {code: baud for baud, code in reg.BAUDS.items()}
AMBIENT = 32.0  # [°C] of a servo at rest
FULL_LOAD_HEAT = 45.0  # [°C] above that under full load, in the end
HEAT_S = 240.0  # [s], time constant of warming up
USUAL_VOLTS = 7.4
STALL_CURRENT = 2.4  # [A] at full load
STALL_DUTY = 1000  # LOAD of a motor at its stall torque
KEPT = (
    (reg.FIRMWARE_MAJOR, 3),
    (reg.FIRMWARE_MINOR, 10),
    (reg.RETURN_DELAY, 250),
    (reg.RESPONSE_LEVEL, 1),
    (reg.MIN_POSITION, 0),
    (reg.MAX_POSITION, 4095),
    (reg.MAX_TEMPERATURE, 70),
    (reg.MAX_VOLTAGE, 140),
    (reg.MIN_VOLTAGE, 40),
    (reg.MAX_TORQUE, 1000),
    (reg.PHASE, 12),
    (reg.SHUTDOWN, 44),
    (reg.P_GAIN, 32),
    (reg.D_GAIN, 32),
    (reg.I_GAIN, 0),
    (reg.STARTUP_FORCE, 16),
    (reg.DEAD_ZONE_CW, 1),
    (reg.DEAD_ZONE_CCW, 1),
    (reg.PROTECTION_CURRENT, 500),
    (reg.RESOLUTION, 1),
    (reg.PROTECTIVE_TORQUE, 20),
    (reg.PROTECTION_TIME, 200),
    (reg.OVERLOAD_TORQUE, 80),
)


class StsServo:
    """The electronics of one servo; its encoder sees the joint `assembly` counts from where it should be."""

    def __init__(self, servo: Servo, assembly: int) -> None:
        self.servo, self._assembly = servo, assembly
        self.table = bytearray(reg.TABLE_SIZE)
        for register, value in (*KEPT, (reg.MODEL, servo.model.number), (reg.ID, servo.id)):
            self.put(register, value)
        self.volts = self.usual_volts = USUAL_VOLTS
        self.awake_at = 0.0  # [s]
        self.warmth = AMBIENT  # [°C]
        self._failed = 0  # error bits
        self.heated: float | None = None  # [°C], by a fault
        self.jump = 0  # [counts], a broken encoder
        self._position, self._reported = 0.0, 0.0  # [rad or m] of the joint, [counts]
        self._registered: tuple[int, bytes] | None = None  # a write that waits for ACTION
        self.restart()

    def get(self, register: reg.Register) -> int:
        return register.decode(self.table[register.address : register.address + register.size])

    def put(self, register: reg.Register, value: int) -> None:
        self.table[register.address : register.address + register.size] = register.encode(value)

    def restart(self) -> None:
        """Power was gone: registers that are not kept have their usual values, the motor is off."""
        self.table[FIRST_VOLATILE:] = bytes(reg.TABLE_SIZE - FIRST_VOLATILE)
        self.put(reg.TORQUE_LIMIT, self.get(reg.MAX_TORQUE))
        self.put(reg.LOCK, 1)
        self._failed = 0

    def shut_down(self, bits: int) -> None:
        """Its error bits show what failed until the motor is switched on again."""
        self.put(reg.TORQUE_ENABLE, 0)
        self._failed = bits & 0xFF

    def write(self, address: int, data: bytes) -> None:
        """What the master's WRITE does; what is protected or beyond the table is left alone."""
        for at, byte in enumerate(data, start=address):
            kept = at < FIRST_VOLATILE
            if at >= reg.TABLE_SIZE or (kept and self.get(reg.LOCK)) or reg.POSITION.address <= at:
                continue
            if at in (0, 1, 3, 4):  # firmware and model
                continue
            self.table[at] = byte
        if self.get(reg.TORQUE_ENABLE) == 1:
            self._failed = 0
        if self.table[reg.TORQUE_ENABLE.address] == 128:  # the maker's own "here is the middle"
            raw = (self.get(reg.POSITION) + self.get(reg.OFFSET)) % 4096
            self.put(reg.OFFSET, max(-2047, min(2047, raw - 2048)))
            self.put(reg.TORQUE_ENABLE, 0)

    def register(self, address: int, data: bytes) -> None:
        """REG WRITE: to be carried out by ACTION."""
        self._registered = (address, data)

    def action(self) -> None:
        if self._registered is not None:
            self.write(*self._registered)
            self._registered = None

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
        """Whether the motor is on; a servo that is too hot switches it off."""
        return self.get(reg.TORQUE_ENABLE) == 1 and self.celsius < self.get(reg.MAX_TEMPERATURE)

    @property
    def torque_limit(self) -> float:
        """[N m] of the servo's shaft."""
        share = min(self.get(reg.TORQUE_LIMIT), self.get(reg.MAX_TORQUE)) / 1000
        return share * self.servo.model.stall_torque

    @property
    def target(self) -> float:
        """Where the joint is to go [rad or m]."""
        lower, upper = self.get(reg.MIN_POSITION), self.get(reg.MAX_POSITION)
        goal = self.get(reg.GOAL_POSITION)
        goal = min(max(goal, lower), upper) if upper else goal
        # It goes there along the numbers that it reports, never across the seam between 4095 and 0.
        return self._position + (goal - self._reported) / self.servo.counts_per_unit

    def sense(self, position: float, velocity: float, effort: float, dt: float, silence: float) -> None:
        """Puts what the joint does into the table; `dt` [s] since the last time, for the temperature."""
        scale = self.servo.counts_per_unit
        turn = self.servo.model.counts_per_turn
        raw = self.servo.zero + scale * position + self._assembly + self.jump - self.get(reg.OFFSET)
        self._position, self._reported = position, raw % turn
        self.put(reg.POSITION, round(self._reported) % turn)
        self.put(reg.SPEED, max(-32767, min(32767, round(scale * velocity))))
        share = effort / (self.servo.model.stall_torque * self.servo.gear_ratio)
        duty = max(-STALL_DUTY, min(STALL_DUTY, round(STALL_DUTY * share * self.servo.direction)))
        self.put(reg.LOAD, duty)
        self.put(reg.CURRENT, round(abs(share) * STALL_CURRENT / reg.CURRENT_UNIT))
        aim = AMBIENT + FULL_LOAD_HEAT * abs(share)
        self.warmth += (aim - self.warmth) * min(1.0, dt / HEAT_S)
        self.put(reg.VOLTAGE, round(self.volts / reg.VOLTAGE_UNIT))
        self.put(reg.TEMPERATURE, min(255, round(self.celsius)))
        self.put(reg.MOVING, int(abs(velocity) > 0.02))
        status = reg.ERROR_TEMPERATURE * (self.celsius >= self.get(reg.MAX_TEMPERATURE))
        low = 10 * self.volts < self.get(reg.MIN_VOLTAGE)
        self.put(reg.STATUS, status | reg.ERROR_VOLTAGE * low | self._failed)
