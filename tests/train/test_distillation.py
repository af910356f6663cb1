"""A student comes nearer to its teacher: chunks, one pass for several, plans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ideomotor.train.action_objective import ActionBatch, ActionObjective, ActionSettings, PlanFeatures
from ideomotor.train.distillation.chunks import ChunkTeacher, flow_end
from ideomotor.train.distillation.scenes import TaughtSceneObjective
from ideomotor.train.distillation.settings import DistillSettings
from ideomotor.train.scenes.batch import scene_batch
from ideomotor.train.scenes.objective import SceneObjective, SceneWeights
from ideomotor.train.scenes.pool import ScenePool
from ideomotor.vla.decoder.decoder import Context, Decoder, DecoderConfig, DecoderInputs
from ideomotor.vla.decoder.sampler import sample_in_context, source_noise
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.language import train_tokenizer
from ideomotor.vla.interpreter.nano import nano_vlm
from ideomotor.vla.interpreter.plan_head import PlanHead

SHAPE = DecoderConfig(cameras=(), plan_dim=32, width=32, heads=2, blocks=2)


def features(count: int) -> PlanFeatures:
    points = torch.rand(count, 2, 2)
    return PlanFeatures(torch.randn(count, 8, 16), torch.zeros(count, 16), points, torch.ones(count, 2))


def windows(count: int) -> ActionBatch:
    read = features(count)
    return ActionBatch(
        plan_features=read,
        pixels=torch.zeros(count, 0, 3, 96, 96),
        state=torch.randn(count, 6),
        past_commands=torch.zeros(count, 8, 6),
        actions=source_noise(count, 96, 6, 6),
        counted=torch.ones(count, 96),
        prefix_length=torch.randint(0, 31, (count,)),
        progress=torch.full((count,), torch.nan),
        teacher_features=replace(read, hidden=read.hidden + 1),
    )


def random_decoder(seed: int) -> tuple[Decoder, PlanHead]:
    """One whose last layers are not zero, as they are before training."""
    torch.manual_seed(seed)
    decoder, head = Decoder(SHAPE).eval(), PlanHead(16, 32, 2)
    with torch.no_grad():
        for parameter in decoder.parameters():
            if not parameter.any():
                parameter.normal_(0.0, 0.2)
    return decoder, head


def context_of(decoder: Decoder, head: PlanHead, batch: ActionBatch, read: PlanFeatures) -> Context:
    ones = torch.ones(len(batch.state))
    plan, _ = head(*vars(read).values())
    inputs = DecoderInputs(
        plan, ones, batch.pixels, torch.ones(len(ones), 0), batch.state, ones, batch.past_commands, 0 * ones
    )
    return decoder.context("so101", inputs)


@pytest.mark.parametrize("steps", [0, 3])
def test_without_the_data_a_student_comes_nearer_to_a_random_teacher(steps: int) -> None:
    """At every point of the flow, or in one pass to where three of its steps end, behind prefixes."""
    teacher, taught_head = random_decoder(0)
    student, head = random_decoder(1)
    settings = ActionSettings(drop_plan=0.0, drop_past_commands=1.0, drop_state=0.0)
    asked = ChunkTeacher(teacher, taught_head, "so101", (), DistillSettings("x", weight=1.0, steps=steps))
    objective = ActionObjective(student, head, "so101", settings, asked)
    held_out = windows(32)
    noise, (prefix, most) = source_noise(32, 96, 6, settings.noise_knots), (held_out.actions[:, :7], 7)
    assert held_out.plan_features is not None and held_out.teacher_features is not None

    @torch.no_grad()
    def distance() -> float:
        own = context_of(student, head, held_out, held_out.plan_features)
        theirs = context_of(teacher, taught_head, held_out, held_out.teacher_features)
        reached = sample_in_context(student, "so101", own, prefix, noise, 1, "euler")
        wanted = sample_in_context(teacher, "so101", theirs, prefix, noise, steps or 1, "euler")
        assert torch.equal(reached[:, :most], wanted[:, :most])
        return float((reached - wanted).square().mean())

    before, frozen = distance(), [parameter.clone() for parameter in asked.parameters()]
    learned = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=3e-3, fused=True)
    objective.train()
    for _ in range(40):
        losses = objective(windows(16))
        losses["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert distance() < 0.5 * before
    assert not any(part.requires_grad for part in asked.parameters())
    for was, is_now in zip(frozen, asked.parameters(), strict=True):
        assert torch.equal(was, is_now)


def test_the_end_of_a_flow_is_what_the_sampler_gives_for_each_prefix() -> None:
    decoder, head = random_decoder(2)
    batch, noise = windows(3), source_noise(3, 96, 6, 12)
    assert batch.plan_features is not None
    lengths = torch.tensor([0, 5, 30])
    committed = (torch.arange(96) < lengths[:, None]).float()
    with torch.no_grad():
        context = context_of(decoder, head, batch, batch.plan_features)
        noisy = torch.where(committed.unsqueeze(-1) > 0, batch.actions, noise)
        ended = flow_end(decoder, "so101", noisy, committed, context, 4)
        for row, length in enumerate(lengths.tolist()):
            one = slice(row, row + 1)
            prefix = batch.actions[one, :length]
            sampled = sample_in_context(decoder, "so101", context.of(row), prefix, noise[one], 4, "euler")
            torch.testing.assert_close(ended[one], sampled, rtol=1e-5, atol=1e-5)


def test_a_share_of_nothing_is_the_loss_of_the_data_alone() -> None:
    teacher, taught_head = random_decoder(0)
    student, head = random_decoder(1)
    asked = ChunkTeacher(teacher, taught_head, "so101", (), DistillSettings("x", weight=0.0))
    batch, losses = windows(4), []
    for who in (None, asked):
        objective = ActionObjective(student, head, "so101", ActionSettings(), who)
        torch.manual_seed(3)
        losses.append(float(objective(batch)["loss"].detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_without_the_data_an_interpreter_comes_nearer_to_a_random_one(squares: ScenePool) -> None:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(squares.texts(), 300)
    teacher, student = (
        Interpreter(nano_vlm(tokenizer, width, words, 1), tokenizer, InterpreterConfig(map_width=width // 2))
        for width, words in ((64, 80), (32, 40))
    )
    student.plan_head.requires_grad_(False)
    objective = TaughtSceneObjective(SceneObjective(student, SceneWeights()), teacher, 1.0)
    learned = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    optimizer, rng = torch.optim.AdamW(learned, lr=2e-3, fused=True), np.random.default_rng(0)
    fixed = scene_batch(student, *squares.draw(np.random.default_rng(9), 4, 4), write=True)

    @torch.no_grad()
    def figures() -> dict[str, float]:
        return {key: float(value) for key, value in objective(fixed).items() if key.startswith("taught")}

    before = figures()
    for _ in range(25):
        objective(scene_batch(student, *squares.draw(rng, 4, 4), write=True))["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    after = figures()
    for part in ("taught_plan", "taught_text", "taught_words", "taught_pixel"):
        assert after[part] < before[part], (part, before, after)
    assert all(parameter.grad is None for parameter in teacher.parameters())
