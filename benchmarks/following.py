"""How far joints are from their commands in ordinary runs: where the limits of following errors come from.

    .venv/bin/python -P benchmarks/following.py [--episodes 3] [--policy] [--level full] [--logs DIR...]

Experts (or, with --policy, the bundled policy) in lockstep over every task, or the logs of launches. A figure
is a joint's distance from the nearest of its commands of the last 0.25 s. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from ideomotor.control.embodiment import Embodiment, load_embodiment
from ideomotor.control.safety.following import FollowingWatch
from ideomotor.control.types import Command, RobotState
from ideomotor.eval.policy_spec import load_policy
from ideomotor.eval.rollout import rollout
from ideomotor.launch.runtime.recording.session_recorder import TICKS
from ideomotor.sim.open_world import task_world
from ideomotor.sim.tasks import TASKS
from ideomotor.vla.checkpoint_info import bundled_checkpoint

Run = tuple[np.ndarray, np.ndarray, np.ndarray]  # commands, positions and efforts, (T, A) each
ABOVE = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4)  # [rad]


def main() -> None:
    parser = argparse.ArgumentParser(description="measures following errors in ordinary runs")
    parser.add_argument("--episodes", type=int, default=3, help="of each task")
    parser.add_argument("--policy", action="store_true", help="the bundled policy instead of experts")
    parser.add_argument("--level", default="light")
    parser.add_argument("--logs", type=Path, nargs="*", help="folders of launches, instead of episodes")
    arguments = parser.parse_args()
    robot = load_embodiment("so101")
    if arguments.logs is not None:
        runs = map(logged, arguments.logs)
    else:
        runs = driven(robot, arguments.episodes, arguments.level, arguments.policy)
    print(json.dumps(figures(robot, runs)))


def driven(robot: Embodiment, episodes: int, level: str, with_policy: bool) -> Iterator[Run]:
    """Episodes of every task in lockstep."""
    policy = load_policy(bundled_checkpoint(), "so101") if with_policy else None
    for task in TASKS:
        for seed in range(episodes):
            world = task_world(task, 500_000 + seed, level=level, embodiment=robot)
            rows: list[tuple[np.ndarray, RobotState]] = []
            step = world.step

            def noted(command: Command, rows=rows, world=world, step=step) -> None:
                rows.append((command.position.copy(), world.state()))
                step(command)

            world.step = noted
            rollout(world, policy)
            world.close()
            commands = np.array([command for command, _ in rows])
            positions = np.array([state.position for _, state in rows])
            yield commands, positions, np.array([state.effort for _, state in rows])


def logged(folder: Path) -> Run:
    """A launch."""
    table = pq.read_table(folder / TICKS)
    commands, positions, efforts = (
        np.array(table[name].to_pylist(), dtype=np.float64) for name in ("command", "position", "effort")
    )
    return commands, positions, efforts


def figures(robot: Embodiment, runs: Iterator[Run]) -> dict[str, object]:
    """Percentiles of each joint's error [rad], and for how long at most it was above some values [s]."""
    all_errors, longest = [], np.zeros((len(ABOVE), len(robot.joints)))
    grips: list[np.ndarray] = []
    for commands, positions, efforts in runs:
        watch = FollowingWatch(robot)
        watch.reset(positions[0])
        errors = np.zeros_like(positions)
        for i in range(1, len(commands)):  # a state is measured before its tick's command is sent
            now = i / robot.control_hz
            watch.check(commands[i - 1], RobotState(now, positions[i], positions[i], efforts[i]), True, now)
            errors[i] = watch.errors
        all_errors.append(errors)
        for k, value in enumerate(ABOVE):
            for joint in range(len(robot.joints)):
                longest[k, joint] = max(longest[k, joint], _longest(errors[:, joint] > value))
        grips.append(np.abs(efforts[errors[:, -1] > 0.1, -1]))
    errors, grip = np.concatenate(all_errors), np.concatenate(grips)
    rows = {}
    for joint, name in enumerate(robot.joint_names):
        p50, p99, p999, worst = np.nanpercentile(errors[:, joint], [50, 99, 99.9, 100])
        rows[name] = {"p50": p50, "p99": p99, "p99.9": p999, "max": worst}
        print(
            f"{name:14} p50 {p50:.4f}  p99 {p99:.4f}  p99.9 {p999:.4f}  max {worst:.4f} rad   longest above "
            + ", ".join(f"{a:g}: {longest[k, joint] / robot.control_hz:.2f} s" for k, a in enumerate(ABOVE))
        )
    lowest = np.percentile(grip, [0, 1, 5, 50]).round(3).tolist() if len(grip) else []
    print(f"gripper more than 0.1 rad away: {len(grip)} ticks, its effort at min, 1, 5, 50 %: {lowest} N m")
    return {"ticks": len(errors), "joints": rows}


def _longest(values: np.ndarray) -> int:
    """The longest run of true ones."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], values, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


if __name__ == "__main__":
    main()
