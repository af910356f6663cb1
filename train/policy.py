"""Stage 2: the decoder on recorded demonstrations, with the interpreter frozen.

The interpreter has read every frame beforehand (frame_plans.py), so that a step of training costs no
vision-language pass at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ideomotor.control.errors import UserError
from ideomotor.datasets.loader import WindowLoader
from ideomotor.train.action_objective import ActionBatch, ActionObjective, ReadPlan
from ideomotor.train.chunk_errors import examine, units_of
from ideomotor.train.frame_plans import read_plans
from ideomotor.train.parallel import own_rows, processes
from ideomotor.train.recipe import PolicyRecipe
from ideomotor.train.selection import Drive, Selection
from ideomotor.train.trainer import fit
from ideomotor.vla.decoder import Decoder, DecoderConfig
from ideomotor.vla.images import augmented, sample_seeds
from ideomotor.vla.interpreter import Interpreter
from ideomotor.vla.policy import IdeomotorPolicy
from ideomotor.vla.processor import Processor, fit_processor
from ideomotor.vla.sampler import SamplingConfig, sampler_of

Told = Callable[[str], None]
EXAMINED = 10**7  # number of the batch that examinations use: no training comes that far


def train_policy(
    recipe: PolicyRecipe,
    loader: WindowLoader,
    interpreter: Interpreter,
    out: Path,
    resume: bool = False,
    told: Told = lambda line: None,
    before: IdeomotorPolicy | None = None,
    compiled: bool = False,
    drive: Drive | None = None,
) -> tuple[IdeomotorPolicy, dict[str, float], dict[str, Any] | None]:
    """A policy whose decoder has learned the demonstrations, the last figures of training, and what was
    selected, see `Selection.outcome`; None where nothing was, and in all processes but the first.

    Args:
        recipe: this stage's.
        loader: see `parallel.OwnWindows`; its batches are `recipe.batch` windows of all processes.
        interpreter: stays as it is, but for its plan head, which learns with the decoder.
        out: where state and metrics go.
        resume: continue from the state in `out`.
        told: called with lines about what is going on.
        before: a policy with this interpreter, whose decoder and plan head are trained further.
        compiled: whether to train through torch.compile.
        drive: has checkpoints drive, if the recipe selects by that.
    """
    body, moving = loader.embodiment, displaceable(loader)
    torch.manual_seed(recipe.train.seed)
    processor = measure(loader, recipe.origin)
    config = decoder_config(recipe, loader, interpreter, processor)
    decoder = Decoder(config)
    plans = read_plans(interpreter, loader, told, recipe.unknown_words, recipe.drop_instruction)
    if before is not None:
        before.processor.check(body)
        if before.sampling.objective != recipe.objective.predict:
            raise UserError(
                f"policy.objective.predict: got {recipe.objective.predict!r}, expected "
                f"{before.sampling.objective!r}, which the decoder to be trained further predicts"
            )
        processor = before.processor
        _carry_over(before.decoder, decoder)
        _carry_over(before.interpreter.plan_head, interpreter.plan_head)
    objective = ActionObjective(decoder, interpreter.plan_head, body.name, recipe.objective)
    if compiled:
        objective.compile()

    def batch_at(step: int) -> ActionBatch:
        rng = np.random.default_rng([recipe.train.seed, step, 0, 1])
        batch = loader.batch(step)
        read = plans.read(batch["plan_index"])
        return action_batch(batch, read, config.cameras, processor, recipe, moving, rng, step)

    drops = recipe.objective
    shares = {"plan": drops.drop_plan, "vision": drops.drop_camera, "state": drops.drop_state}
    sampling = SamplingConfig(
        without=tuple(name for name, share in shares.items() if share >= 1),
        steps=recipe.steps,
        objective=recipe.objective.predict,
        sampler=sampler_of(recipe.objective.predict, recipe.sampler),
        noise_knots=recipe.objective.noise_knots,
        noise=recipe.noise,
        smoothing=recipe.smoothing if body.targets else 0.0,
        history=recipe.objective.drop_history < 1.0,
    )
    policy = IdeomotorPolicy(interpreter, decoder, processor, sampling)
    selection = None
    if recipe.select.tasks and processes()[0] == 0:
        assert drive is not None, "a recipe that selects needs something that drives"
        selection = Selection(recipe.select, drive, policy.save_pretrained, out / "state")
    metrics = fit(
        "policy",
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
        policy = IdeomotorPolicy.from_pretrained(selection.best_checkpoint)
    return policy, metrics, selection.outcome()


def decoder_config(
    recipe: PolicyRecipe, loader: WindowLoader, interpreter: Interpreter, processor: Processor
) -> DecoderConfig:
    """The recipe's decoder for this data, behind this interpreter."""
    body = loader.embodiment
    return DecoderConfig(
        embodiments=((body.name, len(body.joints)),),
        states=(processor.state_numbers,),
        cameras=tuple(camera.name for camera in body.cameras),
        image_size=body.cameras[0].height,
        horizon=loader.horizon,
        plan_dim=interpreter.config.plan_dim,
        width=recipe.width,
        heads=recipe.heads,
        blocks=recipe.blocks,
        commands_per_token=recipe.commands_per_token,
        vision=recipe.vision,
        state_octaves=recipe.state_octaves,
    )


def action_batch(
    batch: dict,
    read: ReadPlan | None,
    cameras: tuple[str, ...],
    processor: Processor,
    recipe: PolicyRecipe,
    moving: np.ndarray,
    rng: np.random.Generator,
    step: int,
) -> ActionBatch:
    """Normalised, augmented tensors from a loader's batch and what was read of its plans' frames.

    Args:
        moving: (A,) bool, the joints that `astray` may displace.
        rng: of the displacement; the same in all processes.
        step: with the row and the recipe's seed it decides how a picture is augmented.
    """
    pixels = [
        augmented(
            batch["images"][camera],
            sample_seeds(recipe.train.seed, step, batch["index"], number),
            recipe.shift,
            recipe.colour,
            recipe.blur,
            recipe.drop,
        )
        for number, camera in enumerate(cameras)
    ]
    state, past, actions = batch["state"].astype(float), batch["previous"], batch["actions"]
    now = past.shape[1]
    whole = len(state) * processes()[1]
    delay = batch["delay"] * (rng.random(whole)[own_rows(whole)] < recipe.delayed)
    horizon, joints = actions.shape[1:]
    noise = recipe.state_noise * rng.random((whole, 1))[own_rows(whole)] ** 2
    noise = noise * rng.standard_normal((whole, state.shape[1]))[own_rows(whole)]
    if processor.targets:
        offset = moving * astray(rng, delay, now, horizon, joints, recipe.astray)
        state = state + offset[:, now]
        past, actions = past + offset[:, :now], actions + offset[:, now:]
        # After its end an episode goes on with its last command: a policy that is done holds still.
        counted = torch.ones(actions.shape[:2])
    else:  # beside its demonstration a robot would have to be moved otherwise, and nobody knows how
        counted = torch.from_numpy(batch["action_mask"].astype(np.float32))
    origin = processor.origin_of(state, past)
    return ActionBatch(
        read=read,
        pixels=torch.stack(pixels, dim=1),
        state=torch.from_numpy(processor.state(state + noise, origin)),
        history=torch.from_numpy(processor.history(past, origin)),
        actions=torch.from_numpy(processor.relative(actions, origin)),
        counted=counted,
        delay=torch.from_numpy(delay),
        progress=torch.from_numpy(batch["plan_progress"][:, 0].astype(np.float32)),
    )


def displaceable(loader: WindowLoader) -> np.ndarray:
    """(A,) bool: the joints that `astray` may displace, which are not the grippers'."""
    body = loader.embodiment
    return np.array([joint not in body.grippers for joint in body.joint_names])


def astray(
    rng: np.random.Generator, delay: np.ndarray, past: int, horizon: int, joints: int, spread: float
) -> np.ndarray:
    """Offsets (B, past + horizon, A) that put a robot beside its demonstration and bring it back [rad].

    A demonstrated motion can be told from its first milliseconds, so a decoder that is given committed
    commands would learn to continue them and not to look at the plan; driving itself, it then carries
    on with its own errors. Half of the samples are therefore displaced, drifting while commands are
    committed, and led back to the demonstration over 0.2 to 0.6 s: what was committed no longer tells
    where to go, the plan and the pictures do.

    Args:
        rng: draws for the windows of all processes.
        delay: (B,) committed ticks; the way back starts after them.
        past, horizon: ticks before, and from the window's start on.
        joints: A.
        spread: standard deviation of the displacement, and of its drift over 0.2 s [rad].
    """
    whole = len(delay) * processes()[1]
    mine = own_rows(whole)
    ticks, committed = np.arange(-past, horizon)[None, :, None], delay[:, None, None]
    start, drift = rng.normal(0.0, spread, (2, whole, 1, joints))[:, mine]
    away = rng.random((whole, 1, 1))[mine] < 0.5
    back = np.clip((ticks - committed) / rng.uniform(24, 72, (whole, 1, 1))[mine], 0.0, 1.0)
    faded = 1.0 - back**3 * (10 - 15 * back + 6 * back**2)  # minimum jerk
    return away * (start + drift * np.minimum(ticks, committed + 12) / 24) * faded


def measure(loader: WindowLoader, origin: str = "state", windows: int = 8192) -> Processor:
    """Normalisation from random windows of the data, the same in every process.

    Args:
        origin: what joint targets are relative to, see `vla.processor.ORIGINS`.
    """
    whole = [loader.windows(rows, 0 * rows, 0 * rows) for rows in _random_rows(loader.rows, windows)]
    joined = {
        key: np.concatenate([part[key] for part in whole])
        for key in ("state", "actions", "action_mask", "previous")
    }
    dataset = hashlib.sha256(joined["actions"].tobytes()).hexdigest()[:16]
    return fit_processor(
        loader.embodiment,
        dataset,
        joined["state"].astype(float),
        joined["actions"],
        joined["action_mask"],
        joined["previous"].astype(float) if origin == "command" else None,
    )


def _carry_over(trained: nn.Module, new: nn.Module) -> None:
    """Copies weights; UserError when they are of another shape than the recipe's."""
    try:
        new.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        raise UserError(
            f"decoder: its weights do not fit the recipe: {str(error).splitlines()[-1]}"
        ) from None


def _random_rows(rows: int, count: int) -> list[np.ndarray]:
    drawn = np.random.default_rng(0).integers(0, rows, count)
    return np.array_split(drawn, max(1, count // 128))
