"""The policy's time: chunks are played from where the arm stands, at any speed.

A policy counts ticks of its own, in which its chunks are indexed and its observations dated. They pass while
one of its chunks is executed and stand still otherwise: the first chunk after a start or a stop, made from
where the arm stands, is entered at its beginning however long it took to make. At a `speed` below 1 they pass
that much slower than the control loop's, so that a motion takes longer along the same path.
"""

from __future__ import annotations

import math

import numpy as np

from ideomotor.control.controller import Controller
from ideomotor.control.runtime.shared_state import SharedState, unpack_chunk
from ideomotor.control.runtime.shared_state_spec import MAX_PREFIX_TICKS
from ideomotor.control.types import ActionChunk


class Playback:
    """Takes chunks from the shared state, and knows where the policy's time stands.

    Attributes:
        at: the time [ticks]; whole numbers of them where `speed` is 1.
        epoch: grows with each stop; chunks made in an earlier one are void.
    """

    def __init__(self, shared: SharedState, controller: Controller, speed: float = 1.0) -> None:
        """Args:
        speed: of the policy's time, as a share of the loop's, in (0, 1].
        """
        self.at, self.epoch = 0.0, 1
        self._mailbox, self._record, self._number = shared.chunk, shared.chunk.new(), 0
        self._controller, self._speed = controller, speed
        self._past_commands = controller.past_commands.copy()  # sent in the ticks of this time before `tick`

    @property
    def tick(self) -> int:
        """The tick of the policy's time that has begun."""
        return math.floor(self.at)

    def take(self) -> None:
        """Gives the controller what is new in the shared state."""
        if self._mailbox.newest() == self._number:
            return
        number = self._mailbox.read(self._record)
        if number > self._number:  # else: not whole at the moment; the next tick looks again
            self._number = number
            if self._record["epoch"] == self.epoch:
                self._controller.submit(unpack_chunk(self._record))

    def next_chunk(self) -> ActionChunk | None:
        """The chunk to be executed now; where there are only later ones, the time skips to them."""
        chunk = self._controller.next_chunk(self.tick)
        if chunk is None:
            later = self._controller.next_start(self.tick)
            if later is not None:
                self.at = float(later)
                chunk = self._controller.next_chunk(later)
        return chunk

    def first_target(self) -> np.ndarray:
        """(A,) of the chunk to be executed now."""
        return self._controller.committed_prefix(self.tick, 1)[0]

    def stop(self) -> None:
        """Every chunk is void; the next one begins at a tick that nothing was executed of yet."""
        self.at = float(math.ceil(self.at))
        self.epoch += 1
        self._controller.forget()

    def publish(self, state: np.ndarray, executed: bool) -> None:
        """Fills in what the decoder goes by, and ends a tick of the loop.

        Args:
            state: a record of `SharedState.state`.
            executed: a chunk's command was, in this tick: the time passes.
        """
        state["epoch"], state["policy_tick"], state["playing"] = self.epoch, self.tick, executed
        state["committed_prefix"] = self._controller.committed_prefix(self.tick, MAX_PREFIX_TICKS)
        if not executed:  # the next chunk begins after whatever was sent last
            self._past_commands[:] = self._controller.past_commands
        state["past_commands"] = self._past_commands
        if executed:
            begun = self.tick
            self.at += self._speed
            whole = round(self.at)
            if abs(self.at - whole) < 1e-6:  # 0.1 is no binary number
                self.at = float(whole)
            if self.tick > begun:
                self._past_commands[:-1] = self._past_commands[1:]
                self._past_commands[-1] = self._controller.past_commands[-1]
