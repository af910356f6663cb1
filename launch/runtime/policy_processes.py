"""The two halves of a policy as processes of their own: interpreter and decoder, under the wall clock.

Each takes the newest of what it needs from the shared state, thinks, publishes, and waits for nothing but the
next moment at which it is due: after some ticks of the policy's time (control/runtime/playback.py), or some
seconds where that stands or passes slowly. A policy counts those ticks, the shared state seconds of the
machine's clock; the two are translated here.

Where skills have policies of their own, both processes change theirs when the instruction says so. Until the
other one is loaded and has planned, no chunk is made: what there is is executed to its end, then the arm
holds, and goes on by itself with the next chunk, as after any late one.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ideomotor.control.chunk_handover import SYNC_TICKS, DelayEstimate, handover
from ideomotor.control.errors import NoAnswer
from ideomotor.control.runtime.shared_state import (
    SharedState,
    SharedStateSpec,
    attach,
    pack_chunk,
    pack_plan,
    text_of,
    unpack_frames,
    unpack_plan,
)
from ideomotor.control.runtime.shared_state_spec import MAX_PREFIX_TICKS
from ideomotor.control.runtime.supervisor import live_with_parent, start_heartbeat
from ideomotor.control.timing import Timing
from ideomotor.control.types import LatentPlan, Observation, Policy
from ideomotor.launch.runtime.process_policies import ProcessPolicies
from ideomotor.vla.needed import EVERYTHING, Needed

if TYPE_CHECKING:
    from ideomotor.eval.policy_spec import PolicySource, PolicySpec

IDLE_S = 0.002
LONGEST_S = 0.25  # between plans and between chunks, however slowly the policy's time passes


@dataclass(frozen=True)
class PolicyProcessConfig:
    """What both halves need to know."""

    make_policy: Callable[[str], Policy]  # picklable; given the network that a process runs
    instruction: str
    timing: Timing
    handover: str = "rtc"
    seed: int = 0
    speed: float = 1.0  # of the policy's time, as a share of the clock's
    specialists: Mapping[str, Callable[[str], Policy]] = field(default_factory=dict)  # {skill: make_policy}


def policy_maker(
    chosen: Path | PolicySource, robot: str, confidence: bool = False, needed: Needed = EVERYTHING
) -> Callable[[str], Policy]:
    """A `make_policy` for a checkpoint, or a policy of others: in each process only its network is loaded.

    Args:
        confidence: whether chunks tell how sure they are, which takes time.
        needed: what of a checkpoint is loaded and computed.

    Raises:
        UserError: it is asked for what it cannot tell.
    """
    from ideomotor.eval.policy_spec import PolicySpec

    kind = "told" if confidence else ""
    return functools.partial(_load_part, PolicySpec(chosen, robot, confidence=kind, needed=needed))


def _load_part(spec: PolicySpec, part: str) -> Policy:
    from ideomotor.eval.policy_spec import forget_loaded

    policy = spec.load((part,))
    forget_loaded()  # whoever asked keeps it as long as it is needed
    assert policy is not None  # none is an expert's
    return policy


def interpreter_process(spec: SharedStateSpec, config: PolicyProcessConfig) -> None:
    """Publishes plans for ever."""
    live_with_parent()
    shared = attach(spec)
    nothing = _nothing(spec, config)
    policies = ProcessPolicies("interpreter", config, lambda policy: policy.plan(nothing))
    reader = ObservationReader(shared, config)
    record = shared.plan.new()
    start_heartbeat(shared, "interpreter")
    due, due_at = 0, 0.0
    while True:
        ready, now = reader.poll(), time.monotonic()
        policy = policies.of(reader.specialist)
        waiting = reader.tick < due and now < due_at and not policies.changed
        if policy is None or not ready or waiting or (observation := reader.observation()) is None:
            time.sleep(IDLE_S)
            continue
        due, due_at = reader.tick + config.timing.plan_every_ticks, now + LONGEST_S
        policies.changed = False
        try:
            plan = policy.plan(observation)
        except NoAnswer:
            continue  # the plan that there is grows old, which the control process sees
        pack_plan(record, replace(plan, observed_at=reader.frames_at))
        record["specialist"] = policies.acting.encode()
        shared.plan.write(record)


def decoder_process(spec: SharedStateSpec, config: PolicyProcessConfig) -> None:
    """Publishes chunks for ever."""
    live_with_parent()
    shared = attach(spec)
    nothing, no_plan = _nothing(spec, config), LatentPlan(np.empty((0, 0), np.float32), 0.0)
    none_sent = np.empty((0, spec.joints))
    policies = ProcessPolicies("decoder", config, lambda policy: policy.act(nothing, no_plan, none_sent))
    reader = ObservationReader(shared, config)
    method, timing = handover(config.handover), config.timing
    delay = DelayEstimate(config.speed * timing.control_hz, min(timing.max_prefix_ticks, MAX_PREFIX_TICKS))
    plan_in, record = shared.plan.new(), shared.chunk.new()
    start_heartbeat(shared, "decoder")
    epoch, due, due_at, chunks = -1, 0, 0.0, 0
    while True:
        ready, now = reader.poll(), time.monotonic()
        policy = policies.of(reader.specialist)
        waiting = reader.epoch == epoch and reader.tick < due and now < due_at and not policies.changed
        if ready and waiting:
            policies.between.look(reader)
        ready = ready and not waiting and bool(shared.plan.read(plan_in)) and policies.own(plan_in)
        if policy is None or not ready or (observation := reader.observation()) is None:
            time.sleep(IDLE_S)
            continue
        policies.changed = False
        if reader.epoch != epoch or method.waits or not reader.playing:
            epoch = reader.epoch
            policy.reset(config.seed + chunks)  # it was stopped: what was sent before does not lead to here
        playing = reader.playing
        plan = unpack_plan(plan_in)
        began_at, plan_at = reader.state_at, plan.observed_at
        observed_at = min(began_at, reader.frames_at)  # a camera that gives nothing new makes the chunk old
        age = config.speed * max(began_at - plan_at, 0.0)
        committed_prefix = reader.committed_prefix[: delay.ticks() if method.uses_prefix and playing else 0]
        try:
            aged = replace(plan, observed_at=observation.time - age)
            chunk = policy.act(observation, aged, committed_prefix)
        except NoAnswer:  # what there is is executed as long as it lasts; a newer moment is asked about
            time.sleep(IDLE_S)
            continue
        if method.waits:  # executed in part, from when it comes; then the arm stands until the next
            reader.poll()
            executed = chunk.actions[:SYNC_TICKS]
            actions = np.concatenate([executed, np.repeat(executed[-1:], timing.control_hz, axis=0)])
            chunk = replace(chunk, starts_at=reader.tick + reader.playing, actions=actions)
        due = chunk.starts_at + (SYNC_TICKS if method.waits else timing.act_every_ticks)
        pack_chunk(record, replace(chunk, observed_at=observed_at, plan_observed_at=plan_at), epoch)
        shared.chunk.write(record)
        # One made at a standstill is entered once it is there, however long it took: not before is it old.
        due_at = (
            math.inf
            if method.waits and reader.playing
            else (now if playing else time.monotonic()) + LONGEST_S
        )
        chunks += 1
        if playing:  # one made at a standstill is waited for
            delay.add(time.monotonic() - began_at)


def _nothing(spec: SharedStateSpec, config: PolicyProcessConfig) -> Observation:
    """What an observation looks like, with nothing to be seen."""
    images = {name: np.zeros((height, width, 3), np.uint8) for name, height, width in spec.cameras}
    return Observation(0.0, 0, images, np.zeros(spec.joints, np.float32), config.instruction)


class ObservationReader:
    """The newest state and pictures, as an observation."""

    def __init__(self, shared: SharedState, config: PolicyProcessConfig) -> None:
        self._shared, self._config = shared, config
        self._state, self._frames = shared.state.new(), shared.frames.new()
        self._changed, self._instruction = shared.instruction.new(), config.instruction
        self._number = 0  # of the newest one that was read
        self.specialist = ""  # skill whose own policy is to act, if it has one
        self.tick = self.epoch = -1  # of the policy's time; of what chunks are valid in
        self.playing = False  # whether that time passes
        self.state_at = self.frames_at = 0.0  # [s] of the machine's clock
        self.committed_prefix = np.empty((0, shared.spec.joints))

    def poll(self) -> bool:
        """Looks at the state; False as long as there is no picture, or not every joint's position."""
        if not self._shared.state.read(self._state) or not self._shared.frames.newest():
            return False
        if not np.isfinite(self._state["position"]).all():
            return False
        self._read_instruction()
        self.tick, self.epoch = int(self._state["policy_tick"]), int(self._state["epoch"])
        self.playing, self.state_at = bool(self._state["playing"]), float(self._state["time"])
        return True

    def observation(self) -> Observation | None:
        """What is to be seen now, with the state of the last `poll`; None if no whole pictures were met.

        The only place where pictures are copied.
        """
        if not self._shared.frames.read(self._frames):
            return None
        self.frames_at = float(self._frames["time"])
        self.committed_prefix = self._state["committed_prefix"].copy()
        return Observation(
            time=self.tick / self._config.timing.control_hz,
            tick=self.tick,
            images=unpack_frames(self._frames, self._shared.spec),
            state=self._state["position"].astype(np.float32),
            instruction=self._instruction,
            past_commands=self._state["past_commands"].copy(),
        )

    def _read_instruction(self) -> None:
        if self._shared.instruction.newest() == self._number:
            return
        if number := self._shared.instruction.read(self._changed):
            self._number = number
            self._instruction = text_of(self._changed["text"])
            self.specialist = text_of(self._changed["specialist"])
