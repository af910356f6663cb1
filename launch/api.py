"""The Python API: what `import ideomotor` gives (docs/api.md). Here because it puts the rooms together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.errors import UserError, unknown_name
from ideomotor.control.timing import timing_of
from ideomotor.control.types import Policy
from ideomotor.launch.checkpoints import policy_folder
from ideomotor.launch.loaded_policy import LoadedPolicy
from ideomotor.vla.needed import Needed

if TYPE_CHECKING:
    import gymnasium

    from ideomotor.datasets.lerobot.reader import Dataset
    from ideomotor.eval.rollout import Frame

HELD_OUT = 1_000_000  # first seed of the suites; demonstrations have seeds from 0


@dataclass(frozen=True)
class Episode:
    """One simulated episode."""

    instruction: str
    success: bool | None  # None: what was asked for is not judged
    progress: float  # share of the subtasks done, in [0, 1]
    seconds: float  # [s] of simulated time
    frames: dict[str, np.ndarray]  # {camera: (F, H, W, 3) uint8 RGB}, as the policy saw them
    states: np.ndarray  # (F, A) float32 [rad or m], at each frame
    actions: np.ndarray  # (T, A) float64 [rad or m], executed commands, one a tick
    plans: list[tuple[float, str]]  # (time [s], readable plan), where it changes


def load_policy(
    source: str | Path | None = None,
    robot: str = "so101",
    *,
    cameras: Sequence[str] | None = None,
    text: bool = True,
) -> LoadedPolicy:
    """A policy to act with.

    Args:
        source: checkpoint folder, or ORG/NAME on the Hugging Face Hub; None: the bundled one.
        robot: name, or embodiment file.
        cameras: the only ones that it will be shown: what belongs to others is neither loaded nor computed.
        text: whether it can write readable plans; without, what only these need is not loaded.

    Raises:
        UserError: there is no such checkpoint, it is damaged, or was made for another robot.
    """
    embodiment = load_embodiment(robot)
    folder = policy_folder(None if source is None else Path(source), embodiment.name)
    return LoadedPolicy(folder, robot, Needed(None if cameras is None else tuple(cameras), text))


def run_episode(
    task: str,
    policy: Policy | LoadedPolicy | str | Path | None = None,
    *,
    seed: int = HELD_OUT,
    instruction: str | None = None,
    level: str = "light",
    robot: str = "so101",
    delay_ms: float = 0.0,
) -> Episode:
    """Runs one episode in lockstep with the simulation.

    Args:
        task: one of `ideomotor tasks`, or of the environment that the robot's file describes.
        policy: as for `load_policy`, or already loaded, or an object of your own that implements
            `control.types.Policy`; "expert" is the scripted expert.
        seed: of the scene and of the policy.
        instruction: any words; by default a phrasing of the task.
        level: of randomisation: none, light or full.
        robot: name, or embodiment file.
        delay_ms: simulated inference time.

    Raises:
        UserError: an unknown task, robot or policy, or an instruction that an expert cannot follow.
    """
    from ideomotor.eval.rollout import rollout
    from ideomotor.launch.environments import checked_tasks
    from ideomotor.sim.open_world import open_world

    embodiment = load_embodiment(robot)
    checked_tasks(embodiment, [task])
    driver = _driver(policy, robot)
    frames: list[Frame] = []
    world = open_world(embodiment, task, seed, level, instruction)
    try:
        if driver is None and not world.judging.judged:
            raise UserError(f"instruction: an expert does what is judged, {instruction!r} is not")
        ticks = 0 if driver is None else timing_of(driver, embodiment).delay_ticks("delay_ms", delay_ms)
        result = rollout(world, driver, delay_ticks=ticks, on_frame=frames.append)
        asked = world.instruction
    finally:
        world.close()
    cameras = frames[0].observation.images
    return Episode(
        instruction=asked,
        success=result.success,
        progress=result.progress,
        seconds=result.seconds,
        frames={name: np.stack([frame.observation.images[name] for frame in frames]) for name in cameras},
        states=np.stack([frame.observation.state for frame in frames]),
        actions=result.commands,
        plans=result.plan_texts,
    )


def evaluate(
    policy: LoadedPolicy | str | Path | None = None,
    *,
    suite: str = "builtin",
    tasks: Sequence[str] = (),
    episodes: int = 50,
    level: str = "light",
    robot: str = "so101",
    workers: int = 1,
    batch: int = 8,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """Success rates with intervals, on a fixed list of held-out episodes: `ideomotor eval --json`.

    Args:
        policy: as for `load_policy`; "expert" is the scripted expert.
        suite: see `ideomotor eval --help`.
        tasks: only these.
        episodes: of each task.
        level: of randomisation: none, light or full.
        robot: name, or embodiment file.
        workers: processes. Where Python starts from a script, call this under `if __name__ == "__main__"`.
        batch: episodes at once in each.
        out: folder that keeps the rows, and lets an interrupted evaluation go on.

    Returns:
        The JSON object of docs/evaluation.md; ["mean"]["rate"], ["low"] and ["high"] are over all episodes.

    Raises:
        UserError: an unknown policy, suite, task or robot, or a folder with rows of another policy.
    """
    from ideomotor.eval.policy_spec import PolicySpec
    from ideomotor.eval.run import evaluate as run_suite
    from ideomotor.eval.suites import HELD_OUT_SEEDS
    from ideomotor.eval.suites import suite as listed
    from ideomotor.eval.summary import summary
    from ideomotor.launch.environments import checked_tasks

    embodiment = load_embodiment(robot)
    chosen = checked_tasks(embodiment, tuple(tasks))
    folder = None if policy == "expert" else _folder(policy, embodiment)
    specs = listed(suite, chosen, episodes, HELD_OUT_SEEDS, level=level)
    rows = run_suite(
        specs,
        PolicySpec(folder, robot),
        workers=workers,
        batch=batch,
        out=None if out is None else Path(out),
        resume=out is not None,
    )
    return summary(suite, "expert" if folder is None else str(folder), rows)


def train(
    data: str | Path | Sequence[str | Path],
    out: str | Path,
    config: str = "nano",
    *,
    changes: Mapping[str, Any] | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Trains a policy and writes its checkpoint folder, which `load_policy` takes: `ideomotor train`.

    Args:
        data: a dataset folder, or several.
        out: becomes the checkpoint, and keeps what `resume` needs.
        config: recipe to start from, see `ideomotor train --help`.
        changes: {key of the recipe: value}, such as {"decoder.train.steps": 2000}.
        resume: continue an interrupted training in `out`.

    Returns:
        {"out", "config", "parameters"} and the last figures of each stage that was trained.

    Raises:
        UserError: bad data, recipe or folder.
        KeyboardInterrupt: after the state has been saved.
    """
    from ideomotor.train.pipeline import train as run_training

    folders = [data] if isinstance(data, str | Path) else data
    overrides = [f"{key}={_as_text(value)}" for key, value in (changes or {}).items()]
    return run_training([Path(folder) for folder in folders], Path(out), config, resume, overrides)


def open_dataset(folder: str | Path, robot: str = "", mapping: Sequence[str] = ()) -> Dataset:
    """A LeRobot dataset (v3.0, v2.1, v2.0) or GR00T's: its episodes, columns and pictures.

    Args:
        folder: of the dataset.
        robot: whose names its cameras and joints are to have; empty: as they are.
        mapping: `SOURCE=TARGET` names of the data and of the robot.

    Raises:
        UserError: a file is missing or damaged, or a camera or joint of the robot is lacking.
    """
    from ideomotor.datasets.lerobot.reader import Dataset
    from ideomotor.datasets.mapping.mapping import open_mapped

    if robot:
        return open_mapped([Path(folder)], load_embodiment(robot), mapping)[0]
    return Dataset(folder)


def make_env(
    task: str,
    *,
    num_envs: int = 0,
    processes: bool = False,
    level: str = "light",
    split: str = "train",
    render_mode: str | None = None,
) -> gymnasium.Env[Any, Any] | gymnasium.vector.VectorEnv[Any, Any, Any]:
    """A task as a Gymnasium environment: actions in [-1, 1] at 120 Hz, reward 1 at success.

    Args:
        task: one of `ideomotor tasks`.
        num_envs: 0: one environment; above: a vectorised one.
        processes: whether each of those has a process of its own.
        level: of randomisation: none, light or full.
        split: of phrasings: train or heldout.
        render_mode: "rgb_array", or None.

    Raises:
        UserError: an unknown task.
    """
    import gymnasium

    from ideomotor.sim.tasks import TASKS

    if task not in TASKS:
        raise unknown_name("task", task, TASKS)
    name = f"ideomotor.sim.register:ideomotor/{task.capitalize()}-v0"
    how = {"level": level, "split": split, "render_mode": render_mode}
    if not num_envs:
        return gymnasium.make(name, **how)
    mode = "async" if processes else "sync"
    return gymnasium.make_vec(name, num_envs=num_envs, vectorization_mode=mode, **how)


def _driver(policy: Any, robot: str) -> Policy | None:
    """Who drives; None: the expert."""
    if policy == "expert":
        return None
    if policy is None or isinstance(policy, str | Path):
        return load_policy(policy, robot).policy
    return policy.policy if isinstance(policy, LoadedPolicy) else policy


def _folder(policy: LoadedPolicy | str | Path | None, embodiment: Embodiment) -> Path:
    if isinstance(policy, LoadedPolicy):
        return policy.folder
    return policy_folder(None if policy is None else Path(policy), embodiment.name)


def _as_text(value: Any) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, Sequence):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
