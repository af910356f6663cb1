"""The decoder's quick forms say what the plain formulas say."""

from __future__ import annotations

import pytest
import torch

from ideomotor.vla.decoder.decoder import Context, Decoder, DecoderConfig, DecoderInputs, _waves


@pytest.fixture
def inputs() -> DecoderInputs:
    torch.manual_seed(3)
    ones = torch.ones(3)
    return DecoderInputs(
        plan=torch.randn(3, 8, 24),
        has_plan=torch.tensor([1.0, 0.0, 1.0]),
        pixels=torch.rand(3, 2, 3, 96, 96) * 2 - 1,
        has_camera=torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]),
        state=torch.randn(3, 6),
        has_state=ones,
        past_commands=torch.randn(3, 8, 6),
        has_past_commands=ones,
    )


def plain(
    decoder: Decoder, actions: torch.Tensor, committed: torch.Tensor, time: torch.Tensor, context: Context
) -> torch.Tensor:
    """The decoder with each token's own flow time, a product for each formula and no fused attention."""
    projections, per = decoder.projections["so101"], decoder.config.commands_per_token
    given = committed.unflatten(1, (-1, per))
    summary = context.summary.unsqueeze(1)
    x = torch.cat([actions.unflatten(1, (-1, per)).flatten(2), given], dim=-1)
    x = projections.commands_in(x) + decoder.token_at + summary
    flow = torch.where(given.all(-1), torch.ones_like(time)[:, None], time[:, None])
    flow = decoder.time(_waves(flow, decoder.config.width)) + summary
    contexts = iter(context.keys_values)
    for block in decoder.blocks:
        shift1, scale1, gate1, shift2, scale2, gate2 = (decoder.modulation(flow) + block.own).chunk(6, dim=-1)
        normed = block.norm1(x) * (1 + scale1) + shift1
        key, value = next(contexts) if block.cross else block.attend.keys_values(normed)
        query = block.attend.query(normed).unflatten(-1, (block.attend.heads, -1)).transpose(1, 2)
        found = (query @ key.transpose(-1, -2) / key.shape[-1] ** 0.5).softmax(-1) @ value
        x = x + gate1 * block.attend.out(found.transpose(1, 2).flatten(2))
        x = x + gate2 * block.mlp(block.norm2(x) * (1 + scale2) + shift2)
    scale, shift = decoder.last(flow).chunk(2, dim=-1)
    x = decoder.last_norm(x) * (1 + scale) + shift
    return projections.commands_out(x).unflatten(2, (per, -1)).flatten(1, 2)


@pytest.mark.parametrize("training", [False, True])
def test_a_step_is_what_the_plain_formulas_give(decoder: Decoder, inputs: DecoderInputs, training: bool):
    actions, time = torch.randn(3, 96, 6), torch.tensor([0.1, 0.5, 0.9])
    committed = (
        torch.arange(96) < torch.tensor([[0], [13], [96]])
    ).float()  # none, one token and a half, all
    with torch.no_grad():
        context = decoder.context("so101", inputs)
        expected = plain(decoder, actions, committed, time, context)
        try:
            found = decoder.train(training)("so101", actions, committed, time, context)
        finally:
            decoder.eval()
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_embodiments_share_everything_but_their_projections() -> None:
    torch.manual_seed(0)
    bodies, states = (("so101", 6), ("dual", 14)), (6, 28)
    config = DecoderConfig(bodies, states, cameras=(), plan_dim=24, width=32, heads=2, blocks=2)
    decoder, touched = Decoder(config), {}
    for parameter in decoder.parameters():  # some start at zero, behind which there is no gradient
        torch.nn.init.normal_(parameter, std=0.1)
    for (name, joints), state in zip(bodies, states, strict=True):
        ones = torch.ones(2)
        past, pixels = torch.randn(2, config.past_command_ticks, joints), torch.zeros(2, 0, 3, 96, 96)
        inputs = DecoderInputs(
            torch.randn(2, 8, 24), ones, pixels, torch.ones(2, 0), torch.randn(2, state), ones, past, ones
        )
        decoder.zero_grad()
        context = decoder.context(name, inputs)
        end = decoder(name, torch.randn(2, 96, joints), torch.zeros(2, 96), ones / 2, context)
        assert end.shape == (2, 96, joints)
        end.square().sum().backward()
        touched[name] = {key for key, p in decoder.named_parameters() if p.grad is not None and p.grad.any()}
    shared = touched["so101"] & touched["dual"]
    assert any(key.startswith("blocks.") for key in shared)
    assert not any(key.startswith("projections.") for key in shared)
    for name, keys in touched.items():
        own = {key for key, _ in decoder.named_parameters() if key.startswith(f"projections.{name}.")}
        assert keys - shared == own
