"""From chunks to one safe command per tick: the same object under the simulated and the wall clock.

Each tick takes the newest target that covers it and passes it through the safety filter. When chunks
run out or arrive late, or when the robot's state is not finite, the arm decelerates within its limits
and holds; it goes on by itself with the next fresh chunk.
"""

from __future__ import annotations

import numpy as np

from ideomotor.control.chunk_buffer import ChunkBuffer
from ideomotor.control.chunk_handover import DEFAULT, HANDOVERS, Handover
from ideomotor.control.embodiment import Embodiment
from ideomotor.control.safety.range_filter import command_filter, resting_command
from ideomotor.control.safety.start_pose import check_start
from ideomotor.control.timing import PAST_COMMAND_TICKS
from ideomotor.control.types import ActionChunk, Command, RobotState


class Controller:
    """Owns the chunk buffer and the safety filter of one robot. Call `reset`, then `step` every tick.

    Attributes:
        interventions: {reason: ticks}, how often the safety filter changed or replaced a target. Ticks
            before the first target are not counted: there was nothing to change.
        reasons: why the safety filter changed or replaced the last tick's target; empty if it did not.
        holds: how many times a moving arm had to hold because there was no target to trust.
        past_commands: (PAST_COMMAND_TICKS, A) float64, the last, oldest first; to rest, before the start.

    Args:
        embodiment: the robot.
        handover: what becomes of chunks that overlap.
    """

    def __init__(self, embodiment: Embodiment, handover: Handover = HANDOVERS[DEFAULT]) -> None:
        self.embodiment = embodiment
        self._filter = command_filter(embodiment)
        self._chunks = ChunkBuffer(embodiment.control_hz, handover)
        self._start(embodiment.home_position)

    def reset(self, state: RobotState) -> None:
        """Starts an episode at rest at `state.position`: no chunks, counters at zero.

        Where commands are not joint targets, to rest is what `range_filter.resting_command` says.

        Raises:
            UserError: no run may start there.
        """
        if self.embodiment.targets:
            check_start(self.embodiment, state.position)
        self._start(resting_command(self.embodiment, state.position))

    def submit(self, chunk: ActionChunk, available_at: int | None = None) -> None:
        """Adds a chunk that may be executed from tick `available_at` on (None: at once).

        Raises:
            ValueError: its rate or its number of joints is not the embodiment's.
        """
        joints = len(self.embodiment.joints)
        if chunk.actions.shape[1:] != (joints,):
            raise ValueError(f"chunk.actions: got shape {chunk.actions.shape}, expected (H, {joints})")
        self._chunks.submit(chunk, 0 if available_at is None else available_at)

    def committed_prefix(self, tick: int, n: int) -> np.ndarray:
        """Returns (n, A) float64, what will be asked for at tick ... tick + n - 1 as known now.

        It is the decoder's prefix: targets in the buffer, padded with the last one or, with none left,
        with the last command.
        """
        return self._chunks.committed_prefix(tick, n, self._last_command)

    def next_start(self, tick: int) -> int | None:
        """The first tick after `tick` at which a chunk begins that is known."""
        return self._chunks.next_start(tick)

    def next_chunk(self, tick: int) -> ActionChunk | None:
        """The newest chunk that `step` would take its command for `tick` from; None if none covers it."""
        return self._chunks.newest(tick)

    def forget(self) -> None:
        """Drops every chunk: what comes next must have been made from now on."""
        self._chunks.clear()

    def step(self, tick: int, state: RobotState, policy_time: float | None = None) -> Command:
        """Returns the command for `tick`: within every limit that the safety filter knows.

        Args:
            tick: of the loop.
            state: of the robot.
            policy_time: the tick that chunks are played at, where the policy's time is not the loop's
                (control/runtime/playback.py).
        """
        return self.follow(tick, state, self._chunks.command(tick if policy_time is None else policy_time))

    def follow(self, tick: int, state: RobotState, target: np.ndarray | None) -> Command:
        """Returns the command for `tick` with a target (A,) other than the chunks', or with none: a stop."""
        if not np.isfinite(state.position).all():
            target = None
        if target is None and self._has_target:
            self.holds += 1
        self._has_target = target is not None
        self._started = self._started or self._has_target
        position, reasons = self._filter.filter(tick, target)
        self.reasons = tuple(reasons) if self._started else ()
        for reason in self.reasons:
            self.interventions[reason] = self.interventions.get(reason, 0) + 1
        self._last_command = position
        self.past_commands[:-1] = self.past_commands[1:]
        self.past_commands[-1] = position
        return Command(tick, position)

    def _start(self, position: np.ndarray) -> None:
        self._filter.reset(position)
        self._chunks.clear()
        self._last_command = np.array(position, dtype=np.float64)
        self.past_commands = np.repeat(self._last_command[None], PAST_COMMAND_TICKS, axis=0)
        self._has_target = False  # at the last tick
        self._started = False  # a target has been seen
        self.interventions: dict[str, int] = {}
        self.reasons: tuple[str, ...] = ()
        self.holds = 0
