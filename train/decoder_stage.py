"""Stage 2: the decoder on recorded demonstrations, with the interpreter frozen.

The interpreter has read every frame beforehand (plan_cache.py), so that a step of training costs no
vision-language pass at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ideomotor.control.errors import UserError
from ideomotor.datasets.files import replace_files
from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.train.action_batch import action_batch, displaceable
from ideomotor.train.action_objective import ActionBatch, ActionObjective
from ideomotor.train.chunk_errors import examine, units_of
from ideomotor.train.distillation.teaching import Teaching
from ideomotor.train.parallel import processes
from ideomotor.train.plan_cache import read_plans
from ideomotor.train.recipe import DecoderRecipe
from ideomotor.train.selection import Drive, Selection
from ideomotor.train.trainer import fit
from ideomotor.vla.checkpoint_info import PROCESSOR
from ideomotor.vla.decoder.decoder import Decoder, DecoderConfig
from ideomotor.vla.decoder.sampling import SamplingConfig, sampler_of
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.networks import PolicyNetworks
from ideomotor.vla.processor import Processor, fit_processor, load_processor

Log = Callable[[str], None]
EXAMINED = 10**7  # number of the batch that examinations use: no training comes that far


def train_decoder(
    recipe: DecoderRecipe,
    loader: WindowLoader,
    interpreter: Interpreter,
    out: Path,
    resume: bool = False,
    log: Log = lambda line: None,
    before: PolicyNetworks | None = None,
    compiled: bool = False,
    drive: Drive | None = None,
    teaching: Teaching | None = None,
) -> tuple[PolicyNetworks, dict[str, float], dict[str, Any] | None]:
    """A policy whose decoder has learned the demonstrations, the last figures of training, and what was
    selected, see `Selection.outcome`; None where nothing was, and in all processes but the first.

    Args:
        recipe: this stage's.
        loader: see `parallel.OwnWindows`; its batches are `recipe.batch` windows of all processes.
        interpreter: stays as it is, but for its plan head, which learns with the decoder.
        out: where state and metrics go.
        resume: continue from the state in `out`.
        log: called with lines about what is going on.
        before: a policy with this interpreter, whose decoder and plan head are trained further.
        compiled: whether to train through torch.compile.
        drive: has checkpoints drive, if the recipe selects by that.
        teaching: a policy that it learns from beside the data, whose normalisation it takes over.
    """
    embodiment, moving = loader.embodiment, displaceable(loader)
    torch.manual_seed(recipe.train.seed)
    if before is None:
        given = teaching.networks.processor if teaching else None
        processor = given or _processor(recipe, loader, out / "state" / PROCESSOR, resume)
    else:
        processor = before.processor
        _check_further(recipe, loader, before, teaching)
    config = decoder_config(recipe, loader, interpreter, processor)
    decoder = Decoder(config)
    read = partial(
        read_plans,
        loader=loader,
        log=log,
        unknown_words=recipe.unknown_words,
        dropped=recipe.drop_instruction,
    )
    plans = read(interpreter)
    their_plans = read(teaching.networks.interpreter) if teaching else None
    if before is not None:
        _carry_over(before.decoder, decoder)
        _carry_over(before.interpreter.plan_head, interpreter.plan_head)
    teacher = teaching.chunks(embodiment.name, config.cameras) if teaching else None
    objective = ActionObjective(decoder, interpreter.plan_head, embodiment.name, recipe.objective, teacher)
    if compiled:
        objective.compile()

    def batch_at(step: int) -> ActionBatch:
        rng = np.random.default_rng([recipe.train.seed, step, 0, 1])
        windows = loader.batch(step)
        plan_features = plans.read(windows.at_plan.index)
        batch = action_batch(windows, plan_features, config.cameras, processor, recipe, moving, rng, step)
        if their_plans is None:
            return batch
        return replace(batch, teacher_features=their_plans.read(windows.at_plan.index))

    sampling = _sampling(recipe, embodiment.targets)
    policy = PolicyNetworks(interpreter, decoder, processor, loader.timing, sampling)
    selection = None
    if recipe.select.tasks and processes()[0] == 0:
        assert drive is not None, "a recipe that selects needs something that drives"
        selection = Selection(recipe.select, drive, policy.save_pretrained, out / "state")
    metrics = fit(
        "decoder",
        objective,
        batch_at,
        loader.batch_size * loader.world,
        recipe.train,
        out,
        resume,
        lambda: examine(objective, batch_at(EXAMINED), processor, sampling, units_of(loader)),
        selection,
    )
    if selection is None:
        return policy, metrics, None
    if selection.best.step != metrics["step"]:
        policy = PolicyNetworks.from_pretrained(selection.best_checkpoint)
    return policy, metrics, selection.outcome()


def _sampling(recipe: DecoderRecipe, targets: bool) -> SamplingConfig:
    """How chunks are drawn, of a decoder that was trained so.

    Args:
        targets: whether commands are joint targets, which can be smoothed.
    """
    drops = recipe.objective
    shares = {"plan": drops.drop_plan, "vision": drops.drop_camera, "state": drops.drop_state}
    return SamplingConfig(
        without=tuple(name for name, share in shares.items() if share >= 1),
        steps=recipe.steps or (1 if recipe.objective.predict == "flow" else 5),
        objective=recipe.objective.predict,
        sampler=sampler_of(recipe.objective.predict, recipe.sampler),
        noise_knots=recipe.objective.noise_knots,
        noise=recipe.noise,
        smoothing=recipe.smoothing if targets else 0.0,
        past_commands=recipe.objective.drop_past_commands < 1.0,
    )


def _processor(recipe: DecoderRecipe, loader: WindowLoader, kept: Path, resume: bool) -> Processor:
    """The normalisation that this training began with, also where data has been added since."""
    if resume and kept.is_file():
        processor = load_processor(kept)
        processor.check(loader.embodiment)
        return processor
    processor = measure(loader, recipe.origin)
    if processes()[0] == 0:
        kept.parent.mkdir(parents=True, exist_ok=True)
        replace_files({kept: processor.to_json()})
    return processor


def decoder_config(
    recipe: DecoderRecipe, loader: WindowLoader, interpreter: Interpreter, processor: Processor
) -> DecoderConfig:
    """The recipe's decoder for this data, behind this interpreter."""
    embodiment = loader.embodiment
    return DecoderConfig(
        embodiments=((embodiment.name, len(embodiment.joints)),),
        states=(processor.state_numbers,),
        cameras=tuple(camera.name for camera in embodiment.cameras),
        image_size=embodiment.cameras[0].height,
        horizon=loader.horizon,
        plan_dim=interpreter.config.plan_dim,
        width=recipe.width,
        heads=recipe.heads,
        blocks=recipe.blocks,
        commands_per_token=recipe.commands_per_token,
        past_command_ticks=loader.timing.past_command_ticks,
        vision=recipe.vision,
        vision_width=recipe.vision_width,
        state_octaves=recipe.state_octaves,
        experts=recipe.experts,
        waypoints_every=recipe.waypoints_every,
    )


def measure(loader: WindowLoader, origin: str = "state", windows: int = 8192) -> Processor:
    """Normalisation from random windows of the data, the same in every process.

    Args:
        origin: what joint targets are relative to, see `vla.processor.ORIGINS`.
    """
    parts = [loader.windows(rows, 0 * rows, 0 * rows) for rows in _random_rows(loader.rows, windows)]
    state = np.concatenate([part.now.state for part in parts])
    actions = np.concatenate([part.actions for part in parts])
    past_commands = np.concatenate([part.past_commands for part in parts])
    return fit_processor(
        loader.embodiment,
        hashlib.sha256(actions.tobytes()).hexdigest()[:16],
        state.astype(float),
        actions,
        np.concatenate([part.action_mask for part in parts]),
        past_commands.astype(float) if origin == "command" else None,
    )


def _check_further(
    recipe: DecoderRecipe, loader: WindowLoader, before: PolicyNetworks, teaching: Teaching | None
) -> None:
    """Raises UserError unless the recipe can train this policy further."""
    before.processor.check(loader.embodiment)
    if teaching and teaching.networks.processor != before.processor:
        raise UserError("init.policy: normalises otherwise than the teacher; expected one distilled from it")
    if before.sampling.objective != recipe.objective.predict:
        raise UserError(
            f"decoder.objective.predict: got {recipe.objective.predict!r}, expected "
            f"{before.sampling.objective!r}, which the decoder to be trained further predicts"
        )
    if before.processor.origin != recipe.origin and before.processor.targets:
        raise UserError(
            f"decoder.origin: got {recipe.origin!r}, expected {before.processor.origin!r}, where chunks of "
            "the decoder to be trained further begin"
        )
    wanted = asdict(decoder_config(recipe, loader, before.interpreter, before.processor))
    had = asdict(before.decoder.config)
    differing = [name for name in wanted if name != "states" and wanted[name] != had[name]]
    if differing:
        named = "; ".join(f"{name}: got {wanted[name]!r}, it has {had[name]!r}" for name in differing)
        raise UserError(f"init.policy: its weights do not fit the recipe: {named}")


def _carry_over(trained: nn.Module, new: nn.Module) -> None:
    """Copies weights; UserError when they are of another shape."""
    try:
        new.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        raise UserError(
            f"init.policy: its weights do not fit the recipe: {str(error).splitlines()[-1]}"
        ) from None


def _random_rows(rows: int, count: int) -> list[np.ndarray]:
    positions = np.random.default_rng(0).integers(0, rows, count)
    return np.array_split(positions, max(1, count // 128))
