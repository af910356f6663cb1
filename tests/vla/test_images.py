"""Augmentation: seeded by the sample, and doing what it says."""

import numpy as np
import pytest
import torch

from ideomotor.datasets.loading import frames
from ideomotor.launch.runtime.cameras.cameras import fit
from ideomotor.vla.images import augmented, sample_seeds, to_pixels
from ideomotor.vla.resizing import resized

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 12, 16, 3), dtype=np.uint8)
SEEDS = sample_seeds(7, 3, np.arange(40))
EVERYTHING = {"shift": 2, "colour": 0.2, "blur": 0.5, "drop": 0.2}


def test_a_sample_is_augmented_the_same_in_any_company():
    whole = augmented(IMAGES, SEEDS, **EVERYTHING)
    chosen = RNG.permutation(40)[:7]
    alone = augmented(IMAGES[chosen], sample_seeds(7, 3, chosen), **EVERYTHING)
    assert torch.equal(whole[chosen], alone)
    torch.manual_seed(1)
    assert torch.equal(augmented(IMAGES, SEEDS, **EVERYTHING), whole)


def test_seeds_differ_between_steps_rows_and_cameras():
    seeds = [sample_seeds(a, b, np.arange(50), c) for a in range(4) for b in range(4) for c in range(2)]
    assert len(set(np.concatenate(seeds).tolist())) == 4 * 4 * 2 * 50
    assert seeds[0].dtype == np.uint64


def test_nothing_asked_for_is_nothing_done():
    assert torch.allclose(augmented(IMAGES, SEEDS, shift=0, colour=0.0), to_pixels(IMAGES), atol=1e-6)


@pytest.mark.parametrize("shift", [1, 4])
def test_shifts_are_crops_of_the_padded_picture_and_all_come_up(shift):
    images = np.repeat(IMAGES[:1], 600, axis=0)
    pixels = augmented(images, sample_seeds(0, 0, np.arange(600)), shift=shift, colour=0.0)
    padded = to_pixels(np.pad(IMAGES[0], ((shift, shift), (shift, shift), (0, 0)), mode="edge"))
    height, width = IMAGES.shape[1:3]
    places = [(y, x) for y in range(2 * shift + 1) for x in range(2 * shift + 1)]
    crops = torch.stack([padded[:, y : y + height, x : x + width] for y, x in places])
    distance = (pixels[:, None] - crops[None]).abs().amax(dim=(2, 3, 4))  # (600, places)
    assert distance.min(dim=1).values.max() < 1e-6
    assert len(set(distance.argmin(dim=1).tolist())) == len(places)


def test_colours_change_by_channel_and_within_bounds():
    pixels, plain = augmented(IMAGES, SEEDS, shift=0, colour=0.2), to_pixels(IMAGES)
    slope = (pixels - pixels.mean((2, 3), keepdim=True)).std((2, 3)) / plain.std((2, 3))  # (B, 3)
    assert 0.8 * 0.9 - 1e-5 <= slope.min() < 0.9 < 1.1 < slope.max() <= 1.2 * 1.1 + 1e-5
    assert (slope.std(dim=1) > 0.001).all()
    level = (pixels - slope[:, :, None, None] * plain).mean((1, 2, 3))
    assert 0.1 < level.abs().max() <= 0.2 + 1e-5


def test_lost_pictures_are_grey_and_blurred_ones_smooth():
    seeds = sample_seeds(1, 0, np.arange(400))
    images = np.tile(IMAGES, (10, 1, 1, 1))
    lost = augmented(images, seeds, shift=0, colour=0.2, drop=0.25)
    share = (lost == 0).all(dim=1).all(dim=1).all(dim=1).float().mean()
    assert 0.18 < share < 0.32
    soft, plain = augmented(images, seeds, shift=0, colour=0.0, blur=0.25), to_pixels(images)
    changed = (soft - plain).abs().amax((1, 2, 3)) > 1e-4
    assert 0.18 < changed.float().mean() < 0.32
    assert (soft.std((1, 2, 3)) < plain.std((1, 2, 3)))[changed].float().mean() > 0.99
    assert torch.allclose(soft.mean((1, 2, 3)), plain.mean((1, 2, 3)), atol=0.05)


@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (96, 128), (50, 33), (96, 96)])
def test_pictures_of_any_shape_are_seen_as_in_training_and_by_a_running_arm(shape):
    """Cut around their middle and scaled, whichever way they come: by the API, from a dataset or a camera."""
    picture = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
    seen = resized(picture, 96)
    assert seen.shape == (96, 96, 3)
    np.testing.assert_array_equal(seen, frames.resized(picture, (96, 96)))
    np.testing.assert_array_equal(seen, fit(picture, 96, 96))


def test_what_is_left_and_right_of_the_middle_of_a_wide_picture_is_not_seen():
    picture = np.zeros((96, 160, 3), np.uint8)
    picture[:, 32:128] = RNG.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resized(picture, 96), picture[:, 32:128])
