"""What a training will take on this machine, measured before it begins.

A few steps of each stage are made with untrained networks of the recipe's sizes on the data's own pictures,
some scenes are rendered, and some frames read. That takes seconds, and says what hours will say.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ideomotor.control.embodiment import load_embodiment
from ideomotor.datasets.loading import cache_folders
from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.sim.vqa.synthetic_scenes import synthetic_scenes
from ideomotor.train.action_batch import action_batch, displaceable
from ideomotor.train.action_objective import ActionObjective, PlanFeatures
from ideomotor.train.decoder_stage import decoder_config, measure
from ideomotor.train.device import chosen_precision, computes_in_bf16, to_device, tune_process
from ideomotor.train.distillation.scenes import TaughtSceneObjective
from ideomotor.train.distillation.teaching import Teaching
from ideomotor.train.interpreter_stage import annotated, checked_cameras, new_interpreter
from ideomotor.train.learner import Settings
from ideomotor.train.parallel import processes
from ideomotor.train.plan_cache import READ_AT_ONCE, views
from ideomotor.train.recipe import Recipe, as_dict
from ideomotor.train.reporting.page import figures_of, samples_of
from ideomotor.train.scenes.batch import recorded_questions, scene_batch
from ideomotor.train.scenes.objective import SceneObjective
from ideomotor.train.scenes.pool import NAMES
from ideomotor.train.scenes.shards import shards_of
from ideomotor.vla.decoder.decoder import Decoder
from ideomotor.vla.images import to_pixels
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.interpreter.vocabulary import PLAN_QUERIES

STEPS = 2  # that are measured, after one that is not
MEASURED = 256  # windows that normalisation is measured on, for now
SHORT = 20  # steps of a stage that is over before it could be measured
SCENES_S = 1.0  # for which scenes are rendered
COMPILED, COMPILING_S = 0.7, 180.0  # share of an eager step's time, and [s] it takes: docs/lab_notes.md


@dataclass(frozen=True)
class Part:
    """One part of a training that is yet to come."""

    what: str
    seconds: float
    stage: str = ""  # "interpreter" or "decoder", of those that learn
    samples: int = 0  # questions or windows that it will have seen when it is done


def forecast(
    recipe: Recipe, loader: WindowLoader, out: Path, resume: bool = False, teaching: Teaching | None = None
) -> list[Part]:
    """The parts in their order; in several processes all have to ask at once.

    Left out is what cannot be known cheaply: stages around a pretrained base, stage 3, and driving.
    """
    kept = out / "state" / "interpreter"
    stages = (recipe.interpreter.train, recipe.decoder.train)
    short = all(stage.minutes <= 0 and stage.steps <= SHORT for stage in stages)
    if short or recipe.interpreter.base or (recipe.init.policy and recipe.decoder.train.left_out):
        return []
    tune_process()
    ready = recipe.init.interpreter or (str(kept) if resume and kept.is_dir() else "")
    parts: list[Part] = []
    with torch.random.fork_rng():
        interpreter = _untrained(recipe, loader, teaching)
        if not ready:
            parts += _rendering(recipe)
            stage, batch = recipe.interpreter.train, samples_of(as_dict(recipe), "interpreter")
            step = _interpreting(recipe, loader, interpreter, teaching)
            name = f"stage 1, the interpreter: {{}} questions, {batch} a step"
            parts += _learning("interpreter", name, stage, batch, step, recipe.compile, out, resume)
        if not recipe.decoder.train.left_out:
            step = _decoding(recipe, loader, interpreter, teaching)
            name = f"stage 2, the decoder: {{}} windows, {recipe.decoder.batch} a step"
            learning = _learning(
                "decoder", name, recipe.decoder.train, recipe.decoder.batch, step, recipe.compile, out, resume
            )
            if not _position(out, "decoder", resume)[0]:
                parts.append(_reading(loader, interpreter))
                parts += [_reading(loader, teaching.networks.interpreter)] if teaching else []
            parts += learning
    return [part for part in parts if part.seconds > 0]


def _learning(
    stage: str,
    what: str,
    settings: Settings,
    batch: int,
    step_s: float,
    compiled: bool,
    out: Path,
    resume: bool,
) -> list[Part]:
    """A stage that learns, from where it is; nothing if it is left out."""
    done, elapsed = _position(out, stage, resume)
    if settings.left_out:
        return []
    step_s *= COMPILED if compiled else 1.0
    compiling = COMPILING_S if compiled else 0.0
    if settings.minutes > 0:
        seconds = max(0.0, 60 * settings.minutes - elapsed)
        samples = batch * (done + int(max(0.0, seconds - compiling) / step_s))
    else:
        seconds, samples = max(0, settings.steps - done) * step_s, batch * max(done, settings.steps)
        seconds += compiling if seconds else 0.0
    return [Part(what.format(f"{samples:,}"), seconds, stage, samples)]


def _position(out: Path, stage: str, resume: bool) -> tuple[int, float]:
    """(step, seconds) of the last figures of a stage that is resumed."""
    for figures in reversed(figures_of(out / f"{stage}.jsonl") if resume else []):
        if "seconds" in figures:
            return int(figures["step"]), float(figures["seconds"])
    return 0, 0.0


def _untrained(recipe: Recipe, loader: WindowLoader, teaching: Teaching | None) -> Interpreter:
    """An interpreter as stage 1 begins with, but that its words are those of the data only."""
    state = len(load_embodiment(recipe.robot).state_names) if recipe.interpreter.use_proprio else 0
    cameras = checked_cameras(recipe.interpreter, recipe.robot)
    taught = teaching is not None and teaching.settings.interpreter > 0
    tokenizer = teaching.networks.interpreter.tokenizer if teaching and taught else None
    return new_interpreter(recipe.interpreter, None, loader, cameras, state, tokenizer)


def _rendering(recipe: Recipe) -> list[Part]:
    """Synthetic scenes that are not there yet."""
    settings = recipe.interpreter.pool
    if not settings.scenes:
        return []
    shards = shards_of(cache_folders.scenes_root(), settings)
    missing = sum(not shard.is_dir() for shard in shards) * settings.shard
    if not missing:
        return []
    rendered = iter(synthetic_scenes(settings.seed, missing, settings.level))
    next(rendered)  # the first one also prepares the renderer
    begun, count = time.monotonic(), 0
    for count, _ in enumerate(rendered, start=1):  # noqa: B007
        if time.monotonic() - begun > SCENES_S:
            break
    each = (time.monotonic() - begun) / max(1, count)
    workers = max(1, recipe.workers)
    return [Part(f"rendering {missing:,} scenes in {workers} processes", missing * each / workers)]


def _interpreting(
    recipe: Recipe, loader: WindowLoader, interpreter: Interpreter, teaching: Teaching | None
) -> float:
    """Seconds of a step of stage 1, the mean of those in which long texts are written and the others."""
    stage = recipe.interpreter
    rows = annotated(loader) or [range(loader.rows)]
    pictures, group = max(1, stage.pictures // processes()[1]), stage.group
    if not stage.pool.scenes:
        pictures, group = 2 * pictures, 1
    rng = np.random.default_rng(0)
    images, _, questions = recorded_questions(loader, rows, rng, pictures, interpreter.config.cameras)
    asked = [question for question in questions for _ in range(group)]
    objective: nn.Module = SceneObjective(interpreter, stage.weights)
    if teaching and teaching.settings.interpreter:
        objective = TaughtSceneObjective(
            objective, teaching.networks.interpreter, teaching.settings.interpreter
        )
    took = [
        _seconds(objective, scene_batch(interpreter, images, asked, write=write), stage.train)
        for write in (True, False)
    ]
    return stage.write_share * took[0] + (1 - stage.write_share) * took[1]


def _decoding(
    recipe: Recipe, loader: WindowLoader, interpreter: Interpreter, teaching: Teaching | None
) -> float:
    """Seconds of a step of stage 2."""
    stage, windows = recipe.decoder, loader.batch(0)
    count = len(windows)
    processor = teaching.networks.processor if teaching else measure(loader, stage.origin, MEASURED)
    config = decoder_config(stage, loader, interpreter, processor)
    rng = np.random.default_rng(0)
    batch = action_batch(
        windows,
        _some_plans(count, interpreter),
        config.cameras,
        processor,
        stage,
        displaceable(loader),
        rng,
        0,
    )
    embodiment, teacher = loader.embodiment.name, None
    if teaching:
        batch = replace(batch, teacher_features=_some_plans(count, teaching.networks.interpreter))
        teacher = teaching.chunks(embodiment, config.cameras)
    objective = ActionObjective(Decoder(config), interpreter.plan_head, embodiment, stage.objective, teacher)
    return _seconds(objective, batch, stage.train)


def _some_plans(count: int, interpreter: Interpreter) -> PlanFeatures:
    """Of `count` frames that nobody has read."""
    return PlanFeatures(
        torch.randn(count, PLAN_QUERIES, interpreter.hidden_dim),
        torch.randn(count, interpreter.hidden_dim),
        torch.rand(count, len(NAMES), 2),
        torch.rand(count, len(NAMES)),
    )


def _reading(loader: WindowLoader, interpreter: Interpreter) -> Part:
    """Reading the frames that plans are made from, which is a pass of the interpreter for each."""
    used = np.unique(loader.used(np.arange(loader.rows)))
    rows = used[:READ_AT_ONCE]
    device = _device()
    interpreter.to(device).eval()
    pixels = to_pixels(views(loader.row_images(rows), interpreter)).to(device)
    seen = [[True] * len(interpreter.config.cameras)] * len(rows)
    prompts = interpreter.prompts(loader.row_instructions(rows), seen, state=loader.row_states(rows))
    prompts = type(prompts)(*(tensor.to(device) for tensor in vars(prompts).values()))

    @torch.inference_mode()
    def read() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=computes_in_bf16()):
            interpreter(pixels, prompts).hidden.sum().item()

    passes = -(-len(used) // len(rows)) / processes()[1]
    return Part(f"reading {len(used):,} frames", passes * _timed(read))


def _seconds(objective: nn.Module, batch: Any, settings: Settings) -> float:
    """Seconds of a step on a batch: forwards, backwards, and the optimiser's."""
    device = _device()
    objective.to(device).train()
    batch, precision = to_device(batch, device), chosen_precision(settings.precision)
    optimizer = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], lr=0.0, fused=True)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            loss = objective(batch)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        float(loss.detach())

    return _timed(step)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _timed(work: Callable[[], None]) -> float:
    """Seconds that it takes, the first time left out."""
    work()
    begun = time.monotonic()
    for _ in range(STEPS):
        work()
    return (time.monotonic() - begun) / STEPS
