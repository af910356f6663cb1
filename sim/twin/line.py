"""A line of servos as its master sees it: bytes in, bytes out, at the right times.

What all protocols have in common: the arm that the servos move, its faults, and when a reply comes out. A
protocol (`sts_protocol.py`, `dxl_protocol.py`) says what an instruction is and what follows from it. Nothing
here knows of pseudo-terminals or real time: `now` is given.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.servo_bus import Servo
from ideomotor.sim.twin.faults import FaultPlan
from ideomotor.sim.twin.guiding_hand import GuidingHand
from ideomotor.sim.twin.hand import Hand
from ideomotor.sim.twin.plant import Plant

RESTART_VOLTS = 4.0  # a servo whose supply is below starts anew when it is back
RESTART_S = 0.3  # [s] that a servo is silent after its supply is back
LONGEST_GAP_S = 0.25  # [s]: a plant that was not looked at for longer only moves on by this much


class TwinServo(Protocol):
    """The electronics of one servo.

    Attributes:
        servo: what it is.
        usual_volts: its supply when nothing is wrong [V].
        awake_at: it does not answer before [s].
        volts, heated, jump: what faults do to it: supply [V], temperature [°C] (None: its own), broken
            encoder [counts].
    """

    servo: Servo
    usual_volts: float
    awake_at: float
    volts: float
    heated: float | None
    jump: int

    @property
    def address(self) -> int: ...  # the id that it answers to now
    @property
    def baud(self) -> int: ...  # the rate that it listens and speaks at [bit/s]
    @property
    def on(self) -> bool: ...  # whether its motor is
    @property
    def target(self) -> float: ...  # where the joint is to go [rad or m]
    @property
    def torque_limit(self) -> float: ...  # of the servo's shaft [N m]

    def restart(self) -> None:
        """Power was gone."""
        ...

    def shut_down(self, bits: int) -> None:
        """Something in it fails, and it switches its motor off by itself, with these error bits."""
        ...

    def sense(self, position: float, velocity: float, effort: float, dt: float, silence: float) -> None:
        """Takes in what its joint does `dt` [s] after the last time, and the line's silence [s]."""
        ...


class TwinLine(ABC):
    """Servos, the arm that they move, and the faults of both."""

    def __init__(
        self, embodiment: Embodiment, now: float, plant: Plant, servos: Mapping[int, TwinServo]
    ) -> None:
        """Args:
        embodiment: with a section `bus`.
        now: [s], the twin's clock.
        plant: what the servos move.
        servos: {id: servo}, those of the joints first, in joint order, then shadows.
        """
        self.faults = FaultPlan(servos)
        self.baud: int | None = None  # [bit/s] of the master's port; None: whatever the servos have
        self._embodiment = embodiment
        self._hand: Hand | GuidingHand | None = None
        self._plant = plant
        self._all = servos
        self._joints = [
            [servo for servo in servos.values() if servo.servo.joint == joint]
            for joint in embodiment.joint_names
        ]
        self._moved_to = self._spoke_at = now  # the arm moves in whole steps: it is up to one of them behind
        self._input = bytearray()
        self._output: list[tuple[float, int, bytes]] = []  # (when, order, bytes), a heap
        self._count = 0
        no_motor = np.zeros(len(embodiment.joints), dtype=bool)
        self._motion = plant.step(embodiment.home_position, no_motor, embodiment.max_effort, 0)
        self._sense(0.0, 0.0)

    @abstractmethod
    def _packet(self) -> bytes | None:
        """Takes the next whole instruction out of `_input`; None: there is none yet."""

    @abstractmethod
    def _obey(self, packet: bytes) -> None:
        """Carries it out, with `_reply` for each answer."""

    @property
    def position(self) -> np.ndarray:
        """(A,) [rad or m], where the joints really are."""
        return self._motion.position

    def hand(self, what: str, now: float, pace: float = 1.0) -> None:
        """Somebody moves the arm as in `hand.py`, or takes the hand "off" it."""
        at = self._motion.position
        self._hand = None if what == "off" else Hand(what, self._embodiment, at, now, pace)

    def held_by(self, hand: GuidingHand) -> None:
        """Somebody has the arm in their hand from now on."""
        self._hand = hand

    def receive(self, data: bytes, now: float) -> None:
        """Takes in what the master sent; answers appear in `output`."""
        self.advance(now)
        if data and self.faults.now("echo", 0, now):
            self._put(data, now)
        self._input += data
        while (packet := self._packet()) is not None:
            self._spoke_at = now
            self._obey(packet)

    def output(self, now: float) -> bytes:
        """Returns what has come out of the line by `now` and was not fetched yet."""
        out = b""
        while self._output and self._output[0][0] <= now:
            out += heapq.heappop(self._output)[2]
        return out

    def next_output(self) -> float:
        """Returns when something comes out next; infinity if nothing is under way."""
        return self._output[0][0] if self._output else float("inf")

    def forget_output(self) -> None:
        """The adapter is gone, and what was under way with it."""
        self._output.clear()
        self._input.clear()

    def advance(self, now: float) -> None:
        """Lets the arm move until `now`."""
        if now - self._moved_to > LONGEST_GAP_S:
            self._moved_to = now - LONGEST_GAP_S
        self._supply(now)
        step_s = self._plant.step_s
        steps = int((now - self._moved_to) / step_s + 1e-6)
        if steps > 0:
            self._moved_to += steps * step_s
        if self._hand is not None and self._hand.lets_go and all(servo.on for servo in self._all.values()):
            self._hand = None
        if self._hand is not None:
            self._motion = self._plant.by_hand(self._hand.position(now))
        elif steps > 0:
            target = np.array([joint[0].target for joint in self._joints])
            on = np.array([any(servo.on for servo in joint) for joint in self._joints])
            limit = np.array(
                [sum(s.torque_limit * s.servo.gear_ratio for s in joint if s.on) for joint in self._joints]
            )
            self._motion = self._plant.step(target, on, limit, steps)
        self._sense(steps * step_s, now - self._spoke_at)

    def _sense(self, dt: float, silence: float) -> None:
        motion = zip(self._motion.position, self._motion.velocity, self._motion.effort, strict=True)
        for joint, (position, velocity, effort) in zip(self._joints, motion, strict=True):
            for servo in joint:
                servo.sense(float(position), float(velocity), float(effort) / len(joint), dt, silence)

    def _supply(self, now: float) -> None:
        for servo_id, servo in self._all.items():
            low = self.faults.now("brownout", servo_id, now)
            servo.volts = low.values["volts"] if low else servo.usual_volts
            if servo.volts < RESTART_VOLTS:
                servo.restart()
                servo.awake_at = now + RESTART_S
            hot = self.faults.now("hot", servo_id, now)
            servo.heated = hot.values["celsius"] if hot else None
            jump = self.faults.now("jump", servo_id, now)
            servo.jump = int(jump.values["counts"]) if jump else 0
            failure = self.faults.now("shutdown", servo_id, now, spend=True)
            if failure:
                servo.shut_down(int(failure.values["bits"]))

    def _called(self, address: int) -> list[int]:
        """The servos that have this id now, by the ids that they came with: several, if somebody gave one
        twice."""
        return [servo_id for servo_id, servo in self._all.items() if servo.address == address]

    def _answers(self, servo_id: int) -> bool:
        """Whether a servo is alive, awake and at the master's baud rate."""
        if self.faults.now("dead", servo_id, self._spoke_at):
            return False
        servo = self._all[servo_id]
        return self._spoke_at >= servo.awake_at and self.baud in (None, servo.baud)

    def _silences_others(self, servo_id: int) -> bool:
        """Whether those behind a dead servo wait for its reply for ever."""
        dead = self.faults.now("dead", servo_id, self._spoke_at)
        return dead is not None and dead.values["chain"] > 0

    def _reply(self, servo_id: int, packet: bytes, spoils: int) -> None:
        """Lets a reply come out, if nothing befalls it; a corrupt one is wrong at byte `spoils`."""
        now, faults, data = self._spoke_at, self.faults, bytearray(packet)
        if faults.now("drop", servo_id, now, spend=True):
            return
        if faults.now("corrupt", servo_id, now, spend=True):
            data[spoils] ^= 0x10
        late = faults.now("delay", servo_id, now, spend=True)
        if faults.now("noise", servo_id, now, spend=True):
            data[:0] = b"\x00\xff\x17"
        self._put(bytes(data), now + (late.values["ms"] / 1000 if late else 0.0))

    def _put(self, data: bytes, when: float) -> None:
        self._count += 1
        heapq.heappush(self._output, (when, self._count, data))
