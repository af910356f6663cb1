"""The decoder's vision that finds places: what reaches its tokens, and what does not."""

from __future__ import annotations

import pytest
import torch

from ideomotor.control.errors import UserError
from ideomotor.vla.decoder.decoder import Decoder, DecoderConfig, DecoderInputs
from ideomotor.vla.decoder.visual_encoder import KeypointEncoder

WIDTH, QUERIES = 32, 4


@pytest.fixture
def encoder() -> KeypointEncoder:
    torch.manual_seed(0)
    encoder = KeypointEncoder(96, WIDTH, QUERIES).eval()
    torch.nn.init.normal_(encoder.film.weight, std=0.2)  # starts at zero, which would hide mistakes
    return encoder


def picture(row: int, column: int) -> torch.Tensor:
    """(1, 3, 96, 96): grey with a bright square of 12 pixels whose corner is at (row, column)."""
    pixels = torch.zeros(1, 3, 96, 96)
    pixels[:, :, row : row + 12, column : column + 12] = 1.0
    return pixels


def test_tokens_and_their_sum(encoder: KeypointEncoder) -> None:
    tokens, summary = encoder(torch.rand(5, 3, 96, 96), torch.ones(5), torch.randn(5, WIDTH))
    assert tokens.shape == (5, QUERIES + 2, WIDTH) and tokens.isfinite().all()
    torch.testing.assert_close(summary, tokens.sum(1))


def test_a_missing_picture_is_the_learned_tokens_whatever_it_shows(encoder: KeypointEncoder) -> None:
    there = torch.tensor([1.0, 0.0, 0.0])
    tokens, _ = encoder(torch.rand(3, 3, 96, 96), there, torch.randn(3, WIDTH))
    assert torch.equal(tokens[1], encoder.missing) and torch.equal(tokens[2], encoder.missing)
    assert not torch.equal(tokens[0], encoder.missing)


def test_the_same_picture_is_seen_otherwise_under_another_plan(encoder: KeypointEncoder) -> None:
    pixels, there = picture(40, 40).expand(2, -1, -1, -1), torch.ones(2)
    tokens, _ = encoder(pixels, there, torch.randn(2, WIDTH))
    assert (tokens[0] - tokens[1]).abs().max() > 1e-3
    assert (tokens[0, :QUERIES] - tokens[1, :QUERIES]).abs().max() > 1e-3


def test_places_can_be_told_finer_than_the_cells_of_its_maps(encoder: KeypointEncoder) -> None:
    """From the tokens of random weights a line tells where a square is in other pictures to less than half of
    the 8 pixels that a cell of its finest map has."""
    draw = torch.Generator().manual_seed(1)
    corners = torch.randint(0, 84, (400, 2), generator=draw)
    pixels = torch.cat([picture(*corner) for corner in corners.tolist()])
    with torch.inference_mode():
        tokens, _ = encoder(pixels, torch.ones(400), torch.zeros(400, WIDTH))
    known = torch.cat([tokens.flatten(1), torch.ones(400, 1)], dim=1).double()
    line = torch.linalg.lstsq(known[:300], corners[:300].double()).solution
    error = (known[300:] @ line - corners[300:]).abs().mean()
    assert error < 4.0


@pytest.mark.parametrize("cameras", [(), ("front",), ("front", "wrist")])
def test_a_decoder_sees_with_it(cameras: tuple[str, ...]) -> None:
    torch.manual_seed(2)
    config = DecoderConfig(
        cameras=cameras,
        plan_dim=24,
        width=WIDTH,
        heads=2,
        blocks=2,
        commands_per_token=16,
        vision="keypoints",
        queries=QUERIES,
        state_octaves=2,
    )
    decoder = Decoder(config).eval()
    for parameter in decoder.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    ones = torch.ones(3)

    def chunk(pixels: torch.Tensor) -> torch.Tensor:
        there, past = torch.ones(3, len(cameras)), torch.zeros(3, config.past_command_ticks, 6)
        plan, state = torch.ones(3, 8, 24), torch.ones(3, 6)
        inputs = DecoderInputs(plan, ones, pixels, there, state, ones, past, ones)
        with torch.inference_mode():
            context = decoder.context("so101", inputs)
            return decoder("so101", torch.zeros(3, 96, 6), torch.zeros(3, 96), torch.zeros(3), context)

    dark, bright = (torch.full((3, len(cameras), 3, 96, 96), level) for level in (-1.0, 1.0))
    assert chunk(dark).shape == (3, 96, 6)
    assert torch.equal(chunk(dark), chunk(bright)) == (not cameras)


def test_an_unknown_vision_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"decoder.vision.*keypoint.*keypoints"):
        DecoderConfig(vision="keypoint")
