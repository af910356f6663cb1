"""Our policy beside LeRobot's ACT and diffusion policy: same demonstrations, same time, same episodes.

    python benchmarks/peers.py --out outputs/peers [--tasks lift,place,push] [--minutes 60]
        [--demonstrations 200] [--episodes 50] [--workers 2]

Each policy is trained for so many minutes: ours by `train --minutes`, LeRobot's for as many steps as a short
training of its own says fit. `push` is PushT's (`make pusht`); tasks of ours are recorded with `--noise 0.6`.
What is there already in --out is used, so that an interrupted table goes on. The last line is JSON; before it
come the rows for docs/results.md. Needs IDEOMOTOR_LEROBOT_PYTHON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.embodiment import load_embodiment
from ideomotor.eval.policy_spec import PolicySpec
from ideomotor.launch.checkpoints import chosen_policy
from ideomotor.launch.environments import robot_of
from ideomotor.sim.open_world import open_world

PUSHT = "push"
MEASURED_STEPS, CHUNKS = 24, 5
# Chunks of 1.6 s (PushT: 1.6 s as well) and networks that two cores can train; the rest is LeRobot's default.
ACT = (
    "policy.chunk_size={chunk}",
    "policy.n_action_steps={half}",
    "policy.dim_model=256",
    "policy.n_heads=4",
    "policy.dim_feedforward=1024",
    "policy.optimizer_lr=1e-4",
    "policy.optimizer_lr_backbone=1e-4",
)
DIFFUSION = (
    "policy.horizon=16",
    "policy.down_dims=[64,128,256]",
    "policy.noise_scheduler_type=DDIM",
    "policy.num_inference_steps=10",
)
HEADINGS = (
    "task",
    "policy",
    "solved",
    "95 % interval",
    "jerk ratio",
    "ms a chunk",
    "samples/s",
    "parameters",
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", default="lift,place,push")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--demonstrations", type=int, default=200)
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    rows = [row for task in options.tasks.split(",") for row in rows_of(task, options)]
    print("| " + " | ".join(HEADINGS) + " |\n|" + "---|" * len(HEADINGS))
    for row in rows:
        print("| " + " | ".join(row["cells"]) + " |")
    print(json.dumps({"minutes": options.minutes, "rows": [row["figures"] for row in rows]}))


def rows_of(task: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Ours, ACT and the diffusion policy on one task."""
    folder: Path = options.out / task
    env = ["--env", "pusht"] if task == PUSHT else []
    data, noise = folder / "data", [] if task == PUSHT else ["--noise", "0.6"]
    count = str(options.demonstrations)
    if not (data / "meta" / "info.json").exists():
        ideomotor(
            "record",
            task,
            *env,
            *noise,
            "--episodes",
            count,
            "--out",
            str(data),
            "--workers",
            str(options.workers),
        )
    config = (
        ["--config", "metaworld", "--set", "robot=pusht", "--set", "decoder.horizon=16"]
        if env
        else ["--config", "quick"]
    )
    ours = cached(
        folder / "ours.json",
        lambda: ideomotor(
            "train",
            "--data",
            str(data),
            "--out",
            str(folder / "ours"),
            *config,
            "--minutes",
            str(options.minutes),
            "--json",
            "-",
        ),
    )
    chunk = 16 if env else 48
    act = [part.format(chunk=chunk, half=chunk // 2) for part in ACT]
    found = [row(task, "ours", str(folder / "ours"), ours, env, options)]
    for peer, settings in (("act", act), ("diffusion", DIFFUSION)):
        figures = cached(
            folder / f"{peer}.json",
            lambda peer=peer, settings=settings: trained(peer, settings, data, folder, options),
        )
        found.append(row(task, f"LeRobot's {peer}", f"lerobot:{folder / peer}", figures, env, options))
    return found


def trained(
    peer: str, settings: Any, data: Path, folder: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """A peer's training of as many steps as fit into the time."""
    changes = [part for change in settings for part in ("--set", change)]
    how = ("train", "--peer", peer, "--data", str(data), *changes, "--json", "-")
    trial = folder / f"{peer}-trial"
    rate = cached(
        folder / f"{peer}-trial.json",
        lambda: ideomotor(*how, "--out", str(trial), "--set", f"steps={MEASURED_STEPS}"),
    )["samples_per_s"]
    steps = max(MEASURED_STEPS, int(60 * options.minutes * rate / 8))
    return ideomotor(*how, "--out", str(folder / peer), "--set", f"steps={steps}")


def row(
    task: str,
    name: str,
    policy: str,
    trained_figures: dict[str, Any],
    env: list[str],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Evaluated on held-out episodes, and timed."""
    place = options.out / task / f"{name.replace(' ', '-')}-eval"
    done = place / "results.json"
    if not done.exists():
        episodes, workers = str(options.episodes), str(options.workers)
        how = ("--episodes", episodes, "--workers", workers, "--out", str(place), "--json", "-")
        ideomotor("eval", "--policy", policy, *env, "--tasks", task, *how)
    results = json.loads(done.read_text())
    rate, jerk = results["tasks"][task], (results.get("smoothness") or {}).get("jerk_ratio")
    took = chunk_ms(policy, task, env)
    samples = trained_figures.get("policy", trained_figures)["samples_per_s"]  # ours: the decoder's stage
    figures = rate | {
        "task": task,
        "policy": name,
        "jerk_ratio": jerk,
        "chunk_ms": took,
        "samples_per_s": samples,
        "parameters": trained_figures["parameters"],
    }
    cells = [
        task,
        name,
        f"{rate['successes']}/{rate['episodes']} ({100 * rate['rate']:.0f} %)",
        f"{100 * rate['low']:.0f} to {100 * rate['high']:.0f}",
        f"{jerk:.2f}" if jerk else "–",
        f"{took:.0f}",
        f"{samples:.0f}" if samples else "–",
        f"{trained_figures['parameters'] / 1e6:.1f} M",
    ]
    return {"cells": cells, "figures": figures}


def chunk_ms(policy: str, task: str, env: list[str]) -> float:
    """Median wall time of a chunk on one core [ms], what it takes to reach another process included."""
    robot = robot_of(env[-1] if env else "", "so101")
    embodiment = load_embodiment(robot)
    loaded = PolicySpec(chosen_policy(policy, embodiment), robot).load()
    assert loaded is not None
    world = open_world(embodiment, task, 0, "none" if env else "light")
    seen = world.observe()
    plan, times = loaded.plan(seen), []
    for _ in range(CHUNKS + 1):
        began = time.perf_counter()
        loaded.act(seen, plan, np.empty((0, len(embodiment.joints))))
        times.append(time.perf_counter() - began)
    world.close()
    return 1000 * float(np.median(times[1:]))


def cached(path: Path, make: Any) -> dict[str, Any]:
    """What was written before, or is made and written now."""
    if not path.exists():
        made = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(made) + "\n")
    return json.loads(path.read_text())


def ideomotor(*arguments: str) -> dict[str, Any]:
    """Runs a command and returns its JSON, {} where it gives none."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ideomotor")), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"ideomotor {' '.join(arguments)}: exit code {done.returncode}")
    return json.loads(done.stdout) if "--json" in arguments else {}


if __name__ == "__main__":
    main()
