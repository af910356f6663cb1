"""Experts: what reaches them, what keeps them equally used, and that nobody in a batch changes another's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ideomotor.control.errors import UserError
from ideomotor.vla.decoder.decoder import Decoder, DecoderConfig, DecoderInputs
from ideomotor.vla.decoder.experts import Mixture, drop_experts, observed
from ideomotor.vla.decoder.sampler import sample_chunk, source_noise

SHAPE = DecoderConfig(cameras=(), plan_dim=24, width=32, heads=2, blocks=2, commands_per_token=16, experts=7)


@pytest.fixture
def mixed() -> Decoder:
    torch.manual_seed(4)
    decoder = Decoder(SHAPE)
    for parameter in decoder.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return decoder.eval()


def inputs(count: int) -> DecoderInputs:
    ones, past = torch.ones(count), torch.randn(count, 8, 6)
    nothing = torch.zeros(count, 0, 3, 96, 96), torch.ones(count, 0)
    return DecoderInputs(torch.randn(count, 8, 24), ones, *nothing, torch.randn(count, 6), ones, past, ones)


def only(given: DecoderInputs, row: int) -> DecoderInputs:
    return DecoderInputs(*(part[row : row + 1] for part in vars(given).values()))


def test_four_times_as_much_of_which_a_token_passes_as_much_as_before(mixed: Decoder) -> None:
    def count(module: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    dense, mixture = Decoder(replace(SHAPE, experts=0)).blocks[0].mlp, mixed.mixtures()[0]
    active = count(mixture.shared) + count(mixture.experts[0])
    assert abs(active - count(dense)) < 0.02 * count(dense)
    assert 3.9 < (count(mixture) - count(mixture.router)) / count(dense) < 4.1


def test_gradients_reach_the_router_and_every_expert_also_one_without_tokens() -> None:
    torch.manual_seed(0)
    mixture, x = Mixture(16, 24, 3), torch.randn(2, 5, 16)
    with torch.no_grad():
        mixture.router.weight[2] = 0.0
        mixture.router.weight[0], mixture.router.weight[1] = x[0, 0], -x[0, 0]  # nobody goes to the last one
    mixture(x).square().sum().backward()
    assert mixture.router.weight.grad is not None and mixture.router.weight.grad.any()
    grads = [next(expert.parameters()).grad for expert in mixture.experts]
    assert grads[0] is not None and grads[0].any() and grads[1] is not None and grads[1].any()
    assert grads[2] is not None and not grads[2].any()


def test_the_balance_loss_spreads_tokens_that_all_went_to_one() -> None:
    torch.manual_seed(0)
    mixture, tokens = Mixture(16, 24, 4), torch.randn(16, 6, 16) + 1
    with torch.no_grad():
        mixture.router.weight[0] = 1.0
    optimizer = torch.optim.AdamW(mixture.router.parameters(), lr=1e-2, weight_decay=0.0, fused=True)
    seen = []
    for _ in range(120):
        mixture(tokens)
        assert mixture.balance is not None
        seen.append(float(mixture.balance.detach()))
        optimizer.zero_grad()
        mixture.balance.backward()
        optimizer.step()
    assert seen[0] > 2.5 and seen[-1] < 1.3


def test_those_beside_a_sample_in_a_batch_change_nothing_for_it(mixed: Decoder) -> None:
    torch.manual_seed(1)
    given, noise = inputs(5), source_noise(5, 96, 6, 12)
    with observed(mixed.mixtures()) as logs:
        together = sample_chunk(mixed, "so101", given, noise[:, :3], noise, 2)
    assert len({int(number) for log in logs for passed in log for number in passed.flatten()}) > 2
    for row in range(5):
        one = noise[row : row + 1]
        alone = sample_chunk(mixed, "so101", only(given, row), one[:, :3], one, 2)
        torch.testing.assert_close(alone, together[row : row + 1], rtol=0, atol=2e-6)


def test_an_expert_that_is_not_needed_is_not_computed(mixed: Decoder) -> None:
    given, noise, called = inputs(1), source_noise(1, 96, 6, 12), []
    hooks = [
        expert.register_forward_hook(lambda *_, name=(block, number): called.append(name))
        for block, mixture in enumerate(mixed.mixtures())
        for number, expert in enumerate(mixture.experts)
    ]
    with observed(mixed.mixtures()) as logs:
        sample_chunk(mixed, "so101", given, noise[:, :0], noise, 1)
    for hook in hooks:
        hook.remove()
    wanted = {(block, int(n)) for block, log in enumerate(logs) for n in torch.cat(log).unique()}
    assert set(called) == wanted and len(called) == len(wanted) < 14


def test_weights_go_round_and_dropping_who_is_not_needed_changes_nothing(mixed: Decoder) -> None:
    other = Decoder(SHAPE).eval()
    other.load_state_dict(mixed.state_dict())
    given, noise = inputs(2), source_noise(2, 96, 6, 12)
    with observed(mixed.mixtures()) as logs:
        before = sample_chunk(mixed, "so101", given, noise[:, :0], noise, 1)
    used = [{int(number) for passed in log for number in passed.flatten()} for log in logs]
    drop_experts(other.mixtures(), [f"{b}.{n}" for b in range(2) for n in range(7) if n not in used[b]])
    assert [set(mixture.kept) for mixture in other.mixtures()] == used
    after = sample_chunk(other, "so101", given, noise[:, :0], noise, 1)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-6)
    with pytest.raises(UserError, match="got '0.9', expected BLOCK.EXPERT from 0"):
        drop_experts(other.mixtures(), ["0.9"])
    with pytest.raises(UserError, match="got all of block 1"):
        drop_experts(mixed.mixtures(), [f"1.{number}" for number in range(7)])
    with pytest.raises(UserError, match="decoder.experts: got 1"):
        replace(SHAPE, experts=1)
