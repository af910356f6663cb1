"""One episode in lockstep: a policy or the scripted expert drives a simulated robot, tick by tick.

Both go through the same controller and the same command limits. Time is the simulation's, inference
delay is a number of ticks, so the result depends on the world's seed and on nothing of the machine.

An episode is a generator that asks for plans and chunks and is given them: `rollout` answers with one policy,
`batched_rollout` with one batch for several episodes.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ideomotor.control.chunk_handover import DEFAULT, HANDOVERS
from ideomotor.control.controller import Controller
from ideomotor.control.timing import timing_of
from ideomotor.control.types import ActionChunk, Clock, Command, LatentPlan, Observation, Policy
from ideomotor.eval.drivers import ExpertDriver, PolicyDriver, Requests, Result, paces
from ideomotor.eval.network import Network, NetworkDriver
from ideomotor.eval.plans import PlanScore
from ideomotor.eval.sensors import Sensors

if TYPE_CHECKING:
    from ideomotor.sim.protocol import EpisodeWorld


Driver = ExpertDriver | PolicyDriver | NetworkDriver


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
    expert: np.ndarray | None  # (L, A) float32 [rad or m], an expert's commands from here on; None: not asked
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


def rollout(world: EpisodeWorld, policy: Policy | None, **how: Any) -> EpisodeResult:
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
    world: EpisodeWorld,
    policy: Policy | None,
    *,
    delay_ticks: int = 0,
    handover: str = DEFAULT,
    instruction: str | None = None,
    expert_noise: float = 0.0,
    expert_from: int | None = None,
    label: Callable[[Observation], np.ndarray] | None = None,
    on_frame: Callable[[Frame], None] | None = None,
    clock: Clock | None = None,
    sensors: Sensors | None = None,
    network: Network | None = None,
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
        label: what an expert or a teacher would command from the world's present state on, of which this is
            what is observed; asked at every frame that a policy drives. What it raises ends the episode.
        on_frame: called once for each camera frame, after the frame's commands were executed.
        clock: paces the ticks, where the wall clock should; None runs as fast as it can.
        sensors: between the world and the policy, where something is wrong with them.
        network: that the policy is asked over, instead of `delay_ticks`.

    Raises:
        UserError: a delay that the policy cannot be given.
        Whatever the world or the policy raises: an error is never counted as a failed task.
    """
    embodiment = world.embodiment
    frame_ticks, hz = embodiment.frame_ticks, float(embodiment.control_hz)
    method = HANDOVERS[handover]
    controller = Controller(embodiment, method)
    controller.reset(world.state())
    if policy is None:
        driver: Driver = _expert(world, expert_noise)
    else:
        policy.reset(world.seed)
        timing = timing_of(policy, embodiment)
        if network:
            driver = NetworkDriver(network, method, timing, (world.seed, zlib.crc32(b"network")))
        else:
            pace = paces(timing, frame_ticks, delay_ticks, method)
            driver = PolicyDriver(policy, method, world.seed, delay_ticks, *pace)
    log = _EpisodeLog(world, on_frame, scored=policy is not None)
    started = clock.now() if clock else 0.0
    for tick in range(world.max_ticks + (expert_from or 0)):
        if clock:
            clock.sleep_until(started + tick / hz)
        if tick == expert_from:
            driver = _expert(world, past_commands=controller.past_commands.copy())
        if tick % frame_ticks == 0:
            if world.success:
                break
            if sensors:
                sensors.expose(world)
            observation = None
            if on_frame or driver.looks_at(tick):
                observation = _observed(world, sensors, instruction, controller)
            boundary = yield from driver.drive(tick, observation, controller)
            log.frame(tick, driver, boundary)
            if observation:
                policy_drives = policy is not None and (expert_from is None or tick < expert_from)
                expert = label(observation) if label and policy_drives else None
                imitable = expert is not None or not (policy_drives and expert_from is not None)
                log.begin_frame(observation, driver, expert, imitable)
        elif driver.every_tick:
            yield from driver.drive(tick, None, controller)
        command = controller.step(tick, world.state())
        world.step(command)
        log.command(tick, command)
    return log.result(controller)


def _expert(world: EpisodeWorld, noise: float = 0.0, past_commands: np.ndarray | None = None) -> ExpertDriver:
    """Gives a frame's targets at a time, or one where the environment answers to each."""
    ahead = 1 if world.embodiment.environment else world.embodiment.frame_ticks
    targets = world.expert(noise, past_commands)
    return ExpertDriver(targets, float(world.embodiment.control_hz), world.plan_text, ahead)


def _observed(
    world: EpisodeWorld, sensors: Sensors | None, instruction: str | None, controller: Controller
) -> Observation:
    """What the policy is given of the present."""
    seen = sensors.observe(world) if sensors else world.observe()
    return dataclasses.replace(
        seen,
        instruction=world.instruction if instruction is None else instruction,
        past_commands=controller.past_commands.copy(),
    )


class _EpisodeLog:
    """What happens in an episode, as it goes on.

    Args:
        world: of the episode.
        on_frame: is given each frame when its commands were executed.
        scored: whether readable plans are compared with the truth.
    """

    def __init__(self, world: EpisodeWorld, on_frame: Callable[[Frame], None] | None, scored: bool):
        self._world, self._on_frame, self._scored = world, on_frame, scored
        self._hz, self._frame_ticks = float(world.embodiment.control_hz), world.embodiment.frame_ticks
        self._commands: list[np.ndarray] = []
        self._boundaries: list[int] = []
        self._plan_texts: list[tuple[float, str]] = []
        self._confidences: list[tuple[float, float]] = []
        self._score = PlanScore()
        self._frame: Frame | None = None

    def frame(self, tick: int, driver: Driver, boundary: int | None) -> None:
        """A camera frame for which the driver has done its part; `boundary` is that of a new chunk."""
        if boundary is not None:
            self._boundaries.append(boundary)
            if not math.isnan(driver.confidence):
                self._confidences.append((tick / self._hz, driver.confidence))
        text = driver.plan_text()
        if text and (not self._plan_texts or self._plan_texts[-1][1] != text):
            self._plan_texts.append((tick / self._hz, text))
        if text and self._scored:
            self._score.frame(text, self._world.plan_text())

    def begin_frame(
        self, observation: Observation, driver: Driver, expert: np.ndarray | None, imitable: bool
    ) -> None:
        """The frame that `on_frame` is given later, as it stands at its tick."""
        if self._on_frame:
            detouring = self._world.detouring or not imitable
            self._frame = _frame(self._world, observation, driver.plan_text(), expert, detouring)

    def command(self, tick: int, command: Command) -> None:
        """An executed command, the last of its frame or not."""
        self._commands.append(np.array(command.position, dtype=np.float64))
        if self._frame and self._on_frame and tick % self._frame_ticks == self._frame_ticks - 1:
            commands = np.stack(self._commands[-self._frame_ticks :])
            self._on_frame(dataclasses.replace(self._frame, commands=commands))

    def result(self, controller: Controller) -> EpisodeResult:
        """All of it, when the episode is over."""
        success = self._world.success
        return EpisodeResult(
            success=None if success is None else bool(success),
            seconds=len(self._commands) / self._hz,
            progress=float(self._world.progress()),
            commands=np.array(self._commands),
            boundaries=self._boundaries,
            interventions=dict(controller.interventions),
            holds=controller.holds,
            plan_texts=self._plan_texts,
            plan_score=self._score,
            confidences=self._confidences,
        )


def _frame(
    world: EpisodeWorld,
    observation: Observation,
    plan_text: str,
    expert: np.ndarray | None,
    detouring: bool,
) -> Frame:
    """A frame as it stands at its tick; its commands follow once they have been executed."""
    return Frame(
        observation=observation,
        commands=np.empty((0, 0)),
        plan_text=plan_text,
        subtask=world.subtask(),
        referred={name: np.array(position) for name, position in world.referred().items()},
        keypoints=dict(world.keypoints()),
        progress=float(world.progress()),
        expert=expert,
        detouring=detouring,
    )
