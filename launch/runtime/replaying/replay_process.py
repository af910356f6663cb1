"""The process of a replay: both halves of `ReplayPolicy`, in place of interpreter and decoder.

It needs no pictures. It publishes a chunk and a plan every few ticks of the policy's time, and anew
after each stop.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace

import numpy as np

from ideomotor.control.embodiment import Embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.runtime.shared_state import SharedStateSpec, attach, pack_chunk, pack_plan
from ideomotor.control.runtime.supervisor import live_with_parent, start_heartbeat
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.launch.runtime.policy_processes import IDLE_S, LONGEST_S
from ideomotor.launch.runtime.replaying.replay_policy import ReplayPolicy

EVERY_TICKS = 16  # of the policy's time, between chunks
PREFIX_TICKS = 12  # committed commands that a chunk begins with: more than it takes to make one


@dataclass(frozen=True)
class ReplayProcessConfig:
    """What is played."""

    commands: np.ndarray  # (N, A) [rad or m], one a tick
    embodiment: Embodiment
    what: str  # in words
    instruction: str


def replay_process(spec: SharedStateSpec, config: ReplayProcessConfig) -> None:
    """Publishes chunks and plans for ever."""
    live_with_parent()
    shared = attach(spec)
    policy = ReplayPolicy(config.commands, config.embodiment, config.what)
    state, chunk_out, plan_out = shared.state.new(), shared.chunk.new(), shared.plan.new()
    no_plan = LatentPlan(np.empty((0, 0), np.float32), 0.0)
    start_heartbeat(shared, "decoder")
    epoch, due, due_at = -1, 0, 0.0
    while True:
        now = time.monotonic()
        known = shared.state.read(state) and np.isfinite(state["position"]).all()
        tick = int(state["policy_tick"])
        if not known or (state["epoch"] == epoch and tick < due and now < due_at):
            time.sleep(IDLE_S)
            continue
        playing = bool(state["playing"])
        if state["epoch"] != epoch or not playing:
            policy.reset(0)
        epoch, due, due_at = int(state["epoch"]), tick + EVERY_TICKS, now + LONGEST_S
        at = float(state["time"])
        seen = Observation(at, tick, {}, state["position"].astype(np.float32), config.instruction)
        seen = replace(seen, past_commands=state["past_commands"].copy())
        committed_prefix = state["committed_prefix"][: PREFIX_TICKS if playing else 0]
        try:
            chunk = policy.act(seen, replace(no_plan, observed_at=at), committed_prefix)
        except UserError as error:
            sys.exit(f"replay: {error}")
        pack_plan(plan_out, policy.plan(seen))
        shared.plan.write(plan_out)
        pack_chunk(chunk_out, chunk, epoch)
        shared.chunk.write(chunk_out)
