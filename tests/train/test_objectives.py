"""Both objectives can be learned: pointing at what is named, and moving to where the plan points."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from torch import nn
from torch._inductor import config as inductor

from ideomotor.train.action_objective import (
    ActionBatch,
    ActionObjective,
    ActionSettings,
    PlanFeatures,
    epsilon_sample,
    flow_sample,
)
from ideomotor.train.interpreter_metrics import examine
from ideomotor.train.scenes.batch import camera_mask, scene_batch
from ideomotor.train.scenes.objective import SceneObjective, SceneWeights
from ideomotor.train.scenes.pool import ScenePool
from ideomotor.vla.decoder.decoder import Decoder, DecoderConfig, DecoderInputs
from ideomotor.vla.decoder.sampler import noise_levels, sample_chunk, source_noise
from ideomotor.vla.decoder.sampling import NOISE_LEVELS
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.language import train_tokenizer
from ideomotor.vla.interpreter.nano import nano_vlm
from ideomotor.vla.interpreter.plan_head import PlanHead


def test_the_interpreter_learns_to_point_at_and_to_say_what_is_named(squares: ScenePool) -> None:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(squares.texts(), 300)
    interpreter = Interpreter(nano_vlm(tokenizer, 64, 40, 1), tokenizer, InterpreterConfig())
    objective = SceneObjective(interpreter, SceneWeights())
    optimizer = torch.optim.AdamW(objective.parameters(), lr=2e-3, fused=True)
    rng = np.random.default_rng(0)
    for step in range(70):
        images, questions = squares.draw(rng, 6, 4)
        seen = camera_mask(rng, len(questions), 1, drop_image=0.02)
        losses = objective(scene_batch(interpreter, images, questions, write=step % 8 == 0, seen=seen))
        losses["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    figures = examine(interpreter.eval(), squares, 48)
    assert figures["held_out_pixel_p50"] < 2.0, figures
    assert figures["held_out_swap_pixel_p50"] > 20.0, figures
    assert figures["held_out_presence"] > 0.95, figures
    assert figures["held_out_words"] > 0.9, figures


def test_a_plan_from_a_lower_layer_leaves_no_weight_without_a_gradient(squares: ScenePool) -> None:
    """As several processes want it, also of a batch in which nothing is written."""
    tokenizer = train_tokenizer(squares.texts(), 300)
    interpreter = Interpreter(nano_vlm(tokenizer, 32, 32, 2), tokenizer, InterpreterConfig(layer=1))
    interpreter.plan_head.requires_grad_(False)
    batch = scene_batch(interpreter, *squares.draw(np.random.default_rng(0), 2, 2), write=False)
    SceneObjective(interpreter, SceneWeights())(batch)["loss"].backward()
    learned = {name: p.grad for name, p in interpreter.named_parameters() if p.requires_grad}
    assert learned and not [name for name, grad in learned.items() if grad is None]


def actions_towards(points: torch.Tensor, ticks: int = 96) -> torch.Tensor:
    """(B, H, 6) normalised commands that rise towards a place that depends on the target's (u, v)."""
    goal = torch.cat([points, 1 - points, points.flip(-1)], dim=-1) * 4 - 2
    rise = torch.linspace(0, 1, ticks).square().view(1, -1, 1)
    return rise * goal.unsqueeze(1)


def window(count: int) -> ActionBatch:
    points = torch.rand(count, 2, 2)
    return ActionBatch(
        plan_features=PlanFeatures(
            torch.zeros(count, 8, 16), torch.zeros(count, 16), points, torch.ones(count, 2)
        ),
        pixels=torch.zeros(count, 0, 3, 96, 96),
        state=torch.zeros(count, 6),
        past_commands=torch.zeros(count, 8, 6),
        actions=actions_towards(points[:, 0]),
        counted=torch.ones(count, 96),
        prefix_length=torch.randint(0, 31, (count,)),
        progress=points[:, 0, 0],
    )


@pytest.mark.parametrize(
    ("predict", "sampler", "most"), [("flow", "euler", 0.35), ("epsilon", "dpm-solver", 0.6)]
)
def test_the_decoder_learns_to_move_to_where_the_plan_points(predict: str, sampler: str, most: float) -> None:
    torch.manual_seed(0)
    config = DecoderConfig(cameras=(), plan_dim=32, width=48, heads=2, blocks=2)
    decoder, head = Decoder(config), PlanHead(16, 32, 2)
    objective = ActionObjective(decoder, head, "so101", ActionSettings(predict, draws=1, drop_plan=0.0))
    optimizer = torch.optim.AdamW(objective.parameters(), lr=2e-3, fused=True)
    for _ in range(200):
        objective(window(32))["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    batch, ones = window(64), torch.ones(64)
    assert batch.plan_features is not None
    plan, _ = head(*vars(batch.plan_features).values())
    inputs = DecoderInputs(
        plan, ones, batch.pixels, torch.ones(64, 0), batch.state, ones, batch.past_commands, 0 * ones
    )
    noise = source_noise(64, 96, 6, objective.settings.noise_knots)
    reached = sample_chunk(decoder, "so101", inputs, noise[:, :0], noise, 5, sampler)
    error = (reached[:, -8:] - batch.actions[:, -8:]).abs().mean()
    spread = batch.actions[:, -8:].std()
    assert error < most * spread, (error, spread)


@pytest.mark.parametrize("knots", [0, 16])
def test_noise_of_the_epsilon_objective_is_what_its_levels_say(knots: int) -> None:
    actions = torch.randn(64, 96, 6)
    noisy, committed_prefix, time, noise = epsilon_sample(actions, torch.arange(64) % 31, knots)
    inside = committed_prefix > 0
    assert torch.equal(noisy[inside], actions[inside])
    assert committed_prefix.sum(1).tolist() == [prefix_length % 31 for prefix_length in range(64)]
    level = ((1 - time) * NOISE_LEVELS).round().long() - 1
    alpha, sigma = (part[level].view(-1, 1, 1) for part in noise_levels())
    torch.testing.assert_close(noisy[~inside], (alpha * actions + sigma * noise)[~inside])
    assert abs(noise.std() - 1) < 0.1
    assert time.min() >= 0 and time.max() < 1 and 0.4 < time.mean() < 0.6


@pytest.mark.parametrize("knots", [0, 16])
def test_committed_commands_are_clean_and_the_rest_lies_on_the_flow(knots: int) -> None:
    actions = torch.randn(64, 96, 6)
    noisy, committed_prefix, time = flow_sample(actions, torch.arange(64) % 31, knots)
    inside = committed_prefix > 0
    assert torch.equal(noisy[inside], actions[inside])
    assert committed_prefix.sum(1).tolist() == [prefix_length % 31 for prefix_length in range(64)]
    blend = time.view(-1, 1, 1)
    noise = ((noisy - blend * actions) / (1 - blend))[~inside]
    assert abs(noise.std() - 1) < 0.1 and abs(noise.mean()) < 0.1
    assert 0.3 < time.mean() < 0.5


def loss_and_gradients(objective: nn.Module, batch) -> list[torch.Tensor]:
    objective.zero_grad()
    torch.manual_seed(1)
    loss = objective(batch)["loss"]
    loss.backward()
    return [loss.detach(), *(p.grad.clone() for p in objective.parameters() if p.grad is not None)]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # the compiler warns of its own insides
@pytest.mark.parametrize("stage", ["interpreter", "decoder"])
def test_a_compiled_step_is_the_step_that_is_not_compiled(stage: str, squares: ScenePool) -> None:
    """What `compile=true` compiles; only that random numbers are drawn alike is asked for besides."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer(squares.texts(), 300)
    interpreter = Interpreter(nano_vlm(tokenizer, 32, 32, 1), tokenizer, InterpreterConfig())
    if stage == "interpreter":
        interpreter.plan_head.requires_grad_(False)
        objective: nn.Module = SceneObjective(interpreter, SceneWeights())
        batch = scene_batch(interpreter, *squares.draw(np.random.default_rng(0), 4, 2), write=True)
    else:
        config = DecoderConfig(cameras=(), plan_dim=32, width=32, heads=2, blocks=2)
        objective = ActionObjective(Decoder(config), PlanHead(16, 32, 2), "so101", ActionSettings())
        batch = window(8)
    eager = loss_and_gradients(objective, batch)
    # Without the C++ compiler's optimisation, which is most of the work and none of what is asked here.
    with inductor.patch({"fallback_random": True, "aot_inductor.debug_compile": True}):
        if stage == "interpreter":
            interpreter.family.language(interpreter.vlm).compile(dynamic=True)
            interpreter.family.vision(interpreter.vlm).compile()
        else:
            objective.compile()
        compiled = loss_and_gradients(objective, batch)
    assert len(eager) == len(compiled) > 20
    for one, other in zip(eager, compiled, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-5)
    torch._dynamo.reset()
