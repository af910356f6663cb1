"""Coarse to fine: waypoints come first, and prefixes, flow times and cost are as they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ideomotor.control.errors import UserError
from ideomotor.train.action_objective import ActionBatch, ActionObjective, ActionSettings, PlanFeatures
from ideomotor.train.recipe import resolve
from ideomotor.vla.decoder.decoder import Context, Decoder, DecoderConfig, DecoderInputs
from ideomotor.vla.decoder.sampler import sample_chunk, source_noise
from ideomotor.vla.decoder.waypoints import straight_ways
from ideomotor.vla.interpreter.plan_head import PlanHead

SHAPE = DecoderConfig(
    cameras=(), plan_dim=24, width=48, heads=2, blocks=4, commands_per_token=16, waypoints_every=24
)


def features(points: torch.Tensor) -> PlanFeatures:
    count = len(points)
    return PlanFeatures(torch.zeros(count, 8, 16), torch.zeros(count, 16), points, torch.ones(count, 2))


def windows(count: int) -> ActionBatch:
    """Commands that rise towards a place that depends on where the plan points."""
    points = torch.rand(count, 2, 2)
    goal = torch.cat([points[:, 0], 1 - points[:, 0], points[:, 0].flip(-1)], dim=-1) * 4 - 2
    return ActionBatch(
        plan_features=features(points),
        pixels=torch.zeros(count, 0, 3, 96, 96),
        state=torch.zeros(count, 6),
        past_commands=torch.zeros(count, 8, 6),
        actions=torch.linspace(0, 1, 96).square().view(1, -1, 1) * goal.unsqueeze(1),
        counted=torch.ones(count, 96),
        prefix_length=torch.randint(0, 31, (count,)),
        progress=points[:, 0, 0],
    )


def context_of(decoder: Decoder, count: int) -> Context:
    ones, past = torch.ones(count), torch.randn(count, 8, 6)
    nothing = torch.zeros(count, 0, 3, 96, 96), torch.ones(count, 0)
    given = DecoderInputs(torch.randn(count, 8, 24), ones, *nothing, torch.randn(count, 6), ones, past, ones)
    return decoder.context("so101", given)


def test_the_way_goes_through_the_waypoints_from_where_a_chunk_begins() -> None:
    ways, waypoints = straight_ways(4, 24), torch.tensor([1.0, 3.0, 2.0, 2.0])
    way = ways @ waypoints
    assert way[[23, 47, 71, 95]].tolist() == waypoints.tolist()
    np.testing.assert_allclose(way[:24], np.arange(1, 25) / 24, atol=1e-6)
    assert way[35] == pytest.approx(2.0)


def test_it_learns_and_its_waypoints_are_where_the_chunk_goes() -> None:
    torch.manual_seed(0)
    decoder, head = Decoder(SHAPE), PlanHead(16, 24, 2)
    objective = ActionObjective(decoder, head, "so101", ActionSettings(drop_plan=0.0))
    optimizer = torch.optim.AdamW(objective.parameters(), lr=2e-3, fused=True)
    for _ in range(150):
        objective(windows(32))["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    batch, ones, nothing = windows(32), torch.ones(32), torch.ones(32, 0)
    assert batch.plan_features is not None
    with torch.no_grad():
        plan, _ = head(*vars(batch.plan_features).values())
        given = batch.pixels, nothing, batch.state, ones, batch.past_commands, 0 * ones
        inputs = DecoderInputs(plan, ones, *given)
        noise = source_noise(32, 96, 6, 12)
        reached = sample_chunk(decoder, "so101", inputs, noise[:, :0], noise, 1)
        spread = batch.actions[:, -8:].std()
        assert (reached - batch.actions)[:, -8:].abs().mean() < 0.4 * spread
        context, none = decoder.context("so101", inputs), torch.zeros(32, 96)
        waypoints = decoder.predict("so101", noise, none, 0 * ones, context).waypoints
    assert waypoints is not None
    assert (waypoints - batch.actions[:, 23::24])[:, -1].abs().mean() < 0.4 * spread


def test_a_committed_prefix_is_kept_and_reaches_the_waypoints_behind_it() -> None:
    torch.manual_seed(1)
    decoder = Decoder(SHAPE).eval()
    for parameter in decoder.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    with torch.no_grad():
        context, noise = context_of(decoder, 1), torch.randn(1, 96, 6)
        committed, time = (torch.arange(96) < 30).float()[None], torch.tensor([0.3])
        found = decoder.predict("so101", noise, committed, time, context)
        other = noise.clone()
        other[:, 25:30] += 1.0  # committed, but behind the first waypoint
        moved = decoder.predict("so101", other, committed, time, context)
        later = decoder.predict("so101", noise, committed, torch.tensor([0.8]), context)
    assert found.waypoints is not None and moved.waypoints is not None and later.waypoints is not None
    assert torch.equal(found.waypoints[:, 0], noise[:, 23])  # committed: as it was given
    assert torch.equal(moved.waypoints[:, 0], found.waypoints[:, 0])
    assert (moved.waypoints[:, 1] - found.waypoints[:, 1]).abs().max() > 1e-3
    assert (later.waypoints[:, 1] - found.waypoints[:, 1]).abs().max() > 1e-3  # the flow's time counts


def test_a_pass_costs_no_more_than_one_that_predicts_all_at_once() -> None:
    costs = []
    for every in (0, 24):
        decoder = Decoder(replace(SHAPE, waypoints_every=every, width=192, heads=4)).eval()
        with torch.no_grad():
            context = context_of(decoder, 1)
            with FlopCounterMode(display=False) as counted:
                decoder("so101", torch.randn(1, 96, 6), torch.zeros(1, 96), torch.zeros(1), context)
        costs.append(counted.get_total_flops())
    assert 0.75 * costs[0] < costs[1] < costs[0]


@pytest.mark.parametrize("changes", [{"waypoints_every": 36}, {"blocks": 2}])
def test_a_shape_that_cannot_be_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(UserError, match="decoder.waypoints_every: got"):
        replace(SHAPE, **changes)
    with pytest.raises(UserError, match="decoder.waypoints_every: of a decoder that predicts the flow"):
        resolve("nano", ["decoder.waypoints_every=24", "decoder.objective.predict=epsilon"])
