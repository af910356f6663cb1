"""The joint stage: what the decoder's losses teach the interpreter, and what they do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ideomotor.control.embodiment import load_embodiment
from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.train.action_batch import action_batch, displaceable
from ideomotor.train.action_objective import ActionObjective, ActionSettings
from ideomotor.train.decoder_stage import measure
from ideomotor.train.joint_stage import JointBatch, JointObjective, plan_frames
from ideomotor.train.recipe import DecoderRecipe, InterpreterRecipe
from ideomotor.train.scenes.objective import SceneObjective, SceneWeights
from ideomotor.vla.decoder.decoder import Decoder, DecoderConfig
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.language import train_tokenizer
from ideomotor.vla.interpreter.nano import nano_vlm
from ideomotor.vla.networks import PolicyNetworks


@pytest.fixture
def loader(data: Path, tmp_path: Path) -> WindowLoader:
    return WindowLoader([data], load_embodiment("so101"), 96, batch_size=4, cache_root=tmp_path)


@pytest.fixture
def policy(loader: WindowLoader) -> PolicyNetworks:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["scene: red cube. now: reach the red cube. next: hold still."] * 3, 320)
    interpreter = Interpreter(nano_vlm(tokenizer, 32, 32, 1), tokenizer, InterpreterConfig(plan_dim=24))
    decoder = Decoder(DecoderConfig(plan_dim=24, width=32, heads=2, blocks=2))
    for parameter in decoder.parameters():  # the output layers start at zero: no gradient would come through
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return PolicyNetworks(interpreter, decoder, measure(loader, windows=64), loader.timing)


@pytest.fixture
def batch(policy: PolicyNetworks, loader: WindowLoader) -> JointBatch:
    windows, shown = loader.batch(0), np.array([[True], [True], [True], [False]])
    frames = plan_frames(policy.interpreter, windows, (0, 0), True, InterpreterRecipe(), shown)
    cameras, rng = policy.decoder.config.cameras, np.random.default_rng(0)
    acted = action_batch(
        windows, None, cameras, policy.processor, DecoderRecipe(), displaceable(loader), rng, 0
    )
    return JointBatch(frames, torch.tensor(shown[:, 0], dtype=torch.float32), acted)


def gradients(policy: PolicyNetworks, batch: JointBatch, insulated: bool) -> dict[str, float]:
    """Norms of what the decoder's losses alone ask of each part."""
    torch.manual_seed(0)
    policy.interpreter.zero_grad()
    policy.decoder.zero_grad()
    knobs = ActionSettings(drop_plan=0.0, drop_hidden=0.0)
    objective = JointObjective(
        SceneObjective(policy.interpreter, SceneWeights()),
        ActionObjective(policy.decoder, policy.interpreter.plan_head, "so101", knobs),
        0.0,
        insulated,
    )
    objective(batch)["loss"].backward()
    norms = {"decoder": 0.0, "plan_head": 0.0, "interpreter": 0.0}
    for part, module in (("decoder", policy.decoder), ("interpreter", policy.interpreter)):
        for name, parameter in module.named_parameters():
            if parameter.grad is not None:
                norms["plan_head" if name.startswith("plan_head") else part] += float(parameter.grad.norm())
    return norms


def test_only_a_decoder_that_is_not_insulated_teaches_the_interpreter(
    policy: PolicyNetworks, batch: JointBatch
) -> None:
    apart, together = (gradients(policy, batch, insulated) for insulated in (True, False))
    assert apart["interpreter"] == 0.0 < together["interpreter"]
    for each in (apart, together):
        assert each["decoder"] > 0.0 < each["plan_head"]


def test_frames_that_nobody_described_teach_the_interpreter_nothing(
    policy: PolicyNetworks, batch: JointBatch
) -> None:
    frames = replace(
        batch.frames, known=0 * batch.frames.known, is_instruction=0 * batch.frames.is_instruction
    )
    silent = replace(
        frames, prompts=replace(frames.prompts, labels=torch.full_like(frames.prompts.labels, -100))
    )
    scene = SceneObjective(policy.interpreter, SceneWeights())
    described, undescribed = (float(scene(each)["loss"].detach()) for each in (batch.frames, silent))
    assert described > 1.0 and undescribed == 0.0
