"""What `ideomotor bench train` measures: samples per CPU second of both stages, beside LeRobot's policies.

Ours is the real loop of `train.trainer` with the recipe's models and batches: rendered scenes for the
interpreter, generated episodes for the decoder, loading and augmentation included. LeRobot's policies train
on one batch that is in memory already, so that its loader costs nothing. Rounds of ours and theirs alternate.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import tyro

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot.writer import DatasetWriter
from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.launch.bench.data import FPS, generated
from ideomotor.launch.bench.inference import PEER_BATCH, PEERS, peers
from ideomotor.launch.bench.rows import row, table
from ideomotor.launch.console import Output
from ideomotor.train.action_batch import action_batch, displaceable
from ideomotor.train.action_objective import ActionObjective
from ideomotor.train.decoder_stage import decoder_config, measure
from ideomotor.train.interpreter_stage import new_interpreter
from ideomotor.train.learner import Settings
from ideomotor.train.plan_cache import read_plans
from ideomotor.train.recipe import GRID, DecoderRecipe, Recipe, resolve
from ideomotor.train.scenes.batch import scene_batch
from ideomotor.train.scenes.objective import SceneObjective
from ideomotor.train.scenes.pool import PoolSettings, make_pool
from ideomotor.train.trainer import fit
from ideomotor.vla.decoder.decoder import Decoder
from ideomotor.vla.decoder.sampling import SamplingConfig
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.networks import PolicyNetworks

POOL: Final = PoolSettings(scenes=32, shard=16)
EPISODES, FRAMES = 4, 60  # of the generated data
ROUNDS: Final = 3
PEER_STEPS: Final = 2  # a round
BESIDE: Final = "decoder of the recipe grid"
Run = Callable[[int], list[float]]  # steps -> CPU s of each


@dataclass(frozen=True)
class TrainingOptions:
    """Measures samples per CPU second of training, beside LeRobot's ACT and diffusion policy."""

    config: str = "nano"
    """recipe"""

    steps: int = 8
    """of each stage in each of three rounds"""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the figures as JSON; - is standard output"""


def training(options: TrainingOptions) -> int:
    """The command."""
    bench_training(options.json, options.config, options.steps)
    return 0


def bench_training(json_target: Path | None = None, config: str = "nano", steps: int = 8) -> dict[str, Any]:
    """Measures, shows a table and returns `{"config", "peer", "rows"}`, the rows as in DESIGN section 7.

    A sample of stage 1 is a question about a picture, of stage 2 a window of recorded data; of LeRobot's
    policies an observation with its chunk. Figures are medians over the steps of all rounds.

    Args:
        json_target: also write the result there; "-" is standard output.
        config: name of the recipe.
        steps: of each stage in each round; the first does not count.
    """
    if steps < 3:
        raise UserError(f"steps: got {steps}, expected at least 3")
    if torch.cuda.is_available():
        raise UserError("bench train: measures the CPU; hide the GPU with CUDA_VISIBLE_DEVICES=")
    output, recipe = Output(json_target), resolve(config)
    with tempfile.TemporaryDirectory(prefix="ideomotor-bench-") as folder:
        first, interpreter = _first_stage(recipe, Path(folder))
        second, networks = _second_stage(recipe, recipe.decoder, interpreter, Path(folder))
        grid, _ = _second_stage(recipe, _with_grid(recipe.decoder), interpreter, Path(folder))
        stages = {
            "stage 1, interpreter": (first, recipe.interpreter.pictures * recipe.interpreter.group),
            "stage 2, policy": (second, recipe.decoder.batch),
            BESIDE: (grid, recipe.decoder.batch),
        }
        spent: dict[str, list[float]] = {}
        with peers(networks, output) as (ask, facts):
            for _ in range(ROUNDS):
                for name, (run, _samples) in stages.items():
                    spent.setdefault(name, []).extend(run(steps))
                for name in PEERS if ask else ():
                    assert ask is not None
                    answer = ask({"policy": name, "task": "train", "times": PEER_STEPS})
                    spent.setdefault(name, []).extend(answer["cpu_s"])
    rates = {
        name: (stages[name][1] if name in stages else PEER_BATCH) / statistics.median(each)
        for name, each in spent.items()
    }
    rows = [row(name, rates[name], "samples/CPU s") for name in stages if name != BESIDE]
    for name in (BESIDE, *(PEERS if ask else ())):
        theirs = name if name == BESIDE else f"LeRobot {name}"
        rows.append(
            row("stage 2, policy", rates["stage 2, policy"], "samples/CPU s", theirs, rates[name], False)
        )
    version = f"lerobot {facts['version']}" if ask else None
    result = {"config": config, "peer": version, "rows": rows}
    output.result(result)
    output.text.print(table(rows))
    return result


def _first_stage(recipe: Recipe, folder: Path) -> tuple[Run, Interpreter]:
    """Training an untrained interpreter on scenes rendered for it."""
    stage = recipe.interpreter
    pool, _ = make_pool(folder / "scenes", POOL)
    interpreter = new_interpreter(stage, pool, None)

    def batch_at(step: int) -> Any:
        rng = np.random.default_rng([0, step])
        images, questions = pool.draw(rng, stage.pictures, stage.group)
        seeds = rng.integers(0, 2**64, len(images), dtype=np.uint64)
        write = step % 2 == 0  # the recipe's share, a half, in pairs of steps that can be averaged
        return scene_batch(interpreter, images, questions, write=write, seeds=seeds)

    def run(steps: int) -> list[float]:
        objective = SceneObjective(interpreter, stage.weights)
        interpreter.plan_head.requires_grad_(False)
        pairs = _steps("interpreter", objective, batch_at, 2 * steps, stage.train, folder)
        return [sum(pair) / 2 for pair in zip(pairs[::2], pairs[1::2], strict=False)]

    return run, interpreter


def _second_stage(
    recipe: Recipe, stage: DecoderRecipe, interpreter: Interpreter, folder: Path
) -> tuple[Run, PolicyNetworks]:
    """Training a decoder on generated episodes, whose frames the interpreter has read before."""
    embodiment = load_embodiment(recipe.robot)
    if not (folder / "episodes").is_dir():
        with DatasetWriter(folder / "episodes", embodiment, fps=FPS) as writer:
            for index in range(EPISODES):
                writer.add_episode(generated(embodiment, index, FRAMES))
    loader = WindowLoader(
        [folder / "episodes"],
        embodiment,
        stage.horizon,
        stage.batch,
        plan_images=False,
        cache_root=folder / "cache",
    )
    plans = read_plans(interpreter.eval(), loader, lambda line: None)
    processor, moving = measure(loader, stage.origin), displaceable(loader)
    config = decoder_config(stage, loader, interpreter, processor)
    decoder = Decoder(config)

    def batch_at(step: int) -> Any:
        rng = np.random.default_rng([1, step])
        windows = loader.batch(step)
        plan_features = plans.read(windows.at_plan.index)
        return action_batch(windows, plan_features, config.cameras, processor, stage, moving, rng, step)

    def run(steps: int) -> list[float]:
        interpreter.plan_head.requires_grad_(True)
        objective = ActionObjective(decoder, interpreter.plan_head, embodiment.name, stage.objective)
        return _steps("decoder", objective, batch_at, steps, stage.train, folder)

    return run, PolicyNetworks(interpreter, decoder, processor, loader.timing, SamplingConfig())


def _with_grid(stage: DecoderRecipe) -> DecoderRecipe:
    """The stage with the decoder of the recipe `grid`, at the stage's own width."""
    kept = {name: getattr(stage, name) for name in ("train", "width", "heads", "horizon", "batch")}
    return dataclasses.replace(GRID, **kept)


def _steps(
    name: str,
    objective: torch.nn.Module,
    batch_at: Callable[[int], Any],
    steps: int,
    settings: Settings,
    folder: Path,
) -> list[float]:
    """CPU seconds of each step but the first, by when the loop asks for the batches.

    It asks for the next one as soon as a step begins, so that between two calls lies one step, and one batch
    of its thread.
    """
    asked: list[float] = []

    def timed(step: int) -> Any:
        asked.append(time.process_time())
        return batch_at(step)

    fit(name, objective, timed, 1, dataclasses.replace(settings, steps=steps), folder / "out")
    return np.diff(asked)[1:].tolist()
