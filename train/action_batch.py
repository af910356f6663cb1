"""Windows of recorded data as the decoder learns them: normalised, augmented, some led back to their path."""

from __future__ import annotations

import numpy as np
import torch

from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.datasets.loading.window_batch import WindowBatch
from ideomotor.train.action_objective import ActionBatch, PlanFeatures
from ideomotor.train.parallel import own_rows, processes
from ideomotor.train.recipe import DecoderRecipe
from ideomotor.vla.images import augmented, sample_seeds
from ideomotor.vla.processor import Processor


def action_batch(
    windows: WindowBatch,
    plan_features: PlanFeatures | None,
    cameras: tuple[str, ...],
    processor: Processor,
    recipe: DecoderRecipe,
    moving: np.ndarray,
    rng: np.random.Generator,
    step: int,
) -> ActionBatch:
    """Normalised, augmented tensors of a loader's windows, and what was read of their plans' frames.

    Args:
        moving: (A,) bool, the joints that `off_path_augmentation` may displace.
        rng: of the displacement; the same in all processes.
        step: with the row and the recipe's seed it decides how a picture is augmented.
    """
    pixels = [
        augmented(
            windows.now.images[camera],
            sample_seeds(recipe.train.seed, step, windows.now.index, number),
            recipe.shift,
            recipe.colour,
            recipe.blur,
            recipe.drop,
        )
        for number, camera in enumerate(cameras)
    ]
    state, past_commands, actions = windows.now.state.astype(float), windows.past_commands, windows.actions
    past_ticks = past_commands.shape[1]
    whole = len(state) * processes()[1]
    prefix_length = windows.prefix_length * (rng.random(whole)[own_rows(whole)] < recipe.delayed)
    horizon, joints = actions.shape[1:]
    noise = recipe.state_noise * rng.random((whole, 1))[own_rows(whole)] ** 2
    noise = noise * rng.standard_normal((whole, state.shape[1]))[own_rows(whole)]
    if processor.targets:
        spread = recipe.off_path_augmentation
        offset = moving * off_path_augmentation(rng, prefix_length, past_ticks, horizon, joints, spread)
        state = state + offset[:, past_ticks]
        past_commands, actions = past_commands + offset[:, :past_ticks], actions + offset[:, past_ticks:]
        # After its end an episode goes on with its last command: a policy that is done holds still.
        counted = torch.ones(actions.shape[:2])
    else:  # beside its demonstration a robot would have to be moved otherwise, and nobody knows how
        counted = torch.from_numpy(windows.action_mask.astype(np.float32))
    origin = processor.origin_of(state, past_commands)
    return ActionBatch(
        plan_features=plan_features,
        pixels=torch.stack(pixels, dim=1),
        state=torch.from_numpy(processor.state(state + noise, origin)),
        past_commands=torch.from_numpy(processor.past_commands(past_commands, origin)),
        actions=torch.from_numpy(processor.relative(actions, origin)),
        counted=counted,
        prefix_length=torch.from_numpy(prefix_length),
        progress=torch.from_numpy(windows.at_plan.progress),
    )


def displaceable(loader: WindowLoader) -> np.ndarray:
    """(A,) bool: the joints that `off_path_augmentation` may displace, which are not the grippers'."""
    embodiment = loader.embodiment
    return np.array([joint not in embodiment.grippers for joint in embodiment.joint_names])


def off_path_augmentation(
    rng: np.random.Generator,
    prefix_length: np.ndarray,
    past_ticks: int,
    horizon: int,
    joints: int,
    spread: float,
) -> np.ndarray:
    """Offsets (B, P + H, A) that put a robot beside its demonstration and bring it back [rad].

    A demonstrated motion can be recognised from its first milliseconds, so a decoder that gets a committed
    prefix would learn to continue it and not to look at the plan; driving itself, it then carries on with its
    own errors. Half of the samples are therefore displaced, drifting during the committed prefix, and led
    back to the demonstration over 0.2 to 0.6 s: the prefix no longer says where to go, the plan and the
    pictures do.

    Args:
        rng: draws for the windows of all processes.
        prefix_length: (B,) ticks of the committed prefix; the way back starts after them.
        past_ticks: P, past commands before the window's start.
        horizon: H.
        joints: A.
        spread: standard deviation of the displacement, and of its drift over 0.2 s [rad].
    """
    whole = len(prefix_length) * processes()[1]
    mine = own_rows(whole)
    ticks, turn = np.arange(-past_ticks, horizon)[None, :, None], prefix_length[:, None, None]
    start, drift = rng.normal(0.0, spread, (2, whole, 1, joints))[:, mine]
    displaced = rng.random((whole, 1, 1))[mine] < 0.5
    back = np.clip((ticks - turn) / rng.uniform(24, 72, (whole, 1, 1))[mine], 0.0, 1.0)
    faded = 1.0 - back**3 * (10 - 15 * back + 6 * back**2)  # minimum jerk
    return displaced * (start + drift * np.minimum(ticks, turn + 12) / 24) * faded
