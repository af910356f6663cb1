"""The command line of `ideomotor eval`.

`EvalArguments` is what can be typed. It is one of four things: a suite's `EvalOptions`, the `CompareOptions`
of --compare (compare.py), the `QuestionOptions` of suite questions (questions.py), or the `GoalOptions` of
suite goals (goals.py).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ideomotor.control.chunk_handover import DEFAULT
from ideomotor.control.errors import UserError
from ideomotor.launch.needed_options import NeededArguments
from ideomotor.launch.serving.lerobot_options import LeRobotOptions
from ideomotor.launch.serving.remote_options import RemoteOptions

QUESTIONS = "questions"  # a suite of its own kind, see `launch/commands/evaluate/questions.py`
GOALS, GOAL_EPISODES = "goals", 20  # likewise, see `launch/commands/evaluate/goals.py`
GENERALIZATION, PHRASINGS = "generalization", "phrasings"
MT50, METAWORLD, MT50_EPISODES = "mt50", "metaworld", 10  # a suite, its environment, episodes of each task
LIBERO = "libero"  # a suite, and its environment
OF_ENVIRONMENTS = {MT50: METAWORLD, LIBERO: LIBERO}  # suites that are of the tasks of one environment
DEFAULT_SUITE, DEFAULT_EPISODES = "builtin", 50


@dataclass(frozen=True)
class EvalOptions:
    """A policy on a suite: what is run, how, and where the results go."""

    policy: Annotated[str | None, tyro.conf.arg(metavar="DIR|URL")] = None
    """checkpoint folder, or ORG/NAME on the Hugging Face Hub; lerobot:DIR or lerobot:ORG/NAME is one of
    LeRobot's (docs/environments.md); ws://HOST:PORT asks `ideomotor serve`, openpi://HOST:PORT a server of
    openpi's (docs/serving.md); the bundled policy by default"""

    lerobot: LeRobotOptions = LeRobotOptions()
    """of a policy of LeRobot's"""

    remote: Annotated[RemoteOptions, tyro.conf.arg(name="")] = RemoteOptions()
    """of a policy that is asked over a network"""

    needed: Annotated[NeededArguments, tyro.conf.arg(name="")] = NeededArguments()
    """what of a checkpoint is loaded"""

    expert: bool = False
    """evaluate the scripted experts instead of a policy"""

    suite: Annotated[str, tyro.conf.arg(metavar="NAME")] = DEFAULT_SUITE
    """builtin: new scenes and phrasings; familiar: new scenes, phrasings of the demonstrations;
    swap: told to use another object than success is judged by; named: told to use another object, which
    success is judged by; generalization: builtin, then the same with one thing at a time not as in training
    (--axes); questions: the interpreter alone is asked about 8 still scenes for each of --episodes;
    phrasings: a hundred instructions in people's own words, then the same goals in templates;
    mt50: Meta-World's 50 tasks by the published protocol (docs/metaworld.md); libero: LIBERO's 40 tasks of
    four suites by theirs (docs/libero.md), or with --env libero_spatial, say, those of one; goals: tasks of
    several skills each, carried out by a planner (docs/planning.md)"""

    tasks: Annotated[str | None, tyro.conf.arg(metavar="A,B")] = None
    """only these tasks"""

    episodes: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """episodes of each task; by default 50, of mt50 10, of goals 20, of phrasings all 12 or 13 there are"""

    seed_start: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """first seed of each task; by default one that demonstrations do not reach"""

    randomize: Literal["none", "light", "full"] = "light"
    """how much of the scenes' look and physics varies with the seed"""

    delay_ms: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """simulated inference time [ms]"""

    handover: Annotated[str, tyro.conf.arg(metavar="NAME")] = DEFAULT
    """how a chunk takes over from the one before: rtc (ours), or sync, naive, ensemble to compare with"""

    without: Annotated[str, tyro.conf.arg(metavar="A,B")] = ""
    """run every episode again without each of these: a camera (front, wrist), language, state, or a place
    where they come together: early (the interpreter's pictures), plan, vision (the decoder's own pictures);
    A+B: without both"""

    axes: Annotated[str | None, tyro.conf.arg(metavar="A,B")] = None
    """of suite generalization: only these; all by default, or with --expert those that change what the body
    has to do (docs/generalization.md lists them)"""

    steps: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """steps of the sampler; by default the checkpoint's"""

    sampler: Annotated[str, tyro.conf.arg(metavar="NAME")] = ""
    """ddim or dpm-solver, where the decoder predicts noise; by default the checkpoint's"""

    noise: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """standard deviation of what chunks begin with, 0 for no chance; by default the checkpoint's"""

    confidence: bool = False
    """let the policy tell how sure it is of each chunk, and report how well that foretells failure; takes
    more time and does not change what it does"""

    calibrate: bool = False
    """fit what confidence means to these episodes, of seeds before the suites', and write it into --policy,
    besides what solved ones look like (docs/dashboard.md, Alarms)"""

    robot: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")] = "so101"
    """robot, or embodiment file"""

    env: Annotated[str, tyro.conf.arg(metavar="NAME|FILE|MODULE:ID")] = ""
    """tasks of a Gymnasium environment that an embodiment file maps, from starts that no demonstration had"""

    workers: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """processes to run with; does not change the results"""

    batch: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """episodes of a policy at once in each process, whose networks run as one batch: faster, and the same but
    for the rounding of float32 (docs/evaluation.md)"""

    ray: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = ""
    """run on a Ray cluster (HOST:PORT, ray://HOST:PORT or auto; extra `ray`) instead, the same results"""

    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """folder for results.json, report.html and the finished episodes that --resume continues from"""

    resume: bool = False
    """continue an interrupted evaluation in --out"""

    stop_at: Annotated[float | None, tyro.conf.arg(metavar="RATE")] = None
    """end a task as soon as it is decided, at 95 %, whether its success rate is above or below RATE; verdicts
    and intervals hold although they are looked at after every episode"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the results as JSON; - is standard output"""

    @property
    def count(self) -> int:
        """Episodes of each task."""
        by_default = {MT50: MT50_EPISODES, GOALS: GOAL_EPISODES}.get(self.suite, DEFAULT_EPISODES)
        return by_default if self.episodes is None else self.episodes


@dataclass(frozen=True)
class EvalArguments(EvalOptions):
    """Evaluates a policy, the bundled one by default, on a fixed list of episodes."""

    compare: Annotated[tuple[Path, Path] | None, tyro.conf.arg(metavar="A B")] = None
    """run nothing; say whether B is better than A, two folders (or results.json) of evaluations of the same
    episodes, and if that cannot be told, how many episodes would tell"""

    planner: Annotated[str, tyro.conf.arg(metavar="NAME")] = ""
    """of suite goals: who plans; symbolic by default; oracle is the goal's own steps in order, the best that
    the skills allow"""

    perception: Annotated[str, tyro.conf.arg(metavar="NAME")] = ""
    """of suite goals: what the planner is told of the scene: truth, the simulator's, by default; seen: what
    is found in the front camera's pictures"""

    no_verification: bool = False
    """of suite goals: believe that every skill has succeeded"""

    no_candidates: bool = False
    """of suite goals: take the first plan instead of weighing several"""

    no_memory: bool = False
    """of suite goals: remember nothing"""

    no_recovery: bool = False
    """of suite goals: give up at the first failure"""

    imagine: bool = False
    """of suite goals: plans are tried in simulation, from what is perceived, before one is chosen"""

    return_home: bool = False
    """of suite goals: the arm goes back to its home pose before each attempt"""


def refuse_others(arguments: EvalArguments, meant: Collection[str], why: str) -> None:
    """Raises UserError for the first option that was changed and is none of those that are meant.

    Args:
        meant: names of fields.
        why: the rest of the error's line.
    """
    for field in fields(arguments):
        value, usual = getattr(arguments, field.name), field.default
        if field.name in meant or value == usual:
            continue
        name = field.name
        if is_dataclass(value):  # options that several commands share
            name = next(
                one.name for one in fields(value) if getattr(value, one.name) != getattr(usual, one.name)
            )
        raise UserError(f"{name.replace('_', '-')}: {why}")
