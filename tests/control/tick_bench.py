"""Control, ticked by hand over a robot that is a few numbers, for tests of what a tick does."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.robots.adapters import KeepTorqueOn
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.estop import EStop
from ideomotor.control.runtime.report import ControlConfig
from ideomotor.control.runtime.safe_stop import StopConfig, StopState
from ideomotor.control.runtime.tick import ControlTick
from ideomotor.control.runtime.watchdog import StalenessLimits
from ideomotor.control.safety.effort import EffortLimit
from ideomotor.control.types import ActionChunk, Command, RobotState

ROBOT = load_embodiment("so101")
HZ = float(ROBOT.control_hz)
STOP = StopConfig(park_after_s=0.5, park_speed=2.0, off_after_s=0.1, end_after_s=0.1)
NEAR = replace(  # calls a joint stuck after 0.1 rad and hundredths of a second
    ROBOT,
    joints=tuple(replace(joint, max_following_error=0.1) for joint in ROBOT.joints),
    following_s=0.02,
)


class Clock:
    """Stands in for the module `time` where a tick reads it: the same on every machine, moved by the test."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000_000

    def monotonic_ns(self) -> int:
        return self.now_ns

    def monotonic(self) -> float:
        return self.now_ns / 1e9

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)

    def sleep_until_ns(self, deadline: int) -> None:
        self.now_ns = max(self.now_ns, deadline)


@dataclass(frozen=True)
class Kind:
    stops: bool
    latched: bool = False


@dataclass(frozen=True)
class Fault:
    kind: Kind
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass
class Servos:
    """A line of servos as `KeepTorqueOn` expects it: `disconnect` lets the arm sink by default."""

    position: np.ndarray = field(default_factory=lambda: ROBOT.home_position.copy())
    time: float = 0.0
    wrong: list[Fault] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    refusal: str = ""
    effort: np.ndarray = field(default_factory=lambda: np.zeros(6))
    silent: bool = False
    broken: bool = False
    frozen: bool = False  # its first joint

    def connect(self) -> None:
        self.calls.append("connect")

    def read(self) -> RobotState:
        self.time += 0.0 if self.silent else 1 / HZ
        position = np.full(6, np.nan) if self.silent else self.position.copy()
        return RobotState(self.time, position, np.zeros(6), self.effort)

    def write(self, command: Command) -> None:
        if self.broken:
            raise TimeoutError("no answer")
        self.position[self.frozen :] = command.position[self.frozen :]

    def hold(self) -> None:
        self.calls.append("hold")

    def disconnect(self, torque_off: bool = True) -> None:
        self.calls.append(f"disconnect, torque {'off' if torque_off else 'on'}")

    def goal(self) -> np.ndarray:
        return self.position.copy()

    def faults(self) -> list[Fault]:
        return self.wrong

    def rearm(self) -> None:
        if self.refusal:
            raise UserError(self.refusal)
        self.wrong = []
        self.calls.append("rearm")


class Bench:
    """Control, ticked by hand, with a decoder that publishes a slow swing every 16 ticks.

    A tick takes its 120th of a second of `clock`, and nothing of it by any other.
    """

    def __init__(
        self,
        clock: Clock,
        servos: Servos,
        shared: shared_state.SharedState,
        speed: float = 1.0,
        robot: Embodiment = ROBOT,
        staleness: StalenessLimits | None = None,
        peers: tuple[str, ...] = (),
        **config: Any,
    ) -> None:
        self.clock, self.servos, self.shared, self.tick = clock, servos, shared, 0
        settings = ControlConfig(
            priority=0,
            stop=STOP,
            staleness=staleness or StalenessLimits(),
            peers=peers,
            effort=EffortLimit(for_s=0.02),
            speed=speed,
            **config,
        )
        self.control = ControlTick(shared, robot, KeepTorqueOn(servos), settings, EStop())
        self._record = shared.chunk.new()
        self.feeding = True

    def close(self) -> None:
        self.control.close()
        self.shared.close()

    @staticmethod
    def swing(ticks: np.ndarray) -> np.ndarray:
        """[rad] of the joint that the chunks move."""
        return 0.2 * np.sin(np.pi * ticks / HZ)

    def breaks(self, what: str, latched: bool = False) -> None:
        """The robot says that this is wrong, which stops it; and something that does not."""
        self.servos.wrong = [Fault(Kind(stops=False), "echo"), Fault(Kind(True, latched), what)]

    def run(self, ticks: int) -> bool:
        going = True
        for _ in range(ticks):
            if self.feeding and self.tick % 16 == 0:
                self.feed()
            going = self.control.step(self.tick)
            self.control.record.add(0, 0, 0)
            self.tick += 1
            self.clock.sleep(1 / HZ)
        return going

    def made(self, began: int | None = None) -> tuple[ActionChunk, int]:
        """A chunk from the newest state on, as the decoder makes it, and the epoch it is valid in.

        Args:
            began: tick of the policy's time at which the swing began; by default its first.
        """
        state = self.shared.state.new()
        number = self.shared.state.read(state)
        epoch, tick = (int(state["epoch"]), int(state["policy_tick"])) if number else (1, 0)
        ticks = np.arange(tick, tick + 96) - (began or 0)
        actions = ROBOT.home_position + self.swing(ticks)[:, None] * np.eye(6)[0]
        now = self.clock.monotonic()
        return ActionChunk(actions.astype(np.float32), HZ, tick, now, now), epoch

    def publish(self, chunk: ActionChunk, epoch: int) -> None:
        shared_state.pack_chunk(self._record, chunk, epoch)
        self.shared.chunk.write(self._record)

    def feed(self) -> None:
        """Publishes a chunk from the newest state on."""
        self.publish(*self.made())

    @property
    def reason(self) -> str:
        state = self.shared.state.new()
        assert self.shared.state.read(state)
        return shared_state.text_of(state["reason"])

    @property
    def stop_state(self) -> StopState:
        return self.control.safe_stop.stop_state
