"""What the bundled policy is given: converted where it is plain, else refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ideomotor.control.errors import UserError
from ideomotor.control.types import Observation
from ideomotor.sim.open_world import task_world
from ideomotor.vla.checkpoint_info import bundled_checkpoint
from ideomotor.vla.policy import EpisodePolicy

NO_PREFIX = np.zeros((0, 6))


@pytest.fixture(scope="module")
def bundled() -> EpisodePolicy:
    torch.set_num_threads(1)
    return EpisodePolicy.from_pretrained(bundled_checkpoint("so101"))


@pytest.fixture(scope="module")
def seen() -> Observation:
    world = task_world("reach", 1_000_000)
    observation = world.observe()
    world.close()
    return observation


def acted(policy: EpisodePolicy, observation: Observation) -> np.ndarray:
    """(H, A) the first chunk of an episode."""
    policy.reset(0)
    return policy.act(observation, policy.plan(observation, describe=False), NO_PREFIX).actions


def with_pictures(seen: Observation, change: Callable[[np.ndarray], Any]) -> Observation:
    return replace(seen, images={name: change(image) for name, image in seen.images.items()})


@pytest.mark.parametrize(
    "change",
    [
        lambda image: (image / 255).astype(np.float32),
        lambda image: image / 255,
        lambda image: image.astype(np.float32),
        lambda image: image.astype(np.int64),
        lambda image: image.transpose(2, 0, 1),
        lambda image: np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.float32) / 255,
        lambda image: torch.from_numpy(image).permute(2, 0, 1).float() / 255,
        lambda image: image.tolist(),
    ],
    ids=["float32", "float64", "float 255", "int64", "channels first", "both", "a tensor", "a list"],
)
def test_pictures_in_other_forms_are_the_same_pictures(
    bundled: EpisodePolicy, seen: Observation, change: Callable[[np.ndarray], Any]
) -> None:
    assert np.array_equal(acted(bundled, with_pictures(seen, change)), acted(bundled, seen))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda image: image / 127.5 - 1, "values from -.*undo the normalisation"),
        (lambda image: np.where(image == image[0, 0, 0], np.nan, image / 255), "values from nan"),
        (lambda image: image.astype(np.uint16) * 257, "values from .* expected uint8"),
        (lambda image: image > 128, "bool, expected uint8"),
        (lambda image: image[..., 0], "grey one"),
        (lambda image: image[None], "without a batch"),
        (lambda image: np.dstack([image, image[..., :1]]), r"image\[\.\.\., :3\]"),
        (lambda image: image[:0], "shape .0, 96, 3."),
        (lambda image: "front.png", "shape .., expected RGB"),
    ],
)
def test_what_is_no_picture_is_refused(
    bundled: EpisodePolicy, seen: Observation, change: Callable[[np.ndarray], Any], words: str
) -> None:
    with pytest.raises(
        UserError, match=f"observation.images.front: {words}|observation.images.front.*{words}"
    ):
        acted(bundled, with_pictures(seen, change))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"front": "frnt"}, "unknown name 'frnt'; did you mean 'front'.*rename it"),
        (
            {"front": "observation.images.front", "wrist": "observation.images.wrist"},
            "unknown name.*rename it",
        ),
        ({"wrist": "top"}, "unknown name 'top'.*without 'wrist'"),
    ],
)
def test_a_camera_that_it_does_not_know_instead_of_one_that_it_does_is_refused(
    bundled: EpisodePolicy, seen: Observation, names: dict[str, str], words: str
) -> None:
    images = {names.get(name, name): image for name, image in seen.images.items()}
    with pytest.raises(UserError, match=f"observation.images: camera: {words}"):
        acted(bundled, replace(seen, images=images))


def test_a_camera_may_be_missing_and_more_may_be_there(bundled: EpisodePolicy, seen: Observation) -> None:
    more = replace(seen, images={**seen.images, "top": seen.images["front"]})
    assert np.array_equal(acted(bundled, more), acted(bundled, seen))
    acted(bundled, replace(seen, images={"front": seen.images["front"]}))
    acted(bundled, replace(seen, images={}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (np.degrees, "(shoulder_lift|wrist_flex|elbow_flex) is -?[0-9.]+.*np.radians"),
        (lambda state: 1000 * state, "expected rad"),
        (lambda state: state[None], "without a batch"),
        (lambda state: np.append(state, 0.0), "7 values, expected 6"),
        (lambda state: np.where(np.arange(6) == 2, np.nan, state), r"\[2\]: got nan"),
        (lambda state: [str(value) for value in state], "numbers"),
        (lambda state: None, "numbers"),
    ],
)
def test_a_state_that_no_robot_measures_in_these_units_is_refused(
    bundled: EpisodePolicy, seen: Observation, change: Callable[[np.ndarray], Any], words: str
) -> None:
    with pytest.raises(UserError, match=f"observation.state.*{words}"):
        acted(bundled, replace(seen, state=change(seen.state)))


def test_an_instruction_is_a_string(bundled: EpisodePolicy, seen: Observation) -> None:
    with pytest.raises(UserError, match="observation.instruction: got list, expected a string"):
        acted(bundled, replace(seen, instruction=["lift"]))


def test_committed_commands_are_of_its_joints(bundled: EpisodePolicy, seen: Observation) -> None:
    bundled.reset(0)
    with pytest.raises(UserError, match=r"prefix: shape \(3, 4\), expected \(ticks, 6\)"):
        bundled.act(seen, bundled.plan(seen, describe=False), np.zeros((3, 4)))


def test_names_and_units_are_checked_once_an_episode_and_a_dark_picture_decides_no_scale(
    bundled: EpisodePolicy, seen: Observation
) -> None:
    bundled.reset(0)
    plan = bundled.plan(with_pictures(seen, lambda image: np.zeros(image.shape, np.float32)), describe=False)
    bytes_in_floats = with_pictures(seen, lambda image: image.astype(np.float32))
    bundled.act(bytes_in_floats, plan, NO_PREFIX)
    later = replace(
        seen, images={"top": seen.images["front"]}, time=0.2, tick=24
    )  # a camera has died: it goes on
    bundled.act(later, plan, NO_PREFIX)
    bundled.reset(0)
    with pytest.raises(UserError, match="unknown name 'top'"):
        bundled.plan(later)
    bundled.reset(0)
    bundled.plan(with_pictures(seen, lambda image: image / 255), describe=False)
    with pytest.raises(UserError, match="white was 1 before"):
        bundled.plan(bytes_in_floats)
