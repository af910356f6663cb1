"""One emulated STS3215: memory table, encoder, motor. Of `sts_emulator.py`; standard library only.

Written from Feetech's "STS3215 memory table" and protocol manual, sharing nothing with `control/robots/` or
`sim/twin/`, so that a mistake there does not agree with itself here. What the table says and others miss:
with LOCK at 1 a register below 40 can be written, but has its old value after the next power-on; OFFSET is
subtracted from the encoder and the result wraps at 4096 unless bit 4 of PHASE is set; goals are clamped to
MIN_POSITION and MAX_POSITION unless both are 0; TORQUE_ENABLE 128 makes the present position 2048.
"""

from __future__ import annotations

from dataclasses import dataclass

TURN = 4096  # [counts]
EEPROM_END = 40
TABLE_BYTES = 87
READ_ONLY = {0, 1, 3, 4, *range(56, TABLE_BYTES)}
STEP_S = 0.002  # of the motion's integration
NO_LOAD_SPEED = 3060.0  # [counts/s], 4.7 rad/s at 7.4 V
QUICKEST = 100_000.0  # [counts/s²]
CLOSING = 25.0  # [1/s] at P gain 32, how fast a joint closes in on its goal
STALLED_SHARE = 1000  # PRESENT_LOAD of a motor that gives all it has

# name: (address, bytes, sign bit or None, value out of the box)
REGISTERS: dict[str, tuple[int, int, int | None, int]] = {
    "firmware_major": (0, 1, None, 3),
    "firmware_minor": (1, 1, None, 10),
    "model": (3, 2, None, 777),
    "id": (5, 1, None, 1),
    "baud": (6, 1, None, 0),
    "return_delay": (7, 1, None, 250),  # [2 µs]
    "response_level": (8, 1, None, 1),
    "min_position": (9, 2, None, 0),
    "max_position": (11, 2, None, 4095),
    "max_temperature": (13, 1, None, 70),
    "max_voltage": (14, 1, None, 80),  # [0.1 V]
    "min_voltage": (15, 1, None, 40),
    "max_torque": (16, 2, None, 1000),  # [0.1 %]
    "phase": (18, 1, None, 12),
    "unload_condition": (19, 1, None, 44),
    "led_condition": (20, 1, None, 47),
    "p_gain": (21, 1, None, 32),
    "d_gain": (22, 1, None, 32),
    "i_gain": (23, 1, None, 0),
    "startup_force": (24, 2, None, 16),
    "dead_zone_cw": (26, 1, None, 1),
    "dead_zone_ccw": (27, 1, None, 1),
    "protection_current": (28, 2, None, 500),
    "resolution": (30, 1, None, 1),
    "offset": (31, 2, 11, 0),
    "mode": (33, 1, None, 0),
    "protective_torque": (34, 1, None, 20),  # [%]
    "protection_time": (35, 1, None, 200),  # [10 ms]
    "overload_torque": (36, 1, None, 80),  # [%]
    "torque_enable": (40, 1, None, 0),
    "acceleration": (41, 1, None, 0),  # [100 counts/s²]
    "goal_position": (42, 2, 15, 0),
    "goal_time": (44, 2, 10, 0),  # in mode 2 the motor's voltage, [0.1 %]
    "goal_speed": (46, 2, 15, 0),  # [counts/s]
    "torque_limit": (48, 2, None, 1000),
    "lock": (55, 1, None, 1),
    "position": (56, 2, 15, 0),
    "speed": (58, 2, 15, 0),
    "load": (60, 2, 10, 0),
    "voltage": (62, 1, None, 74),
    "temperature": (63, 1, None, 30),
    "status": (65, 1, None, 0),
    "moving": (66, 1, None, 0),
    "current": (69, 2, 15, 0),
}
AT = {address: name for name, (address, _, _, _) in REGISTERS.items()}
OVERLOAD = 32  # bit of the status


@dataclass
class Circumstances:
    """What a test does to a servo; everything else is in its table."""

    silent: bool = False  # does not answer, and receives nothing
    frozen: bool = False  # something holds its joint
    weight: float = 0.0  # share of the stall torque that it takes to move the joint
    stops: tuple[float, float] | None = None  # ends of the joint [counts of the encoder, unwrapped]
    latency_s: tuple[float, float] = (0.0, 0.0)  # each reply is this much later, drawn evenly
    limits_switch_on: bool = False  # writing 9 or 11 switches the motor on, as some firmware is said to
    goals_switch_on: bool = False  # a goal outside of them does, as lerobot#3585 reports
    protects: bool = False  # overload protection as the table has it (34, 35, 36)
    volts: float = 7.4
    celsius: int = 30
    errors: int = 0  # bits of the status besides


class Servo:
    """Its table, and `angle`, where its encoder is [counts, unwrapped]."""

    def __init__(self, number: int, angle: float) -> None:
        self.table = bytearray(TABLE_BYTES)
        for name, (_, _, _, value) in REGISTERS.items():
            self.put(name, value)
        self.put("id", number)
        self.kept = bytes(self.table[:EEPROM_END])  # what a power-on brings back
        self.angle, self.speed, self.strained_s = float(angle), 0.0, 0.0
        self.lowest = self.highest = self.angle  # since the test asked last
        self.turns = 0.0  # [counts] of whole turns, which it forgets without power
        self.circumstances = Circumstances()
        self.pending: tuple[int, bytes] | None = None  # a write that waits for ACTION
        self.step_goal = 0.0  # of mode 3, on the encoder
        self.sense(0.0)

    def get(self, name: str) -> int:
        address, size, sign, _ = REGISTERS[name]
        value = int.from_bytes(self.table[address : address + size], "little")
        return value if sign is None or not value >> sign & 1 else -(value & (1 << sign) - 1)

    def put(self, name: str, value: int) -> None:
        address, size, sign, _ = REGISTERS[name]
        coded = value if value >= 0 or sign is None else -value | 1 << sign
        self.table[address : address + size] = coded.to_bytes(size, "little")

    def power_on(self) -> None:
        """After a loss of supply: what is kept is as kept, everything else as out of the box."""
        for name, (address, _, _, value) in REGISTERS.items():
            if address >= EEPROM_END:
                self.put(name, value)
        self.table[:EEPROM_END] = self.kept
        self.put("torque_limit", self.get("max_torque"))
        self.speed, self.pending = 0.0, None
        self.turns = self.angle // TURN * TURN
        self.sense(0.0)

    def write(self, address: int, data: bytes) -> list[tuple[str, int]]:
        """Takes a WRITE; returns (register, value) of what was written."""
        turned_on = self.get("torque_enable")
        for at, byte in enumerate(data, start=address):
            if at < TABLE_BYTES and at not in READ_ONLY:
                self.table[at] = byte
                if at < EEPROM_END and not self.table[REGISTERS["lock"][0]]:
                    self.kept = bytes((*self.kept[:at], byte, *self.kept[at + 1 :]))
        written = [AT[at] for at in range(address, address + len(data)) if at in AT]
        if "torque_enable" in written and self.get("torque_enable") == 128:
            self.put("offset", max(-2047, min(2047, round(self.angle) % TURN - TURN // 2)))
            self.put("torque_enable", turned_on)
        if {"min_position", "max_position"} & {*written} and self.circumstances.limits_switch_on:
            self.put("torque_enable", 1)
        outside = not self.get("min_position") <= self.get("goal_position") <= self.get("max_position")
        if "goal_position" in written and outside and self.circumstances.goals_switch_on:
            self.put("torque_enable", 1)
        if "goal_position" in written:
            self.step_goal = self.angle + self.get("goal_position")
        if {"goal_position", "torque_enable"} & {*written}:
            self.strained_s = 0.0
        self.sense(0.0)
        return [(name, self.get(name)) for name in written]

    @property
    def reported(self) -> float:
        """[counts] as the servo gives them."""
        if self.get("phase") & 16:
            return self.angle - self.turns - self.get("offset")
        return (self.angle - self.get("offset")) % TURN

    def error(self) -> float:
        """[counts] that its controller wants to go."""
        if self.get("mode") == 3:
            return self.step_goal - self.angle
        lower, upper = self.get("min_position"), self.get("max_position")
        goal = self.get("goal_position")
        clamped = goal if lower == upper == 0 else min(max(goal, lower), upper)
        return clamped - self.reported  # along the numbers that it reports: never across their seam

    def advance(self, dt: float) -> None:
        """Moves on by `dt` [s]."""
        while dt > 0:
            step = min(dt, STEP_S)
            self._step(step)
            dt -= step

    def _step(self, dt: float) -> None:
        share = min(self.get("torque_limit"), self.get("max_torque")) / 1000
        if self.strained_s >= self.get("protection_time") / 100:
            share = min(share, self.get("protective_torque") / 100)
        wanted = self._wanted() if self.get("torque_enable") == 1 else 0.0
        able = share > self.circumstances.weight and not self.circumstances.frozen
        ramp = self.get("acceleration")
        change = dt * (100.0 * ramp if 0 < ramp < 254 else QUICKEST)
        before = self.speed
        self.speed += max(-change, min(change, (wanted if able else 0.0) - before))
        if self.circumstances.frozen:
            self.speed = 0.0
        self.angle += dt * (before + self.speed) / 2
        stopped = False
        if self.circumstances.stops is not None:
            within = max(self.circumstances.stops[0], min(self.circumstances.stops[1], self.angle))
            stopped = within != self.angle
            self.angle, self.speed = within, 0.0 if stopped else self.speed
        strain = share if wanted and (stopped or not able) else 0.1 * abs(self.speed) / NO_LOAD_SPEED
        self._load = strain if wanted >= 0 else -strain
        protects = self.circumstances.protects and strain * 100 >= self.get("overload_torque")
        self.strained_s = self.strained_s + dt if protects or self._protecting else 0.0
        self.sense(self._load)

    @property
    def _protecting(self) -> bool:
        return self.strained_s >= self.get("protection_time") / 100

    def _wanted(self) -> float:
        """[counts/s] that its controller asks of the motor."""
        mode, limit = self.get("mode"), abs(self.get("goal_speed")) or NO_LOAD_SPEED
        if mode == 1:
            return max(-NO_LOAD_SPEED, min(NO_LOAD_SPEED, self.get("goal_speed")))
        if mode == 2:
            return NO_LOAD_SPEED * self.get("goal_time") / 1000
        error = self.error()
        if abs(error) < 1:
            return 0.0
        limit = min(limit, NO_LOAD_SPEED)
        return max(-limit, min(limit, CLOSING * self.get("p_gain") / 32 * error))

    def sense(self, load: float) -> None:
        """Puts what it measures into the table."""
        self.lowest, self.highest = min(self.lowest, self.angle), max(self.highest, self.angle)
        reported = int(self.reported // 1) if not self.get("phase") & 16 else round(self.reported)
        self.put("position", max(-32767, min(32767, reported)))
        self.put("speed", max(-32767, min(32767, round(self.speed))))
        self.put("load", max(-1000, min(1000, round(STALLED_SHARE * load))))
        self.put("current", round(abs(load) * 370))  # 2.4 A when it stalls
        self.put("voltage", round(10 * self.circumstances.volts))
        self.put("temperature", self.circumstances.celsius)
        self.put("moving", int(abs(self.speed) > 10))
        overload = OVERLOAD if self._protecting else 0
        self.put("status", self.circumstances.errors | overload)
