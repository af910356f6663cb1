"""One episode in lockstep: a policy or the scripted expert drives a simulated robot, tick by tick.

Both go through the same controller and the same command limits. Time is the simulation's, inference
delay is a number of ticks, so the result depends on the world's seed and on nothing of the machine.

An episode is a generator that asks for plans and chunks and is given them: `rollout` answers with one policy,
`batched_rollout` with one batch for several episodes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ideomotor.control.chunk_handover import DEFAULT, HANDOVERS, SYNC_TICKS, Handover
from ideomotor.control.controller import Controller
from ideomotor.control.errors import UserError
from ideomotor.control.timing import Timing, timing_of
from ideomotor.control.types import ActionChunk, Clock, Command, LatentPlan, Observation, Policy
from ideomotor.eval.plans import PlanScore
from ideomotor.eval.sensors import Sensors

if TYPE_CHECKING:
    from ideomotor.sim.external import ExternalWorld
    from ideomotor.sim.world import World


@dataclass(frozen=True)
class Frame:
    """One camera frame and what was done until the next one: a row of a dataset, a picture of a video."""

    observation: Observation
    commands: np.ndarray  # (K, A) float64 [rad or m], executed from the frame's tick on until the next one
    plan_text: str  # readable plan in force; the ground truth where the expert drives
    subtask: str  # ground truth, as are the fields below, all at the frame's tick
    referred: dict[str, np.ndarray]  # {"target" or "place": (3,) [m]}
    keypoints: dict[str, tuple[str, float, float]]  # {"target" or "place": (camera, u, v)}
    progress: float
    detouring: bool  # nobody should imitate this: the expert goes wrong on purpose, or a policy drives


@dataclass(frozen=True)
class EpisodeResult:
    """What happened in one episode."""

    success: bool | None  # the task's predicate was satisfied and held; None: what was asked is not judged
    seconds: float  # [s] simulated time until success, or until time ran out
    progress: float  # share of the subtasks done, in [0, 1]
    commands: np.ndarray  # (T, A) executed commands, one row a tick
    boundaries: list[int]  # ticks at which a new chunk says something new: where hand-overs would show
    interventions: dict[str, int]  # {reason: ticks on which the safety filter changed a command}
    holds: int  # how many times chunks ran out
    plan_texts: list[tuple[float, str]] = field(
        default_factory=list
    )  # (time [s], readable plan), changes only
    plan_score: PlanScore = field(default_factory=PlanScore)  # what of them was true; empty for the expert
    confidences: list[tuple[float, float]] = field(
        default_factory=list
    )  # (time [s], confidence) of each chunk of a policy that tells it


@dataclass(frozen=True)
class PolicyRequest:
    """What an episode wants from its policy before it goes on: a plan, or the next chunk made from one."""

    observation: Observation
    plan: LatentPlan | None = None  # None: a plan is wanted
    prefix: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))  # (d, A) committed commands


Result = TypeVar("Result")
# Of an episode under way: is sent a LatentPlan or an ActionChunk, whichever it asked for.
Requests = Generator[PolicyRequest, Any, Result]


def rollout(world: World | ExternalWorld, policy: Policy | None, **how: Any) -> EpisodeResult:
    """Runs one episode with a policy that answers at once; arguments and errors are those of `episode`."""
    return answered(episode(world, policy, **how), policy)


def answered(requests: Requests[Result], policy: Policy | None) -> Result:
    """Runs what asks a policy, with one that answers at once, and returns what it returns."""
    answer: LatentPlan | ActionChunk | None = None
    while True:
        try:
            request = requests.send(answer)
        except StopIteration as end:
            return end.value
        assert policy is not None  # an expert asks nobody
        if request.plan is None:
            answer = policy.plan(request.observation)
        else:
            answer = policy.act(request.observation, request.plan, request.prefix)


def episode(
    world: World | ExternalWorld,
    policy: Policy | None,
    *,
    delay_ticks: int = 0,
    handover: str = DEFAULT,
    instruction: str | None = None,
    expert_noise: float = 0.0,
    expert_from: int | None = None,
    on_frame: Callable[[Frame], None] | None = None,
    clock: Clock | None = None,
    sensors: Sensors | None = None,
) -> Requests[EpisodeResult]:
    """One episode from the world's present state to success or to its time limit.

    Args:
        world: a fresh world; its seed also seeds the policy.
        policy: who drives, which is reset here and asked by whoever runs this; None is the task's scripted
            expert, fed to the controller frame by frame; or tick by tick in an environment, where experts
            answer to what they see.
        delay_ticks: simulated inference time. A plan or chunk made from the observation of tick t is
            used from tick t + delay_ticks on, and the next one is not begun before.
        handover: how a chunk takes over from the one before, a key of `control.chunk_handover.HANDOVERS`.
        instruction: what the policy is given, where that differs from what success is judged by.
        expert_noise: disturbance of the expert, passed to `World.expert`.
        expert_from: tick, a multiple of a frame's, from which the expert takes over from the policy; the time
            limit then counts from there.
        on_frame: called once for each camera frame, after the frame's commands were executed.
        clock: paces the ticks, where the wall clock should; None runs as fast as it can.
        sensors: between the world and the policy, where something is wrong with them.

    Raises:
        UserError: a delay that the policy cannot be given.
        Whatever the world or the policy raises: an error is never counted as a failed task.
    """
    frame_ticks = world.embodiment.frame_ticks
    ahead = 1 if world.embodiment.environment else frame_ticks  # targets that an expert gives at a time
    hz = float(world.embodiment.control_hz)
    policy_instruction = world.instruction if instruction is None else instruction
    method = HANDOVERS[handover]
    controller = Controller(world.embodiment, method)
    controller.reset(world.state())
    if policy is None:
        driver: _Driver = ExpertDriver(world.expert(expert_noise), hz, world.plan_text, ahead)
    else:
        policy.reset(world.seed)
        paces = _paces(timing_of(policy, world.embodiment), frame_ticks, delay_ticks, method)
        driver = PolicyDriver(policy, method, world.seed, delay_ticks, *paces)

    commands: list[np.ndarray] = []
    boundaries: list[int] = []
    plan_texts: list[tuple[float, str]] = []
    confidences: list[tuple[float, float]] = []
    score = PlanScore()
    frame: Frame | None = None
    started = clock.now() if clock else 0.0
    for tick in range(world.max_ticks + (expert_from or 0)):
        if clock:
            clock.sleep_until(started + tick / hz)
        if tick == expert_from:
            driver = ExpertDriver(world.expert(), hz, world.plan_text, ahead)
        if tick % frame_ticks == 0:
            if world.success:
                break
            observation = None
            if sensors:
                sensors.expose(world)
            if on_frame or driver.looks_at(tick):
                seen = sensors.observe(world) if sensors else world.observe()
                sent = controller.past_commands.copy()
                observation = dataclasses.replace(seen, instruction=policy_instruction, past_commands=sent)
            seam = yield from driver.drive(tick, observation, controller)
            if seam is not None:
                boundaries.append(seam)
                if not math.isnan(driver.confidence):
                    confidences.append((tick / hz, driver.confidence))
            text = driver.plan_text()
            if text and (not plan_texts or plan_texts[-1][1] != text):
                plan_texts.append((tick / hz, text))
            if text and policy is not None:
                score.frame(text, world.plan_text())
            if on_frame and observation:
                straying = world.detouring or (expert_from is not None and tick < expert_from)
                frame = _frame(world, observation, text, straying)
        elif isinstance(driver, ExpertDriver) and ahead == 1:
            yield from driver.drive(tick, None, controller)
        command: Command = controller.step(tick, world.state())
        world.step(command)
        commands.append(np.array(command.position, dtype=np.float64))
        if frame and on_frame and tick % frame_ticks == frame_ticks - 1:
            on_frame(dataclasses.replace(frame, commands=np.stack(commands[-frame_ticks:])))
    return EpisodeResult(
        success=None if world.success is None else bool(world.success),
        seconds=len(commands) / hz,
        progress=float(world.progress()),
        commands=np.array(commands),
        boundaries=boundaries,
        interventions=dict(controller.interventions),
        holds=controller.holds,
        plan_texts=plan_texts,
        plan_score=score,
        confidences=confidences,
    )


def _paces(timing: Timing, frame_ticks: int, delay_ticks: int, method: Handover) -> tuple[int, int]:
    """Ticks between plans and between chunks. UserError for a delay that the policy cannot be given."""
    if delay_ticks > timing.max_prefix_ticks:
        raise UserError(
            f"delay: got {delay_ticks} ticks, expected at most the policy's {timing.max_prefix_ticks}"
        )
    plan_every, act_every = timing.plan_every_ticks, timing.act_every_ticks
    if plan_every % frame_ticks or act_every % frame_ticks:
        raise UserError(
            f"timing: got {plan_every} and {act_every} ticks, expected multiples of {frame_ticks}"
        )
    busy = -(-delay_ticks // frame_ticks) * frame_ticks  # a half of the policy does one thing at a time
    act_every = max(act_every, SYNC_TICKS) + busy if method.waits and busy else max(act_every, busy)
    return max(plan_every, busy), act_every


class ExpertDriver:
    """Feeds the expert's targets to the controller, `ahead` at a time."""

    def __init__(self, targets: Iterator[np.ndarray], hz: float, plan_text: Callable[[], str], ahead: int):
        self._targets = targets
        self._ahead = ahead
        self._hz = hz
        self.plan_text = plan_text
        self.confidence = math.nan
        self._last: np.ndarray | None = None

    def looks_at(self, tick: int) -> bool:
        return False

    def drive(
        self, tick: int, observation: Observation | None, controller: Controller
    ) -> Requests[int | None]:
        yield from ()  # it asks nobody
        actions = [self._next() for _ in range(self._ahead)]
        time = tick / self._hz
        controller.submit(ActionChunk(np.array(actions, dtype=np.float32), self._hz, tick, time, time))
        return None  # consecutive pieces of one trajectory, not hand-overs

    def _next(self) -> np.ndarray:
        self._last = next(self._targets, self._last)  # a finished expert stays where it is
        if self._last is None:
            raise ValueError("the expert gave no target at all")
        return self._last


class PolicyDriver:
    """Asks for what a policy's two halves make, at their rates, and delivers it `delay` ticks later."""

    def __init__(
        self, policy: Policy, handover: Handover, seed: int, delay: int, plan_every: int, act_every: int
    ):
        self._policy = policy
        self._handover = handover
        self._seed = seed
        self._delay = delay
        self._plan_every = plan_every
        self._act_every = act_every
        self.confidence = math.nan  # of the newest chunk
        self._plan: LatentPlan | None = None
        self._coming: list[tuple[int, LatentPlan]] = []  # plans still being thought, with their tick

    def looks_at(self, tick: int) -> bool:
        return tick % self._plan_every == 0 or tick % self._act_every == 0

    def plan_text(self) -> str:
        return self._plan.text if self._plan else ""

    def drive(
        self, tick: int, observation: Observation | None, controller: Controller
    ) -> Requests[int | None]:
        """Thinks where it is due; returns the tick at which a new chunk has its first say."""
        if observation is None:
            return None
        if tick % self._plan_every == 0:
            self._coming.append((tick + self._delay, (yield PolicyRequest(observation))))
        while self._coming and (self._coming[0][0] <= tick or self._plan is None):
            self._plan = self._coming.pop(0)[1]  # the first chunk takes the first plan at once
        if tick % self._act_every or self._plan is None:
            return None
        if self._handover.waits and self._delay:
            yield from self._stop_and_think(tick, observation, self._plan, controller)
        else:
            prefix = controller.committed_prefix(tick, self._delay if self._handover.uses_prefix else 0)
            chunk = yield PolicyRequest(observation, self._plan, prefix)
            controller.submit(chunk, tick + self._delay)
            self.confidence = chunk.confidence
        return tick + self._delay

    def _stop_and_think(
        self, tick: int, observation: Observation, plan: LatentPlan, controller: Controller
    ) -> Requests[None]:
        """After the delay the arm executes a part of the chunk, and stands at its end for the next delay."""
        if tick:
            self._policy.reset(self._seed + tick)  # what was sent before no longer leads to here
        chunk: ActionChunk = yield PolicyRequest(observation, plan, controller.committed_prefix(tick, 0))
        self.confidence = chunk.confidence
        executed = chunk.actions[: self._act_every - self._delay]
        embodiment = controller.embodiment
        stand = (
            executed[-1:]
            if embodiment.commands != "deltas"
            else embodiment.home_position[None].astype(executed.dtype)
        )
        actions = np.concatenate([executed, np.repeat(stand, self._delay, axis=0)])
        controller.submit(dataclasses.replace(chunk, starts_at=tick + self._delay, actions=actions))


_Driver = ExpertDriver | PolicyDriver


def _frame(world: World | ExternalWorld, observation: Observation, plan_text: str, detouring: bool) -> Frame:
    """A frame as it stands at its tick; its commands follow once they have been executed."""
    return Frame(
        observation=observation,
        commands=np.empty((0, 0)),
        plan_text=plan_text,
        subtask=world.subtask(),
        referred={name: np.array(position) for name, position in world.referred().items()},
        keypoints=dict(world.keypoints()),
        progress=float(world.progress()),
        detouring=detouring,
    )
