"""What the control loop trusts, and for how long: the ages of chunk, plan and state, the lives of its peers.

A killed process is noticed at the next tick, through a pidfd that the kernel makes readable when the process
ends. A stopped or hung one is noticed by its silence: every process writes the time to the shared state many
times a second. One that is alive but produces nothing shows in the ages.
"""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from dataclasses import dataclass

from ideomotor.control.runtime.safe_stop import Cause
from ideomotor.control.runtime.shared_state import HEARTBEATS, SharedState


@dataclass(frozen=True)
class StalenessLimits:
    """How old things may be [s]."""

    state_s: float = 0.1  # since the robot last gave a new state
    chunk_s: float = 1.0  # since the observation of the chunk being executed
    plan_s: float = 1.5  # since the observation of its plan
    silence_s: float = 0.5  # since a process's last sign of life
    action_s: float = 0.1  # since the measuring of the action of a person who drives


@dataclass(frozen=True)
class Ages:
    """How old things are [s]; None for what there has not been yet."""

    state_s: float
    chunk_s: float | None  # None as well if no chunk covers this tick
    plan_s: float | None


def stale(ages: Ages, limits: StalenessLimits, started: bool) -> str:
    """Names what is too old to act on, the one nearest to the motors first; empty if nothing is.

    Args:
        ages: now.
        limits: what is too old.
        started: a chunk has been executed already; before that its absence is no fault.
    """
    if ages.state_s > limits.state_s:
        return f"stale state: the robot gave no new one for {ages.state_s:.2f} s"
    if ages.chunk_s is None:
        return "stale chunk: none covers this tick" if started else ""
    if ages.chunk_s > limits.chunk_s:
        return f"stale chunk: its observation is {ages.chunk_s:.2f} s old"
    if ages.plan_s is not None and ages.plan_s > limits.plan_s:
        return f"stale plan: its observation is {ages.plan_s:.2f} s old"
    return ""


class Peers:
    """The other processes, as far as they have said that they live."""

    def __init__(self, shared: SharedState, roles: Sequence[str], limits: StalenessLimits) -> None:
        self._heartbeats = shared.heartbeats
        self._rows = [HEARTBEATS.index(role) for role in roles]
        self._silence_ns = round(limits.silence_s * 1e9)
        self._poll = select.poll()
        self._ids = dict.fromkeys(self._rows, 0)  # {row: process id}
        self._descriptors: dict[int, int] = {}  # {pidfd: row}
        self._dead: dict[int, str] = {}  # {row: what happened}

    def check(self, now_ns: int) -> tuple[Cause, str] | None:
        """Returns what is wrong with one of them, a death before a silence; None if nothing is."""
        for row in self._rows:
            if self._heartbeats[row, 0] != self._ids[row]:
                self._meet(row, int(self._heartbeats[row, 0]))
        for descriptor, _ in self._poll.poll(0):
            self._lose(descriptor)
        if self._dead:
            return Cause.FAULT, next(iter(self._dead.values()))
        for row in self._rows:
            silent_ns = now_ns - int(self._heartbeats[row, 1])
            if self._ids[row] and silent_ns > self._silence_ns:
                return Cause.STALE, f"{HEARTBEATS[row]}: no sign of life for {silent_ns / 1e9:.2f} s"
        return None

    def close(self) -> None:
        """Lets go of the processes."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
        del self._heartbeats

    def _meet(self, row: int, process: int) -> None:
        """A process appeared, or took the place of one that died."""
        self._ids[row] = process
        self._dead.pop(row, None)
        for descriptor in [fd for fd, known in self._descriptors.items() if known == row]:
            self._poll.unregister(descriptor)
            os.close(descriptor)
            del self._descriptors[descriptor]
        try:
            descriptor = os.pidfd_open(process)
        except ProcessLookupError:
            self._dead[row] = _death(row, process)
        except OSError:
            pass  # a kernel without pidfds, before Linux 5.3: silence has to tell
        else:
            self._descriptors[descriptor] = row
            self._poll.register(descriptor, select.POLLIN)

    def _lose(self, descriptor: int) -> None:
        row = self._descriptors.pop(descriptor)
        self._poll.unregister(descriptor)
        os.close(descriptor)
        self._dead[row] = _death(row, self._ids[row])


def _death(row: int, process: int) -> str:
    return f"{HEARTBEATS[row]} died: process {process} is gone"
