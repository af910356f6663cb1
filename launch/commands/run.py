"""`ideomotor run`: one episode of a task, seen from the terminal and, if wanted, as a video."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ideomotor.control.ctrl_c import loading
from ideomotor.control.errors import UserError
from ideomotor.datasets.outputs import check_output
from ideomotor.launch.commands.goal_options import GoalArguments, check_goal
from ideomotor.launch.commands.run_goal import check_goal_run, run_goal
from ideomotor.launch.commands.run_watched import check_watched, run_watched
from ideomotor.launch.console import Output
from ideomotor.launch.dashboard.options import WebArguments
from ideomotor.launch.environments import checked_tasks, robot_of
from ideomotor.launch.needed_options import NeededArguments
from ideomotor.launch.serving.lerobot_options import LeRobotOptions
from ideomotor.launch.serving.remote_options import RemoteOptions

if TYPE_CHECKING:
    from ideomotor.control.embodiment import Embodiment
    from ideomotor.eval.policy_spec import DrivingPolicy
    from ideomotor.eval.rollout import EpisodeResult, Frame
    from ideomotor.sim.protocol import EpisodeWorld

FILMS = (".mp4", ".webp", ".gif")
FILM_HEIGHT = 384  # of each camera's picture [pixels]

Say = Callable[..., None]  # prints, as `rich.Console.print`


@dataclass(frozen=True)
class RunOptions:
    """Runs a simulated task with a policy, the bundled one by default, or with the scripted expert."""

    task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")] = ""
    """one of `ideomotor tasks`; with --goal it says whose scene"""

    instruction: Annotated[str | None, tyro.conf.arg(metavar="TEXT")] = None
    """what to tell the robot, in any words; by default the task picks a phrasing. Success is judged if they
    mean one goal of the scene (docs/instructions.md)"""

    goals: Annotated[GoalArguments, tyro.conf.arg(name="")] = GoalArguments()
    """a goal longer than one skill"""

    policy: Annotated[str | None, tyro.conf.arg(metavar="DIR|URL")] = None
    """checkpoint folder, or ORG/NAME on the Hugging Face Hub; lerobot:DIR or lerobot:ORG/NAME is one of
    LeRobot's (docs/environments.md); ws://HOST:PORT asks `ideomotor serve`, openpi://HOST:PORT a server of
    openpi's (docs/serving.md); the bundled policy by default. With --goal also skill=DIR, several times: that
    skill's own"""

    lerobot: LeRobotOptions = LeRobotOptions()
    """of a policy of LeRobot's"""

    remote: Annotated[RemoteOptions, tyro.conf.arg(name="")] = RemoteOptions()
    """of a policy that is asked over a network"""

    needed: Annotated[NeededArguments, tyro.conf.arg(name="")] = NeededArguments()
    """what of a checkpoint is loaded"""

    expert: bool = False
    """let the scripted expert drive instead of a policy"""

    robot: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")] = "so101"
    """robot, or embodiment file"""

    env: Annotated[str, tyro.conf.arg(metavar="NAME|FILE|MODULE:ID")] = ""
    """task of a Gymnasium environment that an embodiment file maps, such as metaworld"""

    seed: int = 0
    """scene; the same seed always gives the same episode"""

    realtime: bool = False
    """pace the run by the wall clock"""

    delay: Annotated[float, tyro.conf.arg(metavar="MS")] = 0.0
    """simulated inference time [ms]"""

    randomize: Literal["none", "light", "full"] = "light"
    """how much of the scene's look and physics varies with the seed"""

    confidence: bool = False
    """let the policy tell how sure it is that what it is about to do will solve the task; takes more time and
    does not change what it does"""

    record: Annotated[Path | None, tyro.conf.arg(metavar="FILE.mp4")] = None
    """write a video (or a .webp or .gif animation) with both cameras and the instruction"""

    quality: Literal["fast", "high"] = "fast"
    """of the video: high has shadows, reflections and smooth edges; the policy's images stay the same"""

    page: Annotated[WebArguments, tyro.conf.arg(name="")] = WebArguments()
    """to watch and stop it; the run is then by the wall clock, in processes of its own"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the result as JSON; - is standard output"""


def run(options: RunOptions) -> int:
    """Runs the episode and shows what was asked, planned and achieved; 0 whether or not it was solved."""
    output = Output(options.json)
    _check(options)
    if options.goals.goal is not None:
        return run_goal(options, output)
    if options.page.web is not None:
        return run_watched(options, output)

    with loading():
        from ideomotor.control.embodiment import load_embodiment
        from ideomotor.eval.rollout import rollout
        from ideomotor.launch.checkpoints import policy_name
        from ideomotor.sim.open_world import open_world

        options = replace(options, robot=robot_of(options.env, options.robot))
        embodiment = load_embodiment(options.robot)
        checked_tasks(embodiment, [options.task])
        policy = None if options.expert else _policy(options, embodiment)
    driver = "expert" if options.expert else policy_name(options.policy)
    say = functools.partial(output.text.print, markup=False)
    with ExitStack() as cleanup:
        world = open_world(
            embodiment, options.task, options.seed, options.randomize, instruction=options.instruction
        )
        cleanup.callback(world.close)
        _announce(say, options, world, driver)
        film = (
            cleanup.enter_context(_film(options.record, world, options.quality)) if options.record else None
        )
        started = monotonic()
        result = rollout(
            world,
            policy,
            delay_ticks=round(options.delay * embodiment.control_hz / 1000),
            on_frame=film,
            clock=WallClock() if options.realtime else None,
        )
        wall_s = monotonic() - started

    figures = _figures(result, wall_s, embodiment.targets)
    output.result(
        {
            "task": options.task,
            "instruction": world.instruction,
            "seed": options.seed,
            "policy": driver,
            "control_hz": embodiment.control_hz,
            **world.judging.to_json(),
            **figures,
            "video": str(options.record) if options.record else None,
        }
    )
    for seconds, text in result.plan_texts:
        say(f"plan {seconds:5.1f} s  {text}")
    if policy is not None and result.confidences:
        _say_confidence(say, policy, result, figures["confidence"])
    _say_result(say, result)
    hz = figures["achieved_hz"]
    pace = "by the wall clock" if options.realtime else f"{hz / embodiment.control_hz:.1f} x real time"
    say(f"achieved     {len(result.commands)} commands in {wall_s:.2f} s: {hz:.1f} a second, {pace}")
    if options.record:
        say(f"video        {options.record}")
    return 0


def _policy(options: RunOptions, embodiment: Embodiment) -> DrivingPolicy:
    """The policy; UserError if it cannot be had, or not with this delay."""
    from ideomotor.eval.policy_spec import PolicySpec
    from ideomotor.launch.checkpoints import chosen_policy

    chosen = chosen_policy(options.policy, embodiment, options.lerobot, options.remote)
    kind = "told" if options.confidence else ""
    policy = PolicySpec(chosen, options.robot, confidence=kind, needed=options.needed.of(chosen)).load()
    assert policy is not None  # none is an expert's
    policy.timing.delay_ticks("delay", options.delay)
    return policy


def _announce(say: Say, options: RunOptions, world: EpisodeWorld, driver: str) -> None:
    """Says what is about to be run; UserError for an expert whose instruction nobody judges."""
    from ideomotor.sim.rendering.render import backend_report

    judging, embodiment = world.judging, world.embodiment
    if options.expert and not judging.judged:
        raise UserError(
            f"instruction: an expert does what is judged, {options.instruction!r} is {judging.sentence()}"
        )
    variation = embodiment.name if embodiment.environment else f"{options.randomize} randomisation"
    say(f"task         {options.task}, seed {options.seed}, {variation}")
    say(f"instruction  {world.instruction}")
    if options.instruction is not None:
        say(f"success      {f'is judged by: {judging.goal}' if judging.judged else judging.sentence()}")
    say(f"driver       {driver}")
    say(f"rendering    {backend_report()}")


def _say_confidence(say: Say, policy: DrivingPolicy, result: EpisodeResult, mean: float) -> None:
    from ideomotor.launch.serving.remote_policy import RemotePolicy
    from ideomotor.vla.policy import EpisodePolicy

    lowest = min(result.confidences, key=lambda one: one[1])
    calibrated = isinstance(policy, RemotePolicy) and policy.calibrated
    if isinstance(policy, EpisodePolicy):
        calibrated = bool(policy.networks.confidence.agreements)
    known = "" if calibrated else " (not calibrated: how far its samples agree)"
    say(f"confidence   {mean:.0%} on average, ", end="")
    say(f"lowest {lowest[1]:.0%} at {lowest[0]:.1f} s{known}")


def _say_result(say: Say, result: EpisodeResult) -> None:
    if result.success is None:
        say(f"result       not judged; it ended after {result.seconds:.2f} s")
    else:
        say(f"result       {'solved' if result.success else 'NOT solved'} in {result.seconds:.2f} s", end="")
        say(f", {result.progress:.0%} of the subtasks done")
    changes = ", ".join(f"{reason} {ticks}" for reason, ticks in result.interventions.items()) or "none"
    say(f"safety       ticks with a changed command: {changes}; chunks ran out {result.holds} times")


class WallClock:
    """Real time: `control.types.Clock` over the process's monotonic clock."""

    def now(self) -> float:
        return monotonic()

    def sleep_until(self, time: float) -> None:
        sleep(max(time - self.now(), 0.0))


@contextmanager
def _film(path: Path, world: EpisodeWorld, quality: str) -> Generator[Callable[[Frame], None]]:
    """Gives an `on_frame` that films the world; the file appears when the episode is whole.

    An environment of others is filmed as the policy sees it.
    """
    from ideomotor.launch.commands.video import compose_frame, film

    embodiment = world.embodiment
    with film(path, embodiment.control_hz // embodiment.frame_ticks) as write:

        def on_frame(frame: Frame) -> None:
            images = world.film(frame.observation, FILM_HEIGHT, quality)
            write(compose_frame(images, world.instruction, frame.plan_text, FILM_HEIGHT))

        yield on_frame


def _figures(result: EpisodeResult, wall_s: float, targets: bool) -> dict[str, Any]:
    """What the JSON object says about the episode; `targets` is whether commands are joint targets."""
    from ideomotor.eval.stats.measures import jerk_ratio

    ratio = jerk_ratio(result.commands, result.boundaries) if targets else math.nan
    sure = [confidence for _, confidence in result.confidences]
    return {
        "success": result.success,
        "seconds": result.seconds,
        "progress": None if result.success is None else result.progress,
        "plan_text": result.plan_texts[-1][1] if result.plan_texts else "",  # the newest one
        "confidence": sum(sure) / len(sure) if sure else None,  # mean of the chunks'
        "interventions": sum(result.interventions.values()),
        "interventions_by_reason": result.interventions,
        "holds": result.holds,
        "jerk_ratio": None
        if math.isnan(ratio)
        else ratio,  # needs hand-overs: there are none with the expert
        "achieved_hz": len(result.commands) / wall_s,
    }


def _check(options: RunOptions) -> None:
    check_goal(options.goals)
    if not options.task and options.goals.goal is None:
        raise UserError("Missing from ideomotor run: TASK, one of `ideomotor tasks`, or --goal")
    if options.goals.goal is not None:
        check_goal_run(options)
    if options.expert and options.policy:
        raise UserError("policy: --expert and --policy exclude each other")
    if options.expert and (options.confidence or options.needed != NeededArguments()):
        raise UserError(f"{'confidence' if options.confidence else 'cameras, text'}: an expert has none")
    check_watched(options)
    if options.seed < 0:
        raise UserError(f"seed: got {options.seed}, expected at least 0")
    if not 0 <= options.delay < math.inf:
        raise UserError(f"delay: got {options.delay}, expected at least 0 ms")
    if options.expert and options.delay:
        raise UserError(f"delay: got {options.delay:g} ms, but an expert has no networks to wait for")
    if options.record:
        check_output("record", options.record, FILMS)
